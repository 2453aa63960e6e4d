//! `docs/metrics.md`, written from the declarations, and the check that what is committed is current.

use std::{env, fmt::Write as _, fs, path::Path};

use observer_core::model::names::{Direction, LossPlace, Measure, Outcome, RemainderReason};

use super::declare::{Kind, Metric, OF_PROCESS, OF_SNAPSHOT};

/// Fails where the file at `path` of the repository is not `text`; writes it where `UPDATE_DOCS` is 1.
pub fn assert_current(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, text).expect("the repository can be written to");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == text,
        "`{path}` is stale; run the tests once with UPDATE_DOCS=1. It should be:\n{text}"
    );
}

const HEAD: &str = "\
# Metrics

<!-- Written by the tests of `observer` from the declarations in `observer/src/metrics/declare.rs`; change it there and
run `UPDATE_DOCS=1 cargo test -p observer`. -->

`observer run --listen 127.0.0.1:9464` serves `http://127.0.0.1:9464/metrics` in Prometheus' text format 0.0.4.
`/coverage` has the account of each uplink as JSON; `observer report coverage` prints it as a table.

- Values are those of the agent's last tick. Before the first there are only `observer_build_info` and `process_*`.
- Bytes, packets and remainders are the kernel's totals; they outlive the agent where its maps are pinned, and begin
  anew where they are not. `observer_flows_total` begins anew with the agent.
- What is not known is `unknown`. An address, a port or a name that was asked for is never a label. `api_state`,
  `path_kind`, `namespace` and `workload` are `unknown` in this version: nothing fills them in yet.
- The text has floats: above 2^53 bytes (9 PB) the last digits are rounded. Records are exact.
- `increase()` never counts a series' first sample: exact figures come from the records ([record.md](record.md)).
- At most 32 connections are served at once; a connection has 5 s to send its request and carries one.
";

const LABELS: &str = "
## Labels

| label | values |
|---|---|
";

fn text() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "Traffic and accounts", OF_SNAPSHOT);
    section(&mut text, "The agent's own process", OF_PROCESS);
    text += LABELS;
    for (label, values) in [
        ("direction", words(Direction::WORDS)),
        ("cloud", "whose network the remote address belongs to: `aws`, `azure`, `gcp`, ...; `internet` where no table covers it, `private` for special ranges".to_owned()),
        ("region", "the provider's own region name; `global` for what it ties to none".to_owned()),
        ("provider", "who sells the service".to_owned()),
        ("vendor", "whose model or product answers".to_owned()),
        ("service", "service of the provider".to_owned()),
        ("outcome", words(Outcome::WORDS)),
        ("device", "the uplink, as `observer run --uplink` names it".to_owned()),
        ("measure", words(Measure::WORDS)),
        ("reason", words(RemainderReason::WORDS)),
        ("place", words(LossPlace::WORDS)),
        ("program", "name of the kernel program".to_owned()),
        ("file", "path of the file, as the operator named it".to_owned()),
    ] {
        let _ = writeln!(text, "| `{label}` | {values} |");
    }
    text
}

fn section(text: &mut String, title: &str, metrics: &[Metric]) {
    let _ = write!(
        text,
        "\n## {title}\n\n| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n"
    );
    for metric in metrics {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} | {} |",
            metric.name,
            metric.unit,
            words(metric.labels),
            metric.help
        );
    }
}

fn words(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[test]
fn the_manual_of_metrics_is_current() {
    assert_current("docs/metrics.md", &text());
}
