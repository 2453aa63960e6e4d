//! What one packet adds to its flow, and which home a packet at the uplink has. Values in, values out: the programs
//! read the fields from socket storage and write them back. Knows no map and no helper.

use crate::{
    abi::{Answer, Flow, Home, flag},
    packet::{Headers, Size, protocol, tcp_flag},
};

/// The fields of a flow that only the sending side writes (TCP: under the socket lock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub flags: u16,
    pub seq_high: u32,
    pub request_ns: u64,
}

/// What a sent TCP packet adds besides its [`Size`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentBytes {
    /// Payload sent for the first time.
    pub payload_bytes: u64,
    /// The packet's wire bytes where all of it was sent before; the repeated payload where only a part was.
    pub retransmitted_wire_bytes: u64,
}

/// A TCP packet of `size` sent at `sent_ns`; `record` reads the first two payload bytes.
#[inline(always)]
pub fn tcp_sent(
    mut sent: Sent,
    headers: &Headers,
    size: &Size,
    sent_ns: impl FnOnce() -> u64,
    record: impl FnOnce() -> Option<[u8; 2]>,
) -> (Sent, SentBytes) {
    let syn = u32::from(headers.tcp_flags & tcp_flag::SYN != 0);
    let fin = u32::from(headers.tcp_flags & tcp_flag::FIN != 0);
    if headers.tcp_flags & tcp_flag::RST != 0 {
        sent.flags |= flag::RESET_OUT as u16;
    }
    if fin != 0 {
        sent.flags |= flag::FIN_OUT as u16;
    }
    let space = size.payload_bytes as u32 + syn + fin;
    if space == 0 {
        return (sent, SentBytes::default());
    }
    let end = headers.sequence.wrapping_add(space);
    let ahead = if sent.flags & flag::SEQ as u16 == 0 {
        space
    } else {
        // Serial number arithmetic (RFC 1982): a difference above 2^31 is behind.
        let ahead = end.wrapping_sub(sent.seq_high);
        if ahead as i32 <= 0 {
            0
        } else {
            ahead.min(space)
        }
    };
    if ahead == 0 {
        if syn != 0 {
            sent.flags |= flag::SYN_RETRIED as u16;
        }
        return (
            sent,
            SentBytes {
                payload_bytes: 0,
                retransmitted_wire_bytes: size.wire_bytes(),
            },
        );
    }
    sent.flags |= flag::SEQ as u16;
    sent.seq_high = end;
    let repeated = u64::from(space - ahead);
    let payload_bytes = size.payload_bytes.saturating_sub(repeated);
    if payload_bytes != 0 && syn == 0 {
        if sent.flags & flag::TLS_PASSED as u16 == 0 && !is_tls_handshake(record()) {
            sent.flags |= flag::TLS_PASSED as u16;
        }
        if sent.flags & flag::TLS_PASSED as u16 != 0 {
            sent.request_ns = sent_ns();
        }
    }
    (
        sent,
        SentBytes {
            payload_bytes,
            retransmitted_wire_bytes: repeated,
        },
    )
}

/// Change cipher spec, alert and handshake records in the clear (RFC 8446, section 5.1): content type 20 to 22 and
/// legacy version 3.x.
#[inline(always)]
fn is_tls_handshake(record: Option<[u8; 2]>) -> bool {
    matches!(record, Some([20..=22, 3]))
}

/// The fields of a flow that only the receiving side writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub flags: u8,
    pub request_ns: u64,
    /// Where this packet was the first answer byte, which sets `request_ns` to 0. No `Option`: the compiler may keep the
    /// absent number in a stack slot that it never wrote, and verifiers before 6.3 refuse to read such a slot.
    pub first_byte_us: u32,
}

/// A TCP packet of `size` received; `now_ns` is read only where an answer is awaited.
#[inline(always)]
pub fn tcp_received(
    mut received: Received,
    headers: &Headers,
    size: &Size,
    now_ns: impl FnOnce() -> u64,
) -> Received {
    if headers.tcp_flags & tcp_flag::RST != 0 {
        received.flags |= (flag::RESET_IN >> 16) as u8;
    }
    if headers.tcp_flags & tcp_flag::FIN != 0 {
        received.flags |= (flag::FIN_IN >> 16) as u8;
    }
    if received.request_ns != 0 && size.payload_bytes != 0 {
        received.first_byte_us = elapsed_us(received.request_ns, now_ns());
        received.request_ns = 0;
    }
    received
}

/// How an answer goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    pub asked_ns: u64,
    pub answered_ns: u64,
    pub pauses: u32,
    pub pause_us: u32,
}

/// Payload nearer together than this is one chunk of an answer.
const PAUSE_LEAST_NS: u64 = 1_000_000;

/// Payload was received at `now_ns`, of an answer to what had left at `request_ns` if it is the first of it, else 0.
#[inline(always)]
#[must_use]
pub fn answered(mut pace: Pace, request_ns: u64, now_ns: u64) -> Pace {
    if request_ns != 0 {
        return Pace {
            asked_ns: request_ns,
            answered_ns: now_ns,
            pauses: 0,
            pause_us: 0,
        };
    }
    let pause_ns = now_ns.saturating_sub(pace.answered_ns);
    if pace.answered_ns != 0 && pause_ns >= PAUSE_LEAST_NS {
        let pause_us = elapsed_us(pace.answered_ns, now_ns);
        // Behind a header, or a ticket for the next session, the first one is the time that the server takes.
        if pace.pauses != 0 && pause_us > pace.pause_us {
            pace.pause_us = pause_us;
        }
        pace.pauses = pace.pauses.saturating_add(1);
    }
    if now_ns > pace.answered_ns {
        pace.answered_ns = now_ns;
    }
    pace
}

