//! Panels of the accounts and of the agent itself: whether the figures can be trusted, and what they cost.

use super::{
    super::panel::{Draw, Panel, Step, Unit, curve, value},
    panel,
};

/// Everything of the chosen hosts.
const HOSTS: &str = r#"instance=~"$instance""#;
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

/// Whether bytes add up.
pub fn accounts() -> Vec<Panel> {
    [balances(), remainders()].into_iter().flatten().collect()
}

/// How the agent is, and what it costs.
pub fn health() -> Vec<Panel> {
    [states(), limits(), bounds(), cost()]
        .into_iter()
        .flatten()
        .collect()
}

fn balances() -> Vec<Panel> {
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
    ]
}

fn remainders() -> Vec<Panel> {
    vec![
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

fn states() -> Vec<Panel> {
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
    ]
}

fn limits() -> Vec<Panel> {
    vec![
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
    ]
}

fn bounds() -> Vec<Panel> {
    vec![
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
