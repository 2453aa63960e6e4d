//! One flow as the kernel hands it over: who it is, who owns it, what it has counted so far. Knows no difference to
//! an earlier reading and no identity of the remote.

use core::fmt;
use std::{borrow::Cow, net::IpAddr};

use observer_ebpf::abi::{self, flag};
use serde::{Serialize, Serializer};

use super::{
    counters::Counters,
    names::{Initiator, Outcome, OwnerBasis, OwnerMissing, Protocol},
};

/// Everything known of one flow at one reading; the counters are totals since the flow's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowTotals {
    pub key: FlowKey,
    pub counters: Counters,
    pub protocol: Protocol,
    /// Version of the packets, 4 or 6; `None` before the first packet.
    pub ip_version: Option<u8>,
    /// `None` while the kernel has not filled in the socket's identity.
    pub local: Option<Endpoint>,
    /// `None` while the kernel has not filled in the socket's identity.
    pub remote: Option<Endpoint>,
    pub initiator: Initiator,
    pub flags: FlowFlags,
    /// First call or packet seen, CLOCK_MONOTONIC; written once by the kernel half.
    pub start_ns: u64,
    /// `None` where the kernel could not say.
    pub netns_cookie: Option<u64>,
    pub netns_inode: Option<u32>,
    pub cgroup_id: Option<u64>,
    /// Who owns the socket, or why that is not known.
    pub owner: Result<Owner, OwnerMissing>,
    /// Interface of the last packet, per direction; 0 = none yet.
    pub ifindex: [u32; 2],
    /// Tag set of the remote address in the kernel's address table.
    pub tag: u32,
    pub timing: Timing,
    /// Times that the client spoke again after it was answered.
    pub turns: u32,
}

impl FlowTotals {
    /// Both readings as one: counters by their maximum, flags together, everything else from the reading that has
    /// counted more.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let counters = self.counters.highest(&other.counters);
        let flags = FlowFlags(self.flags.0 | other.flags.0);
        let newer = if self.counters.any_below(&other.counters) {
            other
        } else {
            self
        };
        Self {
            counters,
            flags,
            owner: newer.owner.or(self.owner).or(other.owner),
            ..newer
        }
    }
}

/// What tells one flow from another while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowKey {
    /// A TCP flow, or a UDP socket with its first remote: one a socket cookie.
    Socket(u64),
    /// A further remote of a UDP socket.
    Remote(RemoteKey),
}

impl FlowKey {
    /// Cookie of the socket.
    #[must_use]
    pub const fn cookie(&self) -> u64 {
        match self {
            Self::Socket(cookie) => *cookie,
            Self::Remote(remote) => remote.cookie,
        }
    }
}

/// One remote of a UDP socket that talks to several; the key of the kernel's table of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteKey {
    pub cookie: u64,
    pub local: Endpoint,
    pub remote: Endpoint,
}

impl From<&RemoteKey> for abi::UdpKey {
    fn from(key: &RemoteKey) -> Self {
        Self {
            cookie: key.cookie,
            local_address: key.local.mapped(),
            remote_address: key.remote.mapped(),
            local_port: key.local.port,
            remote_port: key.remote.port,
            _pad: 0,
        }
    }
}

/// An address and a port, host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: u16,
}

/// The remote ends of a flow that this host translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Whom the socket talks to.
    pub target: Endpoint,
    /// Who answers, or who really asked.
    pub peer: Endpoint,
}

impl Endpoint {
    /// The address in the IPv6 space, IPv4 as ::ffff:a.b.c.d, network byte order.
    #[must_use]
    pub const fn mapped(&self) -> [u8; 16] {
        match self.address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    pub uid: u32,
    pub comm: Comm,
    /// Which life of the pid, see [`abi::note::Note::process`]; 0 = not known.
    pub process: u32,
    pub basis: OwnerBasis,
}

/// A task's name, as the kernel keeps it: up to 16 bytes, ended by NUL, in no declared encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// The name up to the first NUL; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.0.len());
        String::from_utf8_lossy(self.0.get(..end).unwrap_or_default())
    }
}

/// Microseconds; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    pub connect_us: Option<u32>,
    pub rtt_us: Option<u32>,
    pub min_rtt_us: Option<u32>,
    /// Of the latest answer, as this and the next two.
    pub first_byte_us: Option<u32>,
    pub last_byte_us: Option<u32>,
    pub chunk_gap_us: Option<u32>,
    /// The answer before it.
    pub before: Answer,
}

/// Times of one answer, from the last byte of its request on. Microseconds; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub first_byte_us: Option<u32>,
    pub last_byte_us: Option<u32>,
    /// The longest pause in it.
    pub chunk_gap_us: Option<u32>,
}

