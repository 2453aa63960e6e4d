//! What is paid for at the least in a month, whatever was used, and how much of it was not.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{month::Month, place::Glob, statement::Line};
use crate::model::{identity::Word, money::Money};

/// An agreement on the least that certain rates come to in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    pub id: Word,
    /// The rates that count towards it.
    pub rates: Vec<Glob>,
    pub per_month: Money,
    /// Who agreed on it.
    pub source: Word,
    pub effective_from: Option<Date>,
    pub effective_until: Option<Date>,
}

/// One month of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub month: Month,
    pub id: Word,
    pub source: Word,
    pub committed: Money,
    /// What its rates came to, hours among it.
    pub used: Money,
}

impl Commitment {
    /// Whether it holds on the month's first day, and so in that month.
    #[must_use]
    pub fn holds_in(&self, month: Month) -> bool {
        let first = month.first_day();
        self.effective_from.is_none_or(|from| from <= first)
            && self.effective_until.is_none_or(|until| first < until)
    }
}

impl Due {
    /// What is paid for and was not used. Of no byte, so in no row of a report and in no price.
    #[must_use]
    pub fn shortfall(&self) -> Money {
        (self.committed - self.used).max(Money::ZERO)
    }
}

/// Each commitment in each month that has a line.
#[must_use]
pub fn due(commitments: &[Commitment], lines: &[Line]) -> Vec<Due> {
    let months: BTreeSet<Month> = lines.iter().map(|line| line.month).collect();
    let mut all = Vec::new();
    for month in months {
        for commitment in commitments.iter().filter(|one| one.holds_in(month)) {
            let counts = |line: &&Line| {
                let fits = |glob: &Glob| glob.fits(&line.rate.id);
                line.month == month && commitment.rates.iter().any(fits)
            };
            let used = lines.iter().filter(counts);
            all.push(Due {
                month,
                id: commitment.id.clone(),
                source: commitment.source.clone(),
                committed: commitment.per_month,
                used: used.flat_map(|line| [line.cost, line.hourly]).sum(),
            });
        }
    }
    all
}
