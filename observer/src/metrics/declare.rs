//! Every metric once, as data: the exposition, the manual and the tests read the same rows. Holds no value.

mod contracts;
mod times;

pub use self::contracts::EXEMPTION_END;
use self::{
    contracts::{CONTRACT_BYTES, CONTRACT_FLOWS},
    times::{
        CHUNK_GAP_SECONDS, CONNECT_SECONDS, FIRST_BYTE_SECONDS, LAST_BYTE_SECONDS, RTT_SECONDS,
    },
};
use observer_core::model::names::SeriesMetric;
use prometheus::{core::Desc, proto::MetricType};

/// One declared metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// Empty where the value has none.
    pub unit: &'static str,
    pub help: &'static str,
    /// Names, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets, microseconds; empty for what is none.
    pub buckets_us: &'static [u32],
}

/// How a value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the agent's or the kernel's totals begin anew.
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn proto(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
            Self::Histogram => MetricType::HISTOGRAM,
        }
    }
}

impl Metric {
    /// # Errors
    /// Where Prometheus does not take the name or a label.
    pub fn desc(&self) -> prometheus::Result<Desc> {
        let labels = self.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(
            self.name.to_owned(),
            self.help.to_owned(),
            labels,
            std::collections::HashMap::new(),
        )
    }
}

/// Where bytes go; every metric by destination has these labels after its own.
macro_rules! destination_labels {
    ($($before:literal),* ; $($after:literal),*) => {
        &[$($before,)* "cloud", "region", "provider", "vendor", "service", "api_state", "path_kind", "namespace",
          "workload", $($after,)*]
    };
}

const BYTE_LABELS: &[&str] = destination_labels!["direction";];

pub const WIRE_BYTES: Metric = Metric {
    name: "observer_wire_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "IP packets of flow records as they are on the wire: headers of every segment and retransmissions included, link-layer header not.",
    labels: BYTE_LABELS,
    buckets_us: &[],
};

pub const PAYLOAD_BYTES: Metric = Metric {
    name: "observer_payload_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "What applications sent and received. Once, as in flow records: what TCP sent or received twice is in it once.",
    labels: BYTE_LABELS,
    buckets_us: &[],
};

pub const RETRANSMITTED_BYTES: Metric = Metric {
    name: "observer_retransmitted_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Part of the wire bytes that TCP sent again. Egress only: what a remote sends again cannot be told here.",
    labels: BYTE_LABELS,
    buckets_us: &[],
};

pub const PACKETS: Metric = Metric {
    name: "observer_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    help: "IP packets of flow records on the wire: each segment of a bundle is one.",
    labels: BYTE_LABELS,
    buckets_us: &[],
};

pub const FLOWS: Metric = Metric {
    name: "observer_flows_total",
    kind: Kind::Counter,
    unit: "flows",
    help: "Flows that got an outcome since the agent's start. A flow has both directions, so there is no label for it.",
    labels: destination_labels![; "outcome"],
    buckets_us: &[],
};

pub const REQUESTS: Metric = Metric {
    name: "observer_requests_total",
    kind: Kind::Counter,
    unit: "requests",
    help: "Requests that clients began, where method and path can be read: plain HTTP/1, and HTTP/1 and HTTP/2 that OpenSSL, GnuTLS, rustls and Go encrypt.",
    labels: &[
        "cloud",
        "provider",
        "vendor",
        "service",
        "api_family",
        "api_state",
        "namespace",
        "workload",
    ],
    buckets_us: &[],
};

pub const REMAINDER_BYTES: Metric = Metric {
    name: "observer_remainder_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes that are counted and belong to no flow record, by reason, in the measure of the device; wire bytes where device is none, for packets that crossed no uplink. dropped_after_hook is the amount to take off, without its sign.",
    labels: &["device", "direction", "reason", "cloud"],
    buckets_us: &[],
};

pub const BALANCE_BYTES: Metric = Metric {
    name: "observer_balance_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "The interface's own count less the bytes of flow records less all remainders: what is not explained. 0 on a quiet host; on a busy one it wavers by what passes between two readings.",
    labels: &["device", "direction", "measure"],
    buckets_us: &[],
};

pub const INTERFACE_BYTES: Metric = Metric {
    name: "observer_interface_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "The interface's own counter since the account began, link-layer headers taken off: the independent figure that the sums are held against.",
    labels: &["device", "direction"],
    buckets_us: &[],
};

pub const EVENTS_LOST: Metric = Metric {
    name: "observer_events_lost_total",
    kind: Kind::Counter,
    unit: "events",
    help: "What was lost or refused, by place. The bytes concerned are in a remainder or in a later reading.",
    labels: &["place"],
    buckets_us: &[],
};

pub const BLIND_BYTES: Metric = Metric {
    name: "observer_blind_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Wire bytes, both directions, of records of flows that this host opened and that neither their own words nor DNS named, or whose DNS answers are hidden, by the reason.",
    labels: &["reason"],
    buckets_us: &[],
};

