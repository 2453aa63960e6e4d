//! A condition over the fields of a flow. It is written in CEL, checked against the fields' types when it is read, and has
//! three answers: what rests on a field that is not known is not known either, unless the rest decides (Kleene's logic, which is
//! also CEL's for unknown values).

mod doubt;
pub(super) mod field;
mod parse;
mod show;

use std::net::IpAddr;

use regex::Regex;

pub use self::{
    doubt::{Supposing, ToldApart},
    field::{Doubt, Flow, Reading, Source, names_a_doubt},
    parse::{EXPRESSION_BYTES_MAX, Fault, NESTING_MAX, Vocabulary},
};
use crate::model::{
    fact::{Fact, FieldId},
    identity::Word,
    prefix::Prefix,
};

/// A condition.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Node,
    fields: FieldSet,
    valued: FieldSet,
}

/// Fields, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u128);

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    No,
    Unknown,
    Yes,
}

/// What is true or not.
#[derive(Clone, Debug)]
pub enum Node {
    Constant(bool),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    If(Box<[Node; 3]>),
    /// Whether a field's value is known; the one question that never is unknown.
    Known(FieldId),
    Test(Subject, Check),
    /// Two fields have the same text.
    Same(Subject, Subject),
    Order(Order, Term, Term),
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Field(FieldId),
    /// One of a field's labels; not there, it is not known.
    Label(FieldId, Word),
}

/// What is asked of a subject.
#[derive(Clone, Debug)]
pub enum Check {
    OneOf(Vec<Literal>),
    StartsWith(Word),
    EndsWith(Word),
    Contains(Word),
    Matches(Box<Regex>),
    Inside(Prefix),
    /// A list or labels have this word.
    Has(Word),
}

/// A value that is written in an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    Text(Word),
    Number(i64),
    Address(IpAddr),
    /// Microseconds since 1970.
    Time(i64),
}

/// How two numbers or times stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Equal,
    Less,
    LessOrEqual,
}

/// A number, or a time in microseconds since 1970.
#[derive(Clone, Debug)]
pub enum Term {
    Number(i64),
    Time(i64),
    Field(FieldId),
    /// Characters of a text, words of a list.
    Size(Subject),
    Sum(Box<[Term; 2]>),
    Difference(Box<[Term; 2]>),
    Product(Box<[Term; 2]>),
    Quotient(Box<[Term; 2]>),
    Remainder(Box<[Term; 2]>),
}

impl Expression {
    /// Reads CEL.
    ///
    /// # Errors
    /// Where it is no CEL, or asks for what no flow has.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Self, Fault> {
        let root = parse::parse(text, vocabulary)?;
        let mut fields = FieldSet::default();
        let mut valued = FieldSet::default();
        root.visit(&mut |node| {
            node.own_fields(&mut fields);
            if !matches!(node, Node::Known(_)) {
                node.own_fields(&mut valued);
            }
        });
        Ok(Self {
            root,
            fields,
            valued,
        })
    }

    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// Every field that it names.
    #[must_use]
    pub const fn fields(&self) -> FieldSet {
        self.fields
    }

    /// Those of which the value matters, and not only whether it is known.
    #[must_use]
    pub const fn valued(&self) -> FieldSet {
        self.valued
    }

    /// Values that it asks for and that no table names: it may be for what is yet to come.
    #[must_use]
    pub fn unheard_of(&self, vocabulary: &Vocabulary) -> Vec<(FieldId, Word)> {
        let mut unheard = Vec::new();
        self.root.visit(&mut |node| {
            if let Node::Test(Subject::Field(field), Check::OneOf(literals)) = node {
                let words = literals.iter().filter_map(|literal| match literal {
                    Literal::Text(word) if !word.is_empty() => Some(word),
                    _ => None,
                });
                let words = words.filter(|word| !vocabulary.has(*field, word));
                unheard.extend(words.map(|word| (*field, word.clone())));
            }
        });
        unheard
    }

    #[must_use]
    pub fn truth(&self, flow: &impl Source) -> Truth {
        self.root.truth(flow)
    }

    /// The opposite.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            root: Node::Not(Box::new(self.root.clone())),
            fields: self.fields,
            valued: self.valued,
        }
    }
}

