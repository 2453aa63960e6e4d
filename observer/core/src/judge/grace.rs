//! What is used of what rules tolerate, by rule and workload. The table is bounded; the arithmetic is a function of what was used
//! before and of the flow.

use std::collections::HashMap;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    contract::{Contract, Grace, Measure, Rule},
    spec::Period,
    verdict::Occasion,
};
use crate::model::{
    fact::{Fact, Facts},
    flow::FlowId,
    time::UnixUs,
};

/// Pairs of rule and workload whose grace is kept.
pub const GRACES_MAX: usize = 16_384;

/// What was used of one grace by one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The day or month that it is of, as a number of days or months; 0 where the grace begins never anew.
    window: i64,
    bytes: u64,
    /// When the first such flow began, microseconds since 1970.
    first: Option<i64>,
    /// Flows by id, the first ones.
    flows: Vec<String>,
}

impl Used {
    /// What was used before, given as one number.
    #[must_use]
    pub fn before(grace: &Grace, zone: &TimeZone, amount: u64, occasion: &Occasion) -> Self {
        let mut used = Self {
            window: window(grace, zone, occasion.end),
            ..Self::default()
        };
        match grace.measure {
            Measure::Bytes => used.bytes = amount,
            // A record can tell any number.
            Measure::Flows => {
                let told_apart = amount.min(grace.limit);
                used.flows = (0..told_apart).map(|nth| nth.to_string()).collect();
            }
            Measure::Seconds => {
                let before = i64::try_from(amount.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
                used.first = Some(occasion.end.0.saturating_sub(before));
            }
        }
        used
    }

    /// What was used before a flow with which so much is used: what its record tells.
    #[must_use]
    pub fn until(grace: &Grace, zone: &TimeZone, used: u64, occasion: &Occasion) -> Self {
        let before = match grace.measure {
            Measure::Bytes => used.saturating_sub(occasion.wire_bytes),
            Measure::Flows => used.saturating_sub(1),
            Measure::Seconds => used,
        };
        Self::before(grace, zone, before, occasion)
    }

    /// What is used once this flow is counted in.
    pub fn with(&mut self, grace: &Grace, zone: &TimeZone, occasion: &Occasion) -> u64 {
        let window = window(grace, zone, occasion.end);
        if self.window != window {
            *self = Self {
                window,
                ..Self::default()
            };
        }
        match grace.measure {
            Measure::Bytes => {
                self.bytes = self.bytes.saturating_add(occasion.wire_bytes);
                self.bytes
            }
            Measure::Flows => self.place_of(occasion.flow, grace.limit),
            Measure::Seconds => {
                let first = *self.first.get_or_insert(occasion.start.0);
                let since = occasion.end.0.saturating_sub(first).max(0);
                u64::try_from(since / 1_000_000).unwrap_or_default()
            }
        }
    }

    /// The how many-th flow it is; those behind the limit are not told apart.
    fn place_of(&mut self, flow: FlowId, limit: u64) -> u64 {
        let id = flow.to_string();
        let place = self.flows.iter().position(|own| *own == id);
        let place = place.unwrap_or_else(|| {
            if (self.flows.len() as u64) < limit {
                self.flows.push(id);
                self.flows.len() - 1
            } else {
                self.flows.len()
            }
        });
        place as u64 + 1
    }
}

/// The day or month of a moment, numbered.
fn window(grace: &Grace, zone: &TimeZone, at: UnixUs) -> i64 {
    let Some(per) = grace.per else {
        return 0;
    };
    let Ok(time) = Timestamp::from_microsecond(at.0) else {
        return 0;
    };
    let date = zone.to_datetime(time).date();
    let (year, month) = (i64::from(date.year()), i64::from(date.month()));
    let months = year * 12 + month;
    match per {
        Period::Month => months,
        Period::Day => months * 31 + i64::from(date.day()),
    }
}

/// What is used of all graces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graces {
    used: HashMap<String, Used>,
    /// Times that there was no room for another one.
    #[serde(default)]
    pub refused: u64,
}

impl Graces {
    /// Hands what the flow's workload has used of a rule's grace to `count`; says whether it is kept.
    pub fn count(
        &mut self,
        flow: &impl Facts,
        contract: &Contract,
        rule: &Rule,
        count: &mut dyn FnMut(&mut Used),
    ) -> bool {
        use super::expression::field::{NAMESPACE, WORKLOAD};
        let word = |field| match flow.fact(field) {
            Fact::Text(text) => text,
            _ => "",
        };
        let key = [&contract.id, &rule.id, word(NAMESPACE), word(WORKLOAD)].join("\n");
        if !self.used.contains_key(&key) && self.used.len() >= GRACES_MAX {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        count(self.used.entry(key).or_default());
        true
    }

    /// Forgets what no rule asks for any more.
    pub fn keep(&mut self, has: impl Fn(&str, &str) -> bool) {
        self.used.retain(|key, _| {
            let mut words = key.split('\n');
            let (contract, rule) = (words.next(), words.next());
            has(contract.unwrap_or_default(), rule.unwrap_or_default())
        });
    }
}
