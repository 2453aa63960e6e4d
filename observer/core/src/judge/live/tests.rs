//! What holds for any rules and any records: memory, order and names change nothing, and the language is CEL.

use std::{fmt::Write as _, sync::Arc};

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{
    judge::{
        compile::ContractText,
        expression::{Expression, Truth, Vocabulary},
    },
    model::fact::FlowFacts,
};

const WORDS: [(&str, &[&str]); 8] = [
    ("cloud", &["aws", "azure", "gcp"]),
    ("provider", &["openai", "amazon"]),
    ("region", &["us-east-1", "eu-west-1"]),
    ("source_region", &["us-east-1", "eu-west-1"]),
    (
        "api_state",
        &["stateless", "stateful", "body_decides", "mixed"],
    ),
    ("workload", &["shop", "pay"]),
    ("confidence", &["certain", "likely", "ambiguous"]),
    ("front", &["cloudflare"]),
];

/// A record: values of some fields, at one of a few times around the dates of the contracts.
fn record(known: bool) -> impl Strategy<Value = Value> {
    let fields: Vec<_> = WORDS
        .iter()
        .map(|(_, words)| {
            let word = select(*words).prop_map(Some);
            match known {
                true => word.boxed(),
                false => prop_oneof![1 => Just(None), 3 => word].boxed(),
            }
        })
        .collect();
    (fields, 0_u64..3, 0_u64..3, 0..12_i64, 0..4_i64).prop_map(
        |(fields, port, bytes, start, length)| {
            let mut record = json!({});
            for ((name, _), word) in WORDS.iter().zip(fields) {
                record[*name] = word.into();
            }
            record["remote_port"] = (port * 443).into();
            record["wire_bytes_egress"] = (bytes * 600).into();
            let time = |second: i64| format!("2026-03-01T00:00:{second:02}Z");
            record["interval_start"] = time(start).into();
            record["interval_end"] = time(start + length).into();
            record
        },
    )
}

fn facts(record: &Value) -> FlowFacts {
    FlowFacts::of_record(record.as_object().expect("an object")).expect("fields")
}

