//! Panels of traffic: where bytes go, who sends them, and how long connections take.

use super::{
    super::panel::{Draw, Panel, Query, Unit, curve, value},
    panel,
};

/// Traffic of the chosen hosts, clouds and workloads.
const TRAFFIC: &str = r#"instance=~"$instance", cloud=~"$cloud", workload=~"$workload""#;
/// Times of connections of the chosen hosts and clouds; they carry no workload.
const TIMES: &str = r#"instance=~"$instance", cloud=~"$cloud""#;

/// Where bytes go.
pub fn amounts() -> Vec<Panel> {
    [
        totals(),
        by_cloud(),
        by_service(),
        requests(),
        by_workload(),
        destinations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Rate of wire bytes.
fn rate(direction: &str) -> String {
    format!(
        r#"rate(observer_wire_bytes_total{{{TRAFFIC}, direction="{direction}"}}[$__rate_interval])"#
    )
}

/// Wire bytes over the chosen range.
fn amount(direction: &str) -> String {
    format!(
        r#"increase(observer_wire_bytes_total{{{TRAFFIC}, direction="{direction}"}}[$__range])"#
    )
}

fn totals() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(format!("sum({})", rate("egress")), "egress")],
            ..panel(
                "Egress now",
                "Wire bytes a second that the chosen workloads send, as a provider bills them: every segment's headers \
                 and retransmissions are in it.",
                Draw::Stat,
                Unit::BytesPerSecond,
            )
        },
        Panel {
            queries: vec![value(format!("sum({})", amount("egress")), "egress")],
            ..panel(
                "Egress over the range",
                "What was sent in the chosen time. Approximate; take it to find where to look, and the flow records for \
                 an invoice.",
                Draw::Stat,
                Unit::Bytes,
            )
        },
        Panel {
            queries: vec![value(format!("sum({})", amount("ingress")), "ingress")],
            ..panel(
                "Ingress over the range",
                "What was received in the chosen time. Most clouds do not bill it; much ingress beside little egress is \
                 a consumer of data, the other way round a source of cost.",
                Draw::Stat,
                Unit::Bytes,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "sum(increase(observer_retransmitted_bytes_total{{{TRAFFIC}}}[$__range])) / sum({})",
                    amount("egress")
                ),
                "retransmitted",
            )],
            ..panel(
                "Sent again",
                "Share of the egress that TCP sent again. It is billed like the rest. Above 1 to 2 % look for loss or an \
                 overloaded path.",
                Draw::Stat,
                Unit::Share,
            )
        },
    ]
}

fn by_service() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!("sum by (provider, service) ({})", rate("egress")),
                "{{provider}} {{service}}",
            )],
            ..panel(
                "Egress by service",
                "Whose services the bytes go to, by the names that their clients asked for, by DNS or by the address. \
                 `unknown` is a name that no pattern knows, or a flow that was not named: see the panel beside.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
        Panel {
            queries: vec![curve(
                r#"sum by (reason) (rate(observer_blind_bytes_total{instance=~"$instance"}[$__rate_interval]))"#
                    .to_owned(),
                "{{reason}}",
            )],
            ..panel(
                "Not named, by reason",
                "Bytes of flows that neither their own words nor DNS named, and of those to resolvers whose answers are \
                 hidden (`encrypted_dns`). `older_than_agent` goes away by itself; \
                 much `no_handshake` is a protocol that names no host.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
    ]
}

fn by_cloud() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!("sum by (cloud) ({})", rate("egress")),
                "{{cloud}}",
            )],
            ..panel(
                "Egress by cloud",
                "Whose networks the bytes go to, by address. A cloud that is not the host's own is traffic between \
                 clouds: the most expensive kind. `internet` is an address that no table covers.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
        Panel {
            queries: vec![curve(
                format!("sum by (cloud) ({})", rate("ingress")),
                "{{cloud}}",
            )],
            ..panel(
                "Ingress by cloud",
                "Whose networks the bytes come from. A step here with no step in egress is a download; look at the same \
                 time in the table of destinations.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
    ]
}

fn requests() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!(
                    "sum by (provider, api_family, api_state) (rate(observer_requests_total{{{TRAFFIC}}}[$__rate_interval]))"
                ),
                "{{provider}} {{api_family}} {{api_state}}",
            )],
            ..panel(
                "Requests by kind",
                "Requests that clients began, where method and path can be read: HTTP/1 that OpenSSL and Go encrypt. `body_decides`:                  whether the provider keeps something is in the body, which is not read.",
                Draw::Stack,
                Unit::PerSecond,
            )
        },
        Panel {
            queries: vec![curve(
                format!("sum by (api_state) ({})", rate("egress")),
                "{{api_state}}",
            )],
            ..panel(
                "Egress by kind of request",
                "Whether what is sent is kept: `stateless`, `stateful`, and so on; `unknown` is traffic of which no request was read and                  whose name does not tell.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
    ]
}