pub const EGRESS_COST_ESTIMATE: Metric = Metric {
    name: "observer_egress_cost_estimate_total",
    kind: Kind::Counter,
    unit: "",
    help: "Estimated cost of wire bytes of flow records, by the price book in use and the configured assumption; never a bill. Gateways charge what is received too.",
    labels: destination_labels!["direction"; "currency"],
    buckets_us: &[],
};

pub const POD_NETWORK_EGRESS: Metric = Metric {
    name: "kubecost_pod_network_egress_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Wire bytes of flow records that were sent, by the words of OpenCost, which has a price of its own for each. Only with metrics.opencost.",
    labels: &[
        "service",
        "namespace",
        "pod_name",
        "internet",
        "same_zone",
        "same_region",
    ],
    buckets_us: &[],
};

pub const UNPRICED_BYTES: Metric = Metric {
    name: "observer_unpriced_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Wire bytes of flow records that were sent over an uplink and have no price, or not all of it, by the reason.",
    labels: &["reason"],
    buckets_us: &[],
};

pub const REQUESTS_TYPED: Metric = Metric {
    name: "observer_requests_typed_total",
    kind: Kind::Counter,
    unit: "requests",
    help: "Requests of clients by what told their kind: the kernel half by itself, the agent by method and path, the kernel half by what it had learned of the same line; as inferred the connections that ended of which none was read and it is only said what they are as a rule.",
    labels: &["where"],
    buckets_us: &[],
};

pub const FAULTS: Metric = Metric {
    name: "observer_faults_total",
    kind: Kind::Counter,
    unit: "faults",
    help: "What others, or the machine, did to the agent, by how it ended. A fault that lasts counts once.",
    labels: &["fault", "outcome"],
    buckets_us: &[],
};

pub const DEGRADED: Metric = Metric {
    name: "observer_degraded",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while the agent goes on with less because of this fault, else 0.",
    labels: &["fault"],
    buckets_us: &[],
};

pub const BPF_RUN_SECONDS: Metric = Metric {
    name: "observer_bpf_run_seconds_total",
    kind: Kind::Counter,
    unit: "seconds",
    help: "CPU time of each kernel program. Absent unless the operator switched kernel.bpf_stats_enabled on; the agent never does.",
    labels: &["program"],
    buckets_us: &[],
};

pub const SERIES: Metric = Metric {
    name: "observer_series",
    kind: Kind::Gauge,
    unit: "series",
    help: "Series in this answer, every line counted, the agent's own and this one too.",
    labels: &[],
    buckets_us: &[],
};

pub const SERIES_OVERFLOW: Metric = Metric {
    name: "observer_series_overflow_total",
    kind: Kind::Counter,
    unit: "updates",
    help: "What a label set had counted in one tick went to other, because the limit of series left it no room: one a label set and tick (several in a tick with more than 4,096 pairs of destination and workload).",
    labels: &[],
    buckets_us: &[],
};

pub const SERIES_EXPIRED: Metric = Metric {
    name: "observer_series_expired_total",
    kind: Kind::Counter,
    unit: "series",
    help: "Series that were removed because they had not changed for the time of idle expiry.",
    labels: &[],
    buckets_us: &[],
};

pub const BUILD_INFO: Metric = Metric {
    name: "observer_build_info",
    kind: Kind::Gauge,
    unit: "",
    help: "Always 1: versions of the agent and of its catalogue.",
    labels: &["version", "catalog_version"],
    buckets_us: &[],
};

pub const SOURCE_INFO: Metric = Metric {
    name: "observer_source_info",
    kind: Kind::Gauge,
    unit: "",
    help: "Always 1: where this host stands.",
    labels: &[
        "source_cloud",
        "source_account",
        "source_region",
        "source_zone",
    ],
    buckets_us: &[],
};

pub const RELOAD_SUCCESS: Metric = Metric {
    name: "observer_reload_success",
    kind: Kind::Gauge,
    unit: "",
    help: "1 where the file's last reading was taken, 0 where it was refused and the one before is in force. Absent for files that nobody named.",
    labels: &["file"],
    buckets_us: &[],
};

pub const PROCESS_CPU_SECONDS: Metric = Metric {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    unit: "seconds",
    help: "CPU time of the agent in user and kernel mode. Time of the kernel programs is with whoever sends or receives.",
    labels: &[],
    buckets_us: &[],
};

pub const PROCESS_RESIDENT_MEMORY_BYTES: Metric = Metric {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Memory of the agent that is in RAM. Kernel maps are not in it.",
    labels: &[],
    buckets_us: &[],
};

pub const PROCESS_VIRTUAL_MEMORY_BYTES: Metric = Metric {
    name: "process_virtual_memory_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Address space of the agent.",
    labels: &[],
    buckets_us: &[],
};

