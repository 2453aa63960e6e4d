//! Contracts in force: what their files come to once everything in them was checked.

use jiff::tz::TimeZone;

use super::{
    expression::{Expression, FieldSet},
    spec::{ContractFile, Period},
};
use crate::model::{identity::Word, money::Money, names::Severity, time::UnixUs};

/// All contracts, which judge together.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(super) version: String,
    pub(super) contracts: Vec<Contract>,
}

/// One contract.
#[derive(Clone, Debug)]
pub struct Contract {
    pub id: Word,
    pub title: Word,
    /// What its file says besides; for reports.
    pub file: ContractFile,
    /// As messages call the file.
    pub file_name: String,
    pub span: Span,
    pub zone: TimeZone,
    pub scope: Option<Expression>,
    pub rules: Vec<Rule>,
    pub budgets: Vec<Budget>,
}

/// One condition.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: Word,
    pub when: Expression,
    pub require: Expression,
    pub severity: Severity,
    pub grace: Option<Grace>,
    pub exemptions: Vec<Exemption>,
    /// Every field that decides over it, those of the contract's scope and of exemptions too.
    pub fields: FieldSet,
    /// Those of which the value matters, and not only whether it is known.
    pub valued: FieldSet,
}

/// What is tolerated of each workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grace {
    pub measure: Measure,
    pub limit: u64,
    pub per: Option<Period>,
}

/// What a grace is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Bytes,
    Flows,
    Seconds,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::Bytes, Self::Flows, Self::Seconds];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Flows => "flows",
            Self::Seconds => "seconds",
        }
    }
}

/// A dated exception.
#[derive(Clone, Debug)]
pub struct Exemption {
    pub ticket: Word,
    pub approver: Word,
    pub span: Span,
    pub when: Option<Expression>,
    pub warn_days: u32,
}

/// What may be spent.
#[derive(Clone, Debug)]
pub struct Budget {
    pub id: Word,
    pub when: Expression,
    pub amount: Money,
    pub currency: Word,
    pub per: Period,
    pub severity: Severity,
}

/// From the first moment to the first one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: UnixUs,
    pub until: Option<UnixUs>,
}

/// Whether a stretch of time is in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    Outside,
    Inside,
    /// It begins or ends there.
    Crosses(UnixUs),
}

impl Span {
    /// Where a record's interval is: its bytes were counted after `start` and not after `end`. An interval of no length is a
    /// moment.
    #[must_use]
    pub fn holds(self, start: UnixUs, end: UnixUs) -> Within {
        let ended = self.until.filter(|until| *until < end || *until <= start);
        match ended {
            Some(until) if until <= start => return Within::Outside,
            _ if end < self.from || (end == self.from && start < end) => return Within::Outside,
            _ => {}
        }
        if start < self.from {
            return Within::Crosses(self.from);
        }
        ended.map_or(Within::Inside, Within::Crosses)
    }
}

impl RuleSet {
    /// Hash of everything that is in force.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    #[must_use]
    pub fn contracts(&self) -> &[Contract] {
        &self.contracts
    }

    /// The contract and rule of these names.
    #[must_use]
    pub fn rule(&self, contract: &str, rule: &str) -> Option<(&Contract, &Rule)> {
        let contract = self.contracts.iter().find(|own| own.id == *contract)?;
        let rule = contract.rules.iter().find(|own| own.id == *rule)?;
        Some((contract, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_in_outside_or_across() {
        let span = |from, until: Option<i64>| Span {
            from: UnixUs(from),
            until: until.map(UnixUs),
        };
        for (span, start, end, expected) in [
            (span(10, Some(20)), 10, 15, Within::Inside),
            (span(10, Some(20)), 15, 20, Within::Inside),
            (span(10, Some(20)), 10, 20, Within::Inside),
            (span(10, Some(20)), 10, 10, Within::Inside),
            (span(10, Some(20)), 19, 19, Within::Inside),
            (span(10, Some(20)), 20, 20, Within::Outside),
            (span(10, Some(20)), 20, 25, Within::Outside),
            (span(10, Some(20)), 9, 9, Within::Outside),
            (span(10, Some(20)), 5, 10, Within::Outside),
            (span(10, Some(20)), 5, 11, Within::Crosses(UnixUs(10))),
            (span(10, Some(20)), 19, 21, Within::Crosses(UnixUs(20))),
            (span(10, Some(20)), 5, 25, Within::Crosses(UnixUs(10))),
            (span(10, None), 10, 1_000, Within::Inside),
            (span(10, None), 0, 5, Within::Outside),
        ] {
            let found = span.holds(UnixUs(start), UnixUs(end));
            assert_eq!(found, expected, "{start}..{end} in {span:?}");
        }
    }
}
