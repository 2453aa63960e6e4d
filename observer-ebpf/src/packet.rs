//! Reads the headers of one IP packet, however its bytes are reached, and says how many segments it becomes on the
//! wire. Knows no socket and no counter.

/// IANA protocol numbers used here.
pub mod protocol {
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    const MOBILITY: u8 = 135;

    /// IPv6 headers that stand between the fixed header and the transport (RFC 8200, section 4).
    #[inline(always)]
    #[must_use]
    pub const fn is_extension(number: u8) -> bool {
        matches!(
            number,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | MOBILITY
        )
    }

    /// The fragment header has no length field; it is 8 bytes.
    #[inline(always)]
    #[must_use]
    pub const fn is_fragment(number: u8) -> bool {
        number == FRAGMENT
    }
}

/// Bits of the TCP flags byte (RFC 9293).
pub mod tcp_flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// Extension headers followed before a packet counts as unreadable.
pub const EXTENSIONS_MAX: usize = 6;

/// Bytes of a packet, counted from its IP header.
pub trait Packet {
    /// The first bytes, checked once and then read at constant offsets.
    type Start: Start;
    /// The first `N` bytes, where they lie in one piece.
    fn start<const N: usize>(&self) -> Option<Self::Start>;
    /// `N` bytes at any offset.
    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Length of the packet from its IP header on, bytes.
    fn length(&self) -> u32;
    /// Payload bytes of each segment of a GSO bundle; 0 = no bundle.
    fn gso_size(&self) -> u32;
    /// Segments of a GSO bundle; 0 = the kernel did not say (virtio receive).
    fn gso_segs(&self) -> u32;
}

/// The checked start of a packet. Offsets are below the `N` it was checked for; 16-bit reads are at even offsets.
pub trait Start {
    fn byte(&self, at: usize) -> u8;
    /// Big-endian.
    fn be16(&self, at: usize) -> u16;
    /// Big-endian.
    #[inline(always)]
    fn be32(&self, at: usize) -> u32 {
        u32::from(self.be16(at)) << 16 | u32::from(self.be16(at + 2))
    }
}

/// What the counting needs of the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// 4 or 6.
    pub ip_version: u8,
    /// Transport protocol, behind all extension headers.
    pub protocol: u8,
    /// TCP flags; 0 for anything else.
    pub tcp_flags: u8,
    /// Not the first fragment: no transport header is here.
    pub later_fragment: bool,
    /// A fragment, first or later.
    pub fragment: bool,
    /// IP header with options or extension headers, bytes.
    pub ip_bytes: u32,
    /// TCP or UDP header, bytes; 0 for anything else.
    pub transport_bytes: u32,
    /// Host byte order; 0 without ports.
    pub source_port: u16,
    /// Host byte order; 0 without ports.
    pub destination_port: u16,
    /// TCP sequence number; for ICMP the type.
    pub sequence: u32,
}

impl Headers {
    /// Bytes every further segment repeats.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.ip_bytes + self.transport_bytes
    }
}

/// Headers of a packet whose IP header has the usual length, no fragment, TCP or UDP: nearly all of them. `None` = see
/// [`headers`].
#[inline(always)]
pub fn usual_headers<P: Packet>(packet: &P) -> Option<Headers> {
    const UDP4: usize = 20 + 8;
    const TCP4: usize = 20 + 14;
    const UDP6: usize = 40 + 8;
    const TCP6: usize = 40 + 14;
    let start = packet.start::<UDP4>()?;
    match start.byte(0) {
        0x45 if start.be16(6) & 0x3fff == 0 => match start.byte(9) {
            protocol::TCP => Some(tcp_at::<_, 20>(&packet.start::<TCP4>()?, 4)),
            protocol::UDP => Some(udp_at::<_, 20>(&start, 4)),
            _ => None,
        },
        first if first >> 4 == 6 => match start.byte(6) {
            protocol::TCP => Some(tcp_at::<_, 40>(&packet.start::<TCP6>()?, 6)),
            protocol::UDP => Some(udp_at::<_, 40>(&packet.start::<UDP6>()?, 6)),
            _ => None,
        },
        _ => None,
    }
}

#[inline(always)]
fn tcp_at<S: Start, const AT: usize>(start: &S, ip_version: u8) -> Headers {
    let offset_and_flags = start.be16(AT + 12);
    Headers {
        ip_version,
        protocol: protocol::TCP,
        tcp_flags: offset_and_flags as u8,
        ip_bytes: AT as u32,
        transport_bytes: u32::from(offset_and_flags >> 12) * 4,
        source_port: start.be16(AT),
        destination_port: start.be16(AT + 2),
        sequence: start.be32(AT + 4),
        ..Headers::default()
    }
}

#[inline(always)]
fn udp_at<S: Start, const AT: usize>(start: &S, ip_version: u8) -> Headers {
    Headers {
        ip_version,
        protocol: protocol::UDP,
        ip_bytes: AT as u32,
        transport_bytes: 8,
        source_port: start.be16(AT),
        destination_port: start.be16(AT + 2),
        ..Headers::default()
    }
}

