//! What an answer would need: the fields in doubt that keep it open, the values an expression tells apart, and a flow of which
//! some values are supposed.

use super::{
    Check, Expression, FieldSet, Literal, Node, Reading, Source, Subject, Truth, field::of_word,
};
use crate::model::{
    fact::{FieldId, Kept},
    identity::Word,
    time::UnixUs,
};

/// A flow with other values in some fields.
#[derive(Debug)]
pub struct Supposing<'a, S> {
    pub flow: &'a S,
    pub values: Vec<(FieldId, Kept)>,
}

/// Values of a field that an expression tells apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToldApart {
    /// Values that are written in the expression, each once.
    pub literals: Vec<Literal>,
    /// Whether all others are alike: the field is only asked to be one of them.
    pub is_closed: bool,
}

/// A text that no expression has.
const ANY_OTHER: &str = "\u{0}";

impl<S: Source> Source for Supposing<'_, S> {
    fn read(&self, field: FieldId) -> Reading<'_> {
        match self.values.iter().find(|(own, _)| *own == field) {
            Some((_, value)) => of_word(field, value.fact()),
            None => self.flow.read(field),
        }
    }
}

impl Expression {
    /// Fields in doubt, of which the answer cannot be given; none where it is given.
    #[must_use]
    pub fn doubts(&self, flow: &impl Source) -> FieldSet {
        let mut fields = FieldSet::default();
        collect(self.root(), flow, &mut fields);
        fields
    }

    /// The values of a field that make a difference.
    #[must_use]
    pub fn told_apart(&self, field: FieldId) -> ToldApart {
        let mut told = ToldApart {
            literals: Vec::new(),
            is_closed: true,
        };
        self.root().visit(&mut |node| {
            let mut own = FieldSet::default();
            node.own_fields(&mut own);
            if !own.has(field) {
                return;
            }
            match node {
                Node::Test(Subject::Field(_), Check::OneOf(literals)) => {
                    for literal in literals {
                        if !told.literals.contains(literal) {
                            told.literals.push(literal.clone());
                        }
                    }
                }
                Node::Known(_) => {}
                _ => told.is_closed = false,
            }
        });
        told
    }
}

impl ToldApart {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for literal in other.literals {
            if !self.literals.contains(&literal) {
                self.literals.push(literal);
            }
        }
        self.is_closed &= other.is_closed;
        self
    }

    /// A value of each kind, with its name; the last one stands for all others.
    #[must_use]
    pub fn candidates(&self) -> Vec<(Option<&Literal>, Kept)> {
        let written = self.literals.iter();
        let mut values: Vec<_> = written
            .map(|literal| (Some(literal), literal.kept()))
            .collect();
        values.push((None, Kept::Text(Word::from(ANY_OTHER))));
        values
    }
}

impl Literal {
    #[must_use]
    pub fn kept(&self) -> Kept {
        match self {
            Self::Text(text) => Kept::Text(text.clone()),
            Self::Number(number) => Kept::Number(u64::try_from(*number).unwrap_or_default()),
            Self::Address(address) => Kept::Address(*address),
            Self::Time(time) => Kept::Time(UnixUs(*time)),
        }
    }
}

fn collect(node: &Node, flow: &impl Source, fields: &mut FieldSet) {
    if node.truth(flow) != Truth::Unknown {
        return;
    }
    let mut own = FieldSet::default();
    node.own_fields(&mut own);
    for field in own.iter() {
        if matches!(flow.read(field), Reading::Doubt(_)) {
            fields.add(field);
        }
    }
    for part in node.parts() {
        collect(part, flow, fields);
    }
}
