//! Every struct and number that crosses between the kernel programs and user space. Fixed-width fields, explicit
//! padding, native byte order unless a field says otherwise; sizes and offsets are asserted at compile time, and
//! [`VERSION`] is part of the pin path, so two builds that disagree never share a map.

pub mod capture;
pub mod field;
pub mod http2;
pub mod note;
pub mod request;

use core::mem::{offset_of, size_of};

/// Raised by hand whenever a struct, a constant's meaning or a map's declaration in this crate changes.
pub const VERSION: u32 = 6;

/// Index of the sent half of every `[_; 2]` counter.
pub const EGRESS: usize = 0;
/// Index of the received half of every `[_; 2]` counter.
pub const INGRESS: usize = 1;

/// Uplinks one agent balances at the same time (one program instance and one row of [`UplinkTotals`] each).
pub const UPLINKS_MAX: u32 = 8;
/// Distinct (uplink, destination, home) triples with a counter of their own; what comes later counts in slot 0.
pub const SLOTS_MAX: u32 = 2048;
/// Remotes of unconnected UDP sockets that are counted apart; what does not fit goes to [`Home::TableFull`].
pub const UDP_FLOWS_MAX: u32 = 16_384;
/// Bytes of the ring that carries ends of flows.
pub const EVENTS_BYTES: u32 = 4 << 20;
/// Bytes of the ring that the storage iterator hands flows over in, while user space takes them out.
pub const READS_BYTES: u32 = 4 << 20;
/// Bytes of the ring that carries notes of processes and cgroups.
pub const NOTES_BYTES: u32 = 512 << 10;
/// Processes that the kernel half remembers to have told of; one that fell out is told of again.
pub const PROCESSES_MAX: u32 = 8_192;
/// Address prefixes that fit into the kernel's table.
pub const PREFIXES_MAX: u32 = 262_144;

/// Numbers of tag sets that are given while the maps live; as many as the embedded table has, five times over.
pub const TAG_SETS_MAX: u32 = 65_536;

/// No prefix of the address table covers the address.
pub const TAG_NONE: u32 = 0;

/// Who opened the connection (design: `initiator`).
pub mod initiator {
    pub const UNKNOWN: u8 = 0;
    pub const LOCAL: u8 = 1;
    pub const REMOTE: u8 = 2;
}

/// Bits of [`Flow::flags`]. They are stored in three words, one a writer, because 5.10 has no atomic or: bits 0..16 are
/// written under the socket lock, 16..24 by the ingress hook alone, 24..32 by connect, sendmsg and release.
pub mod flag {
    /// TCP reached CLOSE.
    pub const CLOSED: u32 = 1 << 0;
    /// TCP finished its handshake.
    pub const ESTABLISHED: u32 = 1 << 1;
    /// A RST was sent.
    pub const RESET_OUT: u32 = 1 << 2;
    /// TCP went from SYN_SENT straight to CLOSE.
    pub const CONNECT_FAILED: u32 = 1 << 3;
    /// The socket was already released when the connection attempt ended.
    pub const GIVEN_UP: u32 = 1 << 4;
    /// `seq_high` is valid.
    pub const SEQ: u32 = 1 << 5;
    /// Outgoing payload other than cleartext TLS handshake records was seen.
    pub const TLS_PASSED: u32 = 1 << 6;
    /// The SYN was sent again: tells a timeout from an ICMP error.
    pub const SYN_RETRIED: u32 = 1 << 7;
    /// The start of the TCP connection was seen: `received_base` is 0.
    pub const FROM_START: u32 = 1 << 8;
    /// The state callback ran while the connection was being closed: it will run for CLOSE too.
    pub const STATE_FOLLOWED: u32 = 1 << 9;
    /// Nothing more of the sent stream is looked at for a name.
    pub const LOOKED: u32 = 1 << 10;
    /// The sent stream began as a TLS handshake does.
    pub const TLS: u32 = 1 << 11;
    /// The sent stream began as a plain HTTP request does.
    pub const HTTP: u32 = 1 << 12;
    /// The sent stream began as a dialogue with a proxy does (HTTP CONNECT, SOCKS5).
    pub const PROXY: u32 = 1 << 13;
    /// What was looked for went beyond a bound, or found no room in the ring.
    pub const LOOK_CUT: u32 = 1 << 14;
    /// A FIN was sent.
    pub const FIN_OUT: u32 = 1 << 15;
    /// A RST was received.
    pub const RESET_IN: u32 = 1 << 16;
    /// A FIN was received.
    pub const FIN_IN: u32 = 1 << 17;
    /// `cgroup/sock_release` ran: no process holds the socket any more.
    pub const RELEASED: u32 = 1 << 24;
    /// pid, comm and uid are known; of the caller of connect or sendmsg where neither bit below says otherwise.
    pub const OWNER: u32 = 1 << 25;
    /// The kernel itself called connect or sendmsg, or let the socket go: it has no process.
    pub const KERNEL_OWNED: u32 = 1 << 26;
    /// pid, comm and uid are of a process that was found holding the socket.
    pub const HOLDER: u32 = 1 << 27;
    /// pid, comm and uid are of the process that was the last to let the socket go.
    pub const LAST_HOLDER: u32 = 1 << 28;
}

