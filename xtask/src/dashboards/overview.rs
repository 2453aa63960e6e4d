//! The first page: where bytes go and how fast, whether they add up, and how the agent is.

use super::{
    board::{Board, Row, Variable},
    panel::{Draw, Panel, Step, Unit, curve, value},
};

/// Everything of the chosen hosts.
const HOSTS: &str = r#"instance=~"$instance""#;
/// Traffic of the chosen hosts, clouds and workloads.
const TRAFFIC: &str = r#"instance=~"$instance", cloud=~"$cloud", workload=~"$workload""#;
/// Times of connections of the chosen hosts and clouds; they carry no workload.
const TIMES: &str = r#"instance=~"$instance", cloud=~"$cloud""#;

/// Good as long as nothing is counted.
const NONE_IS_GOOD: &[Step] = &[
    Step {
        from: None,
        colour: "green",
    },
    Step {
        from: Some(1.0),
        colour: "red",
    },
];
const ONE_IS_GOOD: &[Step] = &[
    Step {
        from: None,
        colour: "red",
    },
    Step {
        from: Some(1.0),
        colour: "green",
    },
];
/// The default label set is made to stay under 5,000 series a host.
const SERIES: &[Step] = &[
    Step {
        from: None,
        colour: "green",
    },
    Step {
        from: Some(4_000.0),
        colour: "orange",
    },
    Step {
        from: Some(5_000.0),
        colour: "red",
    },
];
/// From 0.1 % on, `ObserverBalanceOff` is about to fire.
const BALANCE: &[Step] = &[
    Step {
        from: None,
        colour: "green",
    },
    Step {
        from: Some(0.001),
        colour: "red",
    },
];

pub fn board() -> Board {
    Board {
        uid: "observer-overview",
        title: "observer / overview",
        description: "Where bytes go, how fast, whether they add up, and how the agent is. Amounts over a range are \
                      approximate, because increase() leaves out a series' first sample; exact figures are in the flow records.",
        variables: vec![
            Variable {
                name: "instance",
                label: "host",
                query: "label_values(observer_build_info, instance)",
            },
            Variable {
                name: "cloud",
                label: "cloud",
                query: r#"label_values(observer_wire_bytes_total{instance=~"$instance"}, cloud)"#,
            },
            Variable {
                name: "workload",
                label: "workload",
                query: r#"label_values(observer_wire_bytes_total{instance=~"$instance", cloud=~"$cloud"}, workload)"#,
            },
        ],
        rows: vec![
            Row {
                title: "Where bytes go",
                panels: totals().into_iter().chain(destinations()).collect(),
            },
            Row {
                title: "How fast",
                panels: times(),
            },
            Row {
                title: "Does it add up",
                panels: accounts(),
            },
            Row {
                title: "The agent",
                panels: health().into_iter().chain(cost()).collect(),
            },
        ],
    }
}

fn panel(title: &'static str, description: &'static str, draw: Draw, unit: Unit) -> Panel {
    let (width, height) = match draw {
        Draw::Stat | Draw::Words(..) => (6, 4),
        Draw::Lines | Draw::Stack | Draw::Bars | Draw::Heatmap => (12, 8),
        Draw::Table(_) => (24, 9),
    };
    Panel {
        title,
        description,
        width,
        height,
        unit,
        draw,
        queries: Vec::new(),
        steps: &[],
    }
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

fn destinations() -> Vec<Panel> {
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
        Panel {
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
        },
    ]
}

/// Median and 95th percentile of a histogram, by cloud.
fn quantiles(metric: &str) -> Vec<super::panel::Query> {
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

fn times() -> Vec<Panel> {
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

fn accounts() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!("sum by (instance, device, direction) (observer_balance_bytes{{{HOSTS}}})"),
                "{{instance}} {{device}} {{direction}}",
            )],
            ..panel(
                "Balance",
                "The interface's own count less flows less remainders, since the agent's start. It wavers around a level \
                 by what passes between two readings; a level that moves away is bytes that nobody explains.",
                Draw::Lines,
                Unit::Bytes,
            )
        },
        Panel {
            steps: BALANCE,
            queries: vec![curve(
                format!(
                    "abs(sum by (instance, device, direction) (delta(observer_balance_bytes{{{HOSTS}}}[1h]))) \
                     / sum by (instance, device, direction) (increase(observer_interface_bytes_total{{{HOSTS}}}[1h]))"
                ),
                "{{instance}} {{device}} {{direction}}",
            )],
            ..panel(
                "Balance, share of the interface in an hour",
                "How much of the last hour's traffic is not explained. Under 0.1 % the figures above can be trusted; \
                 above it, read docs/alerts.md under ObserverBalanceOff.",
                Draw::Lines,
                Unit::Share,
            )
        },
        Panel {
            queries: vec![curve(
                format!(
                    "sum by (reason) (rate(observer_remainder_bytes_total{{{HOSTS}}}[$__rate_interval]))"
                ),
                "{{reason}}",
            )],
            ..panel(
                "Remainders by reason",
                "Bytes that are counted and belong to no flow record. handshake, kernel_sent, no_socket and non_ip are a \
                 few per connection and normal; forwarded and encapsulation are pods and tunnels; late, table_full, \
                 storage_failed and not_attached are limits of the agent.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "sort_desc(sum by (instance, device, reason) (increase(observer_remainder_bytes_total{{{HOSTS}}}[$__range])) > 0)"
                ),
                "{{instance}} {{device}} {{reason}}",
            )],
            ..panel(
                "Remainders over the range",
                "The same as amounts, by device: how much of the chosen time has no flow record, and why. Device `none` \
                 is what crossed no uplink.",
                Draw::Bars,
                Unit::Bytes,
            )
        },
    ]
}

