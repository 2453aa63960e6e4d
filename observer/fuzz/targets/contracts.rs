//! Any text as a contract: errors with a place that is in it, or rules that judge any flow, the same way each time, and of which the
//! opposite says the opposite. Any text as a condition too: what is shown of it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{
    judge::{
        compile::ContractText,
        contract::RuleSet,
        explain::explain,
        expression::{Expression, Flow, Vocabulary},
        grace::Graces,
        live::Judge,
        verdict::{self, Occasion, REASON_BYTES_MAX},
    },
    model::{
        fact::{FieldId, FlowFacts, Kept},
        flow::FlowId,
        identity::Word,
        time::UnixUs,
    },
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let vocabulary = vocabulary();
    condition(text, &vocabulary);
    let set = match RuleSet::of(&[ContractText { name: "f", text }], &vocabulary) {
        Ok(set) => set,
        Err(errors) => {
            for error in errors {
                assert!(error.file == "f" && !error.what.is_empty());
                if let Some((line, column)) = error.place {
                    assert!(
                        line <= text.len() + 1 && column <= text.len() + 1,
                        "{error}"
                    );
                }
            }
            return;
        }
    };
    let id = FlowId([1; 16]);
    let mut judge = Judge::new(set.clone().into());
    let mut graces = Graces::default();
    for flow in flows() {
        let occasion = Occasion::of(&flow, id).expect("times");
        for _ in 0..2 {
            let remembered = judge.judge(&flow, id);
            let worked_out = verdict::judge(&flow, &occasion, &set, |contract, rule, count| {
                graces.count(&flow, contract, rule, count)
            });
            assert_eq!(*remembered, *worked_out);
            for one in &worked_out {
                let reason = one.reason.as_deref().unwrap_or_default();
                assert!(reason.len() <= REASON_BYTES_MAX);
            }
        }
        let _ = explain(&flow, &occasion, &set);
    }
});

fn condition(text: &str, vocabulary: &Vocabulary) {
    let expression = match Expression::parse(text, vocabulary) {
        Ok(expression) => expression,
        Err(fault) => {
            assert!(text.is_char_boundary(fault.offset), "{}", fault.offset);
            return;
        }
    };
    // Numbers that are shown with brackets may pass a bound that they did not pass before.
    if let Ok(again) = Expression::parse(&expression.root().to_string(), vocabulary) {
        for flow in flows() {
            let truth = expression.truth(&Flow(&flow));
            assert_eq!(again.truth(&Flow(&flow)), truth);
            assert_eq!(expression.negated().truth(&Flow(&flow)), truth.not());
        }
    }
}

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    vocabulary.extend(
        "cloud",
        ["aws", "azure", "gcp", "internet", "private"].map(str::to_owned),
    );
    vocabulary.extend(
        "provider",
        ["openai", "amazon", "microsoft"].map(str::to_owned),
    );
    vocabulary
}

/// Nothing known; a usual flow; one that is in doubt.
fn flows() -> [FlowFacts; 3] {
    let text = |word: &str| Kept::Text(Word::from(word));
    let flow = |fields: &[(&str, Kept)]| {
        let mut facts = FlowFacts::default();
        let at = Kept::Time(UnixUs(1_772_366_400_000_000));
        let times = [("interval_start", at.clone()), ("interval_end", at)];
        for (name, value) in fields.iter().cloned().chain(times) {
            facts.set(FieldId::named(name).expect("a field"), value);
        }
        facts
    };
    [
        flow(&[]),
        flow(&[
            ("provider", text("openai")),
            ("cloud", text("aws")),
            ("api_state", text("stateless")),
            ("initiator", text("local")),
            ("workload", text("shop")),
            ("remote_port", Kept::Number(443)),
            ("wire_bytes_egress", Kept::Number(6_000_000)),
        ]),
        flow(&[
            ("provider", text("amazon")),
            ("cloud", text("aws")),
            ("api_state", text("body_decides")),
            ("confidence", text("ambiguous")),
        ]),
    ]
}
