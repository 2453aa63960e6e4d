//! Metrics of times, which are histograms.

use observer_core::aggregate::BUCKETS_US;

use super::{Kind, Metric};

const TIME_LABELS: &[&str] = &[
    "cloud",
    "region",
    "provider",
    "service",
    "api_state",
    "path_kind",
];

pub const CONNECT_SECONDS: Metric = Metric {
    name: "observer_connect_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "From the call of connect to the established connection, once a flow.",
    labels: TIME_LABELS,
    buckets_us: &BUCKETS_US,
};

pub const RTT_SECONDS: Metric = Metric {
    name: "observer_rtt_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "TCP's smoothed round trip time, once a record in which it is not the one that the flow told last.",
    labels: TIME_LABELS,
    buckets_us: &BUCKETS_US,
};

pub const FIRST_BYTE_SECONDS: Metric = Metric {
    name: "observer_first_byte_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "From the last outgoing payload to the first incoming payload after it: once a request of HTTP/1 that was read, else once a record in which it is not the one that the flow told last, so that of several requests in one interval the last one counts.",
    labels: TIME_LABELS,
    buckets_us: &BUCKETS_US,
};

pub const LAST_BYTE_SECONDS: Metric = Metric {
    name: "observer_last_byte_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "From the last outgoing payload to the last incoming payload before the next request: once a request of HTTP/1 that was read, else once a record in which another answer is the latest, and at the flow's end.",
    labels: TIME_LABELS,
    buckets_us: &BUCKETS_US,
};

pub const CHUNK_GAP_SECONDS: Metric = Metric {
    name: "observer_chunk_gap_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "Longest pause in each answer that has more than two chunks, behind its first pause; told as observer_last_byte_seconds.",
    labels: TIME_LABELS,
    buckets_us: &BUCKETS_US,
};