/// Counters of one flow or one total, cumulative, never reset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// IP lengths of the skbs at the hook: a GSO or GRO bundle has its headers once. Bytes.
    pub device_bytes: [u64; 2],
    /// Headers that a bundle's further segments have on the wire: `device_bytes + bundled_bytes` are the wire bytes. Kept
    /// apart because most packets are no bundle, and then there is nothing to add. Bytes.
    pub bundled_bytes: [u64; 2],
    /// What the application sent or received, once. Bytes.
    pub payload_bytes: [u64; 2],
    /// IP packets on the wire (segments).
    pub packets: [u64; 2],
    /// Part of the sent wire bytes that TCP sent again. Bytes.
    pub retransmitted_wire_bytes: u64,
}

impl Counters {
    /// IP packets as they are on the wire, every segment with headers of its own. Bytes, wrapping like the parts.
    #[must_use]
    pub const fn wire_bytes(&self) -> [u64; 2] {
        [
            self.device_bytes[EGRESS].wrapping_add(self.bundled_bytes[EGRESS]),
            self.device_bytes[INGRESS].wrapping_add(self.bundled_bytes[INGRESS]),
        ]
    }
}

/// Counters of one direction of a flow, cumulative, never reset. Fields as in [`Counters`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    pub device_bytes: u64,
    pub bundled_bytes: u64,
    pub payload_bytes: u64,
    pub packets: u64,
}

