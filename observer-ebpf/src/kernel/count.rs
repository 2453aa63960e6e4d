//! Question: how many bytes does each socket send and receive?
//!
//! Hooks: `cgroup_skb/egress` and `cgroup_skb/ingress` on the root of the unified hierarchy (4.10; socket storage 5.2).
//! Context: egress in the sender's task or softirq, for TCP under the socket lock; ingress in softirq, before it.
//! Cannot see: packets without a full socket (time-wait ACKs, IPv6 RSTs), what a queue drops afterwards, fragmentation.
//! Always passes the packet.

use observer_ebpf::{
    abi::{EGRESS, Flow, Home, INGRESS, Lost, capture::INITIALS_MAX, flag, initiator},
    account::{
        Pace, Received, Sent, answer, answered, is_counted, received_payload, tcp_received,
        tcp_sent,
    },
    packet::{Headers, Packet, Size, headers, protocol, size, tcp_flag, usual_headers},
};

use super::{
    dns, flow, look,
    maps::{self, add, lose, tag},
    platform::{__sk_buff, SkBuffContext, bpf_ktime_get_ns, bpf_sock, bpf_tcp_sock},
    skb::{SocketSkb, address, full_socket},
    slot::{self, add_received_to_slot, add_to_slot},
    udp,
};

const PASS: i32 = 1;
/// The loopback interface of every namespace.
const LOOPBACK: u32 = 1;

const TCP_LISTEN: u32 = 10;

/// What a client has said is understood so far that its answers are timed.
const HEARD: u16 = (flag::TLS | flag::HTTP | flag::PROXY) as u16;

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_skb(egress))]
pub fn count_egress(ctx: SkBuffContext) -> i32 {
    if count::<EGRESS>(ctx.skb.skb) {
        look::call_on::<EGRESS>(&ctx);
    }
    PASS
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_skb(ingress))]
pub fn count_ingress(ctx: SkBuffContext) -> i32 {
    if count::<INGRESS>(ctx.skb.skb) {
        look::call_on::<INGRESS>(&ctx);
    }
    PASS
}

/// Whether the packet may name a flow.
#[inline(always)]
fn count<const AT: usize>(skb: *mut __sk_buff) -> bool {
    // SAFETY: the context is valid while the program runs.
    let ifindex = unsafe { (*skb).ifindex };
    if ifindex == LOOPBACK {
        // Not counted, but read for names where a local resolver answers.
        return AT == INGRESS && dns::may_be_answer(skb);
    }
    let Some(sk) = full_socket(skb) else {
        return false;
    };
    // SAFETY: `sk` is a full socket; the verifier checks the fields.
    let (kind, number, state) = unsafe { ((*sk).type_, (*sk).protocol, (*sk).state) };
    if !is_counted(kind, number) {
        return false;
    }
    let headers = if let Some(headers) = usual_headers(&SocketSkb(skb)) {
        headers
    } else {
        let mut unusual = Headers::default();
        read_unusual(skb, &mut unusual);
        unusual
    };
    if u32::from(headers.protocol) != number {
        return false;
    }
    let names = count_packet::<AT>(skb, sk, state, ifindex, &headers);
    names || (AT == INGRESS && headers.source_port == dns::PORT)
}

/// Options, extension headers; what cannot be read has no protocol.
#[inline(never)]
fn read_unusual(skb: *mut __sk_buff, unusual: &mut Headers) -> u64 {
    if let Some(headers) = headers(&SocketSkb(skb)) {
        *unusual = headers;
    } else {
        lose(Lost::Headers);
    }
    0
}

