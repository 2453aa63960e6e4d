//! The flow record: what one flow did in one interval, as one JSON object a line. Writes no file.

mod fields;

use std::sync::Arc;

use super::{
    cost::CostPlan,
    counters::Counters,
    flow::{Endpoint, FlowId, FlowTotals, Translation},
    identity::Identity,
    names::{Outcome, RecordKind},
    time::UnixUs,
    verdict::Judgement,
    workload::Workload,
};

pub use fields::FIELDS;

/// Raised when a field is added, removed, or changes its meaning.
pub const SCHEMA_VERSION: u32 = 3;

/// One flow in one interval. [`FlowRecord::write_json`] gives exactly the fields of [`FIELDS`], in their order.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    pub context: Arc<RecordContext>,
    pub flow_id: FlowId,
    /// Starts at 1 and grows by 1 with every record of the flow, over restarts of the agent too.
    pub sequence: u64,
    pub kind: RecordKind,
    pub outcome: Outcome,
    pub interval_start: UnixUs,
    pub interval_end: UnixUs,
    pub start: Option<UnixUs>,
    /// Of this interval.
    pub counters: Counters,
    /// The reading this record was made from; its counters are totals since the flow's start.
    pub totals: FlowTotals,
    /// Name of the interface that the last packet passed, the sent one first.
    pub device: Option<Arc<str>>,
    /// The remote ends; `None` where this host does not translate the flow.
    pub translation: Option<Translation>,
    pub identity: Arc<Identity>,
    pub workload: Arc<Workload>,
    /// Requests that began in this interval; `None` where none was ever seen.
    pub requests: Option<u64>,
    /// What is charged for it; `None` where it crosses no uplink, or there is no price book.
    pub cost: Option<Arc<CostPlan>>,
    /// What contracts say of it; `None` where nobody judges.
    pub verdicts: Option<Arc<[Judgement]>>,
}

impl FlowRecord {
    /// Whom the socket talks to.
    fn remote(&self) -> Option<Endpoint> {
        let target = self.translation.map(|ends| ends.target);
        target.or(self.totals.remote)
    }
}

/// What is the same in all records of one agent between two reloads of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordContext {
    pub host: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    pub cluster: Option<String>,
    pub agent_version: String,
    pub catalog_version: Option<String>,
    pub price_version: Option<String>,
    pub rules_version: Option<String>,
    pub config_version: Option<String>,
    pub source: SourcePlace,
}

/// Where this host stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePlace {
    pub cloud: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
    pub zone: Option<String>,
    pub instance: Option<String>,
}

/// One declared field of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub group: &'static str,
    pub name: &'static str,
    pub kind: FieldKind,
    /// Empty where the value has none.
    pub unit: &'static str,
    pub nullable: bool,
    pub meaning: &'static str,
    /// [`SCHEMA_VERSION`] in which the field appeared.
    pub since: u32,
    /// Closed list of the values, where there is one.
    pub words: &'static [&'static str],
}

/// Type of a field's JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An integer from 0 to 2^64-1. Values above 2^53 need a reader that keeps integers whole.
    Unsigned,
    Text,
    /// RFC 3339, UTC, six decimals.
    Time,
    /// IPv4 in dotted decimal, IPv6 as of RFC 5952.
    Address,
    /// A decimal number written as a string: money is not a float.
    Decimal,
    TextList,
    /// An object whose values are strings.
    TextMap,
    ObjectList,
}

impl FieldKind {
    /// The word of the manual.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned integer",
            Self::Text => "string",
            Self::Time => "time",
            Self::Address => "address",
            Self::Decimal => "decimal string",
            Self::TextList => "list of strings",
            Self::TextMap => "object of strings",
            Self::ObjectList => "list of objects",
        }
    }
}
