//! What contracts say of a flow, as a record keeps it. How they come to it is the business of the stage `judge`.

use serde::Serialize;

use super::{
    fact::{Fact, Told},
    identity::Word,
    names::{Severity, Verdict},
};

/// One rule's word on one flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    pub contract: Word,
    /// `None` where no rule of the contract applies.
    pub rule: Option<Word>,
    pub verdict: Verdict,
    /// What it rests on: values of the fields that the rule names, what is not known, what was used of a grace.
    pub reason: Option<Word>,
    /// Of the rule; in no record, because it follows from the rules.
    #[serde(skip)]
    pub severity: Option<Severity>,
}

impl<'f> Told<'f> for &'f [Judgement] {
    fn told(self) -> Fact<'f> {
        Fact::Unknown
    }
}