/// Value of the socket storage: one TCP flow, or one UDP socket with its first remote.
///
/// Sending and receiving often happen on two CPUs, and a line that both write takes longer than all the counting. So what
/// each writes for every packet has a line of its own, and what both read is written rarely. The kernel puts the value 8
/// bytes behind the start of a line (`bpf_local_storage_data`), which it reads to find the value: lines begin at the
/// offsets 56, 120, 184 and 248, and the first is one that is read for every packet anyway.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    // Read for every packet, written rarely.
    /// Cookie of the socket's network namespace; 0 = the kernel could not say.
    pub netns_cookie: u64,
    /// Network byte order; IPv4 as ::ffff:a.b.c.d.
    pub remote_address: [u8; 16],
    /// Interface of the last packet, per direction; 0 = none yet.
    pub ifindex: [u32; 2],
    /// Index into the slot totals, per direction.
    pub slot: [u16; 2],
    /// Tag set of the remote address; [`TAG_NONE`] where no prefix covers it.
    pub tag: u32,
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    /// 6 = TCP, 17 = UDP.
    pub protocol: u8,
    /// 4 or 6: version of the packets, not of the socket.
    pub ip_version: u8,
    /// See [`initiator`].
    pub initiator: u8,
    /// The identity fields are filled in (1) or not yet (0).
    pub ready: u8,
    /// Bits 0..16 of [`Flow::flags`].
    pub flags_locked: u16,
    /// Bits 16..24 of [`Flow::flags`].
    pub flags_ingress: u8,
    /// Bits 24..32 of [`Flow::flags`].
    pub flags_owner: u8,
    /// Generation of the agent that the flow was last handed to (word 0 of the control map).
    pub reported_generation: u32,

    // Written by sending.
    pub sent: Way,
    /// Part of the sent wire bytes that TCP sent again. Bytes.
    pub retransmitted_wire_bytes: u64,
    /// Socket cookie: unique on this host until reboot. 0 only where the kernel has none.
    pub cookie: u64,
    /// cgroup v2 id of the socket.
    pub cgroup_id: u64,
    /// Highest TCP sequence number sent, exclusive.
    pub seq_high: u32,
    pub connect_us: u32,

    // Written by payload that is sent, read by payload that is received.
    /// When the last outgoing payload segment left, CLOCK_MONOTONIC ns; 0 = none since the last answer.
    pub request_ns: u64,

    // Written once or seldom, read by user space.
    /// Network byte order; IPv4 as ::ffff:a.b.c.d.
    pub local_address: [u8; 16],
    pub comm: [u8; 16],
    pub pid: u32,
    pub uid: u32,
    pub rtt_us: u32,
    pub min_rtt_us: u32,
    /// `flags` when the iterator last handed this flow over.
    pub reported_flags: u32,
    /// 1 = the iterator has looked once more since it last handed this flow over, and found nothing new.
    pub settled: u32,

    // Written by receiving.
    pub received: Way,
    /// Sum of both `device_bytes` when the iterator last handed this flow over.
    pub reported_bytes: u64,
    /// `bytes_received` of the TCP socket when the flow was first seen.
    pub received_base: u64,
    /// First call or packet seen, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    pub first_byte_us: u32,
    /// Inode number of the network namespace, filled by the iterator; 0 = not known.
    pub netns_inode: u32,
    /// Which life of `pid` owns the socket, see [`note::Note::process`]; 0 = not known.
    pub process: u32,
    /// `bytes_received` of the TCP socket, its lower half, when the first payload after an answer left: where the next
    /// answer begins.
    pub asked_received: u32,

    // Written by received payload, where the client is heard to speak TLS, HTTP or to a proxy.
    /// When the last byte left of the request whose answer is under way, CLOCK_MONOTONIC ns; 0 = none.
    pub asked_ns: u64,
    /// When payload was last received, ns; 0 = none.
    pub answered_ns: u64,
    /// Pauses of the answer so far, of a millisecond and more.
    pub pauses: u32,
    /// The longest of them but the first, which is the server's own.
    pub pause_us: u32,
    /// The answer before the last request. Written by sending, once a request.
    pub before: Answer,
    /// Times that the client spoke again after it was answered. Written with it.
    pub turns: u32,
}

/// Times of one answer, from the last byte of its request on. Microseconds; 0 = not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub first_byte_us: u32,
    pub last_byte_us: u32,
    /// The longest pause between payload and payload.
    pub chunk_gap_us: u32,
}

impl Flow {
    /// Both directions together.
    #[must_use]
    #[inline(always)]
    pub const fn counters(&self) -> Counters {
        let (sent, received) = (&self.sent, &self.received);
        Counters {
            device_bytes: [sent.device_bytes, received.device_bytes],
            bundled_bytes: [sent.bundled_bytes, received.bundled_bytes],
            payload_bytes: [sent.payload_bytes, received.payload_bytes],
            packets: [sent.packets, received.packets],
            retransmitted_wire_bytes: self.retransmitted_wire_bytes,
        }
    }

