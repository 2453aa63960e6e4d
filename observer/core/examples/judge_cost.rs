//! What judging costs on one core, 10 contracts of 20 rules each: `cargo run --release -p observer-core --example judge_cost`.
//! Flows of which the same is known share their identity, as an agent's do; and, for the worst, flows of which no two are alike.

use std::{fmt::Write as _, hint::black_box, sync::Arc, time::Instant};

use observer_core::{
    judge::{
        compile::ContractText,
        contract::RuleSet,
        expression::Vocabulary,
        grace::Graces,
        live::Judge,
        verdict::{self, Occasion},
    },
    model::{
        fact::{FieldId, FlowFacts, Kept},
        flow::FlowId,
        identity::Word,
        time::UnixUs,
    },
};

const CONTRACTS: usize = 10;
const RULES: usize = 20;
/// Kinds of flow that a busy host has at one time.
const KINDS: usize = 5_000;
const FLOWS: usize = 2_000_000;
/// Fewer: nothing is remembered of them.
const DISTINCT: usize = 100_000;

/// Rules as presets have them: several fields, lists, and every tenth with a grace.
fn contract(nth: usize) -> String {
    let mut text = format!(
        "id: c{nth}\ntitle: t\nparties: [a]\nreference: {{document: d}}\nowner: o\ncontact: c\neffective: {{from: 2026-01-01}}\n\
         scope: known(provider) || !known(server_name)\nrules:\n"
    );
    for rule in 0..RULES {
        let region = rule % 7;
        let grace = if rule % 10 == 9 {
            "  grace: {bytes: 1GB}\n"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "- id: r{rule}\n  when: (provider == \"p{}\" || service in [\"s{rule}\", \"s{}\"]) && api_state != \"control_plane\"\n  \
             require: cloud in [\"aws\", \"azure\"] && (region != \"r{region}\" || path_kind == \"private_endpoint\")\n  \
             severity: high\n  rationale: r\n{grace}",
            rule % 10,
            rule + 1,
        );
    }
    text
}

fn rules() -> RuleSet {
    let texts: Vec<String> = (0..CONTRACTS).map(contract).collect();
    let texts = texts.iter().map(|text| ContractText { name: "c", text });
    let start = Instant::now();
    let set = RuleSet::of(&texts.collect::<Vec<_>>(), &Vocabulary::default());
    let set = set.unwrap_or_else(|errors| panic!("{errors:?}"));
    println!(
        "{} rules read     {:>9.1} ms",
        CONTRACTS * RULES,
        start.elapsed().as_secs_f64() * 1e3
    );
    set
}

/// A flow; of the same number the same is known.
fn flow(nth: usize) -> FlowFacts {
    let mut facts = FlowFacts::default();
    let text = |text: String| Kept::Text(Word::from(text));
    let known: [(&str, Kept); 9] = [
        ("provider", text(format!("p{}", nth % 13))),
        ("service", text(format!("s{}", nth % 31))),
        ("cloud", text(["aws", "azure", "gcp"][nth % 3].to_owned())),
        ("region", text(format!("r{}", nth % 11))),
        ("workload", text(format!("w{}", nth % KINDS))),
        ("path_kind", text("internet".to_owned())),
        ("confidence", text("certain".to_owned())),
        ("server_name", text(format!("host-{nth}.example"))),
        ("wire_bytes_egress", Kept::Number(1_500)),
    ];
    let times = ["interval_start", "interval_end"]
        .map(|name| (name, Kept::Time(UnixUs(1_780_000_000_000_000))));
    for (name, value) in known.into_iter().chain(times) {
        facts.set(FieldId::named(name).expect("a field"), value);
    }
    facts
}

fn main() {
    let set = Arc::new(rules());
    let flows: Vec<FlowFacts> = (0..KINDS).map(flow).collect();
    let id = FlowId([7; 16]);
    let mut judge = Judge::new(Arc::clone(&set));
    let mut graces = Graces::default();
    per_second("as an agent does", FLOWS, |nth| {
        black_box(judge.judge(&flows[nth % flows.len()], id).len());
    });
    per_second("each by itself", DISTINCT, |nth| {
        let flow = &flows[nth % flows.len()];
        let occasion = Occasion::of(flow, id).expect("times");
        let judged = verdict::judge(flow, &occasion, &set, |contract, rule, count| {
            graces.count(flow, contract, rule, count)
        });
        black_box(judged.len());
    });
}

fn per_second(what: &str, times: usize, mut work: impl FnMut(usize)) {
    let start = Instant::now();
    for nth in 0..times {
        work(nth);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what:18}{:>9.0} flows/s, {:.1} us each",
        times as f64 / seconds,
        seconds * 1e6 / times as f64
    );
}
