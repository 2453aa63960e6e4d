//! Metrics of contracts.

use super::{Kind, Metric};

pub const CONTRACT_BYTES: Metric = Metric {
    name: "observer_contract_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Wire bytes by what each rule said of their flow: a flow that several rules apply to is counted once for each. A contract of which no rule applies has rule none. Absent where there are no contracts.",
    labels: &[
        "direction",
        "contract",
        "rule",
        "severity",
        "verdict",
        "cloud",
        "region",
        "provider",
        "api_state",
        "namespace",
        "workload",
    ],
    buckets_us: &[],
};

pub const CONTRACT_FLOWS: Metric = Metric {
    name: "observer_contract_flows_total",
    kind: Kind::Counter,
    unit: "flows",
    help: "Flows that ended, by what each rule said of their last record.",
    labels: &[
        "contract",
        "rule",
        "severity",
        "verdict",
        "cloud",
        "region",
        "provider",
        "api_state",
        "namespace",
        "workload",
    ],
    buckets_us: &[],
};

pub const EXEMPTION_END: Metric = Metric {
    name: "observer_exemption_end_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "When the next exemption of a rule lapses that has not lapsed at the last reload, since the Unix epoch.",
    labels: &["contract", "rule"],
    buckets_us: &[],
};