    /// All bits of [`flag`] together.
    #[must_use]
    #[inline(always)]
    pub const fn flags(&self) -> u32 {
        self.flags_locked as u32
            | (self.flags_ingress as u32) << 16
            | (self.flags_owner as u32) << 24
    }
}

/// The storage budget: option memory is shared with MSG_ZEROCOPY and filters. With what the kernel puts before it (72 bytes) a
/// value of 256 bytes takes an allocation of 512 already.
const _: () = assert!(size_of::<Flow>() <= 296);
const _: () = assert!(size_of::<Flow>().is_multiple_of(8));
/// The lines of the cache.
const _: () = assert!(
    offset_of!(Flow, sent) == 56
        && offset_of!(Flow, request_ns) == 120
        && offset_of!(Flow, received) == 184
        && offset_of!(Flow, asked_ns) == 256
);
/// The kernel half reads and writes addresses as two words.
const _: () =
    assert!(offset_of!(Flow, local_address) % 8 == 0 && offset_of!(Flow, remote_address) % 8 == 0);
const _: () = assert!(
    offset_of!(UdpKey, local_address) % 8 == 0 && offset_of!(UdpKey, remote_address) % 8 == 0
);
const _: () = assert!(size_of::<Counters>() == 72);

/// Value of the origin storage, made at `socket()` and cloned to accepted sockets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub netns_cookie: u64,
}

/// Key of one remote of a UDP socket that talks to several.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UdpKey {
    pub cookie: u64,
    /// Network byte order; IPv4 as ::ffff:a.b.c.d.
    pub local_address: [u8; 16],
    /// Network byte order; IPv4 as ::ffff:a.b.c.d.
    pub remote_address: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    pub _pad: u32,
}

const _: () = assert!(size_of::<UdpKey>() == 48);

/// One remote of a UDP socket that talks to several; owner and namespace are those of the socket's [`Flow`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpFlow {
    pub counters: Counters,
    pub netns_cookie: u64,
    pub cgroup_id: u64,
    /// CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    pub comm: [u8; 16],
    pub pid: u32,
    pub uid: u32,
    pub ifindex: [u32; 2],
    pub slot: [u16; 2],
    pub tag: u32,
    pub netns_inode: u32,
    /// As in [`Flow`].
    pub process: u32,
    /// See [`initiator`].
    pub initiator: u8,
    pub ip_version: u8,
    /// The identity fields are filled in (1) or not yet (0).
    pub ready: u8,
    /// As in [`Flow`], when the entry was made.
    pub flags_owner: u8,
    pub _pad: [u8; 4],
}

const _: () = assert!(size_of::<UdpFlow>().is_multiple_of(8));

/// Where a packet's bytes are counted. The first group is counted by the socket hooks, the second at the uplink.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In a flow.
    Flow = 0,
    /// In a listening socket: SYN, SYN-ACK and the last ACK of connections being accepted.
    Handshake = 1,
    /// A flow's, but the kernel gave no socket storage.
    StorageFailed = 2,
    /// A flow's, but the table of UDP remotes was full.
    TableFull = 3,
    /// Sent by a socket of the kernel's own (RST for a closed port, ICMP answers, neighbour discovery).
    ControlSocket = 4,
    /// Sent without a full socket: time-wait ACKs, IPv6 RSTs, kernel-made packets.
    KernelSent = 5,
    /// Received on one interface and sent by another.
    Forwarded = 6,
    /// The outer packet of a tunnel; the inner one is the flow's.
    Encapsulation = 7,
    /// Headers that fragmentation added after the socket hook, or that reassembly took off before it.
    FragmentHeaders = 8,
    /// Raw, packet and other sockets that are neither TCP nor UDP.
    Raw = 9,
    /// Frames that carry no IP, and link-layer padding behind IP.
    NonIp = 10,
}

/// Number of [`Home`] variants.
pub const HOMES: usize = 11;