#[inline(always)]
fn count_packet<const AT: usize>(
    skb: *mut __sk_buff,
    sk: *mut bpf_sock,
    state: u32,
    ifindex: u32,
    headers: &Headers,
) -> bool {
    let packet = SocketSkb(skb);
    let tcp = headers.protocol == protocol::TCP;
    if tcp && state == TCP_LISTEN {
        if AT == EGRESS {
            maps::note_requests_hooked(headers.ip_version);
        }
        elsewhere(skb, sk, &{ *headers }, Home::Handshake as u32, AT as u32);
        return false;
    }
    let flow = maps::flow(sk, true);
    if flow.is_null() {
        lose(Lost::Storage);
        elsewhere(
            skb,
            sk,
            &{ *headers },
            Home::StorageFailed as u32,
            AT as u32,
        );
        return false;
    }
    // SAFETY: `flow` is the socket's live storage.
    unsafe {
        if (*flow).ready == 0 {
            flow::begin(flow, skb, sk, &{ *headers }, AT as u32);
        }
        if !tcp && !udp::is_first_remote::<AT>(flow, &packet, headers) {
            return udp::count(flow, skb, &{ *headers }, AT as u32) != 0;
        }
        if (*flow).ifindex[AT] != ifindex {
            flow::move_to_interface(flow, AT as u32, ifindex);
        }
        let size = size(&packet, headers.bytes());
        if !tcp {
            let size = if AT == EGRESS {
                slot::datagrams_at_device(size, (*flow).netns_cookie, ifindex)
            } else {
                size
            };
            let is_first = (*flow).sent.packets < INITIALS_MAX;
            udp_either::<AT>(flow, &size);
            return AT == EGRESS && is_first && (*flow).initiator != initiator::REMOTE;
        }
        let names = if AT == EGRESS {
            tcp_egress(flow, &packet, headers, &size, sk)
        } else {
            tcp_ingress(flow, headers, &size);
            false
        };
        if is_end(&*flow, headers.tcp_flags) {
            note_socket(flow, sk);
            flow::report_end(flow);
        }
        names
    }
}

/// Runs under the socket lock: plain adds suffice. Says whether new payload went out in which a name is looked for.
#[inline(always)]
unsafe fn tcp_egress(
    flow: *mut Flow,
    packet: &SocketSkb,
    headers: &Headers,
    size: &Size,
    sk: *mut bpf_sock,
) -> bool {
    // SAFETY: `flow` is live storage; the egress fields have this one writer.
    unsafe {
        let before = Sent {
            flags: (*flow).flags_locked,
            seq_high: (*flow).seq_high,
            request_ns: (*flow).request_ns,
        };
        let sent_ns = || {
            // The earliest departure time, which TCP keeps in CLOCK_MONOTONIC, spares a clock read.
            let departure = (*packet.0).tstamp;
            if departure == 0 {
                bpf_ktime_get_ns()
            } else {
                departure
            }
        };
        let (sent, bytes) = tcp_sent(before, headers, size, sent_ns, || {
            packet.at::<2>(headers.bytes())
        });
        if sent.flags != before.flags {
            (*flow).flags_locked = sent.flags;
        }
        (*flow).seq_high = sent.seq_high;
        let mut begins = false;
        // What a server waits for is its client's next thought, not a first byte.
        if sent.request_ns != before.request_ns && (*flow).initiator != initiator::REMOTE {
            (*flow).request_ns = sent.request_ns;
            if before.request_ns == 0 {
                (*flow).before = answer(&*flow);
                (*flow).turns = (*flow).turns.saturating_add(1);
                if maps::requests_on() != 0 {
                    note_asked(flow, sk);
                    begins = sent.flags & flag::HTTP as u16 != 0;
                }
            }
        }
        let way = &raw mut (*flow).sent;
        (*way).device_bytes += size.device_bytes;
        (*way).bundled_bytes += size.bundled_bytes;
        (*way).payload_bytes += bytes.payload_bytes;
        (*way).packets += size.packets;
        (*flow).retransmitted_wire_bytes += bytes.retransmitted_wire_bytes;
        let slot = u32::from((*flow).slot[EGRESS]);
        add_to_slot(
            slot,
            EGRESS as u32,
            size,
            bytes.payload_bytes,
            bytes.retransmitted_wire_bytes,
        );
        let is_unknown = sent.flags & flag::LOOKED as u16 == 0;
        let names = bytes.payload_bytes != 0 && (is_unknown || begins);
        if names {
            look::note_again(packet.0, (size.payload_bytes - bytes.payload_bytes) as u32);
        }
        names
    }
}

