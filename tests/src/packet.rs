//! One captured packet as a compact summary, and the parser that makes it from the first bytes of a frame. It keeps no
//! payload and knows no socket, no device and no clock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::gso::VnetHeader;

/// As the capturing device saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Sent by the device's host; at a pump, by the near host.
    Out,
    In,
}

/// The place of an IP fragment in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub id: u32,
    pub offset_bytes: u16,
    pub more: bool,
}

/// A packet (or a bundle of segments, where segmentation is left to a device) in about 100 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub direction: Direction,
    /// Nanoseconds of the wall clock, as the kernel stamped it.
    pub time_ns: u64,
    /// With link header, as the device counts it.
    pub frame_bytes: u32,
    /// The IP packet with all its headers, once; 0 where it is not IP.
    pub device_bytes: u32,
    /// The IP packets that cross a wire: every segment with its own headers. Equals `device_bytes` unless a bundle.
    pub wire_bytes: u32,
    /// IP packets that cross a wire.
    pub segments: u32,
    /// Bytes behind the transport header (behind the IP headers where there is none).
    pub payload_bytes: u32,
    /// IP header with options or extension headers, once.
    pub network_header_bytes: u16,
    pub transport_header_bytes: u16,
    pub ethertype: u16,
    /// 4, 6, or 0 for a frame without IP.
    pub ip_version: u8,
    /// The transport protocol, behind extension headers.
    pub protocol: u8,
    pub tcp_flags: u8,
    pub icmp_type: u8,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// 0 where the packet has none (ICMP, fragments but the first).
    pub source_port: u16,
    pub destination_port: u16,
    pub seq: u32,
    pub ack: u32,
    pub fragment: Option<Fragment>,
}

/// The first bytes of a frame and what the capture knows besides.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub head: &'a [u8],
    pub frame_bytes: u32,
    pub link_header_bytes: usize,
    pub direction: Direction,
    pub time_ns: u64,
    /// Present when the capture asked for it; says whether the frame is a bundle.
    pub vnet: Option<VnetHeader>,
}