impl FieldSet {
    pub fn add(&mut self, field: FieldId) {
        self.0 |= 1 << field.index();
    }

    #[must_use]
    pub const fn has(self, field: FieldId) -> bool {
        self.0 >> field.index() & 1 == 1
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any field is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// In the order of the record.
    pub fn iter(self) -> impl Iterator<Item = FieldId> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let field = FieldId::at(bits.trailing_zeros())?;
            bits &= bits - 1;
            Some(field)
        })
    }
}

impl Truth {
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }

    const fn of(is_it: bool) -> Self {
        if is_it { Self::Yes } else { Self::No }
    }
}

impl From<Option<bool>> for Truth {
    fn from(is_it: Option<bool>) -> Self {
        is_it.map_or(Self::Unknown, Self::of)
    }
}

impl Node {
    #[must_use]
    pub fn truth(&self, flow: &impl Source) -> Truth {
        match self {
            Self::Constant(is_it) => Truth::of(*is_it),
            Self::Not(node) => node.truth(flow).not(),
            Self::All(nodes) => decided(nodes, flow, Truth::No),
            Self::Any(nodes) => decided(nodes, flow, Truth::Yes),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                match condition.truth(flow) {
                    Truth::Yes => then.truth(flow),
                    Truth::No => otherwise.truth(flow),
                    Truth::Unknown => {
                        let both = [then.truth(flow), otherwise.truth(flow)];
                        if both[0] == both[1] {
                            both[0]
                        } else {
                            Truth::Unknown
                        }
                    }
                }
            }
            Self::Known(field) => Truth::of(matches!(flow.read(*field), Reading::Known(_))),
            Self::Test(subject, check) => check.truth(subject.read(flow)),
            Self::Same(left, right) => match (left.read(flow), right.read(flow)) {
                (Reading::Known(left), Reading::Known(right)) => Truth::of(left == right),
                _ => Truth::Unknown,
            },
            Self::Order(order, left, right) => {
                let both = left.value(flow).zip(right.value(flow));
                both.map(|(left, right)| order.holds(left, right)).into()
            }
        }
    }

    /// Gives this node and all below it to `see`.
    fn visit<'n>(&'n self, see: &mut impl FnMut(&'n Self)) {
        see(self);
        for node in self.parts() {
            node.visit(see);
        }
    }

    /// The conditions that it is made of.
    #[must_use]
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Not(node) => std::slice::from_ref(node),
            Self::All(nodes) | Self::Any(nodes) => nodes,
            Self::If(parts) => &**parts,
            Self::Constant(_)
            | Self::Known(_)
            | Self::Test(..)
            | Self::Same(..)
            | Self::Order(..) => &[],
        }
    }

    pub(super) fn own_fields(&self, fields: &mut FieldSet) {
        match self {
            Self::Known(field) => fields.add(*field),
            Self::Test(subject, _) => fields.add(subject.field()),
            Self::Same(left, right) => {
                fields.add(left.field());
                fields.add(right.field());
            }
            Self::Order(_, left, right) => {
                left.fields(fields);
                right.fields(fields);
            }
            Self::Constant(_) | Self::Not(_) | Self::All(_) | Self::Any(_) | Self::If(_) => {}
        }
    }
}

/// `All` is decided by the first `No`, `Any` by the first `Yes`.
fn decided(nodes: &[Node], flow: &impl Source, by: Truth) -> Truth {
    let mut truth = by.not();
    for node in nodes {
        match node.truth(flow) {
            found if found == by => return by,
            Truth::Unknown => truth = Truth::Unknown,
            _ => {}
        }
    }
    truth
}

impl Subject {
    #[must_use]
    pub const fn field(&self) -> FieldId {
        match self {
            Self::Field(field) | Self::Label(field, _) => *field,
        }
    }

    fn read<'f>(&self, flow: &'f impl Source) -> Reading<'f> {
        match self {
            Self::Field(field) => flow.read(*field),
            Self::Label(field, name) => match flow.read(*field) {
                Reading::Known(Fact::Labels(labels)) => labels
                    .get(name)
                    .map_or(Reading::Doubt(Doubt::NotSeen), |text| {
                        Reading::Known(Fact::Text(text))
                    }),
                other => other,
            },
        }
    }
}

