//! Question: how many bytes does each socket send and receive?
//!
//! Hooks: `cgroup_skb/egress` and `cgroup_skb/ingress` on the root of the unified hierarchy (4.10; socket storage 5.2).
//! Context: egress in the sender's task or softirq, for TCP under the socket lock; ingress in softirq, before it.
//! Cannot see: packets without a full socket (time-wait ACKs, IPv6 RSTs), what a queue drops afterwards, fragmentation.
//! Always passes the packet.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_tcp_sock as TcpSock},
    helpers::generated::{bpf_ktime_get_ns, bpf_tcp_sock},
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use observer_ebpf::{
    abi::{Flow, Home, Lost, flag},
    account::{Received, Sent, is_counted, tcp_received, tcp_sent},
    packet::{Headers, Packet, Size, headers, protocol, size, tcp_flag},
};

use super::{
    flow,
    maps::{self, add, lose, tag},
    skb::{Direction, SocketSkb, address, full_socket},
    slot::{self, add_to_slot},
    udp,
};

const PASS: i32 = 1;
/// The loopback interface of every namespace.
const LOOPBACK: u32 = 1;

const TCP_LISTEN: u32 = 10;
const TCP_CLOSING: u32 = 11;
const TCP_LAST_ACK: u32 = 9;

#[cgroup_skb(egress)]
pub fn count_egress(ctx: SkBuffContext) -> i32 {
    count(ctx.skb.skb, Direction::Egress);
    PASS
}

#[cgroup_skb(ingress)]
pub fn count_ingress(ctx: SkBuffContext) -> i32 {
    count(ctx.skb.skb, Direction::Ingress);
    PASS
}

#[inline(always)]
fn count(skb: *mut __sk_buff, direction: Direction) {
    // SAFETY: the context is valid while the program runs.
    let ifindex = unsafe { (*skb).ifindex };
    if ifindex == LOOPBACK {
        return;
    }
    let Some(sk) = full_socket(skb) else {
        return;
    };
    // SAFETY: `sk` is a full socket; the verifier checks the fields.
    let (kind, number, state) = unsafe { ((*sk).type_, (*sk).protocol, (*sk).state) };
    if !is_counted(kind, number) {
        return;
    }
    let packet = SocketSkb(skb);
    let Some(headers) = headers(&packet) else {
        lose(Lost::Headers);
        return;
    };
    if u32::from(headers.protocol) != number {
        return;
    }
    let size = size(&packet, &headers);
    let tcp = headers.protocol == protocol::TCP;
    if tcp && state == TCP_LISTEN {
        elsewhere(skb, sk, &Elsewhere { home: Home::Handshake, at: direction.index() as u32, ip_version: headers.ip_version, size });
        return;
    }
    let flow = maps::flow(sk, true);
    if flow.is_null() {
        lose(Lost::Storage);
        elsewhere(skb, sk, &Elsewhere { home: Home::StorageFailed, at: direction.index() as u32, ip_version: headers.ip_version, size });
        return;
    }
    // SAFETY: `flow` is the socket's live storage.
    unsafe {
        if (*flow).ready == 0 {
            flow::begin(flow, skb, sk, &headers, direction == Direction::Egress);
        }
        if !tcp && !udp::is_first_remote(flow, &packet, &headers, direction) {
            udp::count(flow, skb, &headers, &size, direction.index() as u32);
            return;
        }
        if (*flow).ifindex[direction.index()] != ifindex {
            flow::move_to_interface(flow, direction.index(), ifindex);
        }
        match (tcp, direction) {
            (true, Direction::Egress) => tcp_egress(flow, sk, &packet, &headers, &size),
            (true, Direction::Ingress) => tcp_ingress(flow, sk, &headers, &size),
            (false, _) => udp_either(flow, direction, &size),
        }
        if tcp && is_end(&*flow, &headers, state, direction) {
            flow::report_end(flow);
        }
    }
}

/// Runs under the socket lock: plain adds suffice.
#[inline(always)]
unsafe fn tcp_egress(flow: *mut Flow, sk: *mut bpf_sock, packet: &SocketSkb, headers: &Headers, size: &Size) {
    // SAFETY: `flow` is live storage; the egress fields have this one writer.
    unsafe {
        let before =
            Sent { flags: (*flow).flags_locked, seq_high: (*flow).seq_high, request_ns: (*flow).request_ns };
        let sent_ns = || {
            // The earliest departure time, which TCP keeps in CLOCK_MONOTONIC, spares a clock read.
            let departure = (*packet.0).tstamp;
            if departure == 0 { bpf_ktime_get_ns() } else { departure }
        };
        let (sent, bytes) = tcp_sent(before, headers, size, sent_ns, || packet.at::<2>(headers.bytes()));
        (*flow).flags_locked = sent.flags;
        (*flow).seq_high = sent.seq_high;
        if sent.request_ns != before.request_ns {
            (*flow).request_ns = sent.request_ns;
        }
        let counters = &raw mut (*flow).counters;
        (*counters).device_bytes[0] += size.device_bytes;
        (*counters).wire_bytes[0] += size.wire_bytes;
        (*counters).payload_bytes[0] += bytes.payload_bytes;
        (*counters).packets[0] += size.packets;
        (*counters).retransmitted_wire_bytes += bytes.retransmitted_wire_bytes;
        let slot = u32::from((*flow).slot[0]);
        add_to_slot(slot, 0, size, bytes.payload_bytes, bytes.retransmitted_wire_bytes);
        let tcp = bpf_tcp_sock(sk);
        if !tcp.is_null() {
            received_payload(flow, tcp);
        }
    }
}

