//! Contracts of a running agent: read with the catalogue's words, and violations told to people: a line for each, and an
//! Alertmanager where one is named.

mod alerts;

use anyhow::Result;
use jiff::Timestamp;
use observer_core::{
    judge::{
        contract::RuleSet,
        event::{State, Violation},
    },
    model::{kernel::Losses, names::LossPlace, record::RecordContext, time::UnixUs},
};

use self::alerts::Alerts;
use crate::{config::Contracts, contracts, metrics::ExemptionEnd};

/// Says which contracts are in force, and what of them ends soon.
pub fn say(set: Option<&RuleSet>, now: UnixUs) {
    let Some(set) = set else {
        eprintln!("observer: no contracts are in force");
        return;
    };
    eprintln!("observer: contracts `{}` are in force", set.version());
    for contract in set.contracts() {
        for note in contracts::dates(contract, now) {
            eprintln!("observer: contract `{}`: {note}", contract.id);
        }
    }
}

/// Ends of exemptions that are metrics, the next ones.
const EXEMPTIONS_SHOWN_MAX: usize = 100;

/// When the next exemption of each rule ends that has not ended yet.
pub fn exemption_ends(set: Option<&RuleSet>, now: UnixUs) -> Vec<ExemptionEnd> {
    let contracts = set.into_iter().flat_map(RuleSet::contracts);
    let rules =
        contracts.flat_map(|contract| contract.rules.iter().map(move |rule| (contract, rule)));
    let ends = rules.filter_map(|(contract, rule)| {
        let ends = rule
            .exemptions
            .iter()
            .filter_map(|exemption| exemption.span.until);
        let next = ends.filter(|end| *end > now).min()?;
        Some(ExemptionEnd {
            contract: contract.id.to_string(),
            rule: rule.id.to_string(),
            end: next,
        })
    });
    let mut ends: Vec<ExemptionEnd> = ends.collect();
    ends.sort_by_key(|one| one.end);
    ends.truncate(EXEMPTIONS_SHOWN_MAX);
    ends
}

/// Whom violations are told.
pub struct Tellers {
    settings: Contracts,
    alerts: Option<Alerts>,
    /// Of Alertmanagers that are no longer in force.
    lost: u64,
}

impl Tellers {
    /// # Errors
    /// Where a token's file cannot be read, or there is no thread to be had.
    pub fn new(settings: &Contracts) -> Result<Self> {
        Ok(Self {
            settings: settings.clone(),
            alerts: Alerts::start(settings)?,
            lost: 0,
        })
    }

    /// Those of other settings; `None` where nothing has changed. The file of a token may have another one in it.
    ///
    /// # Errors
    /// As [`Tellers::new`].
    pub fn next(&self, settings: &Contracts) -> Result<Option<Self>> {
        if self.settings == *settings && settings.alertmanager_token_file.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            lost: self.lost(),
            ..Self::new(settings)?
        }))
    }

    pub fn tell(&self, violations: &[Violation], context: &RecordContext) {
        for violation in violations {
            eprintln!("observer: {}", line(violation));
        }
        if let Some(alerts) = &self.alerts
            && !violations.is_empty()
        {
            alerts.tell(violations, context);
        }
    }

    /// What an Alertmanager was not told.
    pub fn losses(&self) -> Losses {
        Losses::from([(LossPlace::Alerts, self.lost())])
    }

    /// Waits for a while for what was told last to arrive.
    pub fn finish(&mut self) {
        if let Some(alerts) = self.alerts.take() {
            self.lost = self.lost.saturating_add(alerts.finish());
        }
    }

    fn lost(&self) -> u64 {
        let lost = self.alerts.as_ref().map_or(0, Alerts::lost);
        self.lost.saturating_add(lost)
    }
}

fn line(violation: &Violation) -> String {
    let state = match violation.state {
        State::Began => "violation",
        State::Continues => "violation goes on",
        State::Ended => "violation has ended",
    };
    let severity = violation.severity.map_or("", |severity| severity.word());
    let workload = violation.workload.as_deref().unwrap_or("unknown");
    let namespace = violation.namespace.as_deref();
    let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
    let since = Timestamp::from_microsecond(violation.first_seen.0);
    let since = since.map_or_else(|_| "unknown".to_owned(), |since| format!("{since:.0}"));
    let evidence = violation.evidence.as_deref().unwrap_or_default();
    format!(
        "{state}: contract `{}` rule `{}` ({severity}): {namespace}{workload} to {} since {since}: {} records, {} bytes: {evidence}",
        violation.contract,
        violation.rule,
        violation.destination,
        violation.records,
        violation.wire_bytes,
    )
}

#[cfg(test)]
mod tests {
    use observer_core::model::names::Severity;

    use super::*;

    #[test]
    fn a_violation_is_one_line() {
        let violation = Violation {
            state: State::Began,
            contract: "c".into(),
            rule: "r".into(),
            severity: Some(Severity::High),
            namespace: Some("shop".into()),
            workload: Some("web".into()),
            destination: "api.example".into(),
            first_seen: UnixUs(0),
            last_seen: UnixUs(5),
            records: 2,
            wire_bytes: 1_000,
            evidence: Some("cloud=\"aws\"".into()),
            told_again_by: UnixUs(9),
        };
        assert_eq!(
            line(&violation),
            "violation: contract `c` rule `r` (high): shop/web to api.example since 1970-01-01T00:00:00Z: 2 records, 1000 bytes: cloud=\"aws\""
        );
    }
}
