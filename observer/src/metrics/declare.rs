//! Every metric once, as data: the exposition, the manual and the tests read the same rows. Holds no value.

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
}

/// How a value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the agent's or the kernel's totals begin anew.
    Counter,
    Gauge,
}

impl Kind {
    pub const fn proto(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
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
    help: "IP packets of flows as they are on the wire: headers of every segment and retransmissions included, link-layer header not.",
    labels: BYTE_LABELS,
};

pub const PAYLOAD_BYTES: Metric = Metric {
    name: "observer_payload_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "What applications sent and received. Received TCP payload is counted by packet, so what arrived twice is in it twice; flow records have it exactly once.",
    labels: BYTE_LABELS,
};

pub const RETRANSMITTED_BYTES: Metric = Metric {
    name: "observer_retransmitted_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Part of the wire bytes that TCP sent again. Egress only: what a remote sends again cannot be told here.",
    labels: BYTE_LABELS,
};

pub const PACKETS: Metric = Metric {
    name: "observer_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    help: "IP packets of flows on the wire: each segment of a bundle is one.",
    labels: BYTE_LABELS,
};

pub const FLOWS: Metric = Metric {
    name: "observer_flows_total",
    kind: Kind::Counter,
    unit: "flows",
    help: "Flows that got an outcome since the agent's start. A flow has both directions, so there is no label for it.",
    labels: destination_labels![; "outcome"],
};

pub const REMAINDER_BYTES: Metric = Metric {
    name: "observer_remainder_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes that are counted and belong to no flow record, by reason, in the measure of the device; wire bytes where device is none, for packets that crossed no uplink. dropped_after_hook is the amount to take off, without its sign.",
    labels: &["device", "direction", "reason", "cloud"],
};

pub const BALANCE_BYTES: Metric = Metric {
    name: "observer_balance_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "The interface's own count less the bytes of flow records less all remainders: what is not explained. 0 on a quiet host; on a busy one it wavers by what passes between two readings.",
    labels: &["device", "direction", "measure"],
};

pub const INTERFACE_BYTES: Metric = Metric {
    name: "observer_interface_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    help: "The interface's own counter since the account began, link-layer headers taken off: the independent figure that the sums are held against.",
    labels: &["device", "direction"],
};

pub const EVENTS_LOST: Metric = Metric {
    name: "observer_events_lost_total",
    kind: Kind::Counter,
    unit: "events",
    help: "What was lost or refused, by place. The bytes concerned are in a remainder or in a later reading.",
    labels: &["place"],
};

pub const BPF_RUN_SECONDS: Metric = Metric {
    name: "observer_bpf_run_seconds_total",
    kind: Kind::Counter,
    unit: "seconds",
    help: "CPU time of each kernel program. Absent unless the operator switched kernel.bpf_stats_enabled on; the agent never does.",
    labels: &["program"],
};

pub const BUILD_INFO: Metric = Metric {
    name: "observer_build_info",
    kind: Kind::Gauge,
    unit: "",
    help: "Always 1: versions of the agent and of its catalogue.",
    labels: &["version", "catalog_version"],
};

pub const RELOAD_SUCCESS: Metric = Metric {
    name: "observer_reload_success",
    kind: Kind::Gauge,
    unit: "",
    help: "1 where the file's last reading was taken, 0 where it was refused and the one before is in force. Absent for files that nobody named.",
    labels: &["file"],
};

pub const PROCESS_CPU_SECONDS: Metric = Metric {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    unit: "seconds",
    help: "CPU time of the agent in user and kernel mode. Time of the kernel programs is with whoever sends or receives.",
    labels: &[],
};

pub const PROCESS_RESIDENT_MEMORY_BYTES: Metric = Metric {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Memory of the agent that is in RAM. Kernel maps are not in it.",
    labels: &[],
};

pub const PROCESS_VIRTUAL_MEMORY_BYTES: Metric = Metric {
    name: "process_virtual_memory_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Address space of the agent.",
    labels: &[],
};

pub const PROCESS_THREADS: Metric = Metric {
    name: "process_threads",
    kind: Kind::Gauge,
    unit: "threads",
    help: "Threads of the agent.",
    labels: &[],
};

pub const PROCESS_OPEN_FDS: Metric = Metric {
    name: "process_open_fds",
    kind: Kind::Gauge,
    unit: "files",
    help: "Open file descriptors of the agent.",
    labels: &[],
};

pub const PROCESS_START_TIME_SECONDS: Metric = Metric {
    name: "process_start_time_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Start of the agent, since the Unix epoch.",
    labels: &[],
};

/// Of the latest snapshot.
pub const OF_SNAPSHOT: &[Metric] = &[
    WIRE_BYTES,
    PAYLOAD_BYTES,
    RETRANSMITTED_BYTES,
    PACKETS,
    FLOWS,
    REMAINDER_BYTES,
    BALANCE_BYTES,
    INTERFACE_BYTES,
    EVENTS_LOST,
    BPF_RUN_SECONDS,
    BUILD_INFO,
    RELOAD_SUCCESS,
];

/// Of the agent's own process.
pub const OF_PROCESS: &[Metric] = &[
    PROCESS_CPU_SECONDS,
    PROCESS_RESIDENT_MEMORY_BYTES,
    PROCESS_VIRTUAL_MEMORY_BYTES,
    PROCESS_THREADS,
    PROCESS_OPEN_FDS,
    PROCESS_START_TIME_SECONDS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_end_in_total_and_units_are_in_names() {
        for metric in OF_SNAPSHOT.iter().chain(OF_PROCESS) {
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
