//! One field of a flow as rules read it, whether the flow is a record that is just being made or one that was read back.
//! Decides nothing.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use super::{
    cost::Components,
    flow::FlowId,
    identity::{Basis, Confidence, Word},
    money::Money,
    record::{FIELDS, Field, FieldKind},
    time::UnixUs,
};

/// A field of the record, by its place in [`FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u8);

const _: () = assert!(FIELDS.len() <= 128, "a field is a bit of a u128");

impl FieldId {
    /// Every field, in the order of the record.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..u8::try_from(FIELDS.len()).unwrap_or(u8::MAX)).map(Self)
    }

    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|field| field.name() == name)
    }

    /// The field of this name, for constants.
    ///
    /// # Panics
    /// Where there is none: in a constant, that is when it is compiled.
    #[must_use]
    pub const fn constant(name: &str) -> Self {
        let mut place = 0_u8;
        while (place as usize) < FIELDS.len() {
            if is_same(FIELDS[place as usize].name.as_bytes(), name.as_bytes()) {
                return Self(place);
            }
            place += 1;
        }
        panic!("no field of this name");
    }

    /// The field at this place in [`FIELDS`].
    #[must_use]
    pub fn at(place: u32) -> Option<Self> {
        let place = u8::try_from(place).ok()?;
        (usize::from(place) < FIELDS.len()).then_some(Self(place))
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.declared().name
    }

    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// What the record's manual says of it.
    #[must_use]
    pub fn declared(self) -> &'static Field {
        &FIELDS[self.index()]
    }
}

const fn is_same(left: &[u8], right: &[u8]) -> bool {
    let mut place = 0;
    while place < left.len() && place < right.len() {
        if left[place] != right[place] {
            return false;
        }
        place += 1;
    }
    left.len() == right.len()
}

/// A field's value. Null in a record is [`Fact::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact<'f> {
    Unknown,
    Text(&'f str),
    Number(u64),
    Address(IpAddr),
    Time(UnixUs),
    List(&'f [Word]),
    Labels(&'f BTreeMap<Word, Word>),
}

/// What has the fields of a flow.
pub trait Facts {
    fn fact(&self, field: FieldId) -> Fact<'_>;
}

/// A flow that was read or made up: of every field a value or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFacts(BTreeMap<FieldId, Kept>);

/// A value that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    Unknown,
    Text(Word),
    Number(u64),
    Address(IpAddr),
    Time(UnixUs),
    List(Vec<Word>),
    Labels(BTreeMap<Word, Word>),
}

impl Kept {
    #[must_use]
    pub fn fact(&self) -> Fact<'_> {
        match self {
            Self::Unknown => Fact::Unknown,
            Self::Text(text) => Fact::Text(text),
            Self::Number(number) => Fact::Number(*number),
            Self::Address(address) => Fact::Address(*address),
            Self::Time(time) => Fact::Time(*time),
            Self::List(list) => Fact::List(list),
            Self::Labels(labels) => Fact::Labels(labels),
        }
    }
}

impl From<Fact<'_>> for Kept {
    fn from(fact: Fact<'_>) -> Self {
        match fact {
            Fact::Unknown => Self::Unknown,
            Fact::Text(text) => Self::Text(text.into()),
            Fact::Number(number) => Self::Number(number),
            Fact::Address(address) => Self::Address(address),
            Fact::Time(time) => Self::Time(time),
            Fact::List(list) => Self::List(list.to_vec()),
            Fact::Labels(labels) => Self::Labels(labels.clone()),
        }
    }
}

impl Facts for FlowFacts {
    fn fact(&self, field: FieldId) -> Fact<'_> {
        self.0.get(&field).map_or(Fact::Unknown, Kept::fact)
    }
}

impl FlowFacts {
    pub fn set(&mut self, field: FieldId, value: Kept) {
        self.0.insert(field, value);
    }

    /// What is told of a flow, in the order of the record.
    pub fn iter(&self) -> impl Iterator<Item = (FieldId, &Kept)> {
        self.0.iter().map(|(field, value)| (*field, value))
    }

