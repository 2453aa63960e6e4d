//! Headers and sizes of packets in memory, as tables of cases.

use super::*;

/// A packet in memory: what the tests have in place of an skb.
struct Bytes<'a> {
    data: &'a [u8],
    length: u32,
    gso: (u32, u32),
}

impl Start for &[u8] {
    fn byte(&self, at: usize) -> u8 {
        self[at]
    }
    fn be16(&self, at: usize) -> u16 {
        assert_eq!(at % 2, 0);
        u16::from_be_bytes([self[at], self[at + 1]])
    }
}

impl<'a> Packet for Bytes<'a> {
    type Start = &'a [u8];
    fn start<const N: usize>(&self) -> Option<&'a [u8]> {
        self.data.get(..N)
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

const TCP_32: [u8; 20] = [
    0x1f, 0x90, 0x01, 0xbb, 0, 0, 0, 9, 0, 0, 0, 0, 0x80, 0x18, 0, 0, 0, 0, 0, 0,
];

/// By the long way; where the short one answers, both must agree.
fn read(data: &[u8]) -> Option<Headers> {
    let packet = Bytes {
        data,
        length: 1500,
        gso: (0, 0),
    };
    let read = headers(&packet);
    if let Some(usual) = usual_headers(&packet) {
        assert_eq!(Some(usual), read);
    }
    read
}

fn is_usual(data: &[u8]) -> bool {
    usual_headers(&Bytes {
        data,
        length: 1500,
        gso: (0, 0),
    })
    .is_some()
}

#[test]
fn the_short_way_takes_the_usual_packets_only() {
    let udp = [0, 53, 0, 54, 0, 0, 0, 0];
    for usual in [
        ipv4(5, 6, 0x4000, &TCP_32),
        ipv4(5, 17, 0, &udp),
        ipv6(6, &TCP_32),
        ipv6(17, &udp),
    ] {
        assert!(is_usual(&usual), "{usual:?}");
    }
    for other in [
        ipv4(6, 6, 0, &TCP_32),
        ipv4(5, 17, 0x2000, &udp),
        ipv4(5, 1, 0, &[8]),
        ipv6(60, &[6, 0]),
    ] {
        assert!(!is_usual(&other), "{other:?}");
    }
}

#[test]
fn headers_of_each_shape() {
    let tcp = read(&ipv4(5, 6, 0x4000, &TCP_32)).unwrap();
    assert_eq!(
        (tcp.source_port, tcp.destination_port, tcp.sequence),
        (8080, 443, 9)
    );
    assert_eq!(
        (
            tcp.ip_bytes,
            tcp.transport_bytes,
            tcp.tcp_flags,
            tcp.fragment
        ),
        (20, 32, 0x18, false)
    );
    let options = read(&ipv4(8, 6, 0, &TCP_32)).unwrap();
    assert_eq!(options.bytes(), 64);
    let udp6 = read(&ipv6(17, &[0, 53, 0, 54, 0, 0, 0, 0])).unwrap();
    assert_eq!(
        (udp6.source_port, udp6.destination_port, udp6.bytes()),
        (53, 54, 48)
    );
    // destination options (8 bytes), then hop-by-hop of 16 bytes, then UDP
    let mut chain = [0u8; 32];
    chain[0] = 0;
    chain[8] = 17;
    chain[9] = 1;
    chain[24..28].copy_from_slice(&[0, 53, 0, 54]);
    let extended = read(&ipv6(60, &chain)).unwrap();
    assert_eq!(
        (extended.protocol, extended.ip_bytes, extended.source_port),
        (17, 64, 53)
    );
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
        let size = size(
            &Bytes {
                data: &[],
                length,
                gso: (gso_size, gso_segs),
            },
            headers.bytes(),
        );
        assert_eq!(
            (
                size.device_bytes,
                size.wire_bytes(),
                size.payload_bytes,
                size.packets
            ),
            (u64::from(length), wire, payload, packets),
            "length {length}, gso {gso_size} x {gso_segs}"
        );
        let cut = size.cut();
        assert_eq!(
            (cut.device_bytes, cut.wire_bytes(), cut.packets),
            (wire, wire, packets)
        );
    }
}
