//! What passes from the stage that reads captured bytes to the one that names flows: a capture as it came, what a
//! client's first words say, what a DNS answer says. Holds values only; reads and judges nothing.

use std::net::IpAddr;

use super::{
    flow::{Answer, Endpoint, FlowKey, RemoteKey},
    host_name::HostName,
    names::Protocol,
};

/// Bytes of the closed list ([`observer_ebpf::abi::capture`]) that belong together, of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture<'a> {
    /// Of the socket.
    pub cookie: u64,
    /// `None` where the kernel could not say.
    pub netns_cookie: Option<u64>,
    /// When the packet passed the hook, CLOCK_MONOTONIC.
    pub at_ns: u64,
    pub protocol: Protocol,
    pub local: Endpoint,
    pub remote: Endpoint,
    pub kind: CaptureKind,
    /// Of a further remote of a UDP socket.
    pub further: bool,
    /// More belonged here and was beyond a bound.
    pub cut: bool,
    pub bytes: &'a [u8],
}

impl Capture<'_> {
    /// The flow that it belongs to.
    #[must_use]
    pub const fn flow(&self) -> FlowKey {
        if self.further {
            FlowKey::Remote(RemoteKey {
                cookie: self.cookie,
                local: self.local,
                remote: self.remote,
            })
        } else {
            FlowKey::Socket(self.cookie)
        }
    }
}

/// What the bytes of a capture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureKind {
    /// Bytes of the client's TLS handshake stream from this offset on, without record headers.
    Hello { offset: u32 },
    /// One QUIC Initial packet of the client.
    Quic,
    /// One DNS message.
    Dns,
    /// A part of a stream of DNS messages; `sequence` is TCP's of its first byte.
    DnsStream { sequence: u32 },
    /// Value of a `Host` field.
    Host,
    /// Target of an HTTP CONNECT request.
    Connect,
    /// A SOCKS5 request from its address type on.
    Socks,
    /// Where a request begins, and its method and path.
    Request,
    /// Where requests of HTTP/2 begin, and what is told of their fields.
    Fields,
}

/// One request of a client, as far as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestNote<'a> {
    /// Payload bytes of the flow before it, sent and received.
    pub begins: [u64; 2],
    /// What was answered before it.
    pub answer: Answer,
    pub what: RequestWhat<'a>,
}

/// Which request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestWhat<'a> {
    Line {
        method: &'a str,
        /// Up to `?`.
        path: &'a str,
        /// More of the path followed.
        is_cut: bool,
    },
    /// The kernel half knows it by this number, and has kept the line.
    Known(u32),
}

/// What is told of field blocks of HTTP/2 (RFC 7541), and of what is sent between them, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldPart<'a> {
    /// A block begins.
    Block {
        /// How many there were before it on this connection, and gaps.
        number: u32,
        stream: u32,
    },
    /// A field by its index; that of a field which is neither method nor path may be left out.
    Indexed(u16),
    Path(FieldText<'a>),
    Method(FieldText<'a>),
    /// Another field was put into the table.
    Insert,
    /// The block ends.
    End,
    /// Blocks may have passed unseen.
    Lost,
    /// DATA frames (RFC 9113, section 6.1) of a stream.
    Data {
        stream: u32,
        /// Bytes of the frames, with their headers.
        bytes: u32,
    },
}

/// Value of a field that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldText<'a> {
    /// Up to `?`; `None` where it is none.
    pub text: Option<&'a str>,
    /// More of it followed.
    pub is_cut: bool,
    /// It was put into the table.
    pub is_inserted: bool,
}

/// What a client said at the start of a connection of whom it wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub by: AskedBy,
    /// `None` where the words name nobody.
    pub server_name: Option<HostName>,
    /// Where the words name an address instead: an IP literal.
    pub address: Option<IpAddr>,
    /// Application protocols that the client offers (RFC 7301), at most [`ALPN_MAX`], in its order.
    pub alpn: Vec<Box<[u8]>>,
    pub ech: Ech,
    /// Highest TLS version that the client offers, as on the wire (0x0303, 0x0304); `None` outside TLS.
    pub tls_version: Option<u16>,
}

/// Application protocols that are kept of one hello.
pub const ALPN_MAX: usize = 8;

/// By which words a client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskedBy {
    TlsHello,
    QuicHello,
    /// The `Host` of a plain request.
    Host,
    /// A proxy was asked to connect (HTTP CONNECT).
    Connect,
    /// A proxy was asked to connect (SOCKS5).
    Socks,
    /// Nobody on this host asked: a person gives the name.
    Given,
}

/// Whether a hello has the extension of Encrypted Client Hello (RFC 9849). On the wire the grease of a client that has no
/// key looks like the real one; whether the outer name is one under which keys are published tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ech {
    #[default]
    Absent,
    /// The extension is there: the name is that of the server whose key was used, or all of it is grease.
    Outer,
}

/// What one DNS message answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The name that was asked for.
    pub question: HostName,
    /// Addresses at the end of the chain of aliases that starts at the question, at most [`ADDRESSES_MAX`], with the
    /// smallest time to live along the chain, seconds. Hints of HTTPS records (RFC 9460) are among them.
    pub addresses: Vec<(IpAddr, u32)>,
    /// The aliases in order, without the question; at most [`ALIASES_MAX`].
    pub aliases: Vec<HostName>,
    /// Public names of the keys for Encrypted Client Hello that the answer publishes.
    pub ech_public_names: Vec<HostName>,
    /// Addresses or aliases were beyond a bound and were left out.
    pub cut: bool,
}

/// Addresses that are kept of one answer.
pub const ADDRESSES_MAX: usize = 64;
/// Aliases that are followed in one answer.
pub const ALIASES_MAX: usize = 16;