/// Notes how much had been received when a request began to leave. Under the socket lock.
#[inline(always)]
unsafe fn note_asked(flow: *mut Flow, sk: *mut bpf_sock) {
    // SAFETY: `flow` is live storage; the verifier checks the socket pointer.
    unsafe {
        let tcp = bpf_tcp_sock(sk);
        if !tcp.is_null() {
            (*flow).asked_received = (*tcp).bytes_received as u32;
        }
    }
}

/// Notes how an answer goes on. Two CPUs may do so at the same time: nothing has to add up.
#[inline(always)]
unsafe fn note_answered(flow: *mut Flow, request_ns: u64, now_ns: u64) {
    // SAFETY: `flow` is live storage.
    unsafe {
        let before = Pace {
            asked_ns: (*flow).asked_ns,
            answered_ns: (*flow).answered_ns,
            pauses: (*flow).pauses,
            pause_us: (*flow).pause_us,
        };
        let pace = answered(before, request_ns, now_ns);
        (*flow).asked_ns = pace.asked_ns;
        (*flow).answered_ns = pace.answered_ns;
        (*flow).pauses = pace.pauses;
        (*flow).pause_us = pace.pause_us;
    }
}

/// Runs before the socket lock, on any CPU.
#[inline(always)]
unsafe fn tcp_ingress(flow: *mut Flow, headers: &Headers, size: &Size) {
    // SAFETY: `flow` is live storage; counters are added atomically.
    unsafe {
        let before = Received {
            flags: (*flow).flags_ingress,
            // Not even read without payload: the sending CPU may be writing it.
            request_ns: if size.payload_bytes == 0 {
                0
            } else {
                (*flow).request_ns
            },
            first_byte_us: 0,
        };
        let is_heard = (*flow).flags_locked & HEARD != 0;
        let now_ns =
            if is_heard && size.payload_bytes != 0 && (*flow).initiator != initiator::REMOTE {
                bpf_ktime_get_ns()
            } else {
                0
            };
        let received = tcp_received(before, headers, size, || {
            if now_ns == 0 {
                bpf_ktime_get_ns()
            } else {
                now_ns
            }
        });
        if now_ns != 0 {
            note_answered(flow, before.request_ns, now_ns);
        }
        if received.flags != before.flags {
            (*flow).flags_ingress = received.flags;
        }
        if received.request_ns != before.request_ns {
            (*flow).first_byte_us = received.first_byte_us;
            (*flow).request_ns = 0;
        }
        let way = &raw mut (*flow).received;
        add(&raw mut (*way).device_bytes, size.device_bytes);
        add(&raw mut (*way).packets, size.packets);
        if size.bundled_bytes != 0 {
            add(&raw mut (*way).bundled_bytes, size.bundled_bytes);
        }
        add_received_to_slot(u32::from((*flow).slot[INGRESS]), size, size.payload_bytes);
    }
}

/// What TCP itself knows of a flow that may be reported for the last time. While the flow lives, the iterator asks
/// (`read`), and its end is told by the state callback: reading a second socket's fields for every packet would cost
/// more than counting it.
#[inline(always)]
unsafe fn note_socket(flow: *mut Flow, sk: *mut bpf_sock) {
    // SAFETY: `flow` is live storage; the verifier checks the socket pointer.
    unsafe {
        let tcp = bpf_tcp_sock(sk);
        if !tcp.is_null() {
            note_received(flow, (*tcp).bytes_received);
            note_rtt(flow, (*tcp).srtt_us, (*tcp).rtt_min);
        }
    }
}