/// The answer so far.
#[inline(always)]
#[must_use]
pub fn answer(flow: &Flow) -> Answer {
    let last_byte_us = if flow.asked_ns != 0 && flow.answered_ns >= flow.asked_ns {
        elapsed_us(flow.asked_ns, flow.answered_ns)
    } else {
        0
    };
    Answer {
        first_byte_us: flow.first_byte_us,
        last_byte_us,
        chunk_gap_us: flow.pause_us,
    }
}

/// The answer so far that no request's note has said: while a request waits for its own, what was answered before it is in
/// [`Flow::before`] until its note takes that.
#[inline(always)]
#[must_use]
pub fn answer_untold(flow: &Flow) -> Answer {
    if flow.request_ns != 0 && flow.before == Answer::default() {
        return Answer::default();
    }
    answer(flow)
}

/// Payload received in order, given the socket's `bytes_received`, which counts the peer's FIN as a byte.
#[inline(always)]
#[must_use]
pub const fn received_payload(bytes_received: u64, base: u64, flags_ingress: u8) -> u64 {
    let fin = if flags_ingress & (flag::FIN_IN >> 16) as u8 != 0 {
        1
    } else {
        0
    };
    bytes_received.saturating_sub(base).saturating_sub(fin)
}

/// Microseconds between two CLOCK_MONOTONIC readings, 0 where they are out of order, saturating at 71 minutes.
#[inline(always)]
#[must_use]
pub fn elapsed_us(from_ns: u64, to_ns: u64) -> u32 {
    let us = to_ns.saturating_sub(from_ns) / 1000;
    if us > u64::from(u32::MAX) {
        u32::MAX
    } else {
        us as u32
    }
}

/// Flag bits to add when TCP goes to CLOSE, given where it came from.
#[inline(always)]
#[must_use]
pub fn closed_flags(flags: u32, from_syn_sent: bool) -> u16 {
    let mut closed = flag::CLOSED;
    if from_syn_sent {
        closed |= flag::CONNECT_FAILED;
        if flags & flag::RELEASED != 0 {
            closed |= flag::GIVEN_UP;
        }
    }
    closed as u16
}

/// What the skb at an uplink says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// No socket; `forwarded` where the packet came in by an interface.
    None { forwarded: bool },
    /// A time-wait socket: no socket hook runs for it.
    TimeWait,
    /// A connection request: the egress hook runs with the listener, where the kernel runs it at all.
    Request { hooked: bool },
    /// A full socket.
    Full {
        family: u32,
        kind: u32,
        protocol: u32,
        source_port: u32,
    },
}

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const SOCK_RAW: u32 = 3;

/// Destination ports whose UDP packets are the outside of a tunnel: VXLAN (IANA and Linux default), Geneve.
const TUNNEL_PORTS: [u16; 3] = [4789, 8472, 6081];

/// Whether the socket hooks count for sockets of this kind: TCP streams and UDP datagrams.
#[inline(always)]
#[must_use]
pub const fn is_counted(kind: u32, protocol: u32) -> bool {
    (kind == SOCK_STREAM && protocol == protocol::TCP as u32)
        || (kind == SOCK_DGRAM && protocol == protocol::UDP as u32)
}

/// Home of an IP packet at the uplink; `None` where the egress hook has counted it in a flow or a listener.
#[inline(always)]
#[must_use]
pub fn home_at_uplink(sender: Sender, headers: &Headers) -> Option<Home> {
    let (family, kind, number, source_port) = match sender {
        Sender::None { forwarded: true } => return Some(Home::Forwarded),
        Sender::None { forwarded: false } | Sender::TimeWait => return Some(Home::KernelSent),
        Sender::Request { hooked: true } => return None,
        Sender::Request { hooked: false } => return Some(Home::Handshake),
        Sender::Full {
            family,
            kind,
            protocol,
            source_port,
        } => (family, kind, protocol, source_port),
    };
    if family != AF_INET && family != AF_INET6 {
        return Some(Home::Raw);
    }
    if is_counted(kind, number) {
        let same = u32::from(headers.protocol) == number;
        let tunnel = headers.protocol == protocol::UDP
            && u32::from(headers.source_port) != source_port
            && TUNNEL_PORTS.contains(&headers.destination_port);
        return if same && (!tunnel || headers.later_fragment) {
            None
        } else {
            Some(Home::Encapsulation)
        };
    }
    if kind == SOCK_RAW && is_kernel_made(headers) {
        Some(Home::ControlSocket)
    } else {
        Some(Home::Raw)
    }
}

/// The kernel's own raw sockets send TCP resets and ACKs, ICMP errors and answers, neighbour discovery and multicast
/// reports; a user's raw socket sends the rest, echo requests above all.
#[inline(always)]
fn is_kernel_made(headers: &Headers) -> bool {
    const ICMP_ECHO: u32 = 8;
    const ICMPV6_ECHO: u32 = 128;
    match headers.protocol {
        protocol::TCP => true,
        protocol::ICMP => headers.sequence != ICMP_ECHO,
        protocol::ICMPV6 => headers.sequence != ICMPV6_ECHO,
        _ => false,
    }
}

/// Header bytes of this fragment that the socket hook did not see: a later fragment's whole IP header, and the
/// fragment header (RFC 8200, section 4.5) of IPv6's first.
#[inline(always)]
#[must_use]
pub fn fragment_bytes(headers: &Headers) -> u64 {
    match (headers.fragment, headers.later_fragment, headers.ip_version) {
        (true, true, _) => u64::from(headers.ip_bytes),
        (true, false, 6) => 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
