//! What contracts said over a period: verdicts by rule, who violated what and what that cost, exemptions used, what could not be
//! told and why, budgets; and how much of the traffic anybody looked at, so that "no violation" is not "nobody looked".

mod budget;
mod render;

use std::collections::{BTreeMap, BTreeSet};

use observer_core::{
    judge::contract::RuleSet,
    model::{money::Money, names::Verdict, time::UnixUs},
};
use serde::Serialize;

use crate::judged::{Judged, OTHERS, Told};

pub use self::budget::{Budgets, Spent};

/// Workloads whose violations of one rule are kept apart; further ones are one row.
pub const WORKLOADS_MAX: usize = 10_000;
/// Reasons that are kept apart, of one rule; further ones are one row.
pub const REASONS_MAX: usize = 256;
/// Hosts that are told apart.
pub const HOSTS_MAX: usize = 100_000;
/// Sets of rules that are told apart.
const VERSIONS_MAX: usize = 10_000;

/// Sums over records.
#[derive(Debug, Default)]
pub struct Conduct {
    pub rules: BTreeMap<RuleName, RuleSum>,
    pub versions: BTreeMap<String, Seen>,
    pub coverage: Looked,
    pub budgets: Budgets,
}

/// A contract, and one of its rules; `None` where none of its rules applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleName {
    pub contract: String,
    pub rule: Option<String>,
}

/// What one rule said.
#[derive(Clone, Debug, Default)]
pub struct RuleSum {
    /// In the order of [`Verdict::ALL`].
    pub verdicts: [Count; Verdict::ALL.len()],
    /// Estimated cost of the records that are violations, by currency.
    pub cost: BTreeMap<String, Money>,
    /// Violations by workload.
    pub workloads: BTreeMap<String, Offence>,
    /// Records by the exemption that they were excepted by.
    pub exemptions: BTreeMap<String, Count>,
    /// Records by what was not known.
    pub reasons: BTreeMap<String, Count>,
}

/// Records, flows that ended with one of them, and wire bytes of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub records: u64,
    pub flows_ended: u64,
    pub wire_bytes: u64,
}

/// What one workload did against a rule.
#[derive(Clone, Debug, Default)]
pub struct Offence {
    pub count: Count,
    pub cost: BTreeMap<String, Money>,
    pub seen: Seen,
}

/// When something was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub records: u64,
    /// First and last end of a record.
    pub time: Option<(UnixUs, UnixUs)>,
}

/// How much of the traffic was looked at.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Judged, and in the scope of a contract that was in force.
    pub judged: Count,
    /// Judged, and no contract was about it.
    pub about_nothing: Count,
    /// Verdicts are null: nobody judged.
    pub by_nobody: Count,
    pub hosts: BTreeSet<String>,
    /// Those that had a record which nobody judged.
    pub hosts_by_nobody: BTreeSet<String>,
    pub time: Option<(UnixUs, UnixUs)>,
    /// Records outside the period.
    pub outside: u64,
}

/// Which records are looked at: those whose interval ends after the first and not after the second moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    pub from: Option<UnixUs>,
    pub until: Option<UnixUs>,
}

impl Stretch {
    #[must_use]
    pub fn has(self, at: UnixUs) -> bool {
        self.from.is_none_or(|from| from < at) && self.until.is_none_or(|until| at <= until)
    }
}

impl Count {
    fn add(&mut self, record: &Judged) {
        self.records += 1;
        self.flows_ended += u64::from(record.text("record") == Some("closed"));
        self.wire_bytes = self.wire_bytes.saturating_add(record.occasion.wire_bytes);
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            flows_ended: self.flows_ended.saturating_add(other.flows_ended),
            wire_bytes: self.wire_bytes.saturating_add(other.wire_bytes),
        }
    }
}

impl Seen {
    fn add(&mut self, at: UnixUs) {
        self.records += 1;
        self.time = Some(widened(self.time, at));
    }
}

impl RuleSum {
    #[must_use]
    pub fn of(&self, verdict: Verdict) -> Count {
        self.verdicts[verdict as usize]
    }

