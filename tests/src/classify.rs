//! Names for the parts that make up a capture: handshake, data, closing, noise. It judges by the packets alone, as
//! they followed each other, and knows no kernel.

use std::collections::{BTreeMap, HashMap};

use crate::{
    capture::Totals,
    packet::{Direction, Packet},
};

/// What a packet is there for. Each packet is in exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Arp,
    NeighborDiscovery,
    Mld,
    Icmp,
    Syn,
    SynAck,
    /// The first segment without payload that answers a SYN-ACK.
    HandshakeAck,
    /// TCP with payload, FIN or not, sent the first time.
    Data,
    /// TCP whose sequence range was captured before: sent again. SYN, SYN-ACK and FIN too.
    Retransmission,
    /// A FIN without payload.
    Fin,
    /// An acknowledgement without payload.
    Ack,
    /// An acknowledgement without payload from an end that has sent and seen a FIN: the last one, time-wait's too.
    ClosingAck,
    Rst,
    Udp,
    /// A fragment that is not the first.
    LaterFragment,
    OtherIp,
    NonIp,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The class of each packet, in order.
#[must_use]
pub fn classes(packets: &[Packet]) -> Vec<Class> {
    let mut halves = HashMap::new();
    packets
        .iter()
        .map(|packet| class(packet, &mut halves))
        .collect()
}

/// What each class sums up to; classes that did not occur are absent.
#[must_use]
pub fn breakdown(packets: &[Packet]) -> BTreeMap<Class, Totals> {
    let mut sums = BTreeMap::<Class, Totals>::new();
    for (packet, class) in packets.iter().zip(classes(packets)) {
        sums.entry(class).or_default().add(packet);
    }
    sums
}

/// TCP payload that crossed in `direction`, each byte once however often and in whatever order it came: what the
/// applications gave, once all of it has crossed. Judged by sequence numbers.
#[must_use]
pub fn payload_bytes_once(packets: &[Packet], direction: Direction) -> u64 {
    let mut streams = HashMap::<(Socket, Socket), Vec<Stream>>::new();
    let of_direction = packets
        .iter()
        .filter(|packet| packet.direction == direction && packet.is_tcp());
    for packet in of_direction {
        let is_syn = packet.tcp_flags & SYN != 0;
        // A SYN takes one number.
        let seq = packet.seq.wrapping_add(u32::from(is_syn));
        let flow = (packet.source_socket(), packet.destination_socket());
        let streams = streams.entry(flow).or_default();
        // A port used again starts a new stream, unless it is the same SYN once more.
        match streams.last_mut() {
            Some(stream) if !is_syn || stream.first_seq == seq => {
                stream.add(seq, packet.payload_bytes);
            }
            _ => streams.push(Stream::begin(seq, packet.payload_bytes)),
        }
    }
    streams
        .into_values()
        .flatten()
        .map(Stream::covered_bytes)
        .sum()
}

/// The parts of one TCP byte stream that were seen, as offsets from the first sequence number seen.
struct Stream {
    first_seq: u32,
    last: (u32, i64),
    parts: Vec<(i64, i64)>,
}

impl Stream {
    fn begin(seq: u32, bytes: u32) -> Self {
        Self {
            first_seq: seq,
            last: (seq, 0),
            parts: vec![(0, i64::from(bytes))],
        }
    }

    fn add(&mut self, seq: u32, bytes: u32) {
        // Sequence numbers wrap; two packets in a row are never 2 GiB apart.
        let (last_seq, last_offset) = self.last;
        let offset = last_offset + i64::from(seq.wrapping_sub(last_seq).cast_signed());
        self.last = (seq, offset);
        if bytes > 0 {
            self.parts.push((offset, offset + i64::from(bytes)));
        }
    }

    fn covered_bytes(mut self) -> u64 {
        self.parts.sort_unstable();
        let (mut bytes, mut covered_to) = (0, i64::MIN);
        for (start, end) in self.parts {
            bytes += (end - start.max(covered_to)).max(0).cast_unsigned();
            covered_to = covered_to.max(end);
        }
        bytes
    }
}

/// One direction of a TCP connection.
#[derive(Default)]
struct Half {
    /// One past the highest sequence number seen.
    end_seq: Option<u32>,
    sent_fin: bool,
    sent_syn_ack: bool,
    sent_syn: bool,
    completed: bool,
}

type Socket = (std::net::IpAddr, u16);

fn class(packet: &Packet, halves: &mut HashMap<(Socket, Socket), Half>) -> Class {
    match (
        packet.ip_version,
        packet.ethertype,
        packet.protocol,
        packet.icmp_type,
    ) {
        (0, 0x0806, _, _) => Class::Arp,
        (0, ..) => Class::NonIp,
        _ if packet
            .fragment
            .is_some_and(|fragment| fragment.offset_bytes > 0) =>
        {
            Class::LaterFragment
        }
        (_, _, 6, _) => tcp_class(packet, halves),
        (_, _, 17, _) => Class::Udp,
        (_, _, 58, 130..=132 | 143) => Class::Mld,
        (_, _, 58, 133..=137) => Class::NeighborDiscovery,
        (_, _, 1 | 58, _) => Class::Icmp,
        _ => Class::OtherIp,
    }
}