/// Runs before the socket lock, on any CPU.
#[inline(always)]
unsafe fn tcp_ingress(flow: *mut Flow, sk: *mut bpf_sock, headers: &Headers, size: &Size) {
    // SAFETY: `flow` is live storage; counters are added atomically.
    unsafe {
        let before =
            Received { flags: (*flow).flags_ingress, request_ns: (*flow).request_ns, first_byte_us: None };
        let received = tcp_received(before, headers, size, || bpf_ktime_get_ns());
        if received.flags != before.flags {
            (*flow).flags_ingress = received.flags;
        }
        if let Some(first_byte_us) = received.first_byte_us {
            (*flow).first_byte_us = first_byte_us;
            (*flow).request_ns = 0;
        }
        let counters = &raw mut (*flow).counters;
        add(&raw mut (*counters).device_bytes[1], size.device_bytes);
        add(&raw mut (*counters).wire_bytes[1], size.wire_bytes);
        add(&raw mut (*counters).packets[1], size.packets);
        add_to_slot(u32::from((*flow).slot[1]), 1, size, size.payload_bytes, 0);
        let tcp = bpf_tcp_sock(sk);
        if !tcp.is_null() {
            received_payload(flow, tcp);
            (*flow).rtt_us = (*tcp).srtt_us >> 3;
            (*flow).min_rtt_us = (*tcp).rtt_min;
        }
    }
}

/// TCP's own count of what arrived in order, once: exact where the packets' sequence numbers race between CPUs.
#[inline(always)]
unsafe fn received_payload(flow: *mut Flow, tcp: *mut TcpSock) {
    // SAFETY: both pointers are live; the value only grows.
    unsafe {
        let received = (*tcp).bytes_received;
        let base = (*flow).received_base;
        if received > base {
            (*flow).counters.payload_bytes[1] = received - base;
        }
    }
}

/// UDP sends and receives on any CPU at once.
#[inline(always)]
unsafe fn udp_either(flow: *mut Flow, direction: Direction, size: &Size) {
    // SAFETY: `flow` is live storage; counters are added atomically.
    unsafe {
        let at = direction.index();
        let counters = &raw mut (*flow).counters;
        add(&raw mut (*counters).device_bytes[at], size.device_bytes);
        add(&raw mut (*counters).wire_bytes[at], size.wire_bytes);
        add(&raw mut (*counters).payload_bytes[at], size.payload_bytes);
        add(&raw mut (*counters).packets[at], size.packets);
        add_to_slot(u32::from((*flow).slot[at]), at as u32, size, size.payload_bytes, 0);
    }
}

/// Whether this packet may be the flow's last one that a socket hook sees. Once the process has let go, a FIN, a RST or
/// an ACK of our own FIN may be; after CLOSE any may be. It does not lean on the state callback, which another
/// program's flags can take away.
#[inline(always)]
fn is_end(flow: &Flow, headers: &Headers, state: u32, direction: Direction) -> bool {
    let flags = flow.flags();
    if flags & flag::CLOSED != 0 {
        return true;
    }
    if flags & flag::RELEASED == 0 {
        return false;
    }
    headers.tcp_flags & (tcp_flag::FIN | tcp_flag::RST) != 0
        || (direction == Direction::Ingress && (state == TCP_LAST_ACK || state == TCP_CLOSING))
        || flags & (flag::ESTABLISHED | flag::CONNECT_FAILED) == 0
}

/// Where a packet without a flow goes.
struct Elsewhere {
    home: Home,
    /// [`Direction::index`], as a number whose bound the verifier can follow.
    at: u32,
    ip_version: u8,
    size: Size,
}

/// Counts a packet that has no flow by the destination in its own headers.
#[inline(never)]
fn elsewhere(skb: *mut __sk_buff, sk: *mut bpf_sock, to: &Elsewhere) -> u64 {
    let remote = address(&SocketSkb(skb), to.ip_version, to.at != 0);
    // SAFETY: the context is valid while the program runs.
    let ifindex = unsafe { (*skb).ifindex };
    let uplink = slot::uplink(flow::netns_cookie(skb, sk), ifindex);
    let slot = slot::slot(uplink, to.home, tag(remote));
    add_to_slot(slot, to.at, &to.size, to.size.payload_bytes, 0);
    0
}