fn health() -> Vec<Panel> {
    vec![
        Panel {
            steps: ONE_IS_GOOD,
            queries: vec![curve(
                format!(
                    "up{{{HOSTS}}} and on (job, instance) (present_over_time(observer_build_info{{{HOSTS}}}[1h]))"
                ),
                "{{instance}}",
            )],
            ..panel(
                "Agents",
                "Whether Prometheus reaches each agent that it reached within the last hour. Down: nothing is counted on \
                 that host, unless the agent pins its maps.",
                Draw::Words("up", "down"),
                Unit::Count,
            )
        },
        Panel {
            steps: ONE_IS_GOOD,
            queries: vec![curve(
                format!("min by (file) (observer_reload_success{{{HOSTS}}})"),
                "{{file}}",
            )],
            ..panel(
                "Files taken",
                "Whether each file was taken at its last reload, on all chosen hosts. Refused: the agent goes on with \
                 the last good one; its log names file, line and field.",
                Draw::Words("taken", "refused"),
                Unit::Count,
            )
        },
        Panel {
            steps: NONE_IS_GOOD,
            queries: vec![value(
                format!(
                    "sum(increase(observer_events_lost_total{{{HOSTS}, place!~\"read_ring|stale_reading\"}}[$__range]))"
                ),
                "lost",
            )],
            ..panel(
                "Events lost over the range",
                "0 is normal. Their bytes are in a remainder or in a later reading: the sums still close, but some bytes \
                 have no owner. The panel beside it says where.",
                Draw::Stat,
                Unit::Count,
            )
        },
        Panel {
            steps: SERIES,
            queries: vec![curve(
                format!("sum by (instance) (observer_series{{{HOSTS}}})"),
                "{{instance}}",
            )],
            ..panel(
                "Series",
                "Series that the agent offers, held against 5,000 a host. Beyond its cap new combinations of labels \
                 share one series, so that their bytes are counted and not told apart.",
                Draw::Stat,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![curve(
                format!(
                    "sum by (instance, place) (increase(observer_events_lost_total{{{HOSTS}}}[$__rate_interval]))"
                ),
                "{{instance}} {{place}}",
            )],
            ..panel(
                "Events lost by place",
                "Which bound was met: a ring, a table, socket storage. read_ring and stale_reading lose nothing, they are \
                 read again; all others deserve a look at docs/alerts.md under ObserverEventsLost.",
                Draw::Lines,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![
                curve(
                    format!(
                        "sum by (instance) (rate(observer_series_overflow_total{{{HOSTS}}}[$__rate_interval]))"
                    ),
                    "{{instance}} shared",
                ),
                curve(
                    format!(
                        "sum by (instance) (rate(observer_series_expired_total{{{HOSTS}}}[$__rate_interval]))"
                    ),
                    "{{instance}} expired",
                ),
            ],
            ..panel(
                "Series shared and expired",
                "Shared: updates that found the cap reached. Expired: idle series taken away. Much of both at once means \
                 labels that change all the time.",
                Draw::Lines,
                Unit::PerSecond,
            )
        },
    ]
}

fn cost() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!(
                    "rate(process_cpu_seconds_total{{{HOSTS}}}[$__rate_interval]) and on (job, instance) observer_build_info"
                ),
                "{{instance}}",
            )],
            ..panel(
                "CPU of the agent",
                "Share of one core. It follows new connections a second. The kernel programs' time is not in it: that \
                 is with whoever sends and receives.",
                Draw::Lines,
                Unit::Share,
            )
        },
        Panel {
            queries: vec![curve(
                format!(
                    "process_resident_memory_bytes{{{HOSTS}}} and on (job, instance) observer_build_info"
                ),
                "{{instance}}",
            )],
            ..panel(
                "Memory of the agent",
                "Resident memory: 23 MB idle, 57 MB at 100,000 sockets. The kernel's maps are not in it; they take \
                 another 13 MB, which a container's limit covers too.",
                Draw::Lines,
                Unit::Bytes,
            )
        },
        Panel {
            queries: vec![value(
                format!("count by (version, catalog_version) (observer_build_info{{{HOSTS}}})"),
                "",
            )],
            ..panel(
                "Versions",
                "How many hosts run which version of the agent and of its catalogue. Several rows during a rollout are \
                 normal; afterwards a left-over row is a host that was missed.",
                Draw::Table(&["hosts"]),
                Unit::Count,
            )
        },
    ]
}
