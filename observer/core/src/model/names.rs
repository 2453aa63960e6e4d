//! The closed word lists of records and metrics. Each word is written here once.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An enum whose variants are words: `ALL`, `word()`, `from_word()` and serialisation as the word.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// Every word, in the same order.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// The word of records, labels and reports.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The variant a word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'f> crate::model::fact::Told<'f> for $name {
            fn told(self) -> crate::model::fact::Fact<'f> {
                crate::model::fact::Fact::Text(self.word())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": Self::WORDS})
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = Cow::<str>::deserialize(deserializer)?;
                Self::from_word(&word).ok_or_else(|| {
                    D::Error::custom(format_args!("`{word}` is none of {:?}", Self::WORDS))
                })
            }
        }
    };
}

mod contracts;
mod prices;
mod requests;
mod series;

pub use contracts::{Severity, Verdict};
pub use prices::{
    BilledDirection, CostAssumption, CostSide, PriceStatus, RateKind, UnpricedReason,
};
pub use requests::{Streaming, TypedWhere};
pub use series::{Label, SeriesMetric};

/// What stands in a label, and in the few record fields that are never null, where nothing is known.
pub const UNKNOWN: &str = "unknown";
/// What stands in a label whose values found no room.
pub const OTHER: &str = "other";

words! {
    /// What others, or the machine, did to the agent.
    Fault {
        /// A program at the cgroup root was taken away or replaced.
        HookDetached = "hook_detached",
        /// A program at an uplink was taken away or replaced.
        UplinkDetached = "uplink_detached",
        /// The unified cgroup hierarchy is mounted somewhere else, or nowhere.
        CgroupMoved = "cgroup_moved",
        /// Pins, or the filesystem that they were on, are gone.
        PinsGone = "pins_gone",
        /// A record in a ring is never finished: what comes behind it cannot be read.
        RingStalled = "ring_stalled",
        /// The wall clock was set.
        ClockStep = "clock_step",
        /// The kernel refused a reading; what it has comes with the next one.
        ReadFailed = "read_failed",
    }
}

words! {
    /// How a fault ended.
    Mending {
        /// Everything is as before.
        Repaired = "repaired",
        /// The agent goes on with less.
        Degraded = "degraded",
    }
}

words! {
    /// How the process that owns a socket is known.
    OwnerBasis {
        /// It called connect or sendmsg.
        Caller = "caller",
        /// It was found holding the socket.
        Holder = "holder",
        /// It was the last to let the socket go.
        LastHolder = "last_holder",
    }
}

words! {
    /// Why the process that owns a socket is not known.
    OwnerMissing {
        /// The kernel itself opened it.
        Kernel = "kernel",
        /// No process that held it was met while it was open: it was accepted or is older than the agent.
        Unseen = "unseen",
    }
}

words! {
    /// Seen from the local socket.
    Direction {
        Egress = "egress",
        Ingress = "ingress",
    }
}

impl Direction {
    /// Both, in the order of every `[_; 2]` that is kept by direction.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// This direction's half of a pair.
    pub fn of<T>(self, [egress, ingress]: [T; 2]) -> T {
        match self {
            Self::Egress => egress,
            Self::Ingress => ingress,
        }
    }
}

const _: () = assert!(observer_ebpf::abi::EGRESS == 0 && observer_ebpf::abi::INGRESS == 1);

words! {
    /// Which of the two byte counts a device's own counter is comparable with.
    Measure {
        /// A GSO or GRO bundle has its headers once.
        Device = "device",
        /// Every segment with headers of its own.
        Wire = "wire",
    }
}

words! {
    /// Who opened the connection.
    Initiator {
        Local = "local",
        Remote = "remote",
        Unknown = "unknown",
    }
}

words! {
    /// Why a record was written.
    RecordKind {
        /// The flow goes on, or may.
        Interval = "interval",
        /// The flow has an outcome. Bytes that follow give a further record of this kind.
        Closed = "closed",
    }
}

words! {
    /// How a flow stands or how it ended.
    Outcome {
        Open = "open",
        Closed = "closed",
        /// Ended by a RST, sent or received.
        Reset = "reset",
        /// A connection attempt was answered by a RST.
        Refused = "refused",
        /// A connection attempt ended after its SYN had been sent again.
        Timeout = "timeout",
        /// A connection attempt ended otherwise: an ICMP error, no route. Inferred, not observed.
        Unreachable = "unreachable",
    }
}