    /// All verdicts together.
    #[must_use]
    pub fn all(&self) -> Count {
        self.verdicts
            .iter()
            .fold(Count::default(), |sum, one| sum.and(*one))
    }

    fn add(&mut self, record: &Judged, told: &Told) {
        self.verdicts[told.verdict as usize].add(record);
        let reason = told.reason.as_deref().unwrap_or_default();
        match told.verdict {
            Verdict::Violation => self.violation(record),
            Verdict::Exempt => {
                let ticket = reason
                    .strip_prefix("exempt by ")
                    .and_then(|rest| rest.split(' ').next());
                let ticket = ticket.unwrap_or("unknown").to_owned();
                kept(&mut self.exemptions, ticket, REASONS_MAX).add(record);
            }
            Verdict::Undetermined => {
                let doubt = reason.split(": ").next().unwrap_or_default().to_owned();
                kept(&mut self.reasons, doubt, REASONS_MAX).add(record);
            }
            Verdict::Compliant | Verdict::InGrace | Verdict::NotCovered => {}
        }
    }

    fn violation(&mut self, record: &Judged) {
        let offence = kept(&mut self.workloads, record.workload(), WORKLOADS_MAX);
        offence.count.add(record);
        offence.seen.add(record.at());
        if let Some((cost, currency)) = &record.cost {
            for costs in [&mut offence.cost, &mut self.cost] {
                *costs.entry(currency.clone()).or_default() += *cost;
            }
        }
    }
}

impl Conduct {
    /// Sums for these contracts' budgets too, where there are any.
    #[must_use]
    pub fn new(set: Option<&RuleSet>) -> Self {
        Self {
            budgets: set.map(Budgets::new).unwrap_or_default(),
            ..Self::default()
        }
    }

    pub fn add(&mut self, record: &Judged, stretch: Stretch) {
        if !stretch.has(record.at()) {
            self.coverage.outside += 1;
            return;
        }
        self.looked(record);
        self.budgets.add(record);
        if let Some(version) = &record.rules_version {
            kept(&mut self.versions, version.clone(), VERSIONS_MAX).add(record.at());
        }
        for told in record.verdicts.iter().flatten() {
            let name = RuleName {
                contract: told.contract.clone(),
                rule: told.rule.clone(),
            };
            self.rules.entry(name).or_default().add(record, told);
        }
    }

    fn looked(&mut self, record: &Judged) {
        let coverage = &mut self.coverage;
        coverage.time = Some(widened(coverage.time, record.at()));
        let host = record.text("host").unwrap_or_default();
        match &record.verdicts {
            None => {
                coverage.by_nobody.add(record);
                remember(&mut coverage.hosts_by_nobody, host);
            }
            Some(verdicts) if verdicts.is_empty() => coverage.about_nothing.add(record),
            Some(_) => coverage.judged.add(record),
        }
        remember(&mut coverage.hosts, host);
    }

    /// Records of one verdict, of all rules.
    #[must_use]
    pub fn of(&self, verdict: Verdict) -> Count {
        let rules = self.rules.values();
        rules.fold(Count::default(), |sum, rule| sum.and(rule.of(verdict)))
    }
}

fn widened(time: Option<(UnixUs, UnixUs)>, at: UnixUs) -> (UnixUs, UnixUs) {
    time.map_or((at, at), |(first, last)| (first.min(at), last.max(at)))
}

fn remember(hosts: &mut BTreeSet<String>, host: &str) {
    if hosts.len() < HOSTS_MAX && !hosts.contains(host) {
        hosts.insert(host.to_owned());
    }
}

/// The value of a key, or of [`OTHERS`] where there are enough keys already.
fn kept<V: Default>(map: &mut BTreeMap<String, V>, key: String, most: usize) -> &mut V {
    let has_room = map.len() < most || map.contains_key(&key);
    map.entry(if has_room { key } else { OTHERS.to_owned() })
        .or_default()
}

#[cfg(test)]
mod tests;
