//! Every field of the record, declared once: its description and where its value comes from stand in one row, so the
//! manual, the columns and the written object cannot differ.

use observer_ebpf::abi::{EGRESS, INGRESS};

use super::{Field, FieldKind, FlowRecord, SCHEMA_VERSION};
use crate::model::{
    fact::{Fact, Facts, FieldId, Told},
    flow::{Endpoint, Owner},
    identity::Word,
    names::{
        ApiFamily, ApiState, BlindReason, CostAssumption, Initiator, Outcome, OwnerBasis,
        OwnerMissing, PathKind, Protocol, RecordKind, UnpricedReason,
    },
};

/// A field that no stage of this version fills in.
const NOT_SEEN: Option<()> = None;

/// One row a field: `name: kind "unit" required|nullable, since N, "meaning" [words] => value of |record|;`
macro_rules! fields {
    (|$record:ident| $($group:literal {$(
        $name:ident: $kind:ident $unit:literal $null:ident, since $since:literal, $meaning:literal $([$words:expr])?
            => $value:expr;
    )+})+) => {
        /// Every field, in the order in which a record writes them.
        pub const FIELDS: &[Field] = &[$($(Field {
            group: $group,
            name: stringify!($name),
            kind: FieldKind::$kind,
            unit: $unit,
            nullable: fields!(@nullable $null),
            meaning: $meaning,
            since: $since,
            words: fields!(@words $($words)?),
        },)+)+];

        impl FlowRecord {
            /// Adds the record to `line` as one JSON object. Names need no escaping and are copied whole: written through
            /// a serialiser, the eighty of them took longer than their values.
            ///
            /// # Errors
            /// Never in memory; the serialiser of the values has a way to fail.
            pub fn write_json(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
                let $record = self;
                let mut separator = b'{';
                $($(
                    line.push(separator);
                    separator = b',';
                    line.extend_from_slice(concat!("\"", stringify!($name), "\":").as_bytes());
                    serde_json::to_writer(&mut *line, &$value)?;
                )+)+
                line.push(b'}');
                let _ = separator;
                Ok(())
            }
        }

        impl Facts for FlowRecord {
            fn fact(&self, field: FieldId) -> Fact<'_> {
                let $record = self;
                let mut place = 0;
                $($(
                    if field.index() == place {
                        return Told::told($value);
                    }
                    place += 1;
                )+)+
                let _ = place;
                Fact::Unknown
            }
        }
    };
    (@nullable required) => { false };
    (@nullable nullable) => { true };
    (@words) => { &[] };
    (@words $words:expr) => { $words };
}

