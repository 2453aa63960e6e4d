//! Headers of any bytes: both ways of reading agree, sizes add up, and what a packet adds to its flow is no more than the
//! packet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_ebpf::{
    account::{Received, Sender, Sent, fragment_bytes, home_at_uplink, tcp_received, tcp_sent},
    packet::{Headers, Packet, Size, Start, headers, protocol, size, usual_headers},
};

/// A packet in memory. As in an skb, its length is not that of the bytes in one piece.
struct Bytes<'a> {
    linear: &'a [u8],
    all: &'a [u8],
    gso_size: u32,
    gso_segs: u32,
}

struct Linear<'a>(&'a [u8]);

impl Start for Linear<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0[at]
    }

    fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }
}

impl<'a> Packet for Bytes<'a> {
    type Start = Linear<'a>;

    fn start<const N: usize>(&self) -> Option<Linear<'a>> {
        // No longer than was checked: a read beyond it is a finding.
        self.linear.get(..N).map(Linear)
    }

    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.all.get(offset as usize..)?.first_chunk().copied()
    }

    fn length(&self) -> u32 {
        self.all.len() as u32
    }

    fn gso_size(&self) -> u32 {
        self.gso_size
    }

    fn gso_segs(&self) -> u32 {
        self.gso_segs
    }
}

fuzz_target!(|data: &[u8]| {
    // gso_size 2, gso_segs 2, linear bytes 1, the packet
    let Some(([a, b, c, d, linear], packet)) = data.split_first_chunk::<5>() else {
        return;
    };
    let packet = Bytes {
        linear: &packet[..packet.len().min(usize::from(*linear))],
        all: packet,
        gso_size: u16::from_be_bytes([*a, *b]).into(),
        gso_segs: u16::from_be_bytes([*c, *d]).into(),
    };
    let read = headers(&packet);
    if let Some(usual) = usual_headers(&packet) {
        assert_eq!(Some(usual), read, "the short way and the long one");
    }
    let headers = read.unwrap_or_default();
    let size = size(&packet, headers.bytes());
    sizes_add_up(&packet, &headers, &size);
    counts_are_bounded(&headers, &size);
});

fn sizes_add_up(packet: &Bytes<'_>, headers: &Headers, size: &Size) {
    let further = size.packets - 1;
    assert_eq!(size.device_bytes, u64::from(packet.length()));
    assert_eq!(size.bundled_bytes, further * u64::from(headers.bytes()));
    assert_eq!(size.wire_bytes(), size.device_bytes + size.bundled_bytes);
    assert!(size.payload_bytes <= size.device_bytes);
    assert!(packet.gso_size() != 0 || further == 0);
    assert_eq!(size.cut().device_bytes, size.wire_bytes());
    assert!(fragment_bytes(headers) <= u64::from(headers.ip_bytes));
    assert!(!headers.later_fragment || headers.fragment);
    let _ = home_at_uplink(Sender::None { forwarded: false }, headers);
}

fn counts_are_bounded(headers: &Headers, size: &Size) {
    if headers.protocol != protocol::TCP {
        return;
    }
    let mut sent = Sent::default();
    // The packet, the packet again, and the packet as one that begins a byte earlier.
    for (sequence, repeated) in [(0, false), (0, true), (u32::MAX, true)] {
        let headers = Headers {
            sequence: headers.sequence.wrapping_add(sequence),
            ..*headers
        };
        let (next, bytes) = tcp_sent(sent, &headers, size, || 7, || None);
        assert!(bytes.payload_bytes <= size.payload_bytes);
        assert!(bytes.retransmitted_wire_bytes <= size.wire_bytes().max(size.payload_bytes + 2));
        assert!(!repeated || bytes.payload_bytes == 0, "counted twice");
        sent = next;
    }
    tcp_received(Received::default(), headers, size, || 9);
}