/// Headers of any packet; `None` where they are cut off or not IP.
#[inline(always)]
pub fn headers<P: Packet>(packet: &P) -> Option<Headers> {
    let [first, _, _, _, _, _, six, seven, _, nine] = packet.at::<10>(0)?;
    match first >> 4 {
        4 => {
            let fragment = u16::from_be_bytes([six, seven]) & 0x3fff;
            let base = Headers {
                ip_version: 4,
                protocol: nine,
                ip_bytes: u32::from(first & 0x0f) * 4,
                fragment: fragment != 0,
                later_fragment: fragment & 0x1fff != 0,
                ..Headers::default()
            };
            transport(packet, base)
        }
        6 => {
            let base = Headers {
                ip_version: 6,
                protocol: six,
                ip_bytes: 40,
                ..Headers::default()
            };
            transport(packet, extensions(packet, base)?)
        }
        _ => None,
    }
}

#[inline(always)]
fn extensions<P: Packet>(packet: &P, mut headers: Headers) -> Option<Headers> {
    for _ in 0..EXTENSIONS_MAX {
        if !protocol::is_extension(headers.protocol) {
            return Some(headers);
        }
        let [next, length, offset_high, offset_low] = packet.at::<4>(headers.ip_bytes)?;
        if protocol::is_fragment(headers.protocol) {
            headers.fragment = true;
            headers.later_fragment = u16::from_be_bytes([offset_high, offset_low]) & 0xfff8 != 0;
            headers.ip_bytes += 8;
            headers.protocol = next;
            if headers.later_fragment {
                return Some(headers);
            }
        } else {
            headers.ip_bytes += (u32::from(length) + 1) * 8;
            headers.protocol = next;
        }
    }
    (!protocol::is_extension(headers.protocol)).then_some(headers)
}

#[inline(always)]
fn transport<P: Packet>(packet: &P, headers: Headers) -> Option<Headers> {
    if headers.later_fragment {
        return Some(headers);
    }
    match headers.protocol {
        protocol::TCP => Some(with_tcp(headers, packet.at::<14>(headers.ip_bytes)?)),
        protocol::UDP => Some(with_udp(headers, packet.at::<4>(headers.ip_bytes)?)),
        protocol::ICMP | protocol::ICMPV6 => {
            Some(with_icmp(headers, packet.at::<1>(headers.ip_bytes)?))
        }
        _ => Some(headers),
    }
}

#[inline(always)]
fn with_tcp(headers: Headers, b: [u8; 14]) -> Headers {
    Headers {
        source_port: u16::from_be_bytes([b[0], b[1]]),
        destination_port: u16::from_be_bytes([b[2], b[3]]),
        sequence: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
        transport_bytes: u32::from(b[12] >> 4) * 4,
        tcp_flags: b[13],
        ..headers
    }
}

#[inline(always)]
fn with_udp(headers: Headers, b: [u8; 4]) -> Headers {
    Headers {
        source_port: u16::from_be_bytes([b[0], b[1]]),
        destination_port: u16::from_be_bytes([b[2], b[3]]),
        transport_bytes: 8,
        ..headers
    }
}

#[inline(always)]
fn with_icmp(headers: Headers, b: [u8; 1]) -> Headers {
    Headers {
        sequence: u32::from(b[0]),
        ..headers
    }
}

/// One packet as the counters see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The bundle as it stands, bytes.
    pub device_bytes: u64,
    /// What its further segments' headers add to that on the wire, bytes.
    pub bundled_bytes: u64,
    /// Transport payload, bytes.
    pub payload_bytes: u64,
    /// Segments.
    pub packets: u64,
}

impl Size {
    /// All segments, each with headers of its own, bytes.
    #[inline(always)]
    #[must_use]
    pub const fn wire_bytes(&self) -> u64 {
        self.device_bytes + self.bundled_bytes
    }

    /// The same packets where the bundle is cut before the device: it is handed each segment with headers of its own.
    #[inline(always)]
    #[must_use]
    pub const fn cut(self) -> Self {
        Self {
            device_bytes: self.wire_bytes(),
            bundled_bytes: 0,
            ..self
        }
    }
}

/// Sizes of `packet` before and after segmentation: each further segment repeats the IP header with its options or
/// extension headers and the TCP or UDP header; `gso_segs` of 0 with a `gso_size` means "divide yourself".
#[inline(always)]
pub fn size<P: Packet>(packet: &P, header_bytes: u32) -> Size {
    let length = packet.length();
    let payload = length.saturating_sub(header_bytes);
    let gso_size = packet.gso_size();
    let further = if gso_size == 0 {
        0
    } else {
        let segments = match packet.gso_segs() {
            0 => payload.div_ceil(gso_size),
            segments => segments,
        };
        segments.saturating_sub(1)
    };
    Size {
        device_bytes: u64::from(length),
        bundled_bytes: u64::from(further) * u64::from(header_bytes),
        payload_bytes: u64::from(payload),
        packets: u64::from(further) + 1,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