fields! { |r|
    "identity of the record" {
        schema_version: Unsigned "" required, since 1, "Version of this list of fields." => SCHEMA_VERSION;
        flow_id: Text "" required, since 1,
            "Names the flow: 32 hexadecimal digits, made from boot id, socket cookie, start and, for further remotes of a UDP socket, both endpoints. The same over restarts of the agent." => r.flow_id;
        sequence: Unsigned "" required, since 1, "1 for the flow's first record, one more for each that follows; a missing number is a missing record." => r.sequence;
        record: Text "" required, since 1,
            "`closed` where the flow has an outcome other than `open`. Bytes that are counted later give a further `closed` record." [RecordKind::WORDS] => r.kind;
        interval_start: Time "" required, since 1, "Bytes of this record were counted from here on. At a flow's first record its start; never before the end of its previous record." => r.interval_start;
        interval_end: Time "" required, since 1, "When the counters were read." => r.interval_end;
        start_time: Time "" nullable, since 1, "First call or packet of the flow that the agent saw." => r.start;
        host: Text "" required, since 1, "Name of the host." => &r.context.host;
        boot_id: Text "" required, since 1, "The kernel's id of this boot." => &r.context.boot_id;
        cluster: Text "" nullable, since 1, "Name of the cluster, as configured." => &r.context.cluster;
        agent_version: Text "" required, since 1, "Version of the agent that wrote the record." => &r.context.agent_version;
        catalog_version: Text "" nullable, since 1, "Version of the address and name catalogue in use." => &r.context.catalog_version;
        price_version: Text "" nullable, since 1, "Version of the price book in use." => &r.context.price_version;
        rules_version: Text "" nullable, since 1, "Version of the contracts in use." => &r.context.rules_version;
        config_version: Text "" nullable, since 1, "Version of the configuration in use." => &r.context.config_version;
    }
    "socket" {
        protocol: Text "" required, since 1, "Transport protocol." [Protocol::WORDS] => r.totals.protocol;
        ip_version: Unsigned "" nullable, since 1, "4 or 6: of the packets, not of the socket." => r.totals.ip_version;
        local_address: Address "" nullable, since 1, "Address of the local socket, before any source translation." => address(r.totals.local);
        local_port: Unsigned "" nullable, since 1, "Port of the local socket." => port(r.totals.local);
        remote_address: Address "" nullable, since 1, "Address the socket talks to, before any destination translation." => address(r.remote());
        remote_port: Unsigned "" nullable, since 1, "Port the socket talks to." => port(r.remote());
        translated_address: Address "" nullable, since 1, "Address of the other end beyond the translation that this host does: where the service behind `remote_address` answers, or who really asked. Null where it does none." => address(r.translation.map(|ends| ends.peer));
        translated_port: Unsigned "" nullable, since 1, "Port of the other end beyond the translation that this host does." => port(r.translation.map(|ends| ends.peer));
        initiator: Text "" required, since 1, "Who opened the connection." [Initiator::WORDS] => r.totals.initiator;
        outcome: Text "" required, since 1,
            "How the flow stands. `refused`: a connection attempt answered by a RST. `timeout` and `unreachable` are inferred: the attempt ended without one, after or before the SYN was sent again. `reset`: a RST ended it." [Outcome::WORDS] => r.outcome;
        netns: Unsigned "" nullable, since 1, "Inode number of the socket's network namespace." => r.totals.netns_inode;
        device: Text "" nullable, since 1, "Interface that the last packet passed, the last sent one where there was one." => &r.device;
    }
    "counters of this interval" {
        wire_bytes_egress: Unsigned "bytes" required, since 1, "Sent IP packets as they are on the wire: headers of every segment, retransmissions included, link-layer header not." => r.counters.wire_bytes[EGRESS];
        wire_bytes_ingress: Unsigned "bytes" required, since 1, "Received IP packets, the same way." => r.counters.wire_bytes[INGRESS];
        device_bytes_egress: Unsigned "bytes" required, since 1, "Sent, as handed to the device: a bundle of segments has its headers once." => r.counters.device_bytes[EGRESS];
        device_bytes_ingress: Unsigned "bytes" required, since 1, "Received, as handed over by the device." => r.counters.device_bytes[INGRESS];
        payload_bytes_egress: Unsigned "bytes" required, since 1, "What the application sent, once." => r.counters.payload_bytes[EGRESS];
        payload_bytes_ingress: Unsigned "bytes" required, since 1, "What the application was sent, once." => r.counters.payload_bytes[INGRESS];
        packets_egress: Unsigned "packets" required, since 1, "IP packets sent, each segment of a bundle counted." => r.counters.packets[EGRESS];
        packets_ingress: Unsigned "packets" required, since 1, "IP packets received, each segment of a bundle counted." => r.counters.packets[INGRESS];
        retransmitted_wire_bytes: Unsigned "bytes" required, since 1, "Part of `wire_bytes_egress` that TCP sent again." => r.counters.retransmitted_wire_bytes;
    }
    "totals since the flow's start" {
        wire_bytes_egress_since_start: Unsigned "bytes" required, since 1, "Sum of `wire_bytes_egress` over the flow's records up to this one." => r.totals.counters.wire_bytes[EGRESS];
        wire_bytes_ingress_since_start: Unsigned "bytes" required, since 1, "Sum of `wire_bytes_ingress` over the flow's records up to this one." => r.totals.counters.wire_bytes[INGRESS];
    }
    "timing" {
        connect_us: Unsigned "microseconds" nullable, since 1, "From the connect call to the established connection." => r.totals.timing.connect_us;
        rtt_us: Unsigned "microseconds" nullable, since 1, "The kernel's smoothed round-trip time." => r.totals.timing.rtt_us;
        min_rtt_us: Unsigned "microseconds" nullable, since 1, "The kernel's lowest round-trip time." => r.totals.timing.min_rtt_us;
        first_byte_us: Unsigned "microseconds" nullable, since 1, "From the last byte of a request to the first of its answer, the latest such pair." => r.totals.timing.first_byte_us;
        last_byte_us: Unsigned "microseconds" nullable, since 1, "From the last byte of a request to the last that came of its answer by the end of the interval, the latest such pair; of connections that began with TLS, HTTP or a proxy's words." => r.totals.timing.last_byte_us;
        chunk_gap_us: Unsigned "microseconds" nullable, since 1, "Longest pause between payload and payload of the latest answer, behind its first pause, which is the server's own: what follows a header, or a ticket for the next session. Pauses below a millisecond are none." => r.totals.timing.chunk_gap_us;
        requests: Unsigned "requests" nullable, since 1, "Requests that began in this interval; null where none was ever seen." => r.requests;
    }
    "who" {
        pid: Unsigned "" nullable, since 1, "Process that owns the socket (`owner_basis` says how that is known), in the initial pid namespace." => r.totals.owner.ok().map(|owner| owner.pid);
        comm: Text "" nullable, since 1, "Name of the task that was met; bytes that are not UTF-8 become U+FFFD." => r.totals.owner.as_ref().ok().map(comm);
        executable: Text "" nullable, since 1, "Path of its executable, as its own mount namespace has it." => &r.workload.executable;
        uid: Unsigned "" nullable, since 1, "User of that process, in the initial user namespace." => r.totals.owner.ok().map(|owner| owner.uid);
        owner_basis: Text "" nullable, since 2, "How the process is known: it called connect or sendmsg (`caller`), it was found holding the socket (`holder`), it was the last to let it go (`last_holder`)." [OwnerBasis::WORDS] => r.totals.owner.ok().map(|owner| owner.basis);
        owner_missing: Text "" nullable, since 2, "Why the process is not known: the socket is the kernel's own (`kernel`), or no process that held it was met while it was open (`unseen`)." [OwnerMissing::WORDS] => r.totals.owner.err();
        cgroup_id: Unsigned "" nullable, since 1, "cgroup v2 id of the socket: it decides the workload." => r.totals.cgroup_id;
        container_id: Text "" nullable, since 1, "Container of that cgroup." => &r.workload.container_id;
        systemd_unit: Text "" nullable, since 1, "systemd unit of that cgroup." => &r.workload.systemd_unit;
        namespace: Text "" nullable, since 1, "Kubernetes namespace." => &r.workload.namespace;
        workload_kind: Text "" nullable, since 1, "Kubernetes kind of the owning object, else `container`, `unit`, `executable` or `comm`." => &r.workload.kind;
        workload: Text "" nullable, since 1, "Name of the owning object, else container, else unit, else executable, else what the task calls itself." => &r.workload.name;
        pod: Text "" nullable, since 1, "Kubernetes pod." => &r.workload.pod;
        workload_labels: TextMap "" nullable, since 1, "Labels of the workload that the operator chose." => NOT_SEEN;
    }
    "source place" {
        source_cloud: Text "" nullable, since 1, "Cloud this host stands in." => &r.context.source.cloud;
        source_account: Text "" nullable, since 1, "Its account, subscription or project." => &r.context.source.account;
        source_region: Text "" nullable, since 1, "Its region." => &r.context.source.region;
        source_zone: Text "" nullable, since 1, "Its zone." => &r.context.source.zone;
        source_instance: Text "" nullable, since 1, "Its instance id." => &r.context.source.instance;
    }
    "where to" {
        server_name: Text "" nullable, since 1, "Name the client asked for." => &r.identity.server_name;
        provider: Text "" nullable, since 1, "Who sells the service." => &r.identity.provider;
        vendor: Text "" nullable, since 1, "Whose model or product answers." => &r.identity.vendor;
        cloud: Text "" nullable, since 1, "Whose network the remote address belongs to." => &r.identity.cloud;
        region: Text "" nullable, since 1, "The provider's own region name." => &r.identity.region;
        geography: Text "" nullable, since 1, "Continent or country, where that is all there is." => &r.identity.geography;
        service: Text "" nullable, since 1, "Service of the provider." => &r.identity.service;
        api_family: Text "" nullable, since 1, "Dialect spoken; null where the host speaks several and nothing tells which." [ApiFamily::WORDS] => r.identity.api_family;
        api_state: Text "" required, since 1, "Whether the provider keeps state." [ApiState::WORDS] => r.identity.api_state.unwrap_or(ApiState::Unknown);
        method: Text "" nullable, since 1, "Request method." => &r.identity.method;
        route: Text "" nullable, since 1, "Matched route template; never the path." => &r.identity.route;
        model: Text "" nullable, since 1, "Model id, or name of a deployment, as the path has it." => &r.identity.model;
        residency_flags: TextList "" nullable, since 1, "What the request says of where it may be processed." => known(&r.identity.residency_flags);
        front: Text "" nullable, since 1, "CDN or proxy before the service; the hosting cloud then cannot be seen." => &r.identity.front;
        path_kind: Text "" required, since 1, "Path the bytes took." [PathKind::WORDS] => r.identity.path_kind.unwrap_or(PathKind::Unknown);
        path_elements: TextList "" nullable, since 1, "Gateways on the path, as the operator declared them." => known(&r.identity.path_elements);
        blind_reason: Text "" nullable, since 1, "Why the service could not be seen, or what a resolver was asked." [BlindReason::WORDS] => r.identity.blind_reason;
        basis: Text "" nullable, since 1, "Evidence the identity rests on." => r.identity.basis;
        confidence: Text "" nullable, since 1, "How sure it is." => r.identity.confidence;
        evidence: Text "" nullable, since 1, "The evidence itself." => &r.identity.evidence;
    }
    "cost" {
        cost_estimate: Decimal "currency" nullable, since 1, "Estimated cost of this interval's bytes, at the prices of `cost_components`; never a bill. 0 where the way is free, null where it has no price." => r.cost.as_ref().and_then(|plan| plan.cost(&r.counters));
        currency: Text "" nullable, since 1, "ISO 4217 code." => r.cost.as_ref().map(|plan| &plan.currency);
        cost_assumption: Text "" nullable, since 1, "Where in its tiers the estimate takes each byte to be." [CostAssumption::WORDS] => r.cost.as_ref().map(|plan| plan.assumption);
        cost_components: ObjectList "" nullable, since 1, "Each rate that was charged: bytes, price of a unit, cost, and its status, source and date." => r.cost.as_ref().and_then(|plan| plan.components(&r.counters));
        unpriced_reason: Text "" nullable, since 3, "Why sent bytes have no price, or not all of it." [UnpricedReason::WORDS] => r.cost.as_ref().and_then(|plan| plan.unpriced);
    }
    "verdicts" {
        verdicts: ObjectList "" nullable, since 1, "Of each contract in force whose scope the flow is in: every rule that applies, with verdict and reason; one entry without a rule and with `not_covered` where none applies. Empty where no contract is in force for it, null where nobody judged." => r.verdicts.as_deref();
    }
}

fn address(endpoint: Option<Endpoint>) -> Option<std::net::IpAddr> {
    endpoint.map(|endpoint| endpoint.address)
}

fn port(endpoint: Option<Endpoint>) -> Option<u16> {
    endpoint.map(|endpoint| endpoint.port)
}

/// An empty list is not known.
fn known(words: &[Word]) -> Option<&[Word]> {
    (!words.is_empty()).then_some(words)
}

fn comm(owner: &Owner) -> std::borrow::Cow<'_, str> {
    owner.comm.to_text()
}
