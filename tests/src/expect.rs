//! Which bytes of a capture a socket's hook cannot see, judged by the packets alone: what an agent on the near host must
//! name, byte for byte. It reads no agent and knows the kernel only by what it answers to which packet.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use crate::{
    classify::{Class, classes},
    packet::{Direction, Packet},
};

/// Bytes in no flow of the near host. All are IP lengths of single segments: none of these packets is ever bundled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// SYN-ACKs of the near host's listeners.
    pub handshake_egress: u64,
    /// SYNs for the near host's listeners and the ACKs that complete them.
    pub handshake_ingress: u64,
    /// Sent by the kernel itself: by a control socket of its own or by none.
    pub kernel_made_egress: u64,
    /// ICMP echo requests of the near host.
    pub raw_egress: u64,
    /// Received for no socket: after the end of a connection, for a closed port, for the kernel itself.
    pub no_socket_ingress: u64,
    pub non_ip_egress: u64,
    pub non_ip_ingress: u64,
    /// IP headers of later fragments, and IPv6 fragment headers.
    pub fragment_headers_egress: u64,
    pub fragment_headers_ingress: u64,
}

/// One TCP connection as seen from the near host.
#[derive(Default)]
struct Connection {
    opened_by_far: bool,
    completed: bool,
    near_fin_end: Option<u32>,
    far_fin: bool,
    /// The near socket is gone or in time-wait: what still comes finds none, what still goes has none.
    gone: bool,
}

/// What the near host's agent must leave outside its flows, given all `packets` that crossed its link, as segments, in
/// a capture where `Out` is from the near host. Processes close without waiting (no half-closed sockets are held).
/// `closed_udp_ports` are near ports that nobody listens on.
#[must_use]
pub fn expected(packets: &[Packet], closed_udp_ports: &[u16]) -> Expected {
    let mut sums = Expected::default();
    let mut connections: HashMap<(u16, IpAddr, u16), Connection> = HashMap::new();
    let refused = refused_syns(packets);
    for (index, (packet, class)) in packets.iter().zip(classes(packets)).enumerate() {
        let egress = is_sent(packet);
        let bytes = u64::from(packet.wire_bytes);
        match class {
            Class::Arp | Class::NonIp => {
                *if egress {
                    &mut sums.non_ip_egress
                } else {
                    &mut sums.non_ip_ingress
                } += non_ip_bytes(packet);
            }
            Class::NeighborDiscovery | Class::Mld => *kernel(&mut sums, egress) += bytes,
            Class::Icmp => *icmp(&mut sums, packet, egress) += bytes,
            Class::LaterFragment => {
                *fragments(&mut sums, egress) += u64::from(packet.network_header_bytes);
            }
            Class::Udp => {
                if packet.ip_version == 6 && packet.fragment.is_some() {
                    *fragments(&mut sums, egress) += 8;
                }
                if !egress && closed_udp_ports.contains(&packet.destination_port) {
                    sums.no_socket_ingress += bytes;
                }
            }
            Class::OtherIp => {}
            _ => tcp(
                &mut sums,
                &mut connections,
                packet,
                class,
                egress,
                refused.contains(&index),
            ),
        }
    }
    sums
}

fn tcp(
    sums: &mut Expected,
    connections: &mut HashMap<(u16, IpAddr, u16), Connection>,
    packet: &Packet,
    class: Class,
    egress: bool,
    refused: bool,
) {
    let bytes = u64::from(packet.wire_bytes);
    let key = if egress {
        (
            packet.source_port,
            packet.destination,
            packet.destination_port,
        )
    } else {
        (packet.destination_port, packet.source, packet.source_port)
    };
    let is_syn = packet.tcp_flags & 2 != 0 && packet.tcp_flags & 16 == 0;
    if is_syn {
        let connection = Connection {
            opened_by_far: !egress,
            gone: refused && !egress,
            ..Connection::default()
        };
        connections.insert(key, connection);
    }
    let connection = connections.entry(key).or_default();
    if connection.gone {
        *kernel(sums, egress) += bytes;
        return;
    }
    let (syn, ack, fin, rst) = (
        packet.tcp_flags & 2 != 0,
        packet.tcp_flags & 16 != 0,
        packet.tcp_flags & 1 != 0,
        class == Class::Rst,
    );
    if connection.opened_by_far && !connection.completed {
        if syn {
            *if egress {
                &mut sums.handshake_egress
            } else {
                &mut sums.handshake_ingress
            } += bytes;
            return;
        }
        if !egress && ack && !rst {
            // Also where it carries data: the hook still saw the listener.
            connection.completed = true;
            sums.handshake_ingress += bytes;
            return;
        }
    }
    if rst {
        // The packet itself belongs to the socket that sent or took it.
        connection.gone = true;
        return;
    }
    if egress && fin && !connection.far_fin {
        connection.near_fin_end = Some(
            packet
                .seq
                .wrapping_add(packet.payload_bytes)
                .wrapping_add(1),
        );
    }
    if !egress && fin {
        connection.far_fin = true;
        if connection.near_fin_end.is_some() {
            // Our socket answers this FIN itself and then waits as a time-wait socket.
            connection.gone = false;
        }
        return;
    }
    if !egress && connection.near_fin_end == Some(packet.ack) && !connection.far_fin {
        // A process that let go leaves a time-wait socket behind as soon as its FIN is acknowledged.
        connection.gone = true;
    }
}

/// Positions of SYNs for the near host that it answered with a RST.
fn refused_syns(packets: &[Packet]) -> Vec<usize> {
    let mut waiting = BTreeMap::new();
    let mut refused = Vec::new();
    for (index, packet) in packets
        .iter()
        .enumerate()
        .filter(|(_, packet)| packet.is_tcp())
    {
        let egress = is_sent(packet);
        if !egress && packet.tcp_flags & 0x12 == 2 {
            waiting.insert(
                (packet.destination_port, packet.source, packet.source_port),
                index,
            );
        } else if egress {
            let key = (
                packet.source_port,
                packet.destination,
                packet.destination_port,
            );
            if let Some(syn) = waiting.remove(&key)
                && packet.tcp_flags & 4 != 0
            {
                refused.push(syn);
            }
        }
    }
    refused
}

fn kernel(sums: &mut Expected, egress: bool) -> &mut u64 {
    if egress {
        &mut sums.kernel_made_egress
    } else {
        &mut sums.no_socket_ingress
    }
}

/// Echo requests are a process's, all else is the kernel's.
fn icmp<'a>(sums: &'a mut Expected, packet: &Packet, egress: bool) -> &'a mut u64 {
    if egress && matches!((packet.protocol, packet.icmp_type), (1, 8) | (58, 128)) {
        &mut sums.raw_egress
    } else {
        kernel(sums, egress)
    }
}

fn fragments(sums: &mut Expected, egress: bool) -> &mut u64 {
    if egress {
        &mut sums.fragment_headers_egress
    } else {
        &mut sums.fragment_headers_ingress
    }
}

/// The capture is on the port towards the far host: what goes out there comes from the near one.
fn is_sent(packet: &Packet) -> bool {
    packet.direction == Direction::Out
}

fn non_ip_bytes(packet: &Packet) -> u64 {
    u64::from(packet.frame_bytes) - ETHERNET
}

const ETHERNET: u64 = 14;
