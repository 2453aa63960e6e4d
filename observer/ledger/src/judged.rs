//! A flow record as judges need it: every field that a rule can ask for, and what was said of it when it was written.

use std::sync::Arc;

use observer_core::{
    judge::{
        contract::{Contract, Rule},
        grace::{Graces, Used},
        live::Judge,
        verdict::{Occasion, used_in},
    },
    model::{
        fact::{Fact, Facts as _, FieldId, FlowFacts},
        flow::FlowId,
        money::Money,
        names::Verdict,
        time::UnixUs,
        verdict::Judgement,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::flow;

/// What found no room of its own among sums over records.
pub const OTHERS: &str = "(others)";

/// One record.
#[derive(Clone, Debug)]
pub struct Judged {
    pub facts: FlowFacts,
    pub flow: FlowId,
    pub occasion: Occasion,
    /// `None` where nobody judged it.
    pub verdicts: Option<Vec<Told>>,
    pub rules_version: Option<String>,
    /// What its bytes cost by the estimate in it, and in which currency; `None` where it has none.
    pub cost: Option<(Money, String)>,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Told {
    pub contract: String,
    pub rule: Option<String>,
    pub verdict: Verdict,
    pub reason: Option<String>,
}

impl From<&Judgement> for Told {
    fn from(judgement: &Judgement) -> Self {
        let text = ToString::to_string;
        Self {
            contract: judgement.contract.to_string(),
            rule: judgement.rule.as_ref().map(text),
            verdict: judgement.verdict,
            reason: judgement.reason.as_ref().map(text),
        }
    }
}

impl Judged {
    /// Reads one line.
    ///
    /// # Errors
    /// Where it is no record, in words.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let record: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let version = record.get("schema_version").unwrap_or(&Value::Null);
        if !version.as_u64().is_some_and(flow::is_read) {
            return Err(flow::not_read(version));
        }
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let facts = FlowFacts::of_record(&record)?;
        let flow = text("flow_id").and_then(FlowId::parse);
        let flow = flow.ok_or("`flow_id` is not 32 hexadecimal digits")?;
        let occasion = Occasion::of(&facts, flow);
        let verdicts = record.get("verdicts").filter(|value| !value.is_null());
        let verdicts = verdicts
            .map(|value| serde_json::from_value(value.clone()))
            .transpose();
        let cost = text("cost_estimate").and_then(Money::parse);
        Ok(Self {
            occasion: occasion.ok_or("`interval_start` or `interval_end` is no time")?,
            flow,
            verdicts: verdicts.map_err(|error| format!("`verdicts`: {error}"))?,
            rules_version: text("rules_version").map(str::to_owned),
            cost: cost.zip(text("currency").map(str::to_owned)),
            facts,
        })
    }

    /// When it ended.
    #[must_use]
    pub const fn at(&self) -> UnixUs {
        self.occasion.end
    }

    /// A text of the record; `None` where it is not known.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.facts.fact(FieldId::named(field)?) {
            Fact::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Namespace and name of whoever the bytes are.
    #[must_use]
    pub fn workload(&self) -> String {
        let name = self.text("workload").unwrap_or("unknown");
        match self.text("namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }

    /// What `judge` says of it. What was used of a grace is what the record tells of it, so that a record is judged alone; of
    /// rules that it does not know of `graces` keeps it.
    pub fn judge(&self, judge: &mut Judge, graces: &mut Graces) -> Arc<[Judgement]> {
        judge.judge_by(&self.facts, self.flow, |contract, rule, count| {
            match self.used(contract, rule) {
                Some(mut used) => {
                    count(&mut used);
                    true
                }
                None => graces.count(&self.facts, contract, rule, count),
            }
        })
    }

    fn used(&self, contract: &Contract, rule: &Rule) -> Option<Used> {
        let grace = rule.grace.as_ref()?;
        let mut told = self.verdicts.iter().flatten();
        let told = told.find(|told| {
            *told.contract == *contract.id && told.rule.as_deref() == Some(&*rule.id)
        })?;
        let (used, measure) = used_in(told.reason.as_deref()?)?;
        (measure == grace.measure).then(|| Used::until(grace, &contract.zone, used, &self.occasion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = include_str!("../../core/tests/golden/record.json");

    #[test]
    fn a_written_record_is_read_with_what_was_said_of_it() {
        let judged = Judged::parse(RECORD.as_bytes()).expect("a record");
        assert_eq!(judged.occasion.wire_bytes, 1080 + 2120);
        assert_eq!(judged.at(), UnixUs(1_772_150_405_000_250));
        assert_eq!(judged.text("cloud"), Some("aws"));
        assert_eq!(judged.text("no_field"), None);
        let told = judged.verdicts.expect("it was judged");
        let told: Vec<_> = told
            .iter()
            .map(|told| (told.rule.as_deref(), told.verdict))
            .collect();
        assert_eq!(
            told,
            [
                (Some("on-azure"), Verdict::Violation),
                (None, Verdict::NotCovered)
            ]
        );
    }

    #[test]
    fn what_is_no_record_is_told_why() {
        for (from, to, expected) in [
            (
                "\"schema_version\":3",
                "\"schema_version\":99",
                "reads 1 to",
            ),
            (
                "\"flow_id\":\"ab",
                "\"flow_id\":\"xb",
                "`flow_id` is not 32 hexadecimal digits",
            ),
            (
                "2026-02-27T00:00:05.000250Z",
                "yesterday",
                "`interval_end` is \"yesterday\"",
            ),
            (
                "\"wire_bytes_egress\":1080",
                "\"wire_bytes_egress\":-1",
                "`wire_bytes_egress` is -1",
            ),
            (
                "\"verdict\":\"violation\"",
                "\"verdict\":\"fine\"",
                "`verdicts`: `fine` is none of",
            ),
        ] {
            let line = RECORD.replace(from, to);
            assert_ne!(line, RECORD, "{from}");
            let error = Judged::parse(line.as_bytes()).expect_err(to);
            assert!(error.contains(expected), "{error}");
        }
    }
}