/// Key of a slot: what the kernel's totals are kept by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SlotKey {
    /// 0 = not an uplink, else index + 1.
    pub uplink: u16,
    /// A [`Home`].
    pub home: u8,
    pub _pad: u8,
    /// Tag set of the remote address.
    pub tag: u32,
}

const _: () = assert!(size_of::<SlotKey>() == 8);

/// Key of the map that says which interface is which uplink.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UplinkKey {
    pub netns_cookie: u64,
    pub ifindex: u32,
    pub _pad: u32,
}

/// What the uplink programs must know of their device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkConfig {
    /// Length of the link-layer header in front of IP, bytes.
    pub link_header: u32,
    /// 1 = bundles of UDP datagrams (UDP_SEGMENT) are cut in software before the device, which is handed their segments:
    /// veth of 5.10, and many NICs.
    pub cuts_udp: u32,
}

/// Everything that passed one uplink, and the part of it that the socket hooks had seen; per direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkTotals {
    /// All frames, link-layer header taken off. Bytes.
    pub device_bytes: [u64; 2],
    /// Headers that a bundle's further segments have on the wire, as in [`Counters`]. Bytes.
    pub bundled_bytes: [u64; 2],
    /// Frames handed over (a GSO bundle is one).
    pub frames: [u64; 2],
    /// Egress only: `device_bytes` of packets of sockets that the egress hook counted.
    pub hooked_device_bytes: u64,
    /// Egress only: `bundled_bytes` of the same packets.
    pub hooked_bundled_bytes: u64,
}

/// Words of the control map.
pub mod control {
    /// Generation of the running agent. The iterator hands every flow over once to each generation, changed or not: an
    /// earlier agent may have read it and died before it wrote.
    pub const GENERATION: u32 = 0;
    /// 1 = the egress hook has seen a SYN-ACK over IPv4: this kernel runs it for them.
    pub const REQUESTS_HOOKED_4: u32 = 1;
    /// The same over IPv6. Older kernels (5.10 and 6.1; 6.18 not) leave it out: they ask whether the socket that sends, a
    /// listener, is the packet's, which belongs to the connection request.
    pub const REQUESTS_HOOKED_6: u32 = 2;
    /// 1 = a flow began whose owner no call told: someone should look for a process that holds it.
    pub const OWNERS_WANTED: u32 = 3;
    /// Number of words.
    pub const WORDS: u32 = 4;
}

/// Why an event was written.
pub mod event {
    /// A flow ended or changed after its end; the payload is a [`super::Flow`].
    pub const END: u32 = 1;
}

/// What is lost, by place; index into the `LOST` map.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// An end of a flow did not fit into the ring.
    EventRing = 0,
    /// The iterator's ring was full: read again in the next pass.
    ReadRing = 1,
    /// Socket storage could not be allocated (packets).
    Storage = 2,
    /// The table of UDP remotes was full (packets).
    UdpTable = 3,
    /// No slot was left for a destination (lookups that fell into slot 0).
    Slot = 4,
    /// A packet's headers could not be read; its bytes count, its payload is taken as 0.
    Headers = 5,
    /// What is known of a process or a cgroup did not fit into the ring of notes.
    NoteRing = 6,
    /// Bytes that name a flow did not fit into the ring of captures.
    CaptureRing = 7,
    /// Plaintext of a request of which it cannot be said on which socket it was sent, or a plain line that does not end; or frames of
    /// HTTP/2 that could not be followed, in which there may have been some.
    Request = 8,
}

/// Number of [`Lost`] variants.
pub const LOSSES: u32 = 9;

/// Key of the address table: a network in the IPv6 space (IPv4 under ::ffff:0:0/96), laid out as the kernel's
/// `struct bpf_lpm_trie_key` wants it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixKey {
    /// Bits of `address` that count, 0..=128.
    pub prefix_length: u32,
    /// Network byte order.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<PrefixKey>() == 20);
