//! Flows, rules and the verdicts that they come to, with reasons; dates at every edge.

mod grace;

use serde_json::{Value, json};

use super::*;
use crate::{
    judge::{compile::ContractText, expression::Vocabulary},
    model::{
        fact::{FieldId, FlowFacts},
        record::FieldKind,
    },
};

fn set(texts: &[&str]) -> RuleSet {
    let texts = texts.iter().map(|text| ContractText {
        name: "c.yaml",
        text,
    });
    let texts: Vec<ContractText<'_>> = texts.collect();
    RuleSet::of(&texts, &Vocabulary::default()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn contract(id: &str, effective: &str, rest: &str) -> String {
    format!(
        "id: {id}\ntitle: t\nparties: [a]\nreference: {{document: d}}\nowner: o\ncontact: c\neffective: {effective}\n{rest}"
    )
}

fn flow(fields: &Value) -> FlowFacts {
    let mut all =
        json!({"interval_start": "2026-03-01T12:00:00Z", "interval_end": "2026-03-01T12:00:05Z"});
    for (name, value) in fields.as_object().expect("an object") {
        all[name] = value.clone();
    }
    FlowFacts::of_record(all.as_object().expect("an object")).expect("fields")
}

fn judged(set: &RuleSet, fields: &Value) -> Vec<Judgement> {
    let flow = flow(fields);
    let occasion = Occasion::of(&flow, FlowId([0; 16])).expect("times");
    judge(&flow, &occasion, set, |_, _, _| true)
}

const SPLIT: &str = r#"
scope: initiator == "local"
rules:
  - id: stateless-on-azure
    when: provider == "openai" && api_state == "stateless"
    require: cloud == "azure" && path_kind in ["private_endpoint", "internet"]
    severity: high
    rationale: r
exemptions:
  - {ticket: T-1, approver: b, rules: [stateless-on-azure], when: workload == "old", from: 2026-02-01, until: 2026-04-01, reason: r}
"#;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn verdicts_have_reasons() {
    use Verdict::{Compliant, Exempt, NotCovered, Undetermined, Violation};
    let set = set(&[&contract(
        "split",
        "{from: 2026-01-01, until: 2026-04-27}",
        SPLIT,
    )]);
    let whole = json!({"initiator": "local", "provider": "openai", "api_state": "stateless", "cloud": "azure",
        "path_kind": "internet", "workload": "shop", "confidence": "certain"});
    let all = r#"provider="openai", cloud="azure", api_state="stateless", path_kind="internet""#;
    for (change, expected) in [
        (json!({}), Some((Compliant, all))),
        (
            json!({"path_kind": "private_endpoint"}),
            Some((Compliant, r#"path_kind="private_endpoint""#)),
        ),
        (json!({"cloud": "aws"}), Some((Violation, r#"cloud="aws""#))),
        (
            json!({"cloud": "internet"}),
            Some((Violation, r#"cloud="internet""#)),
        ),
        (
            json!({"path_kind": "proxy"}),
            Some((Violation, r#"path_kind="proxy""#)),
        ),
        (
            json!({"cloud": "aws", "workload": "old"}),
            Some((Exempt, "exempt by T-1 until 2026-04-01T00:00:00Z: provider")),
        ),
        (json!({"workload": "old"}), Some((Compliant, all))),
        (json!({"api_state": "stateful"}), Some((NotCovered, ""))),
        (json!({"api_state": "realtime"}), Some((NotCovered, ""))),
        (json!({"provider": "anthropic"}), Some((NotCovered, ""))),
        (json!({"initiator": "remote"}), None),
        // Not known, field by field.
        (
            json!({"provider": null}),
            Some((
                Undetermined,
                r#"provider not known: "openai" would be compliant, any other would be not_covered"#,
            )),
        ),
        (
            json!({"provider": null, "cloud": "aws"}),
            Some((
                Undetermined,
                r#"provider not known: "openai" would be violation, any other would be not_covered"#,
            )),
        ),
        (
            json!({"api_state": null}),
            Some((
                Undetermined,
                r#"api_state not known: "stateless" would be compliant, any other would be not_covered"#,
            )),
        ),
        (
            json!({"api_state": "unknown"}),
            Some((Undetermined, "api_state not known")),
        ),
        (
            json!({"api_state": "body_decides"}),
            Some((
                Undetermined,
                r#"api_state body_decides: "stateless" would be compliant"#,
            )),
        ),
        (
            json!({"api_state": "mixed"}),
            Some((Undetermined, "api_state mixed: ")),
        ),
        (
            json!({"cloud": null}),
            Some((
                Undetermined,
                r#"cloud not known: "azure" would be compliant, any other would be violation"#,
            )),
        ),
        (
            json!({"path_kind": "unknown"}),
            Some((
                Undetermined,
                r#"path_kind not known: "private_endpoint" or "internet" would be compliant, any other would be violation"#,
            )),
        ),
        (
            json!({"path_kind": null}),
            Some((Undetermined, "path_kind not known")),
        ),
        (
            json!({"initiator": "unknown"}),
            Some((
                Undetermined,
                r#"initiator not known: "local" would be compliant, any other would be not_covered"#,
            )),
        ),
        (
            json!({"initiator": null}),
            Some((Undetermined, "initiator not known")),
        ),
        (json!({"workload": null}), Some((Compliant, all))),
        (
            json!({"workload": null, "cloud": "aws"}),
            Some((
                Undetermined,
                r#"workload not known: "old" would be exempt, any other would be violation"#,
            )),
        ),
        (
            json!({"cloud": null, "api_state": null}),
            Some((
                Undetermined,
                "cloud not known, api_state not known: could be compliant or not_covered or violation",
            )),
        ),
        (
            json!({"provider": null, "cloud": null, "api_state": null, "path_kind": null}),
            Some((
                Undetermined,
                "provider not known, cloud not known, api_state not known, path_kind not known",
            )),
        ),
        // What is not known does not matter where the rest decides.
        (
            json!({"cloud": null, "path_kind": "proxy"}),
            Some((
                Violation,
                r#"cloud behind a proxy, api_state="stateless", path_kind="proxy""#,
            )),
        ),
        (
            json!({"cloud": null, "api_state": "stateful"}),
            Some((NotCovered, "")),
        ),
        (
            json!({"provider": null, "api_state": "stateful"}),
            Some((NotCovered, "")),
        ),
        (
            json!({"region": null, "service": null, "vendor": null, "front": null}),
            Some((Compliant, all)),
        ),
        // An ambiguous identity is never a violation, nor compliant.
        (
            json!({"confidence": "ambiguous"}),
            Some((
                Undetermined,
                "provider ambiguous, cloud ambiguous, api_state ambiguous: could be compliant or not_covered or violation",
            )),
        ),
        (
            json!({"confidence": "ambiguous", "cloud": "aws"}),
            Some((Undetermined, "ambiguous")),
        ),
        (
            json!({"confidence": "ambiguous", "path_kind": "proxy"}),
            Some((Undetermined, "ambiguous")),
        ),
        (
            json!({"confidence": "likely", "cloud": "aws"}),
            Some((Violation, r#"cloud="aws""#)),
        ),
        (
            json!({"confidence": null, "cloud": "aws"}),
            Some((Violation, r#"cloud="aws""#)),
        ),
        // Dates, to the second.
        (
            json!({"interval_start": "2025-12-31T23:59:54Z", "interval_end": "2025-12-31T23:59:59Z"}),
            None,
        ),
        (
            json!({"interval_start": "2025-12-31T23:59:55Z", "interval_end": "2026-01-01T00:00:00Z"}),
            None,
        ),
        (
            json!({"interval_start": "2025-12-31T23:59:57Z", "interval_end": "2026-01-01T00:00:02Z"}),
            Some((
                Undetermined,
                "the record is from before and after 2026-01-01T00:00:00Z",
            )),
        ),
        (
            json!({"interval_start": "2026-01-01T00:00:00Z", "interval_end": "2026-01-01T00:00:05Z"}),
            Some((Compliant, all)),
        ),
        (
            json!({"interval_start": "2026-01-01T00:00:00Z", "interval_end": "2026-01-01T00:00:00Z"}),
            Some((Compliant, all)),
        ),
        (
            json!({"interval_start": "2026-04-26T23:59:55Z", "interval_end": "2026-04-27T00:00:00Z"}),
            Some((Compliant, all)),
        ),
        (
            json!({"interval_start": "2026-04-26T23:59:59Z", "interval_end": "2026-04-26T23:59:59.999999Z", "cloud": "aws"}),
            Some((Violation, r#"cloud="aws""#)),
        ),
        (
            json!({"interval_start": "2026-04-26T23:59:55Z", "interval_end": "2026-04-27T00:00:00.000001Z"}),
            Some((Undetermined, "from before and after 2026-04-27T00:00:00Z")),
        ),
        (
            json!({"interval_start": "2026-04-27T00:00:00Z", "interval_end": "2026-04-27T00:00:05Z"}),
            None,
        ),
        (
            json!({"interval_start": "2026-04-27T00:00:00Z", "interval_end": "2026-04-27T00:00:00Z"}),
            None,
        ),
        (
            json!({"interval_start": "2026-04-26T23:59:55Z", "interval_end": "2026-04-27T00:00:05Z", "provider": "anthropic"}),
            Some((NotCovered, "")),
        ),
        // The exemption's dates.
        (
            json!({"cloud": "aws", "workload": "old", "interval_start": "2026-01-31T23:59:54Z", "interval_end": "2026-01-31T23:59:59Z"}),
            Some((Violation, r#"cloud="aws""#)),
        ),
        (
            json!({"cloud": "aws", "workload": "old", "interval_start": "2026-02-01T00:00:00Z", "interval_end": "2026-02-01T00:00:05Z"}),
            Some((Exempt, "T-1")),
        ),
        (
            json!({"cloud": "aws", "workload": "old", "interval_start": "2026-01-31T23:59:58Z", "interval_end": "2026-02-01T00:00:03Z"}),
            Some((Undetermined, "from before and after 2026-02-01T00:00:00Z")),
        ),
        (
            json!({"cloud": "aws", "workload": "old", "interval_start": "2026-03-31T23:59:55Z", "interval_end": "2026-04-01T00:00:00Z"}),
            Some((Exempt, "T-1")),
        ),
        (
            json!({"cloud": "aws", "workload": "old", "interval_start": "2026-04-01T00:00:00Z", "interval_end": "2026-04-01T00:00:05Z"}),
            Some((Violation, r#"cloud="aws""#)),
        ),
    ] {
        let mut fields = whole.clone();
        for (name, value) in change.as_object().expect("an object") {
            fields[name] = value.clone();
        }
        let found = judged(&set, &fields);
        match (expected, &*found) {
            (None, []) => {}
            (Some((verdict, reason)), [one]) => {
                assert_eq!(one.verdict, verdict, "{change}: {one:?}");
                assert_eq!(one.contract, *"split");
                assert_eq!(one.rule.is_none(), verdict == NotCovered, "{one:?}");
                let told = one.reason.as_deref().unwrap_or_default();
                assert!(told.contains(reason), "{change}: {told}");
            }
            (expected, found) => panic!("{change}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn dates_are_those_of_the_contracts_zone_when_clocks_change() {
    let rule = "rules: [{id: r, when: 'true', require: 'false', severity: low, rationale: r}]";
    for (effective, cases) in [
        // Clocks go back at 01:00 UTC: the day before has 25 hours.
        (
            "{from: 2026-10-25, until: 2026-10-26, time_zone: Europe/Berlin}",
            [
                ("2026-10-24T21:59:59Z", false),
                ("2026-10-24T22:00:00Z", true),
                ("2026-10-25T22:59:59Z", true),
                ("2026-10-25T23:00:00Z", false),
            ],
        ),
        // Forward: 23 hours.
        (
            "{from: 2026-03-29, until: 2026-03-30, time_zone: Europe/Berlin}",
            [
                ("2026-03-28T22:59:59Z", false),
                ("2026-03-28T23:00:00Z", true),
                ("2026-03-29T21:59:59Z", true),
                ("2026-03-29T22:00:00Z", false),
            ],
        ),
        (
            "{from: \"2026-11-01T01:30:00-07:00\", until: \"2026-11-01T01:30:00-08:00\", time_zone: America/Los_Angeles}",
            [
                ("2026-11-01T08:29:59Z", false),
                ("2026-11-01T08:30:00Z", true),
                ("2026-11-01T09:29:59Z", true),
                ("2026-11-01T09:30:00Z", false),
            ],
        ),
    ] {
        let set = set(&[&contract("dates", effective, rule)]);
        for (at, is_there) in cases {
            let found = judged(&set, &json!({"interval_start": at, "interval_end": at}));
            assert_eq!(found.len(), usize::from(is_there), "{effective} at {at}");
        }
    }
}

#[test]
fn several_contracts_judge_one_flow() {
    let rule = |require: &str| {
        format!(
            "rules: [{{id: r, when: cloud == \"aws\", require: '{require}', severity: low, rationale: r}}]"
        )
    };
    let texts = [
        contract("b", "{from: 2026-01-01}", &rule("region == \"us-east-1\"")),
        contract("a", "{from: 2026-01-01}", &rule("region == \"eu-west-1\"")),
        contract("c", "{from: 2027-01-01}", &rule("false")),
        contract(
            "d",
            "{from: 2026-01-01}",
            &rule("false").replace("cloud == \"aws\"", "cloud == \"gcp\""),
        ),
    ];
    let set = set(&texts.each_ref().map(String::as_str));
    let found = judged(&set, &json!({"cloud": "aws", "region": "us-east-1"}));
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|one| (&*one.contract, one.verdict.word()))
        .collect();
    assert_eq!(
        found,
        [("a", "violation"), ("b", "compliant"), ("d", "not_covered")]
    );
}

/// Each field that a rule can ask for, asked for and not known: the verdict is open and names it.
#[test]
fn every_field_that_is_not_known_leaves_the_verdict_open() {
    let mut asked = 0;
    for field in FieldId::all() {
        let name = field.name();
        let Some(require) = question(field) else {
            continue;
        };
        let rules = format!(
            "rules: [{{id: r, when: 'true', require: '{require}', severity: low, rationale: r}}]"
        );
        let text = contract("c", "{from: 2026-01-01}", &rules);
        let text = [ContractText {
            name: "c.yaml",
            text: &text,
        }];
        let Ok(set) = RuleSet::of(&text, &Vocabulary::default()) else {
            assert!(NOT_FOR_RULES.contains(&name), "{name}");
            continue;
        };
        let found = judged(&set, &json!({}));
        // Null says that there is none.
        if ["blind_reason", "path_elements"].contains(&name) {
            assert_eq!(found[0].verdict, Verdict::Violation, "{name}");
            continue;
        }
        let reason = found[0].reason.as_deref().unwrap_or_default();
        assert_eq!(found[0].verdict, Verdict::Undetermined, "{name}: {reason}");
        assert!(
            reason.starts_with(&format!("{name} not known")),
            "{name}: {reason}"
        );
        asked += 1;
    }
    assert!(asked > 60, "{asked} fields");
}

const NOT_FOR_RULES: [&str; 7] = [
    "schema_version",
    "flow_id",
    "sequence",
    "evidence",
    "currency",
    "cost_assumption",
    "unpriced_reason",
];

/// What could be required of a field; `None` of money, lists of objects and the record's own times.
fn question(field: FieldId) -> Option<String> {
    let name = field.name();
    Some(match (field.declared().kind, field.declared().words) {
        (FieldKind::Text, [first, ..]) => format!("{name} == \"{first}\""),
        (FieldKind::Text, []) if name == "confidence" => format!("{name} == \"certain\""),
        (FieldKind::Text, []) if name == "basis" => format!("{name} == \"dns\""),
        (FieldKind::Text, []) => format!("{name} == \"x\""),
        (FieldKind::Unsigned, _) => format!("{name} > 5"),
        (FieldKind::Address, _) => format!("inside({name}, \"10.0.0.0/8\")"),
        (FieldKind::TextList, _) => format!("\"vpn\" in {name}"),
        (FieldKind::TextMap, _) => format!("has({name}.team)"),
        (FieldKind::Time, _) if name == "start_time" => {
            format!("{name} > timestamp(\"2026-01-01T00:00:00Z\")")
        }
        (FieldKind::Time | FieldKind::Decimal | FieldKind::ObjectList, _) => return None,
    })
}

#[test]
fn a_reason_has_a_limit() {
    let set = set(&[&contract(
        "c",
        "{from: 2026-01-01}",
        "rules: [{id: r, when: 'true', require: cloud == \"azure\", severity: low, rationale: r}]",
    )]);
    let fields = json!({"cloud": "é".repeat(400)});
    let found = judged(&set, &fields);
    assert!(found[0].reason.as_deref().unwrap_or_default().len() <= REASON_BYTES_MAX);
}