fn tcp_class(packet: &Packet, halves: &mut HashMap<(Socket, Socket), Half>) -> Class {
    let (from, to) = (packet.source_socket(), packet.destination_socket());
    let peer = halves.get(&(to, from));
    let (peer_sent_fin, peer_sent_syn_ack) = (
        peer.is_some_and(|half| half.sent_fin),
        peer.is_some_and(|half| half.sent_syn_ack),
    );
    let half = halves.entry((from, to)).or_default();
    let flag = |bit: u8| packet.tcp_flags & bit != 0;
    if flag(RST) {
        return Class::Rst;
    }
    // A port used again starts a new connection, unless it is the same SYN once more.
    let starts_anew = flag(SYN) && half.end_seq != Some(packet.seq.wrapping_add(1));
    if starts_anew {
        *half = Half::default();
    }
    let length = packet.payload_bytes + u32::from(flag(SYN)) + u32::from(flag(FIN));
    let end_seq = packet.seq.wrapping_add(length);
    let again = length > 0
        && half
            .end_seq
            .is_some_and(|seen| end_seq.wrapping_sub(seen).cast_signed() <= 0);
    if length > 0 && !again {
        half.end_seq = Some(end_seq);
    }
    half.sent_syn |= flag(SYN) && !flag(ACK);
    half.sent_syn_ack |= flag(SYN) && flag(ACK);
    half.sent_fin |= flag(FIN);
    match (flag(SYN), flag(ACK)) {
        _ if again => Class::Retransmission,
        (true, false) => Class::Syn,
        (true, true) => Class::SynAck,
        _ if packet.payload_bytes > 0 => Class::Data,
        _ if flag(FIN) => Class::Fin,
        _ if half.sent_syn && peer_sent_syn_ack && !half.completed => {
            half.completed = true;
            Class::HandshakeAck
        }
        _ if half.sent_fin && peer_sent_fin => Class::ClosingAck,
        _ => Class::Ack,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Frame;

    /// A TCP packet of the one connection of these tests.
    fn tcp(seq: u32, flags: u8, payload_bytes: u32) -> Packet {
        let mut head = vec![0; 40];
        (head[0], head[9], head[32], head[33]) = (0x45, 6, 0x50, flags);
        head[2..4].copy_from_slice(&(40 + payload_bytes as u16).to_be_bytes());
        head[24..28].copy_from_slice(&seq.to_be_bytes());
        Packet::parse(&Frame {
            head: &head,
            frame_bytes: 40 + payload_bytes,
            link_header_bytes: 0,
            direction: Direction::Out,
            time_ns: 0,
            vnet: None,
        })
    }

    #[test]
    fn payload_is_counted_once_in_any_order_and_across_the_wrap() {
        let end = u32::MAX;
        let cases = [
            ("in order", vec![tcp(1, ACK, 100), tcp(101, ACK, 50)], 150),
            ("sent again", vec![tcp(1, ACK, 100), tcp(1, ACK, 100)], 100),
            (
                "cut differently",
                vec![tcp(1, ACK, 100), tcp(51, ACK, 100)],
                150,
            ),
            (
                "a hole filled late",
                vec![tcp(1, ACK, 10), tcp(21, ACK, 10), tcp(11, ACK, 10)],
                30,
            ),
            ("a hole", vec![tcp(1, ACK, 10), tcp(21, ACK, 10)], 20),
            (
                "across the wrap",
                vec![tcp(end - 9, ACK, 10), tcp(0, ACK, 10)],
                20,
            ),
            (
                "a syn and its data",
                vec![tcp(7, SYN, 0), tcp(8, ACK, 10)],
                10,
            ),
            (
                "a syn sent again",
                vec![tcp(7, SYN, 0), tcp(7, SYN, 0), tcp(8, ACK, 10)],
                10,
            ),
            (
                "a port used again",
                vec![
                    tcp(7, SYN, 0),
                    tcp(8, ACK, 10),
                    tcp(3, SYN, 0),
                    tcp(4, ACK, 10),
                ],
                20,
            ),
        ];
        for (case, packets, expected) in cases {
            assert_eq!(
                payload_bytes_once(&packets, Direction::Out),
                expected,
                "{case}"
            );
            assert_eq!(payload_bytes_once(&packets, Direction::In), 0, "{case}");
        }
    }

    #[test]
    fn a_retransmission_is_told_from_first_data() {
        let packets = [
            tcp(7, SYN, 0),
            tcp(8, ACK, 10),
            tcp(8, ACK, 10),
            tcp(18, ACK, 5),
            tcp(23, FIN | ACK, 0),
        ];
        let expected = [
            Class::Syn,
            Class::Data,
            Class::Retransmission,
            Class::Data,
            Class::Fin,
        ];
        assert_eq!(classes(&packets), expected);
    }
}
