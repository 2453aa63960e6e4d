//! Panels of contracts: what rules said of the bytes, who acts against them, and what could not be told.

use super::{
    super::panel::{Draw, Panel, Step, Unit, curve, value},
    panel,
};

/// What rules said of traffic of the chosen hosts, clouds and workloads.
const SAID: &str = r#"instance=~"$instance", cloud=~"$cloud", workload=~"$workload""#;
const DAYS: &str = "86400";

/// Was it allowed.
pub fn verdicts() -> Vec<Panel> {
    [stats(), vec![lapsing()], curves(), tops()]
        .into_iter()
        .flatten()
        .collect()
}

fn bytes(more: &str, range: &str) -> String {
    format!("(observer_contract_bytes_total{{{SAID}{more}}}[{range}])")
}

fn stats() -> Vec<Panel> {
    let violations = bytes(r#", verdict="violation""#, "$__range");
    let undetermined = bytes(r#", verdict="undetermined""#, "$__range");
    let all = bytes("", "$__range");
    vec![
        Panel {
            queries: vec![value(format!("sum(increase{violations})"), "in violation")],
            steps: &[
                Step {
                    from: None,
                    colour: "green",
                },
                Step {
                    from: Some(1.0),
                    colour: "red",
                },
            ],
            ..panel(
                "In violation over the range",
                "Wire bytes of flows that a rule calls a violation; once for each such rule. No value: nothing is judged, which is not \
                 the same as 0.",
                Draw::Stat,
                Unit::Bytes,
            )
        },
        Panel {
            queries: vec![value(
                format!("sum(increase{undetermined}) / sum(increase{all})"),
                "undetermined",
            )],
            steps: &[
                Step {
                    from: None,
                    colour: "green",
                },
                Step {
                    from: Some(0.1),
                    colour: "orange",
                },
                Step {
                    from: Some(0.3),
                    colour: "red",
                },
            ],
            ..panel(
                "Undetermined",
                "Share of what rules said, by bytes, where a field that they need is not known. `observer report contract` says which.",
                Draw::Stat,
                Unit::Share,
            )
        },
    ]
}

fn lapsing() -> Panel {
    Panel {
        queries: vec![value(
            format!(
                r#"min((observer_exemption_end_timestamp_seconds{{instance=~"$instance"}} - time()) / {DAYS})"#
            ),
            "days",
        )],
        steps: &[
            Step {
                from: None,
                colour: "red",
            },
            Step {
                from: Some(14.0),
                colour: "green",
            },
        ],
        ..panel(
            "Days until an exemption lapses",
            "The next one of all rules. What it excepts is a violation from then on.",
            Draw::Stat,
            Unit::Count,
        )
    }
}

fn curves() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!("sum by (verdict) (rate{})", bytes("", "$__rate_interval")),
                "{{verdict}}",
            )],
            ..panel(
                "What rules say",
                "By verdict. A flow that several rules apply to is there once for each.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
        Panel {
            queries: vec![curve(
                format!(
                    "sum by (severity) (rate{})",
                    bytes(r#", verdict="violation""#, "$__rate_interval")
                ),
                "{{severity}}",
            )],
            ..panel(
                "Violations by severity",
                "By the severity that each rule has: what to look at first.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
    ]
}

fn tops() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![value(
                format!(
                    "topk(10, sum by (contract, rule, namespace, workload) (increase{}))",
                    bytes(r#", verdict="violation""#, "$__range")
                ),
                "{{contract}} {{rule}}: {{namespace}} {{workload}}",
            )],
            ..panel(
                "Who acts against which rule",
                "By wire bytes in the chosen time; once for each rule that is acted against.",
                Draw::Bars,
                Unit::Bytes,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "topk(10, sum by (contract, rule, cloud, provider) (increase{}))",
                    bytes(r#", verdict="undetermined""#, "$__range")
                ),
                "{{contract}} {{rule}}: {{provider}} in {{cloud}}",
            )],
            ..panel(
                "What cannot be told",
                "Undetermined bytes by rule and by what is known of where they went.",
                Draw::Bars,
                Unit::Bytes,
            )
        },
    ]
}