impl Timing {
    /// The latest answer.
    #[must_use]
    pub const fn answer(&self) -> Answer {
        Answer {
            first_byte_us: self.first_byte_us,
            last_byte_us: self.last_byte_us,
            chunk_gap_us: self.chunk_gap_us,
        }
    }

    /// Another answer is the latest.
    pub const fn put_answer(&mut self, answer: Answer) {
        self.first_byte_us = answer.first_byte_us;
        self.last_byte_us = answer.last_byte_us;
        self.chunk_gap_us = answer.chunk_gap_us;
    }
}

/// Bits of [`abi::flag`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowFlags(pub u32);

impl FlowFlags {
    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    /// How the flow stands. The reason of a failed connection attempt is inferred where no RST says it: the kernel
    /// half sees neither the ICMP error nor the error code that the application got.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        if self.has(flag::CONNECT_FAILED) {
            return if self.has(flag::RESET_IN) {
                Outcome::Refused
            } else if self.has(flag::GIVEN_UP) {
                Outcome::Closed
            } else if self.has(flag::SYN_RETRIED) {
                Outcome::Timeout
            } else {
                Outcome::Unreachable
            };
        }
        if self.has(flag::CLOSED) && (self.has(flag::RESET_IN) || self.has(flag::RESET_OUT)) {
            Outcome::Reset
        } else if self.has(flag::CLOSED) || self.has(flag::RELEASED) {
            Outcome::Closed
        } else {
            Outcome::Open
        }
    }

    /// Whether the kernel has nothing more to count for a flow of `protocol`: no process holds the socket, and TCP
    /// has reached CLOSE (an orphan goes on sending, a socket still held may connect again).
    #[must_use]
    pub const fn is_final(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.has(flag::RELEASED | flag::CLOSED),
            Protocol::Udp => self.has(flag::RELEASED),
        }
    }
}

/// Names one flow for ever: the same over restarts of the agent, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub [u8; 16]);

impl FlowId {
    /// Reads 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32
            || !digits
                .iter()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        u128::from_str_radix(text, 16)
            .ok()
            .map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FlowId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_follows_from_the_flags() {
        use flag::{
            CLOSED, CONNECT_FAILED, ESTABLISHED, GIVEN_UP, RELEASED, RESET_IN, RESET_OUT,
            SYN_RETRIED,
        };
        let cases = [
            (0, Outcome::Open),
            (ESTABLISHED, Outcome::Open),
            (ESTABLISHED | RESET_IN, Outcome::Open),
            (ESTABLISHED | RELEASED, Outcome::Closed),
            (ESTABLISHED | CLOSED, Outcome::Closed),
            (ESTABLISHED | CLOSED | RESET_IN, Outcome::Reset),
            (ESTABLISHED | CLOSED | RELEASED | RESET_OUT, Outcome::Reset),
            (CLOSED | CONNECT_FAILED | RESET_IN, Outcome::Refused),
            (
                CLOSED | CONNECT_FAILED | RESET_IN | SYN_RETRIED,
                Outcome::Refused,
            ),
            (
                CLOSED | CONNECT_FAILED | GIVEN_UP | SYN_RETRIED,
                Outcome::Closed,
            ),
            (CLOSED | CONNECT_FAILED | SYN_RETRIED, Outcome::Timeout),
            (CLOSED | CONNECT_FAILED, Outcome::Unreachable),
        ];
        for (flags, outcome) in cases {
            assert_eq!(FlowFlags(flags).outcome(), outcome, "{flags:#x}");
        }
    }

    #[test]
    fn a_flow_is_final_when_nothing_can_follow() {
        let cases = [
            (flag::CLOSED, Protocol::Tcp, false),
            (flag::RELEASED, Protocol::Tcp, false),
            (flag::RELEASED | flag::CLOSED, Protocol::Tcp, true),
            (flag::RELEASED, Protocol::Udp, true),
        ];
        for (flags, protocol, is_final) in cases {
            assert_eq!(
                FlowFlags(flags).is_final(protocol),
                is_final,
                "{flags:#x} {protocol:?}"
            );
        }
    }

    #[test]
    fn comm_ends_at_nul_and_keeps_foreign_bytes_visible() {
        let cases: [(&[u8; 16], &str); 4] = [
            (b"curl\0\0\0\0garbage\0", "curl"),
            (b"sixteen-bytes-ab", "sixteen-bytes-ab"),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", ""),
            (b"a\xffb\0\0\0\0\0\0\0\0\0\0\0\0\0", "a\u{fffd}b"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Comm(*bytes).to_text(), text);
        }
    }

    #[test]
    fn flow_ids_read_back() {
        let id = FlowId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(FlowId::parse(&id.to_string()), Some(id));
        for wrong in [
            "",
            "0",
            "000102030405060708090A0B0C0D0EFF",
            "+00102030405060708090a0b0c0d0eff",
        ] {
            assert_eq!(FlowId::parse(wrong), None, "{wrong}");
        }
    }
}
