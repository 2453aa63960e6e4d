//! Labels, and the metrics that are summed over records.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

words! {
    /// Labels of the metrics that are summed over records, in the order in which they are written.
    Label {
        Direction = "direction",
        Contract = "contract",
        Rule = "rule",
        Severity = "severity",
        Verdict = "verdict",
        Cloud = "cloud",
        Region = "region",
        Provider = "provider",
        Vendor = "vendor",
        Service = "service",
        ApiFamily = "api_family",
        ApiState = "api_state",
        PathKind = "path_kind",
        Namespace = "namespace",
        Workload = "workload",
        PodName = "pod_name",
        Internet = "internet",
        SameZone = "same_zone",
        SameRegion = "same_region",
        Outcome = "outcome",
        Currency = "currency",
    }
}

words! {
    /// Metrics that are summed over records.
    SeriesMetric {
        WireBytes = "observer_wire_bytes_total",
        PayloadBytes = "observer_payload_bytes_total",
        Packets = "observer_packets_total",
        RetransmittedBytes = "observer_retransmitted_bytes_total",
        Flows = "observer_flows_total",
        Requests = "observer_requests_total",
        ConnectSeconds = "observer_connect_seconds",
        RttSeconds = "observer_rtt_seconds",
        FirstByteSeconds = "observer_first_byte_seconds",
        LastByteSeconds = "observer_last_byte_seconds",
        ChunkGapSeconds = "observer_chunk_gap_seconds",
        EgressCostEstimate = "observer_egress_cost_estimate_total",
        ContractBytes = "observer_contract_bytes_total",
        ContractFlows = "observer_contract_flows_total",
        PodNetworkEgress = "kubecost_pod_network_egress_bytes_total",
    }
}

impl SeriesMetric {
    /// All labels it can have.
    #[must_use]
    pub const fn labels(self) -> &'static [Label] {
        use Label::{
            ApiFamily, ApiState, Cloud, Contract, Currency, Direction, Internet, Namespace,
            Outcome, PathKind, PodName, Provider, Region, Rule, SameRegion, SameZone, Service,
            Severity, Vendor, Verdict, Workload,
        };
        match self {
            Self::WireBytes | Self::PayloadBytes | Self::Packets | Self::RetransmittedBytes => &[
                Direction, Cloud, Region, Provider, Vendor, Service, ApiState, PathKind, Namespace,
                Workload,
            ],
            Self::Flows => &[
                Cloud, Region, Provider, Vendor, Service, ApiState, PathKind, Namespace, Workload,
                Outcome,
            ],
            Self::Requests => &[
                Cloud, Provider, Vendor, Service, ApiFamily, ApiState, Namespace, Workload,
            ],
            Self::EgressCostEstimate => &[
                Direction, Cloud, Region, Provider, Vendor, Service, ApiState, PathKind, Namespace,
                Workload, Currency,
            ],
            Self::ContractBytes => &[
                Direction, Contract, Rule, Severity, Verdict, Cloud, Region, Provider, ApiState,
                Namespace, Workload,
            ],
            Self::ContractFlows => &[
                Contract, Rule, Severity, Verdict, Cloud, Region, Provider, ApiState, Namespace,
                Workload,
            ],
            Self::PodNetworkEgress => {
                &[Service, Namespace, PodName, Internet, SameZone, SameRegion]
            }
            Self::ConnectSeconds
            | Self::RttSeconds
            | Self::FirstByteSeconds
            | Self::LastByteSeconds
            | Self::ChunkGapSeconds => &[Cloud, Region, Provider, Service, ApiState, PathKind],
        }
    }

    /// Whether its values are times of which the distribution is kept.
    #[must_use]
    pub const fn is_histogram(self) -> bool {
        match self {
            Self::ConnectSeconds
            | Self::RttSeconds
            | Self::FirstByteSeconds
            | Self::LastByteSeconds
            | Self::ChunkGapSeconds => true,
            Self::WireBytes
            | Self::PayloadBytes
            | Self::Packets
            | Self::RetransmittedBytes
            | Self::EgressCostEstimate
            | Self::PodNetworkEgress
            | Self::ContractBytes
            | Self::ContractFlows
            | Self::Requests
            | Self::Flows => false,
        }
    }
}
