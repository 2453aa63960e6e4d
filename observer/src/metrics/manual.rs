//! `docs/metrics.md`, written from the declarations, and the check that what is committed is current.

use std::{env, fmt::Write as _, fs, path::Path};

use observer_core::model::names::{
    ApiState, Direction, Fault, LossPlace, Measure, Mending, Outcome, PathKind, RemainderReason,
    Severity, Verdict,
};

use super::declare::{Kind, Metric, OF_ANSWER, OF_PLACE, OF_PROCESS, OF_SNAPSHOT};

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

- Values are those of the agent's last tick. Before the first there are only `observer_build_info`, `observer_series` and
  `process_*`.
- Bytes, packets and flows are the sums of the flow records, each record once. They begin anew with the agent, which
  Prometheus takes for a counter reset. Nothing is lost by it where maps are pinned: the first records of the next agent
  have what passed in between. What no record has is in `observer_remainder_bytes_total`.
- Remainders, accounts and losses are the kernel's totals; they outlive the agent where its maps are pinned, and begin anew
  where they are not.
- What is not known is `unknown`. An address, a port or a name that was asked for is never a label. `api_state` is known
  of control planes alone in this version. `path_kind` follows from both ends and from what the operator
  [declares](paths.md).
- The text has floats: above 2^53 bytes (9 PB) the last digits are rounded. Records are exact.
- `increase()` never counts a series' first sample: exact figures come from the records ([record.md](record.md)).
- At most 32 connections are served at once; a connection has 5 s to send its request and carries one.
- `/healthz` and `/readyz`, TLS, tokens and remote write: [metrics-access.md](metrics-access.md).

## How many series

The agent exposes at most 5,000 series (`series_max`), every line of the answer counted, its own metrics included. 600 of
them are kept for what is not summed over records.

- A label set that finds no room is counted under `other`: `direction`, `cloud` and `outcome` stay, every other label is the
  word `other`. Room for these sets is reserved, so that sums over all series stay exact and egress by cloud stays right.
  Up to 12 clouds keep their name in them (fewer where the limit is low); further ones are `other` too.
- `observer_series_overflow_total` counts how often that happened, `observer_series` how many series there are.
- A series that has not changed for 30 minutes (`idle_expiry`) is removed and counted in `observer_series_expired_total`;
  its room is free again. One that comes back begins at 0: what it had in `other` stays there, and `other` stays too.
- `kubecost_pod_network_egress_bytes_total` is there with `metrics.opencost: true` alone. OpenCost's queries read it as its own daemon's:
  `internet=\"true\"`, else by `same_zone` and `same_region`. Ways that it has no word for (private endpoints, interconnects, proxies, unknown)
  are `unknown` in all three, which leaves them out. Run one of the two, or bytes count twice. `pod_name` is `unknown` in this version.
- `namespace`, `workload` and `pod_name` are cut to 128 bytes.
- Histograms take 13 series a label set. Metrics can keep fewer labels each (`labels`): sums stay the same, series get
  fewer. Metrics that keep the same labels share their label sets.
";

const LABELS: &str = "
## Labels

Those of flows can be `other` too, but for `direction`, `outcome` and `verdict`.

| label | values |
|---|---|
";

fn text() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "Traffic and accounts", OF_SNAPSHOT);
    section(&mut text, "The host", OF_PLACE);
    section(&mut text, "The answer itself", OF_ANSWER);
    section(&mut text, "The agent's own process", OF_PROCESS);
    text += LABELS;
    for (label, values) in [
        ("direction", words(Direction::WORDS)),
        ("contract", "id of the contract".to_owned()),
        ("rule", "id of the rule; `none` where no rule of the contract applies".to_owned()),
        ("severity", format!("of the rule: {}; `none` where none applies", words(Severity::WORDS))),
        ("verdict", words(Verdict::WORDS)),
        ("cloud", "whose network the remote address belongs to: `aws`, `azure`, `gcp`, ...; `internet` where no table covers it, `private` for special ranges".to_owned()),
        ("region", "the provider's own region name; `global` for what it ties to none".to_owned()),
        ("provider", "who sells the service".to_owned()),
        ("vendor", "whose model or product answers".to_owned()),
        ("service", "service of the provider".to_owned()),
        ("api_family", "dialect that is spoken; `observer catalog show --words` lists them".to_owned()),
        ("api_state", format!("of the request that is under way ([routes](routes.md)), or of the name: {}", words(ApiState::WORDS))),
        ("path_kind", words(PathKind::WORDS)),
        ("namespace", "Kubernetes namespace of the workload".to_owned()),
        ("workload", "name of the owning object, else container, else unit, else executable, else what the task calls itself ([owners](owners.md))".to_owned()),
        ("pod_name", "the pod, where it is known".to_owned()),
        ("internet`, `same_zone`, `same_region", "`true` and `false`, as OpenCost asks; `unknown` where it has no word for the way".to_owned()),
        ("outcome", format!("of a flow {}; of a fault {}", words(Outcome::WORDS), words(Mending::WORDS))),
        ("device", "the uplink, as `observer run --uplink` names it".to_owned()),
        ("measure", words(Measure::WORDS)),
        ("reason", words(RemainderReason::WORDS)),
        ("place", words(LossPlace::WORDS)),
        ("fault", words(Fault::WORDS)),
        ("program", "name of the kernel program".to_owned()),
        ("source_cloud`, `source_account`, `source_region`, `source_zone", "as in records, see [source-place.md](source-place.md)".to_owned()),
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
            Kind::Histogram => "histogram",
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