impl Check {
    fn truth(&self, reading: Reading<'_>) -> Truth {
        let fact = match reading {
            Reading::Known(fact) => fact,
            Reading::Doubt(doubt) => return self.truth_in(doubt),
        };
        Truth::from(match (self, fact) {
            (Self::OneOf(literals), fact) => Some(literals.iter().any(|literal| literal.is(fact))),
            (Self::StartsWith(start), Fact::Text(text)) => Some(text.starts_with(&**start)),
            (Self::EndsWith(end), Fact::Text(text)) => Some(text.ends_with(&**end)),
            (Self::Contains(part), Fact::Text(text)) => Some(text.contains(&**part)),
            (Self::Matches(pattern), Fact::Text(text)) => Some(pattern.is_match(text)),
            (Self::Inside(network), Fact::Address(address)) => {
                Some(network.covers(crate::model::prefix::bits(address)))
            }
            (Self::Has(word), Fact::List(list)) => Some(list.contains(word)),
            (Self::Has(word), Fact::Labels(labels)) => Some(labels.contains_key(word)),
            // Checked when it was read: no field has two types.
            _ => None,
        })
    }

    /// What can be said although the value is in doubt: only of the words that name the doubt itself.
    fn truth_in(&self, doubt: Doubt) -> Truth {
        let (Self::OneOf(literals), Doubt::Word(doubt)) = (self, doubt) else {
            return Truth::Unknown;
        };
        let mut truth = Truth::No;
        for literal in literals {
            match literal {
                Literal::Text(word) if *word == *doubt => return Truth::Yes,
                Literal::Text(word) if names_a_doubt(word) => {}
                _ => truth = Truth::Unknown,
            }
        }
        truth
    }
}

impl Literal {
    fn is(&self, fact: Fact<'_>) -> bool {
        match (self, fact) {
            (Self::Text(own), Fact::Text(text)) => **own == *text,
            (Self::Number(own), Fact::Number(number)) => i64::try_from(number) == Ok(*own),
            (Self::Address(own), Fact::Address(address)) => *own == address.to_canonical(),
            (Self::Time(own), Fact::Time(time)) => *own == time.0,
            _ => false,
        }
    }
}

impl Order {
    const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

impl Term {
    /// `None` where a field is not known, or the result has no room in 64 bits.
    fn value(&self, flow: &impl Source) -> Option<i64> {
        let both = |terms: &[Self; 2]| terms[0].value(flow).zip(terms[1].value(flow));
        match self {
            Self::Number(value) | Self::Time(value) => Some(*value),
            Self::Field(field) => match flow.read(*field) {
                Reading::Known(Fact::Number(number)) => i64::try_from(number).ok(),
                Reading::Known(Fact::Time(time)) => Some(time.0),
                _ => None,
            },
            Self::Size(subject) => match subject.read(flow) {
                Reading::Known(Fact::Text(text)) => i64::try_from(text.chars().count()).ok(),
                Reading::Known(Fact::List(list)) => i64::try_from(list.len()).ok(),
                Reading::Known(Fact::Labels(labels)) => i64::try_from(labels.len()).ok(),
                _ => None,
            },
            Self::Sum(terms) => both(terms).and_then(|(left, right)| left.checked_add(right)),
            Self::Difference(terms) => {
                both(terms).and_then(|(left, right)| left.checked_sub(right))
            }
            Self::Product(terms) => both(terms).and_then(|(left, right)| left.checked_mul(right)),
            Self::Quotient(terms) => both(terms).and_then(|(left, right)| left.checked_div(right)),
            Self::Remainder(terms) => both(terms).and_then(|(left, right)| left.checked_rem(right)),
        }
    }

    fn fields(&self, fields: &mut FieldSet) {
        match self {
            Self::Number(_) | Self::Time(_) => {}
            Self::Field(field) => fields.add(*field),
            Self::Size(subject) => fields.add(subject.field()),
            Self::Sum(terms)
            | Self::Difference(terms)
            | Self::Product(terms)
            | Self::Quotient(terms)
            | Self::Remainder(terms) => terms.iter().for_each(|term| term.fields(fields)),
        }
    }
}
