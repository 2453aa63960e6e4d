//! Violations as they are told to people: one story for each rule, workload and destination, however many records there are. It
//! is told when it begins, less and less often while it goes on, and when it has been quiet for a while.

use std::collections::HashMap;

use serde::Serialize;

use crate::model::{
    fact::{Fact, Facts},
    identity::Word,
    names::{Severity, Verdict},
    time::UnixUs,
    verdict::Judgement,
};

use super::expression::field;

/// Stories that are followed at the same time.
pub const STORIES_MAX: usize = 4_096;
/// The pause after the first telling; it doubles with each further one.
pub const PAUSE_LEAST_US: i64 = 60 * 1_000_000;
/// The longest pause.
pub const PAUSE_MOST_US: i64 = 3_600 * 1_000_000;
/// A story is over when nothing happened for so long.
pub const QUIET_US: i64 = 600 * 1_000_000;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub state: State,
    pub contract: Word,
    pub rule: Word,
    pub severity: Option<Severity>,
    pub namespace: Option<Word>,
    pub workload: Option<Word>,
    /// The name that was asked for, or else cloud, region and service.
    pub destination: Word,
    pub first_seen: UnixUs,
    pub last_seen: UnixUs,
    /// Records that were violations.
    pub records: u64,
    /// Their wire bytes, of both directions.
    pub wire_bytes: u64,
    /// The reason of the last one.
    pub evidence: Option<Word>,
    /// It is told again by then, unless it is over.
    pub told_again_by: UnixUs,
}

/// Where in a story a telling is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Began,
    Continues,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    contract: Word,
    rule: Word,
    namespace: Option<Word>,
    workload: Option<Word>,
    destination: Word,
}

#[derive(Debug)]
struct Story {
    severity: Option<Severity>,
    first_seen: UnixUs,
    last_seen: UnixUs,
    records: u64,
    wire_bytes: u64,
    evidence: Option<Word>,
    /// Whether something happened since it was told last.
    is_news: bool,
    told: Option<UnixUs>,
    pause_us: i64,
}

/// All stories under way.
#[derive(Debug, Default)]
pub struct Violations {
    stories: HashMap<Key, Story>,
    /// Violations that no story was begun for, for want of room.
    pub refused: u64,
}

impl Violations {
    /// Takes in what was judged of one record.
    pub fn note(
        &mut self,
        flow: &impl Facts,
        judgements: &[Judgement],
        wire_bytes: u64,
        at: UnixUs,
    ) {
        for judgement in judgements {
            let Judgement {
                contract,
                rule: Some(rule),
                verdict: Verdict::Violation,
                reason,
                severity,
            } = judgement
            else {
                continue;
            };
            let word = |field| match flow.fact(field) {
                Fact::Text(text) => Some(Word::from(text)),
                _ => None,
            };
            let key = Key {
                contract: contract.clone(),
                rule: rule.clone(),
                namespace: word(field::NAMESPACE),
                workload: word(field::WORKLOAD),
                destination: destination(flow),
            };
            if !self.stories.contains_key(&key) && self.stories.len() >= STORIES_MAX {
                self.refused = self.refused.saturating_add(1);
                continue;
            }
            let story = self.stories.entry(key).or_insert_with(|| Story {
                severity: *severity,
                first_seen: at,
                last_seen: at,
                records: 0,
                wire_bytes: 0,
                evidence: None,
                is_news: true,
                told: None,
                pause_us: PAUSE_LEAST_US,
            });
            story.severity = *severity;
            story.last_seen = story.last_seen.max(at);
            story.records = story.records.saturating_add(1);
            story.wire_bytes = story.wire_bytes.saturating_add(wire_bytes);
            story.evidence.clone_from(reason);
            story.is_news = true;
        }
    }

    /// What is to be told now, in the order of its keys. Stories that are over are forgotten.
    pub fn tell(&mut self, now: UnixUs) -> Vec<Violation> {
        let mut told = Vec::new();
        self.stories.retain(|key, story| {
            let is_over = now.0.saturating_sub(story.last_seen.0) >= QUIET_US;
            let state = match story.told {
                None => State::Began,
                Some(_) if is_over => State::Ended,
                Some(last) if story.is_news && now.0.saturating_sub(last.0) >= story.pause_us => {
                    story.pause_us = story.pause_us.saturating_mul(2).min(PAUSE_MOST_US);
                    State::Continues
                }
                Some(_) => return true,
            };
            story.told = Some(now);
            story.is_news = false;
            told.push(story.violation(key, state, now));
            state != State::Ended
        });
        let order = |one: &Violation| {
            let Violation {
                contract,
                rule,
                namespace,
                workload,
                destination,
                ..
            } = one.clone();
            (contract, rule, namespace, workload, destination)
        };
        told.sort_by_cached_key(order);
        told
    }