pub const PROCESS_THREADS: Metric = Metric {
    name: "process_threads",
    kind: Kind::Gauge,
    unit: "threads",
    help: "Threads of the agent.",
    labels: &[],
    buckets_us: &[],
};

pub const PROCESS_OPEN_FDS: Metric = Metric {
    name: "process_open_fds",
    kind: Kind::Gauge,
    unit: "files",
    help: "Open file descriptors of the agent.",
    labels: &[],
    buckets_us: &[],
};

pub const PROCESS_START_TIME_SECONDS: Metric = Metric {
    name: "process_start_time_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Start of the agent, since the Unix epoch.",
    labels: &[],
    buckets_us: &[],
};

/// Of the latest snapshot.
pub const OF_SNAPSHOT: &[Metric] = &[
    WIRE_BYTES,
    PAYLOAD_BYTES,
    RETRANSMITTED_BYTES,
    PACKETS,
    FLOWS,
    REQUESTS,
    CONNECT_SECONDS,
    RTT_SECONDS,
    FIRST_BYTE_SECONDS,
    LAST_BYTE_SECONDS,
    CHUNK_GAP_SECONDS,
    EGRESS_COST_ESTIMATE,
    POD_NETWORK_EGRESS,
    CONTRACT_BYTES,
    CONTRACT_FLOWS,
    EXEMPTION_END,
    REMAINDER_BYTES,
    BALANCE_BYTES,
    INTERFACE_BYTES,
    EVENTS_LOST,
    BLIND_BYTES,
    UNPRICED_BYTES,
    REQUESTS_TYPED,
    FAULTS,
    DEGRADED,
    SERIES_OVERFLOW,
    SERIES_EXPIRED,
    BPF_RUN_SECONDS,
    BUILD_INFO,
    RELOAD_SUCCESS,
];

/// Of the host itself.
pub const OF_PLACE: &[Metric] = &[SOURCE_INFO];

/// Of the agent's own process.
pub const OF_PROCESS: &[Metric] = &[
    PROCESS_CPU_SECONDS,
    PROCESS_RESIDENT_MEMORY_BYTES,
    PROCESS_VIRTUAL_MEMORY_BYTES,
    PROCESS_THREADS,
    PROCESS_OPEN_FDS,
    PROCESS_START_TIME_SECONDS,
];

/// Of the answer itself, which only the manual and the tests need as a list.
#[cfg(test)]
pub const OF_ANSWER: &[Metric] = &[SERIES];

/// The declaration of a metric that is summed over records.
pub const fn declared(metric: SeriesMetric) -> Metric {
    match metric {
        SeriesMetric::WireBytes => WIRE_BYTES,
        SeriesMetric::PayloadBytes => PAYLOAD_BYTES,
        SeriesMetric::Packets => PACKETS,
        SeriesMetric::RetransmittedBytes => RETRANSMITTED_BYTES,
        SeriesMetric::Flows => FLOWS,
        SeriesMetric::Requests => REQUESTS,
        SeriesMetric::ConnectSeconds => CONNECT_SECONDS,
        SeriesMetric::RttSeconds => RTT_SECONDS,
        SeriesMetric::FirstByteSeconds => FIRST_BYTE_SECONDS,
        SeriesMetric::LastByteSeconds => LAST_BYTE_SECONDS,
        SeriesMetric::ChunkGapSeconds => CHUNK_GAP_SECONDS,
        SeriesMetric::EgressCostEstimate => EGRESS_COST_ESTIMATE,
        SeriesMetric::PodNetworkEgress => POD_NETWORK_EGRESS,
        SeriesMetric::ContractBytes => CONTRACT_BYTES,
        SeriesMetric::ContractFlows => CONTRACT_FLOWS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_that_the_sums_have() {
        for metric in SeriesMetric::ALL {
            let declared = declared(*metric);
            let labels: Vec<&str> = metric.labels().iter().map(|label| label.word()).collect();
            assert_eq!((declared.name, declared.labels), (metric.word(), &*labels));
            let is_histogram = declared.kind == Kind::Histogram;
            assert_eq!(is_histogram, metric.is_histogram(), "{}", declared.name);
        }
    }

    #[test]
    fn counters_end_in_total_and_units_are_in_names() {
        for metric in OF_SNAPSHOT
            .iter()
            .chain(OF_PLACE)
            .chain(OF_ANSWER)
            .chain(OF_PROCESS)
        {
            let counter = metric.kind == Kind::Counter;
            assert_eq!(counter, metric.name.ends_with("_total"), "{}", metric.name);
            if matches!(metric.unit, "bytes" | "seconds") {
                let name = metric.name.trim_end_matches("_total");
                assert!(name.ends_with(metric.unit), "{}", metric.name);
            }
            assert!(metric.desc().is_ok(), "{}", metric.name);
        }
    }
}