    /// Takes one field as a record, or a person, writes it.
    ///
    /// # Errors
    /// Where the value is not of the field's kind; the sentence says what the kind is.
    pub fn tell(&mut self, field: FieldId, value: &Value) -> Result<(), String> {
        let kept = kept(field.declared(), value).ok_or_else(|| {
            let kind = field.declared().kind.word();
            format!("`{}` is {value}, and is to be a {kind}", field.name())
        })?;
        self.set(field, kept);
        Ok(())
    }

    /// All fields of a record that rules can ask for. Others, and those that this version does not know, are left out.
    ///
    /// # Errors
    /// Where a value is not of its field's kind.
    pub fn of_record(record: &serde_json::Map<String, Value>) -> Result<Self, String> {
        let mut facts = Self::default();
        for field in FieldId::all() {
            let told = record.get(field.name()).filter(|value| !value.is_null());
            if let Some(value) = told.filter(|_| field.declared().kind.is_for_rules()) {
                facts.tell(field, value)?;
            }
        }
        Ok(facts)
    }
}

impl FieldKind {
    /// Whether rules can ask for it: money and lists of objects follow from a flow, and are not what it did.
    #[must_use]
    pub const fn is_for_rules(self) -> bool {
        match self {
            Self::Unsigned
            | Self::Text
            | Self::Time
            | Self::Address
            | Self::TextList
            | Self::TextMap => true,
            Self::Decimal | Self::ObjectList => false,
        }
    }
}

fn kept(field: &Field, value: &Value) -> Option<Kept> {
    let text = |value: &Value| value.as_str().map(Word::from);
    match field.kind {
        _ if value.is_null() => Some(Kept::Unknown),
        FieldKind::Unsigned => value.as_u64().map(Kept::Number),
        FieldKind::Text => text(value).map(Kept::Text),
        FieldKind::Time => value.as_str().and_then(UnixUs::parse).map(Kept::Time),
        FieldKind::Address => value.as_str()?.parse().ok().map(Kept::Address),
        FieldKind::TextList => {
            let list = value.as_array()?.iter().map(text);
            list.collect::<Option<_>>().map(Kept::List)
        }
        FieldKind::TextMap => {
            let labels = value.as_object()?.iter();
            let labels = labels.map(|(name, value)| Some((Word::from(&**name), text(value)?)));
            labels.collect::<Option<_>>().map(Kept::Labels)
        }
        FieldKind::Decimal | FieldKind::ObjectList => None,
    }
}

/// What a record's value is to a rule.
pub trait Told<'f> {
    fn told(self) -> Fact<'f>;
}

macro_rules! told {
    ($($type:ty: |$value:ident| $fact:expr;)+) => {$(
        impl<'f> Told<'f> for $type {
            fn told(self) -> Fact<'f> {
                let $value = self;
                $fact
            }
        }
    )+};
}

told! {
    // No stage fills it in.
    (): |_nothing| Fact::Unknown;
    u16: |number| Fact::Number(number.into());
    u32: |number| Fact::Number(number.into());
    u64: |number| Fact::Number(number);
    u8: |number| Fact::Number(number.into());
    UnixUs: |time| Fact::Time(time);
    IpAddr: |address| Fact::Address(address);
    &'f str: |text| Fact::Text(text);
    &'f String: |text| Fact::Text(text);
    &'f Word: |word| Fact::Text(word);
    &'f std::sync::Arc<str>: |text| Fact::Text(text);
    &'f [Word]: |list| Fact::List(list);
    Basis: |basis| Fact::Text(basis.word());
    Confidence: |confidence| Fact::Text(confidence.word());
    // Bytes that are not UTF-8 are no text.
    Cow<'f, str>: |text| match text {
        Cow::Borrowed(text) => Fact::Text(text),
        Cow::Owned(_) => Fact::Unknown,
    };
    // Not for rules.
    FlowId: |_id| Fact::Unknown;
    Money: |_amount| Fact::Unknown;
    Components<'f>: |_components| Fact::Unknown;
}

impl<'f, T: Told<'f>> Told<'f> for Option<T> {
    fn told(self) -> Fact<'f> {
        self.map_or(Fact::Unknown, Told::told)
    }
}

impl<'f, T> Told<'f> for &'f Option<T>
where
    &'f T: Told<'f>,
{
    fn told(self) -> Fact<'f> {
        self.as_ref().map_or(Fact::Unknown, Told::told)
    }
}