fn by_workload() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!(
                    "topk(10, sum by (namespace, workload) ({}))",
                    rate("egress")
                ),
                "{{namespace}}/{{workload}}",
            )],
            ..panel(
                "Egress by workload, the 10 largest",
                "Who sends. The ten are chosen anew at each point, so a workload may come and go. `unknown` is a socket \
                 whose cgroup and process said nothing.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "sort_desc(topk(10, sum by (namespace, workload) ({})))",
                    amount("egress")
                ),
                "{{namespace}}/{{workload}}",
            )],
            ..panel(
                "Egress by workload over the range",
                "Who sent most in the chosen time: where to begin when egress costs too much.",
                Draw::Bars,
                Unit::Bytes,
            )
        },
    ]
}

fn destinations() -> Vec<Panel> {
    vec![Panel {
        queries: vec![
            value(
                format!(
                    "topk(20, sum by (cloud, region, provider, service) ({}))",
                    amount("egress")
                ),
                "",
            ),
            value(
                format!(
                    "sum by (cloud, region, provider, service) ({}) and topk(20, sum by (cloud, region, provider, service) ({}))",
                    amount("ingress"),
                    amount("egress")
                ),
                "",
            ),
        ],
        ..panel(
            "Destinations, the 20 largest",
            "Cloud, region and service that took most egress in the chosen time, with what came back. A region that \
                 is not the host's own is billed as traffic between regions.",
            Draw::Table(&["egress", "ingress"]),
            Unit::Bytes,
        )
    }]
}

/// Median and 95th percentile of a histogram, by cloud.
fn quantiles(metric: &str) -> Vec<Query> {
    let of = |quantile: &str| {
        format!(
            "histogram_quantile({quantile}, sum by (le, cloud) (rate({metric}_bucket{{{TIMES}}}[$__rate_interval])))"
        )
    };
    vec![
        curve(of("0.5"), "{{cloud}} p50"),
        curve(of("0.95"), "{{cloud}} p95"),
    ]
}

/// How long connections take.
pub fn times() -> Vec<Panel> {
    vec![
        Panel {
            queries: quantiles("observer_connect_seconds"),
            ..panel(
                "Time to connect",
                "From the first SYN to the answer, once a connection. p95 far above p50 in one cloud alone: its front \
                 end or the way to it is slow. In all clouds: this host or its uplink.",
                Draw::Lines,
                Unit::Seconds,
            )
        },
        Panel {
            queries: quantiles("observer_rtt_seconds"),
            ..panel(
                "Round trip time",
                "TCP's own smoothed round trip. The distance to the region sets its floor: a step means another path or \
                 another region, a slow rise a queue.",
                Draw::Lines,
                Unit::Seconds,
            )
        },
        Panel {
            queries: quantiles("observer_first_byte_seconds"),
            ..panel(
                "Time to the first byte",
                "From the end of a request to the first byte of its answer. What it has above the round trip time is \
                 the service's own work, such as a model's thinking.",
                Draw::Lines,
                Unit::Seconds,
            )
        },
        Panel {
            queries: quantiles("observer_last_byte_seconds"),
            ..panel(
                "Time to the last byte",
                "From the end of a request to the last byte of its answer. Far above the first byte: an answer that is \
                 long, or comes in pieces as a model makes it.",
                Draw::Lines,
                Unit::Seconds,
            )
        },
        Panel {
            queries: quantiles("observer_chunk_gap_seconds"),
            ..panel(
                "Longest pause in an answer",
                "Of answers that come in pieces, between piece and piece. What people see as stuttering: a rise is the \
                 service's own, unless the round trip time rose too.",
                Draw::Lines,
                Unit::Seconds,
            )
        },
        Panel {
            queries: vec![curve(
                format!(
                    "sum by (le) (increase(observer_first_byte_seconds_bucket{{{TIMES}}}[$__rate_interval]))"
                ),
                "{{le}}",
            )],
            ..panel(
                "Time to the first byte, all answers",
                "How answers spread over time. Two bands are two kinds of request, which a percentile blurs into one \
                 number; choose one cloud above to tell them apart.",
                Draw::Heatmap,
                Unit::Seconds,
            )
        },
    ]
}
