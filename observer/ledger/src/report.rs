//! A cost report: what was priced, what it covers, and its forms. Amounts are rounded here and nowhere before, so that the
//! rows of each form sum to its total to the last digit.

mod csv;
pub mod focus;
mod html;
mod json;
mod table;

use observer_core::model::{
    identity::Word,
    money::{Money, round_together},
    names::UnpricedReason,
    time::UnixUs,
};

use crate::{lines::Read, priced::Priced, tally::Tally};

/// Decimals of amounts that programs read.
pub const DECIMALS: u32 = 12;

/// What a report says of itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// Names of the columns.
    pub by: Vec<String>,
    pub priced: Priced,
    /// The same bytes under another book or on another way: what it is called, and its prices.
    pub against: Option<(String, Priced)>,
    pub coverage: Coverage,
}

/// Whose bytes a report has, and whose it may lack.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub read: Read,
    pub hosts: u64,
    /// Of those that were expected; `None` where nobody said.
    pub expected: Option<Expected>,
    pub time: Option<(UnixUs, UnixUs)>,
    pub of_other_months: u64,
    pub inside: u64,
    pub other_rows: u64,
}

/// Hosts that should have reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Number(u64),
    /// By name; with those that did not.
    Names {
        all: u64,
        missing: Vec<Word>,
    },
}

impl Coverage {
    #[must_use]
    pub fn of(read: Read, tally: &Tally, expected: Option<&ExpectedHosts>) -> Self {
        let seen = &tally.seen;
        let expected = expected.map(|expected| match expected {
            ExpectedHosts::Number(number) => Expected::Number(*number),
            ExpectedHosts::Names(names) => {
                let missing = names.iter().filter(|name| !seen.hosts.contains(*name));
                Expected::Names {
                    all: names.len() as u64,
                    missing: missing.cloned().collect(),
                }
            }
        });
        Self {
            read,
            hosts: seen.hosts.len() as u64,
            expected,
            time: seen.time,
            of_other_months: seen.of_other_months,
            inside: seen.inside,
            other_rows: seen.other_rows,
        }
    }

    /// Whether every line was read, and every expected host reported.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let hosts = match &self.expected {
            None => true,
            Some(Expected::Number(number)) => self.hosts >= *number,
            Some(Expected::Names { missing, .. }) => missing.is_empty(),
        };
        hosts && self.read.unreadable == 0
    }
}

/// What the user said of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedHosts {
    Number(u64),
    Names(Vec<Word>),
}

/// Estimates of the rows and of the whole, hours included, as `decimals` have them.
struct Amounts {
    rows: Vec<Money>,
    total: Money,
}

impl Amounts {
    fn of(priced: &Priced, decimals: u32) -> Self {
        let exact: Vec<Money> = priced
            .rows
            .iter()
            .map(|row| [row.cost, row.hourly].into_iter().sum())
            .collect();
        let rows = round_together(&exact, decimals);
        Self {
            total: rows.iter().copied().sum(),
            rows,
        }
    }
}

/// Reasons with bytes, most first.
fn unpriced(priced: &Priced) -> Vec<(UnpricedReason, u64)> {
    let reasons = UnpricedReason::ALL.iter().copied().zip(priced.unpriced);
    let mut reasons: Vec<_> = reasons.filter(|(_, bytes)| *bytes > 0).collect();
    reasons.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    reasons
}

#[cfg(test)]
mod tests;
