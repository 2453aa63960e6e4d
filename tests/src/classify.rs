//! Names for the parts that make up a capture: handshake, data, closing, noise. It judges by the packets alone, as
//! they followed each other, and knows no kernel.

use std::collections::{BTreeMap, HashMap};

use crate::{capture::Totals, packet::Packet};

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