impl Packet {
    /// Summarises a frame. Headers cut off by the capture's snap length read as absent.
    #[must_use]
    pub fn parse(frame: &Frame<'_>) -> Self {
        let mut packet = Self::empty(frame);
        let mut at = frame.link_header_bytes;
        if at > 0 {
            packet.ethertype = be16(frame.head, 12).unwrap_or(0);
            while matches!(packet.ethertype, 0x8100 | 0x88a8) {
                packet.ethertype = be16(frame.head, at + 2).unwrap_or(0);
                at += 4;
            }
        } else {
            packet.ethertype = match frame.head.first().map(|byte| byte >> 4) {
                Some(4) => 0x0800,
                Some(6) => 0x86dd,
                _ => 0,
            };
        }
        let head = frame.head.get(at..).unwrap_or(&[]);
        let transport = match packet.ethertype {
            0x0800 => packet.read_ipv4(head),
            0x86dd => packet.read_ipv6(head, frame.frame_bytes.saturating_sub(at as u32)),
            _ => None,
        };
        if let Some(transport) = transport {
            packet.read_transport(transport);
        }
        let headers =
            u32::from(packet.network_header_bytes) + u32::from(packet.transport_header_bytes);
        packet.payload_bytes = packet.device_bytes.saturating_sub(headers);
        packet.wire_bytes = packet.device_bytes;
        if let Some(vnet) = frame.vnet {
            vnet.expand(&mut packet);
        }
        packet
    }

    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.ip_version != 0 && self.protocol == 6
    }

    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.ip_version != 0 && self.protocol == 17
    }

    /// True when all TCP flags of `mask` that are in `set` are on and the others of `mask` off.
    #[must_use]
    pub fn has_flags(&self, mask: u8, set: u8) -> bool {
        self.is_tcp() && self.tcp_flags & mask == set
    }

    #[must_use]
    pub fn source_socket(&self) -> (IpAddr, u16) {
        (self.source, self.source_port)
    }

    #[must_use]
    pub fn destination_socket(&self) -> (IpAddr, u16) {
        (self.destination, self.destination_port)
    }

    /// True when one end is `port`.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        self.source_port == port || self.destination_port == port
    }

    /// Bytes that exist only because the datagram was fragmented: the IP headers of every fragment but the first, and
    /// IPv6's fragment header in the first too. What a hook saw before fragmentation is the wire less these.
    #[must_use]
    pub fn fragment_header_bytes(&self) -> u32 {
        match self.fragment {
            None => 0,
            Some(Fragment {
                offset_bytes: 0, ..
            }) => match self.ip_version {
                6 => 8,
                _ => 0,
            },
            Some(_) => u32::from(self.network_header_bytes),
        }
    }

    fn empty(frame: &Frame<'_>) -> Self {
        Self {
            direction: frame.direction,
            time_ns: frame.time_ns,
            frame_bytes: frame.frame_bytes,
            device_bytes: 0,
            wire_bytes: 0,
            segments: 1,
            payload_bytes: 0,
            network_header_bytes: 0,
            transport_header_bytes: 0,
            ethertype: 0,
            ip_version: 0,
            protocol: 0,
            tcp_flags: 0,
            icmp_type: 0,
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            source_port: 0,
            destination_port: 0,
            seq: 0,
            ack: 0,
            fragment: None,
        }
    }

    /// Returns what follows the IPv4 header, unless it is the middle of a fragmented datagram.
    fn read_ipv4<'a>(&mut self, head: &'a [u8]) -> Option<&'a [u8]> {
        let first = *head.first()?;
        let header = usize::from(first & 0xf) * 4;
        let flags = be16(head, 6)?;
        self.source = IpAddr::V4(Ipv4Addr::from(array(head, 12)?));
        self.destination = IpAddr::V4(Ipv4Addr::from(array(head, 16)?));
        self.ip_version = 4;
        self.network_header_bytes = header as u16;
        self.device_bytes = u32::from(be16(head, 2)?);
        self.protocol = head[9];
        let (offset_bytes, more) = ((flags & 0x1fff) << 3, flags & 0x2000 != 0);
        if more || offset_bytes > 0 {
            self.fragment = Some(Fragment {
                id: u32::from(be16(head, 4)?),
                offset_bytes,
                more,
            });
        }
        if offset_bytes > 0 {
            None
        } else {
            head.get(header..)
        }
    }

    /// Walks the extension headers; returns what follows them, unless it is the middle of a fragmented datagram.
    fn read_ipv6<'a>(&mut self, head: &'a [u8], packet_bytes: u32) -> Option<&'a [u8]> {
        const HEADER: usize = 40;
        let payload = u32::from(be16(head, 4)?);
        self.source = IpAddr::V6(Ipv6Addr::from(array(head, 8)?));
        self.destination = IpAddr::V6(Ipv6Addr::from(array(head, 24)?));
        self.ip_version = 6;
        // A jumbogram states length 0; the frame then says how long it is.
        self.device_bytes = if payload == 0 {
            packet_bytes
        } else {
            payload + HEADER as u32
        };
        let (mut next, mut at) = (head[6], HEADER);
        loop {
            self.protocol = next;
            self.network_header_bytes = at as u16;
            let length = match next {
                0 | 43 | 60 | 135 => (usize::from(*head.get(at + 1)?) + 1) * 8,
                51 => (usize::from(*head.get(at + 1)?) + 2) * 4,
                44 => 8,
                _ => return head.get(at..),
            };
            if next == 44 {
                let field = be16(head, at + 2)?;
                let fragment = Fragment {
                    id: be32(head, at + 4)?,
                    offset_bytes: field & 0xfff8,
                    more: field & 1 != 0,
                };
                self.fragment = Some(fragment);
                if fragment.offset_bytes > 0 {
                    self.protocol = *head.get(at)?;
                    self.network_header_bytes = (at + length) as u16;
                    return None;
                }
            }
            next = *head.get(at)?;
            at += length;
        }
    }

    fn read_transport(&mut self, head: &[u8]) -> Option<()> {
        match self.protocol {
            6 => {
                self.read_ports(head)?;
                self.transport_header_bytes = u16::from(*head.get(12)? >> 4) * 4;
                (self.seq, self.ack, self.tcp_flags) =
                    (be32(head, 4)?, be32(head, 8)?, *head.get(13)?);
            }
            17 => {
                self.read_ports(head)?;
                self.transport_header_bytes = 8;
            }
            1 | 58 => {
                self.icmp_type = *head.first()?;
                self.transport_header_bytes = 8;
            }
            _ => {}
        }
        Some(())
    }

    fn read_ports(&mut self, head: &[u8]) -> Option<()> {
        (self.source_port, self.destination_port) = (be16(head, 0)?, be16(head, 2)?);
        Some(())
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &[u8], frame_bytes: u32, vnet: Option<VnetHeader>) -> Packet {
        let direction = Direction::Out;
        Packet::parse(&Frame {
            head,
            frame_bytes,
            link_header_bytes: 0,
            direction,
            time_ns: 0,
            vnet,
        })
    }

    fn ipv4(options: usize, total: u16, flags: u16, protocol: u8) -> Vec<u8> {
        let mut head = vec![0; 20 + options];
        head[0] = 0x40 | ((20 + options) / 4) as u8;
        head[2..4].copy_from_slice(&total.to_be_bytes());
        head[6..8].copy_from_slice(&flags.to_be_bytes());
        head[9] = protocol;
        head
    }

    fn tcp(header: u8) -> Vec<u8> {
        let mut head = vec![0; usize::from(header)];
        head[..4].copy_from_slice(&[0x1f, 0x90, 0, 80]);
        head[12] = (header / 4) << 4;
        head[13] = 0x10;
        head
    }

    #[test]
    fn options_and_extension_headers_are_counted_as_headers() {
        let plain = parse(&[ipv4(0, 140, 0, 6), tcp(20)].concat(), 140, None);
        assert_eq!(
            (
                plain.payload_bytes,
                plain.source_port,
                plain.destination_port
            ),
            (100, 8080, 80)
        );
        let options = parse(&[ipv4(40, 192, 0, 6), tcp(32)].concat(), 192, None);
        assert_eq!(
            (
                options.network_header_bytes,
                options.transport_header_bytes,
                options.payload_bytes
            ),
            (60, 32, 100)
        );
        let mut ipv6 = vec![0x60, 0, 0, 0, 0, 48, 60, 64];
        ipv6.extend([0; 32]);
        ipv6.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        let extended = parse(&[ipv6, tcp(20)].concat(), 88, None);
        assert_eq!((extended.protocol, extended.network_header_bytes), (6, 48));
        assert_eq!((extended.device_bytes, extended.payload_bytes), (88, 20));
    }

    #[test]
    fn fragments_know_their_extra_headers() {
        let first = parse(
            &[ipv4(0, 1500, 0x2000, 17), vec![0, 9, 0, 9, 0, 0, 0, 0]].concat(),
            1500,
            None,
        );
        assert_eq!(
            (
                first.fragment_header_bytes(),
                first.payload_bytes,
                first.source_port
            ),
            (0, 1472, 9)
        );
        let second = parse(&[ipv4(0, 520, 185, 17), vec![7; 8]].concat(), 520, None);
        assert_eq!(
            (
                second.fragment_header_bytes(),
                second.payload_bytes,
                second.source_port
            ),
            (20, 500, 0)
        );
        let mut ipv6 = vec![0x60, 0, 0, 0, 0, 58, 44, 64];
        ipv6.extend([0; 32]);
        ipv6.extend([17, 0, 0, 1, 0, 0, 0, 5]);
        let head = [ipv6.clone(), vec![0, 9, 0, 9, 0, 0, 0, 0]].concat();
        assert_eq!(parse(&head, 98, None).fragment_header_bytes(), 8);
        ipv6[42..44].copy_from_slice(&1448_u16.to_be_bytes());
        let later = parse(&ipv6, 98, None);
        assert_eq!(
            (
                later.fragment_header_bytes(),
                later.payload_bytes,
                later.protocol
            ),
            (48, 50, 17)
        );
    }

    #[test]
    fn a_bundle_is_expanded_by_the_headers_of_its_further_segments() {
        let vnet = VnetHeader {
            gso_type: 1,
            gso_size: 1000,
            ..VnetHeader::default()
        };
        let bundle = parse(&[ipv4(0, 2552, 0, 6), tcp(32)].concat(), 2552, Some(vnet));
        assert_eq!(
            (bundle.segments, bundle.wire_bytes, bundle.device_bytes),
            (3, 2552 + 2 * 52, 2552)
        );
        let vnet = VnetHeader {
            gso_type: 5,
            gso_size: 1000,
            ..VnetHeader::default()
        };
        let bundle = parse(
            &[ipv4(0, 3028, 0, 17), vec![0; 8]].concat(),
            3028,
            Some(vnet),
        );
        assert_eq!((bundle.segments, bundle.wire_bytes), (3, 3028 + 2 * 28));
    }
}
