//! The bytes of packets that the kernel half hands over so that a flow can be named. This is the closed list: TLS
//! handshake bytes, QUIC Initial packets, DNS answers, the target that a proxy was told, the `Host` of a plain request, method
//! and path of a request up to the first space or `?`; of other fields of HTTP/2 representation, index and lengths. Nothing else of
//! a payload leaves the kernel.

use core::mem::size_of;

/// Bytes of data in one hand-over at the most; what is longer comes in several.
pub const CHUNK_BYTES: usize = 2_048;
/// Bytes of a connection's sent stream in which a client's hello, a proxy's target or a `Host` is looked for.
pub const LOOK_BYTES_MAX: u32 = 16 << 10;
/// Sent datagrams of one flow in which a QUIC Initial is looked for.
pub const INITIALS_MAX: u64 = 16;
/// Bytes of the ring that carries hand-overs.
pub const CAPTURES_BYTES: u32 = 1 << 20;
/// Connections whose hello has begun in one packet and goes on in another, at the same time. LRU: who falls out has a
/// hello with a hole, and is counted as truncated.
pub const PENDING_MAX: u32 = 4_096;

/// [`Head::kind`]: bytes of the client's TLS handshake stream, the headers of the records (type 22) taken off.
/// [`Head::offset`] counts from the first byte of the first handshake message.
pub const HELLO: u8 = 1;
/// [`Head::kind`]: one sent QUIC Initial packet as it is on the wire, without what is coalesced behind it.
pub const QUIC: u8 = 2;
/// [`Head::kind`]: one received DNS message over UDP.
pub const DNS: u8 = 3;
/// [`Head::kind`]: received payload of a TCP connection to port 53. [`Head::offset`] is the sequence number of its first
/// byte.
pub const DNS_STREAM: u8 = 4;
/// [`Head::kind`]: value of the `Host` field of the first plain HTTP request, without the white space around it.
pub const HOST: u8 = 5;
/// [`Head::kind`]: target of an HTTP CONNECT request (`host:port`, RFC 9110, section 9.3.6).
pub const CONNECT: u8 = 6;
/// [`Head::kind`]: a SOCKS5 request from its address type on: ATYP, DST.ADDR, DST.PORT (RFC 1928, section 4).
pub const SOCKS: u8 = 7;

/// [`Head::kind`]: a [`Boundary`](super::request::Boundary), and behind it method, space and path of a request.
pub const REQUEST: u8 = 8;
/// [`Head::kind`]: a [`Boundary`](super::request::Boundary), and behind it [parts](super::http2::part) of field blocks of HTTP/2.
pub const FIELDS: u8 = 9;

/// [`Head::flags`]: more of this hand-over's unit belonged here, and was beyond a bound.
pub const CUT: u8 = 1;
/// [`Head::flags`]: of a further remote of a UDP socket, whose flow is in the table of those, and not of the socket's own.
pub const FURTHER: u8 = 2;

/// What stands before the data of one hand-over; `bytes` of data follow it in the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Cookie of the socket.
    pub cookie: u64,
    /// Cookie of its network namespace; 0 = not known.
    pub netns_cookie: u64,
    /// When the packet passed the hook, CLOCK_MONOTONIC ns.
    pub at_ns: u64,
    /// Network byte order; IPv4 as ::ffff:a.b.c.d.
    pub local_address: [u8; 16],
    /// Network byte order; IPv4 as ::ffff:a.b.c.d.
    pub remote_address: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    pub kind: u8,
    /// 6 = TCP, 17 = UDP.
    pub protocol: u8,
    pub flags: u8,
    pub _pad: u8,
    /// See the kinds.
    pub offset: u32,
    /// Bytes of data behind this head, up to [`CHUNK_BYTES`].
    pub bytes: u32,
}

const _: () = assert!(size_of::<Head>() == 72);