words! {
    /// Why bytes that were counted belong to no flow record.
    RemainderReason {
        /// SYN, SYN-ACK and last ACK, counted in a listening socket.
        Handshake = "handshake",
        /// Sent by a socket of the kernel's own.
        ControlSocket = "control_socket",
        /// Sent without a full socket: time-wait ACKs, kernel-made packets.
        KernelSent = "kernel_sent",
        /// Received on one interface and sent by another.
        Forwarded = "forwarded",
        /// The outer packet of a tunnel.
        Encapsulation = "encapsulation",
        /// Headers that fragmentation added behind the socket hook.
        FragmentHeaders = "fragment_headers",
        /// Raw, packet and other sockets that are neither TCP nor UDP.
        Raw = "raw",
        /// Sent from a sandbox whose sockets the host kernel does not see.
        SandboxedRuntime = "sandboxed_runtime",
        /// The kernel gave no socket storage.
        StorageFailed = "storage_failed",
        /// A bounded table of flows had no room.
        TableFull = "table_full",
        /// Counted by the kernel for a flow, in no record yet or never: the last report was lost.
        Late = "late",
        /// Received at the uplink, and no socket hook saw it.
        NoSocket = "no_socket",
        /// Frames that carry no IP.
        NonIp = "non_ip",
        /// Passed while a hook was missing.
        NotAttached = "not_attached",
        /// Negative: counted at the socket, then discarded by a queue or another program.
        DroppedAfterHook = "dropped_after_hook",
    }
}

words! {
    /// IP transport protocols that flows have.
    Protocol {
        Tcp = "tcp",
        Udp = "udp",
    }
}