/// Conditions that the interpreter of the `cel` crate has too.
fn condition() -> impl Strategy<Value = String> {
    let words = select(&WORDS[..6]).prop_flat_map(|(name, words)| {
        select(words).prop_flat_map(move |word| {
            prop_oneof![
                Just(format!("{name} == \"{word}\"")),
                Just(format!("{name} != \"{word}\"")),
                Just(format!(
                    "{name} in [\"{word}\", \"{}\"]",
                    if name == "api_state" {
                        "realtime"
                    } else {
                        "other"
                    }
                )),
                Just(format!("{name}.startsWith(\"{}\")", &word[..2])),
            ]
        })
    });
    let leaf = prop_oneof![
        4 => words,
        1 => Just("region == source_region".to_owned()),
        1 => Just("remote_port > 100".to_owned()),
        1 => Just("wire_bytes_egress + 1 <= 601".to_owned()),
        1 => Just("true".to_owned()),
        1 => select(&["cloud", "api_state", "front", "workload"][..]).prop_map(|name| format!("known({name})")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

/// A contract of these rules; some have a grace, an exemption and dates in the middle of the records' times.
fn contract(id: usize, rules: &[(String, String)], extra: usize) -> String {
    let mut text = format!(
        "id: c{id}\ntitle: t\nparties: [a]\nreference: {{document: d}}\nowner: o\ncontact: c\neffective: {}\n",
        [
            "{from: 2026-01-01}",
            "{from: \"2026-03-01T00:00:05Z\"}",
            "{from: 2026-01-01, until: \"2026-03-01T00:00:07Z\"}"
        ][extra % 3]
    );
    if extra % 4 == 1 {
        text.push_str("scope: workload == \"shop\"\n");
    }
    text.push_str("rules:\n");
    for (nth, (when, require)) in rules.iter().enumerate() {
        let _ = write!(
            text,
            "- id: r{nth}\n  when: '{when}'\n  require: '{require}'\n  severity: low\n  rationale: r\n"
        );
        if (extra + nth) % 5 == 2 {
            text.push_str("  grace: {bytes: 1kB}\n");
        }
    }
    if extra % 2 == 1 {
        text.push_str("exemptions:\n- {ticket: T, approver: b, rules: [r0], when: region == \"us-east-1\", from: \"2026-03-01T00:00:03Z\", until: \"2026-03-01T00:00:09Z\", reason: r}\n");
    }
    text
}

/// `None` where no flow meets a condition: such a contract is refused.
fn set(texts: &[String]) -> Option<RuleSet> {
    let texts: Vec<ContractText<'_>> = texts
        .iter()
        .map(|text| ContractText { name: "c", text })
        .collect();
    RuleSet::of(&texts, &Vocabulary::default()).ok()
}

fn rules() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec((condition(), condition()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// What is remembered is what is worked out; recorded verdicts come out again, record by record.
    #[test]
    fn memory_changes_no_verdict(
        first in rules(),
        second in rules(),
        extra in 0_usize..60,
        records in proptest::collection::vec(record(false), 1..24),
    ) {
        let Some(set) = set(&[contract(0, &first, extra), contract(1, &second, extra / 7)]) else {
            return Ok(());
        };
        let set = Arc::new(set);
        let mut judge = Judge::new(Arc::clone(&set));
        let mut graces = Graces::default();
        for record in records.iter().chain(&records) {
            let facts = facts(record);
            let occasion = Occasion::of(&facts, FlowId([1; 16])).expect("times");
            let remembered = judge.judge(&facts, FlowId([1; 16]));
            let worked_out = verdict::judge(&facts, &occasion, &set, |contract, rule, count| {
                graces.count(&facts, contract, rule, count)
            });
            prop_assert_eq!(&*remembered, &*worked_out);
        }
    }

    #[test]
    fn the_order_of_rules_and_fields_that_no_rule_names_change_nothing(
        rules in rules(),
        extra in 0_usize..60,
        record in record(false),
        port in 1_u64..60_000,
    ) {
        let mut turned = rules.clone();
        turned.reverse();
        let (Some(one), Some(other)) = (set(&[contract(0, &rules, extra)]), set(&[contract(0, &turned, extra)])) else {
            return Ok(());
        };
        // Graces and exemptions are by the rule's place here.
        prop_assume!(extra % 2 == 0 && rules.iter().enumerate().all(|(nth, _)| (extra + nth) % 5 != 2));
        let verdicts = |set: &RuleSet, facts: &FlowFacts| {
            let occasion = Occasion::of(facts, FlowId([0; 16])).expect("times");
            let mut found: Vec<(&str, Option<String>)> = verdict::judge(facts, &occasion, set, |_, _, _| true)
                .iter()
                .map(|one| (one.verdict.word(), one.reason.as_ref().map(ToString::to_string)))
                .collect();
            found.sort();
            found
        };
        let whole = facts(&record);
        let found = verdicts(&one, &whole);
        prop_assert_eq!(&found, &verdicts(&other, &whole));
        let mut changed = record;
        changed["local_port"] = port.into();
        changed["server_name"] = "a.example".into();
        changed["executable"] = "/bin/x".into();
        prop_assert_eq!(&found, &verdicts(&one, &facts(&changed)));
    }

    #[test]
    fn negating_what_is_required_swaps_compliant_and_violation(
        when in condition(),
        require in condition(),
        record in record(false),
    ) {
        let opposite = format!("!({require})");
        let one = set(&[contract(0, &[(when.clone(), require)], 0)]);
        let other = set(&[contract(0, &[(when, opposite)], 0)]);
        let (Some(one), Some(other)) = (one, other) else {
            return Ok(());
        };
        let facts = facts(&record);
        let occasion = Occasion::of(&facts, FlowId([0; 16])).expect("times");
        let verdicts = |set: &RuleSet| -> Vec<Verdict> {
            verdict::judge(&facts, &occasion, set, |_, _, _| true).iter().map(|one| one.verdict).collect()
        };
        let swapped = verdicts(&one).into_iter().map(|verdict| match verdict {
            Verdict::Compliant => Verdict::Violation,
            Verdict::Violation => Verdict::Compliant,
            other => other,
        });
        prop_assert_eq!(swapped.collect::<Vec<_>>(), verdicts(&other));
    }

    /// Another implementation of CEL, on flows of which everything is known.
    #[test]
    fn where_everything_is_known_it_is_cel(text in condition(), record in record(true)) {
        let mut record = record;
        record["confidence"] = "certain".into();
        record["api_state"] = "stateless".into();
        let program = cel::Program::compile(&text).expect("CEL");
        let mut context = cel::Context::default();
        let known = context.add_function("known", |_field: cel::Value| true);
        known.expect("a name that is free");
        for (name, value) in record.as_object().expect("an object") {
            match value {
                Value::String(word) => context.add_variable_from_value(name.clone(), word.clone()),
                value => context.add_variable_from_value(name.clone(), value.as_i64().unwrap_or_default()),
            }
        }
        let theirs = program.execute(&context).expect("a value");
        let ours = Expression::parse(&text, &Vocabulary::default()).expect("the same");
        let ours = ours.truth(&Flow(&facts(&record)));
        prop_assert_eq!(theirs == cel::Value::Bool(true), ours == Truth::Yes, "{}", text);
        prop_assert_eq!(theirs == cel::Value::Bool(false), ours == Truth::No, "{}", text);
    }
}

#[test]
fn answers_are_shared_bounded_and_forgotten_with_the_rules() {
    let rules = [(
        "cloud == \"aws\"".to_owned(),
        "provider == \"amazon\"".to_owned(),
    )];
    let set = Arc::new(set(&[contract(0, &rules, 0)]).expect("right"));
    let mut judge = Judge::new(set);
    let of = |judge: &mut Judge, provider: &str, port: u64| {
        let record = json!({"cloud": "aws", "provider": provider, "local_port": port,
            "interval_start": "2026-03-01T00:00:00Z", "interval_end": "2026-03-01T00:00:05Z"});
        judge.judge(&facts(&record), FlowId([0; 16]))
    };
    let (one, other) = (of(&mut judge, "amazon", 1), of(&mut judge, "amazon", 2));
    assert!(Arc::ptr_eq(&one, &other));
    for nth in 0..=ANSWERS_MAX {
        of(&mut judge, &nth.to_string(), 1);
        assert!(judge.answers.len() <= ANSWERS_MAX);
    }
    assert_eq!(judge.forgotten, 1);
    let again = of(&mut judge, "amazon", 1);
    assert_eq!(again, one);
    judge.replace(Arc::new(RuleSet::default()));
    assert!(of(&mut judge, "amazon", 1).is_empty());
}