/// TCP's own count of what arrived in order, once: exact where the packets' sequence numbers race between CPUs. It never
/// goes back: a FIN may have been seen that TCP has not taken in yet. Says whether the count grew.
#[inline(always)]
pub unsafe fn note_received(flow: *mut Flow, bytes_received: u64) -> bool {
    // SAFETY: `flow` is live storage.
    unsafe {
        let payload =
            received_payload(bytes_received, (*flow).received_base, (*flow).flags_ingress);
        let grew = payload > (*flow).received.payload_bytes;
        if grew {
            (*flow).received.payload_bytes = payload;
        }
        grew
    }
}

/// TCP's own round trip times, once there is one; `srtt_us` is kept in eighths.
#[inline(always)]
pub unsafe fn note_rtt(flow: *mut Flow, srtt_us: u32, rtt_min_us: u32) {
    if srtt_us != 0 {
        // SAFETY: `flow` is live storage.
        unsafe {
            (*flow).rtt_us = srtt_us >> 3;
            (*flow).min_rtt_us = rtt_min_us;
        }
    }
}

/// UDP sends and receives on any CPU at once.
#[inline(always)]
unsafe fn udp_either<const AT: usize>(flow: *mut Flow, size: &Size) {
    // SAFETY: `flow` is live storage; counters are added atomically.
    unsafe {
        let way = if AT == EGRESS {
            &raw mut (*flow).sent
        } else {
            &raw mut (*flow).received
        };
        add(&raw mut (*way).device_bytes, size.device_bytes);
        add(&raw mut (*way).payload_bytes, size.payload_bytes);
        add(&raw mut (*way).packets, size.packets);
        if size.bundled_bytes != 0 {
            add(&raw mut (*way).bundled_bytes, size.bundled_bytes);
        }
        let slot = u32::from((*flow).slot[AT]);
        if AT == EGRESS {
            add_to_slot(slot, EGRESS as u32, size, size.payload_bytes, 0);
        } else {
            add_received_to_slot(slot, size, size.payload_bytes);
        }
    }
}

/// Whether this packet may be the flow's last one that a socket hook sees, and no state callback will follow. After CLOSE
/// any may be. Before, the callback tells of CLOSE, unless another program's flags have taken it away: then, once the
/// process has let go, a FIN, a RST, and whatever follows a FIN of either end: our last ACK, and the ACK of our FIN, after
/// which the kernel may keep no more than a time-wait socket (FIN_WAIT2 without a process).
#[inline(always)]
fn is_end(flow: &Flow, tcp_flags: u8) -> bool {
    if flow.flags_locked & flag::CLOSED as u16 != 0 {
        return true;
    }
    let released = flow.flags_owner & (flag::RELEASED >> 24) as u8 != 0;
    if !released || flow.flags_locked & flag::STATE_FOLLOWED as u16 != 0 {
        return false;
    }
    tcp_flags & (tcp_flag::FIN | tcp_flag::RST) != 0
        || flow.flags_ingress & (flag::FIN_IN >> 16) as u8 != 0
        || flow.flags_locked & flag::FIN_OUT as u16 != 0
        || flow.flags_locked & (flag::ESTABLISHED | flag::CONNECT_FAILED) as u16 == 0
}

/// Counts a packet that has no flow by the destination in its own headers; `home` is a [`Home`].
#[inline(never)]
fn elsewhere(skb: *mut __sk_buff, sk: *mut bpf_sock, headers: &Headers, home: u32, at: u32) -> u64 {
    let packet = SocketSkb(skb);
    let size = size(&packet, headers.bytes());
    let remote = address(&packet, headers.ip_version, at != 0);
    // SAFETY: the context is valid while the program runs.
    let ifindex = unsafe { (*skb).ifindex };
    let netns_cookie = flow::netns_cookie(skb, sk);
    let uplink = slot::uplink(netns_cookie, ifindex);
    let size = if headers.protocol == protocol::UDP && at == EGRESS as u32 {
        slot::datagrams_at_device(size, netns_cookie, ifindex)
    } else {
        size
    };
    add_to_slot(
        slot::slot(uplink, home, tag(remote)),
        at,
        &size,
        size.payload_bytes,
        0,
    );
    0
}
