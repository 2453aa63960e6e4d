//! Recorded verdicts come out again: each record alone, without those before it, whatever was used of a grace.

use std::sync::Arc;

use observer_core::judge::{
    compile::ContractText, contract::RuleSet, expression::Vocabulary, grace::Graces, live::Judge,
};
use observer_ledger::judged::{Judged, Told};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

const RECORD: &str = include_str!("../../core/tests/golden/record.json");
const CONTRACT: &str = r#"
id: c
title: t
parties: [a]
reference: {document: d}
owner: o
contact: c
effective: {from: 2026-01-01, until: "2026-03-01T00:00:30Z"}
scope: known(provider)
rules:
- {id: bytes, when: 'cloud in ["aws", "azure"]', require: cloud == "azure", severity: low, grace: {bytes: 10kB}, rationale: r}
- {id: flows, when: 'cloud in ["aws", "azure"]', require: cloud == "azure", severity: low, grace: {flows: 2, per: day}, rationale: r}
- {id: time, when: 'cloud in ["aws", "azure"]', require: cloud == "azure", severity: low, grace: {time: 10s}, rationale: r}
- {id: state, when: api_state == "stateless", require: region == "eastus", severity: low, rationale: r}
exemptions:
- {ticket: T-1, approver: a, rules: [state], when: workload == "pay", until: "2026-03-01T00:00:20Z", reason: r}
"#;

fn set() -> Arc<RuleSet> {
    let text = ContractText {
        name: "c",
        text: CONTRACT,
    };
    let set = RuleSet::of(&[text], &Vocabulary::default());
    Arc::new(set.unwrap_or_else(|errors| panic!("{errors:?}")))
}

fn record() -> impl Strategy<Value = Value> {
    let word = |words: &'static [&'static str]| prop_oneof![1 => Just(None), 4 => select(words).prop_map(Some)];
    let fields = (
        word(&["aws", "azure", "gcp"]),
        word(&["openai"]),
        word(&["eastus", "us-east-1"]),
        word(&["shop", "pay"]),
        select(&["stateless", "stateful", "body_decides", "unknown"][..]),
        select(&["certain", "ambiguous"][..]),
    );
    (fields, 0_u64..6_000, 0_u8..5, 0..50_i64).prop_map(|(fields, bytes, flow, start)| {
        let (cloud, provider, region, workload, api_state, confidence) = fields;
        let mut record: Value = serde_json::from_str(RECORD).expect("a record");
        let changes = json!({
            "cloud": cloud, "provider": provider, "region": region, "workload": workload, "api_state": api_state,
            "confidence": confidence, "wire_bytes_egress": bytes, "wire_bytes_ingress": 0, "verdicts": null,
            "flow_id": format!("{flow:032x}"), "path_kind": "internet",
            "interval_start": format!("2026-03-01T00:00:{start:02}Z"), "interval_end": format!("2026-03-01T00:00:{:02}Z", start + 5),
        });
        for (name, value) in changes.as_object().expect("an object") {
            record[name] = value.clone();
        }
        record
    })
}

fn parsed(record: &Value) -> Judged {
    Judged::parse(record.to_string().as_bytes()).expect("a record")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn each_record_alone_has_its_verdicts_again(records in proptest::collection::vec(record(), 1..30)) {
        let set = set();
        let mut agent = Judge::new(Arc::clone(&set));
        let mut graces = Graces::default();
        for mut record in records {
            let said: Vec<Told> = parsed(&record).judge(&mut agent, &mut graces).iter().map(Told::from).collect();
            let verdicts = said.iter().map(|told| {
                json!({"contract": told.contract, "rule": told.rule, "verdict": told.verdict, "reason": told.reason})
            });
            record["verdicts"] = verdicts.collect::<Vec<_>>().into();
            let record = parsed(&record);
            prop_assert_eq!(record.verdicts.as_ref(), Some(&said));
            let mut alone = Judge::new(Arc::clone(&set));
            let again: Vec<Told> = record.judge(&mut alone, &mut Graces::default()).iter().map(Told::from).collect();
            prop_assert_eq!(again, said);
        }
    }
}