impl Protocol {
    /// IANA protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol of an IANA number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

words! {
    /// The dialect that a host speaks.
    ApiFamily {
        Openai = "openai",
        AzureOpenai = "azure_openai",
        AzureFoundry = "azure_foundry",
        AzureInference = "azure_inference",
        AzureCognitive = "azure_cognitive",
        Anthropic = "anthropic",
        Bedrock = "bedrock",
        BedrockAgents = "bedrock_agents",
        Agentcore = "agentcore",
        Mcp = "mcp",
        Agents = "agents",
        Vertex = "vertex",
        Gemini = "gemini",
        Sagemaker = "sagemaker",
        OciGenai = "oci_genai",
        Watsonx = "watsonx",
        Cohere = "cohere",
        Huggingface = "huggingface",
        Replicate = "replicate",
        Nvidia = "nvidia",
        Snowflake = "snowflake",
        Images = "images",
        Audio = "audio",
        Video = "video",
        Embeddings = "embeddings",
        Search = "search",
        VectorStore = "vector_store",
        Storage = "storage",
        Registry = "registry",
        Database = "database",
        Streaming = "streaming",
        Observability = "observability",
        Code = "code",
        Cdn = "cdn",
        Gateway = "gateway",
        Hosting = "hosting",
        Auth = "auth",
        Dns = "dns",
        Aws = "aws",
        Google = "google",
        Oci = "oci",
        Platform = "platform",
        OpenaiApp = "openai_app",
        Custom = "custom",
    }
}

words! {
    /// Whether the provider keeps state of what is asked.
    ApiState {
        Stateless = "stateless",
        Stateful = "stateful",
        Realtime = "realtime",
        AsyncJob = "async_job",
        /// Keys, accounts, resources: no model or data is served.
        ControlPlane = "control_plane",
        /// The request's body decides, which nobody sees.
        BodyDecides = "body_decides",
        /// Requests of several kinds share the bytes.
        Mixed = "mixed",
        Unknown = "unknown",
    }
}

words! {
    /// The way the bytes take from this host to the remote.
    PathKind {
        SameHost = "same_host",
        SameZone = "same_zone",
        InterZone = "inter_zone",
        InterRegion = "inter_region",
        Internet = "internet",
        PrivateEndpoint = "private_endpoint",
        Interconnect = "interconnect",
        Peering = "peering",
        /// Through a proxy that was told the target.
        Proxy = "proxy",
        Unknown = "unknown",
    }
}

words! {
    /// What stands on a path, as an operator declares it.
    PathElement {
        NatGateway = "nat_gateway",
        InternetGateway = "internet_gateway",
        TransitGateway = "transit_gateway",
        LoadBalancer = "load_balancer",
        PrivateEndpoint = "private_endpoint",
        Interconnect = "interconnect",
        Peering = "peering",
        Vpn = "vpn",
        Proxy = "proxy",
        Firewall = "firewall",
    }
}

words! {
    /// Why the service that a flow goes to could not be named by its own words, or a resolver's answers not be read.
    BlindReason {
        /// The name is encrypted (Encrypted Client Hello); the outer one is its front's.
        Ech = "ech",
        /// The client's hello, or its request, names no server but an address at the most.
        NoServerName = "no_server_name",
        /// The hello was longer than what is looked at, or a part of it was lost.
        TruncatedHello = "truncated_hello",
        /// The connection stood before the agent watched it.
        OlderThanAgent = "older_than_agent",
        /// DNS over TLS, HTTPS or QUIC: what was asked cannot be read.
        EncryptedDns = "encrypted_dns",
        /// The protocol names no host, or is none that is read.
        NoHandshake = "no_handshake",
        /// What is asked of the service is encrypted by a program that is not read: its kind is not known.
        NoPlaintextProbe = "no_plaintext_probe",
        /// A bounded table of names had no room.
        TableFull = "table_full",
    }
}

words! {
    /// Where something is lost or refused; the label of `observer_events_lost_total`.
    LossPlace {
        /// An end of a flow did not fit into the kernel's ring.
        EventRing = "event_ring",
        /// The iterator's ring was full; the flow is read again in the next pass.
        ReadRing = "read_ring",
        /// The kernel gave no socket storage (packets).
        Storage = "storage",
        /// The kernel's table of UDP remotes was full (packets).
        UdpTable = "udp_table",
        /// The kernel had no slot left for a destination (lookups).
        Slot = "slot",
        /// A packet's headers could not be read (packets).
        Headers = "headers",
        /// What is known of a process or a cgroup did not fit into the kernel's ring of notes; it is told again.
        NoteRing = "note_ring",
        /// Bytes that name a flow did not fit into the kernel's ring of captures.
        CaptureRing = "capture_ring",
        /// It could not be said on which socket a request was sent: two waited at once, or another thread sent it; or frames of
        /// HTTP/2 could not be followed (requests, and times that following ended).
        Request = "request",
        /// Files or processes with plaintext that found no room, or that the kernel let nothing be attached to (files).
        ProbeTable = "probe_table",
        /// Bytes of a request were recorded before it was known, as of the one before it (requests).
        LateRequest = "late_request",
        /// Bytes that name a flow could not be read: no well-formed hello, Initial or DNS message (captures).
        CaptureUnread = "capture_unread",
        /// The agent's table of names under way was full (flows).
        NameTable = "name_table",
        /// The agent's table of DNS answers was full (addresses).
        DnsTable = "dns_table",
        /// A flow was not asked about at connection tracking, for lack of room, time or an answer: a translation is not seen (hand-overs).
        Translation = "translation",
        /// The agent's table of flows inside the host was full (hand-overs).
        PairTable = "pair_table",
        /// The agent's cache of processes was full: an executable stays unknown (processes).
        ProcessCache = "process_cache",
        /// The agent's cache of cgroups was full: a container or unit stays unknown (cgroups).
        CgroupCache = "cgroup_cache",
        /// A walk over the files of all processes was put off, because walks had taken their share of time (walks).
        HolderWalk = "holder_walk",
        /// The agent's flow table was full (hand-overs refused).
        FlowTable = "flow_table",
        /// A reading was behind one already taken (readings; nothing is lost by it).
        StaleReading = "stale_reading",
        /// A flow continued from an earlier output whose first records were missing (flows).
        TailIncomplete = "tail_incomplete",
        /// What is used of a rule's grace could not be kept for one more workload; the verdict is `undetermined` (records).
        GraceTable = "grace_table",
        /// A violation could not be followed, and is told to nobody; it is in its record (violations).
        ViolationTable = "violation_table",
        /// An Alertmanager did not take what it was told, or was too slow (requests).
        Alerts = "alerts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_read_back() {
        for reason in RemainderReason::ALL {
            assert_eq!(RemainderReason::from_word(reason.word()), Some(*reason));
        }
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.word()), Some(*outcome));
        }
        assert_eq!(Outcome::from_word("Open"), None);
        assert_eq!(
            Protocol::from_number(Protocol::Udp.number()),
            Some(Protocol::Udp)
        );
    }
}
