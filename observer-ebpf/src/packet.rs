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
        matches!(number, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | MOBILITY)
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
    /// `N` bytes at a small constant offset: the fast way, where the headers have their usual length.
    fn fixed<const AT: usize, const N: usize>(&self) -> Option<[u8; N]>;
    /// `N` bytes at any offset.
    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Length of the packet from its IP header on, bytes.
    fn length(&self) -> u32;
    /// Payload bytes of each segment of a GSO bundle; 0 = no bundle.
    fn gso_size(&self) -> u32;
    /// Segments of a GSO bundle; 0 = the kernel did not say (virtio receive).
    fn gso_segs(&self) -> u32;
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

/// Headers of `packet`; `None` where they are cut off or not IP.
#[inline(always)]
pub fn headers<P: Packet>(packet: &P) -> Option<Headers> {
    let [first, _, _, _, _, _, six, seven, _, nine] = packet.fixed::<0, 10>()?;
    match first >> 4 {
        4 => {
            let ip_bytes = u32::from(first & 0x0f) * 4;
            let fragment = u16::from_be_bytes([six, seven]) & 0x3fff;
            let base = Headers {
                ip_version: 4,
                protocol: nine,
                ip_bytes,
                fragment: fragment != 0,
                later_fragment: fragment & 0x1fff != 0,
                ..Headers::default()
            };
            if ip_bytes == 20 {
                transport_fixed::<P, 20>(packet, base)
            } else {
                transport(packet, base)
            }
        }
        6 => {
            let base = Headers { ip_version: 6, protocol: six, ip_bytes: 40, ..Headers::default() };
            if protocol::is_extension(six) {
                transport(packet, extensions(packet, base)?)
            } else {
                transport_fixed::<P, 40>(packet, base)
            }
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
fn transport_fixed<P: Packet, const AT: usize>(packet: &P, headers: Headers) -> Option<Headers> {
    if headers.later_fragment {
        return Some(headers);
    }
    match headers.protocol {
        protocol::TCP => Some(with_tcp(headers, packet.fixed::<AT, 14>()?)),
        protocol::UDP => Some(with_udp(headers, packet.fixed::<AT, 4>()?)),
        protocol::ICMP | protocol::ICMPV6 => Some(with_icmp(headers, packet.fixed::<AT, 1>()?)),
        _ => Some(headers),
    }
}

#[inline(always)]
fn transport<P: Packet>(packet: &P, headers: Headers) -> Option<Headers> {
    if headers.later_fragment {
        return Some(headers);
    }
    match headers.protocol {
        protocol::TCP => Some(with_tcp(headers, packet.at::<14>(headers.ip_bytes)?)),
        protocol::UDP => Some(with_udp(headers, packet.at::<4>(headers.ip_bytes)?)),
        protocol::ICMP | protocol::ICMPV6 => Some(with_icmp(headers, packet.at::<1>(headers.ip_bytes)?)),
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
    Headers { sequence: u32::from(b[0]), ..headers }
}

/// One packet as the counters see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The bundle as it stands, bytes.
    pub device_bytes: u64,
    /// All its segments, each with headers of its own, bytes.
    pub wire_bytes: u64,
    /// Transport payload, bytes.
    pub payload_bytes: u64,
    /// Segments.
    pub packets: u64,
}

/// Sizes of `packet` before and after segmentation: each further segment repeats the IP header with its options or
/// extension headers and the TCP or UDP header; `gso_segs` of 0 with a `gso_size` means "divide yourself".
#[inline(always)]
pub fn size<P: Packet>(packet: &P, headers: &Headers) -> Size {
    let length = packet.length();
    let header_bytes = headers.bytes();
    let payload = length.saturating_sub(header_bytes);
    let gso_size = packet.gso_size();
    let segments = if gso_size == 0 {
        1
    } else {
        match packet.gso_segs() {
            0 => payload.div_ceil(gso_size).max(1),
            segments => segments,
        }
    };
    Size {
        device_bytes: u64::from(length),
        wire_bytes: u64::from(length) + u64::from(segments - 1) * u64::from(header_bytes),
        payload_bytes: u64::from(payload),
        packets: u64::from(segments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet in memory: what the tests have in place of an skb.
    struct Bytes<'a> {
        data: &'a [u8],
        length: u32,
        gso: (u32, u32),
    }

    impl Packet for Bytes<'_> {
        fn fixed<const AT: usize, const N: usize>(&self) -> Option<[u8; N]> {
            self.data.get(AT..AT + N)?.try_into().ok()
        }
        fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
            let at = offset as usize;
            self.data.get(at..at + N)?.try_into().ok()
        }
        fn length(&self) -> u32 {
            self.length
        }
        fn gso_size(&self) -> u32 {
            self.gso.0
        }
        fn gso_segs(&self) -> u32 {
            self.gso.1
        }
    }

    fn ipv4(ihl: u8, protocol: u8, fragment: u16, transport: &[u8]) -> [u8; 96] {
        let mut b = [0; 96];
        b[0] = 0x40 | ihl;
        b[6..8].copy_from_slice(&fragment.to_be_bytes());
        b[9] = protocol;
        let at = usize::from(ihl) * 4;
        b[at..at + transport.len()].copy_from_slice(transport);
        b
    }

    fn ipv6(next: u8, rest: &[u8]) -> [u8; 96] {
        let mut b = [0; 96];
        b[0] = 0x60;
        b[6] = next;
        b[40..40 + rest.len()].copy_from_slice(rest);
        b
    }

    const TCP_32: [u8; 20] = [0x1f, 0x90, 0x01, 0xbb, 0, 0, 0, 9, 0, 0, 0, 0, 0x80, 0x18, 0, 0, 0, 0, 0, 0];

    fn read(data: &[u8]) -> Option<Headers> {
        headers(&Bytes { data, length: 1500, gso: (0, 0) })
    }

    #[test]
    fn headers_of_each_shape() {
        let tcp = read(&ipv4(5, 6, 0x4000, &TCP_32)).unwrap();
        assert_eq!((tcp.source_port, tcp.destination_port, tcp.sequence), (8080, 443, 9));
        assert_eq!((tcp.ip_bytes, tcp.transport_bytes, tcp.tcp_flags, tcp.fragment), (20, 32, 0x18, false));
        let options = read(&ipv4(8, 6, 0, &TCP_32)).unwrap();
        assert_eq!(options.bytes(), 64);
        let udp6 = read(&ipv6(17, &[0, 53, 0, 54, 0, 0, 0, 0])).unwrap();
        assert_eq!((udp6.source_port, udp6.destination_port, udp6.bytes()), (53, 54, 48));
        // destination options (8 bytes), then hop-by-hop of 16 bytes, then UDP
        let mut chain = [0u8; 32];
        chain[0] = 0;
        chain[8] = 17;
        chain[9] = 1;
        chain[24..28].copy_from_slice(&[0, 53, 0, 54]);
        let extended = read(&ipv6(60, &chain)).unwrap();
        assert_eq!((extended.protocol, extended.ip_bytes, extended.source_port), (17, 64, 53));
    }

    #[test]
    fn fragments_of_both_versions() {
        let first = read(&ipv4(5, 17, 0x2000, &[0, 53, 0, 54])).unwrap();
        assert!(first.fragment && !first.later_fragment && first.source_port == 53);
        let later = read(&ipv4(5, 17, 0x00b9, &[0, 53, 0, 54])).unwrap();
        assert!(later.later_fragment && later.source_port == 0 && later.bytes() == 20);
        let later6 = read(&ipv6(44, &[17, 0, 0x05, 0xb0, 0, 0, 0, 0])).unwrap();
        assert!(later6.later_fragment && later6.bytes() == 48 && later6.protocol == 17);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        assert_eq!(read(&[0x45; 8]), None);
        assert_eq!(read(&[0x10; 40]), None);
        assert_eq!(read(&ipv6(60, &[60, 0, 0, 0, 0, 0, 0, 0])[..48]), None);
        assert_eq!(read(&ipv6(6, &TCP_32)[..50]), None);
    }

    #[test]
    fn sizes_on_device_and_wire() {
        let headers = read(&ipv4(5, 6, 0, &TCP_32)).unwrap();
        let cases = [
            // length, gso_size, gso_segs -> wire, payload, packets
            (52, 0, 0, 52, 0, 1),
            (1500, 0, 0, 1500, 1448, 1),
            (52 + 14480, 1448, 10, 52 * 10 + 14480, 14480, 10),
            (52 + 14481, 1448, 0, 52 * 11 + 14481, 14481, 11),
            (52, 1448, 0, 52, 0, 1),
        ];
        for (length, gso_size, gso_segs, wire, payload, packets) in cases {
            let size = size(&Bytes { data: &[], length, gso: (gso_size, gso_segs) }, &headers);
            assert_eq!(
                (size.device_bytes, size.wire_bytes, size.payload_bytes, size.packets),
                (u64::from(length), wire, payload, packets),
                "length {length}, gso {gso_size} x {gso_segs}"
            );
        }
    }
}
