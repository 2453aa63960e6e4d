//! A verdict taken apart: what each part of a rule's conditions comes to, and which single change would have made the flow
//! compliant.

use serde::{Serialize, Serializer};

use super::{
    contract::{Contract, Rule, RuleSet},
    expression::{Expression, FieldSet, Flow, Node, Reading, Source, Supposing, Truth},
    verdict::{self, Occasion},
};
use crate::model::{fact::Facts, identity::Word, names::Verdict};

/// Changes that are told of one rule.
pub const CHANGES_MAX: usize = 16;

/// One condition, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub text: String,
    pub truth: Truth,
    /// Fields of the smallest parts as they are: `cloud="aws"`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Self>,
}

/// One rule's word on a flow, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    pub contract: Word,
    pub rule: Word,
    pub verdict: Verdict,
    pub reason: Option<String>,
    /// The condition of the whole contract, where it has one.
    pub scope: Option<Part>,
    pub when: Part,
    pub require: Part,
    /// A value of one field, and what the verdict would be with it.
    pub changes: Vec<Change>,
}

/// What one other value would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `cloud="azure"`
    pub value: String,
    pub verdict: Verdict,
}

impl Serialize for Truth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Yes => "yes",
        })
    }
}

/// Every rule of every contract that is in force at the flow's time.
#[must_use]
pub fn explain(facts: &impl Facts, occasion: &Occasion, set: &RuleSet) -> Vec<Explained> {
    let mut explained = Vec::new();
    for contract in set.contracts() {
        let within = contract.span.holds(occasion.start, occasion.end);
        if within == super::contract::Within::Outside {
            continue;
        }
        for rule in &contract.rules {
            explained.push(explain_rule(facts, occasion, contract, rule));
        }
    }
    explained
}

fn explain_rule(
    facts: &impl Facts,
    occasion: &Occasion,
    contract: &Contract,
    rule: &Rule,
) -> Explained {
    let flow = Flow(facts);
    let ruled = verdict::settled(&flow, occasion, contract, rule);
    let verdict = ruled
        .as_ref()
        .map_or(Verdict::NotCovered, |ruled| ruled.verdict);
    let changes = match verdict {
        Verdict::Violation | Verdict::Undetermined => changes(&flow, occasion, contract, rule),
        Verdict::Compliant | Verdict::Exempt | Verdict::InGrace | Verdict::NotCovered => Vec::new(),
    };
    let part = |condition: &Expression| part(condition.root(), &flow);
    Explained {
        contract: contract.id.clone(),
        rule: rule.id.clone(),
        verdict,
        reason: ruled.map(|ruled| ruled.reason),
        scope: contract.scope.as_ref().map(part),
        when: part(&rule.when),
        require: part(&rule.require),
        changes,
    }
}

fn part(node: &Node, flow: &impl Source) -> Part {
    let values = match node.parts() {
        [] => {
            let mut own = FieldSet::default();
            node.own_fields(&mut own);
            own.iter()
                .map(|field| format!("{}={}", field.name(), shown(flow.read(field))))
                .collect()
        }
        _ => Vec::new(),
    };
    Part {
        text: node.to_string(),
        truth: node.truth(flow),
        values,
        parts: node.parts().iter().map(|node| part(node, flow)).collect(),
    }
}

fn shown(reading: Reading<'_>) -> String {
    match reading {
        Reading::Known(fact) => verdict::value(fact),
        Reading::Doubt(doubt) => doubt.word().to_owned(),
    }
}

/// Values that the conditions name, put in one at a time: those with which the rule would be kept, or not apply.
fn changes(
    flow: &impl Source,
    occasion: &Occasion,
    contract: &Contract,
    rule: &Rule,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in rule.when.fields().and(rule.require.fields()).iter() {
        let told = rule
            .require
            .told_apart(field)
            .and(rule.when.told_apart(field));
        for literal in &told.literals {
            let supposed = Supposing {
                flow,
                values: vec![(field, literal.kept())],
            };
            let verdict = verdict::outcome(&supposed, occasion, contract, rule).verdict();
            if let Verdict::Compliant | Verdict::NotCovered = verdict {
                let value = format!("{}={}", field.name(), verdict::value(literal.kept().fact()));
                changes.push(Change { value, verdict });
            }
        }
    }
    changes.sort_by_key(|change| change.verdict);
    changes.truncate(CHANGES_MAX);
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        judge::{compile::ContractText, expression::Vocabulary},
        model::{fact::FlowFacts, flow::FlowId},
    };

    const CONTRACT: &str = r#"
id: c
title: t
parties: [a]
reference: {document: d}
owner: o
contact: c
effective: {from: 2026-01-01}
rules:
- id: on-azure
  when: provider == "openai" && api_state == "stateless"
  require: cloud == "azure" || path_kind == "private_endpoint"
  severity: high
  rationale: r
"#;

    fn explained(fields: &serde_json::Value) -> Explained {
        let text = ContractText {
            name: "c",
            text: CONTRACT,
        };
        let set = RuleSet::of(&[text], &Vocabulary::default()).expect("right");
        let mut all = json!({"interval_start": "2026-03-01T00:00:00Z", "interval_end": "2026-03-01T00:00:00Z"});
        for (name, value) in fields.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let facts = FlowFacts::of_record(all.as_object().expect("an object")).expect("fields");
        let occasion = Occasion::of(&facts, FlowId([0; 16])).expect("times");
        explain(&facts, &occasion, &set).remove(0)
    }

    #[test]
    fn each_part_has_its_answer_and_each_way_out_is_told() {
        let found = explained(
            &json!({"provider": "openai", "api_state": "stateless", "cloud": "aws", "path_kind": "internet"}),
        );
        assert_eq!(found.verdict, Verdict::Violation);
        let parts = |part: &Part| -> Vec<(String, Truth, Vec<String>)> {
            let parts = part.parts.iter();
            parts
                .map(|part| (part.text.clone(), part.truth, part.values.clone()))
                .collect()
        };
        assert_eq!(
            parts(&found.require),
            [
                (
                    "cloud == \"azure\"".to_owned(),
                    Truth::No,
                    vec!["cloud=\"aws\"".to_owned()]
                ),
                (
                    "path_kind == \"private_endpoint\"".to_owned(),
                    Truth::No,
                    vec!["path_kind=\"internet\"".to_owned()]
                ),
            ]
        );
        let changes: Vec<(&str, Verdict)> = found
            .changes
            .iter()
            .map(|change| (&*change.value, change.verdict))
            .collect();
        assert_eq!(
            changes,
            [
                ("cloud=\"azure\"", Verdict::Compliant),
                ("path_kind=\"private_endpoint\"", Verdict::Compliant)
            ]
        );
    }

    #[test]
    fn what_is_not_known_says_what_would_settle_it() {
        let found = explained(&json!({"provider": "openai", "cloud": "azure"}));
        assert_eq!(
            (found.verdict, found.when.truth),
            (Verdict::Undetermined, Truth::Unknown)
        );
        assert_eq!(found.when.parts[1].values, ["api_state=not known"]);
        assert_eq!(
            found.changes,
            [Change {
                value: "api_state=\"stateless\"".to_owned(),
                verdict: Verdict::Compliant
            }]
        );
    }
}
