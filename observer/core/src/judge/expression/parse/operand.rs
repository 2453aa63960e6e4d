//! What a part of an expression turned out to be while it is read.

use super::super::{Literal, Node, Subject, Term};
use crate::model::record::FieldKind;

pub enum Operand {
    Condition(Node),
    Subject(Subject, FieldKind),
    Term(Term, Shape),
    Literal(Literal),
    /// Values, each with where it stands.
    List(Vec<(usize, Literal)>),
}

/// What can be more or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Number,
    Time,
}

impl Shape {
    pub const fn described(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Time => "a time",
        }
    }
}

impl Operand {
    /// What it is, for a message.
    pub fn described(&self) -> String {
        match self {
            Self::Condition(_) => "a condition".to_owned(),
            Self::Subject(subject, kind) => format!("`{subject}`, a {},", kind.word()),
            Self::Term(_, shape) => shape.described().to_owned(),
            Self::Literal(literal) => format!("the value {literal}"),
            Self::List(_) => "a list".to_owned(),
        }
    }

    /// It as a number or a time, or itself.
    pub fn term(self) -> Result<(Term, Shape), Self> {
        match self {
            Self::Subject(Subject::Field(field), FieldKind::Unsigned) => {
                Ok((Term::Field(field), Shape::Number))
            }
            Self::Subject(Subject::Field(field), FieldKind::Time) => {
                Ok((Term::Field(field), Shape::Time))
            }
            Self::Term(term, shape) => Ok((term, shape)),
            Self::Literal(Literal::Number(number)) => Ok((Term::Number(number), Shape::Number)),
            Self::Literal(Literal::Time(time)) => Ok((Term::Time(time), Shape::Time)),
            other @ (Self::Condition(_) | Self::Subject(..) | Self::Literal(_) | Self::List(_)) => {
                Err(other)
            }
        }
    }
}