    /// Stories under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stories.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stories.is_empty()
    }
}

impl Story {
    fn violation(&self, key: &Key, state: State, now: UnixUs) -> Violation {
        Violation {
            state,
            contract: key.contract.clone(),
            rule: key.rule.clone(),
            severity: self.severity,
            namespace: key.namespace.clone(),
            workload: key.workload.clone(),
            destination: key.destination.clone(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            records: self.records,
            wire_bytes: self.wire_bytes,
            evidence: self.evidence.clone(),
            told_again_by: UnixUs(now.0.saturating_add(self.pause_us).saturating_add(QUIET_US)),
        }
    }
}

/// No address: who was asked for, or whose network it is.
fn destination(flow: &impl Facts) -> Word {
    let text = |field| match flow.fact(field) {
        Fact::Text(text) => Some(text),
        _ => None,
    };
    if let Some(name) = text(field::SERVER_NAME) {
        return name.into();
    }
    let words =
        [field::CLOUD, field::REGION, field::SERVICE].map(|field| text(field).unwrap_or("unknown"));
    words.join("/").into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fact::FlowFacts;

    const SECOND: i64 = 1_000_000;

    fn flow(workload: &str, name: Option<&str>) -> FlowFacts {
        let fields =
            json!({"workload": workload, "server_name": name, "cloud": "aws", "service": "s3"});
        FlowFacts::of_record(fields.as_object().expect("an object")).expect("fields")
    }

    fn judgement(verdict: Verdict) -> [Judgement; 1] {
        [Judgement {
            contract: "c".into(),
            rule: Some("r".into()),
            verdict,
            reason: Some("because".into()),
            severity: Some(Severity::High),
        }]
    }

    #[test]
    fn a_story_is_told_less_and_less_often_and_at_its_end() {
        use State::{Began, Continues, Ended};
        let mut violations = Violations::default();
        let mut told = Vec::new();
        // A violation every 5 s for three hours, and nothing then.
        for second in (0..4 * 3_600).step_by(5) {
            let at = UnixUs(second * SECOND);
            if second < 3 * 3_600 {
                violations.note(
                    &flow("shop", Some("a.example")),
                    &judgement(Verdict::Violation),
                    100,
                    at,
                );
            }
            violations.note(&flow("shop", None), &judgement(Verdict::Compliant), 100, at);
            told.extend(
                violations
                    .tell(at)
                    .into_iter()
                    .map(|told| (second / 60, told.state, told.records)),
            );
        }
        let minutes: Vec<_> = told
            .iter()
            .map(|(minute, state, _)| (*minute, *state))
            .collect();
        assert_eq!(
            minutes,
            [
                (0, Began),
                (1, Continues),
                (3, Continues),
                (7, Continues),
                (15, Continues),
                (31, Continues),
                (63, Continues),
                (123, Continues),
                (183, Continues),
                (189, Ended)
            ]
        );
        assert_eq!(
            told.last().map(|(_, _, records)| *records),
            Some(3 * 3_600 / 5)
        );
        assert!(violations.is_empty());
    }

    #[test]
    fn stories_are_apart_by_workload_and_destination_and_bounded() {
        let mut violations = Violations::default();
        let at = UnixUs(0);
        for (workload, name) in [
            ("a", Some("x.example")),
            ("a", Some("y.example")),
            ("b", None),
        ] {
            violations.note(
                &flow(workload, name),
                &judgement(Verdict::Violation),
                10,
                at,
            );
        }
        let told = violations.tell(at);
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.workload.as_deref(), &*one.destination))
            .collect();
        assert_eq!(
            told,
            [
                (Some("a"), "x.example"),
                (Some("a"), "y.example"),
                (Some("b"), "aws/unknown/s3")
            ]
        );
        for nth in 0..STORIES_MAX + 5 {
            violations.note(
                &flow(&nth.to_string(), None),
                &judgement(Verdict::Violation),
                1,
                at,
            );
        }
        assert_eq!((violations.len(), violations.refused), (STORIES_MAX, 8));
    }
}
