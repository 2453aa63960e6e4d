//! Fills in who a socket's flow is with, once, and hands over flows that have ended.

use core::ptr;

use observer_ebpf::{
    abi::{Answer, Flow, Home, Lost, flag, initiator},
    packet::{Headers, protocol},
};

use super::{
    maps::{EVENTS, events_wakeup_bytes, lose, netns_by_packet, origin, tag, want_owner},
    peek,
    platform::{
        __sk_buff, bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_ktime_get_ns,
        bpf_ringbuf_output, bpf_ringbuf_query, bpf_sk_cgroup_id, bpf_sock, bpf_tcp_sock,
    },
    skb::{SocketSkb, address, store_address},
    slot,
};

/// Cookie of the packet's network namespace: asked of the packet where the kernel lets us (6.15), else noted when the
/// socket was made, else looked up in the kernel's structs; 0 where none of that can be done.
#[inline(always)]
pub fn netns_cookie(skb: *mut __sk_buff, sk: *mut bpf_sock) -> u64 {
    if netns_by_packet() != 0 {
        // SAFETY: the context is valid while the program runs.
        return unsafe { bpf_get_netns_cookie(skb.cast()) };
    }
    let origin = origin(sk, false);
    if origin.is_null() {
        return peek::netns_cookie(sk);
    }
    // SAFETY: the pointer is checked and points to a live map value.
    unsafe { (*origin).netns_cookie }
}

/// Fills the identity fields of a new flow from its first packet.
#[inline(never)]
pub fn begin(
    flow: *mut Flow,
    skb: *mut __sk_buff,
    sk: *mut bpf_sock,
    headers: &Headers,
    at: u32,
) -> u64 {
    let packet = SocketSkb(skb);
    let egress = at == 0;
    let older = origin(sk, false).is_null();
    // SAFETY: `flow` is the socket's live storage; two CPUs that race here write the same values.
    unsafe {
        let flow = &mut *flow;
        flow.cookie = bpf_get_socket_cookie(skb.cast());
        flow.netns_cookie = netns_cookie(skb, sk);
        flow.cgroup_id = bpf_sk_cgroup_id(sk.cast());
        if flow.start_ns == 0 {
            flow.start_ns = bpf_ktime_get_ns();
        }
        flow.protocol = headers.protocol;
        flow.ip_version = headers.ip_version;
        let remote = address(&packet, headers.ip_version, !egress);
        store_address(
            &raw mut flow.local_address,
            address(&packet, headers.ip_version, egress),
        );
        store_address(&raw mut flow.remote_address, remote);
        (flow.local_port, flow.remote_port) = if egress {
            (headers.source_port, headers.destination_port)
        } else {
            (headers.destination_port, headers.source_port)
        };
        flow.tag = tag(remote);
        if headers.protocol == protocol::UDP && !older && flow.initiator == initiator::UNKNOWN {
            flow.initiator = if egress {
                initiator::LOCAL
            } else {
                initiator::REMOTE
            };
        }
        if headers.protocol == protocol::TCP && flow.flags_locked & flag::FROM_START as u16 == 0 {
            let tcp = bpf_tcp_sock(sk);
            if !tcp.is_null() {
                flow.received_base = (*tcp).bytes_received;
            }
        }
        flow.ready = 1;
        if flow.flags() & (flag::OWNER | flag::KERNEL_OWNED) == 0 {
            want_owner();
        }
    }
    0
}

/// Notes that the flow uses another interface now, and finds the slot that goes with it.
#[inline(never)]
pub fn move_to_interface(flow: *mut Flow, at: u32, ifindex: u32) -> u64 {
    let at = at as usize & 1;
    // SAFETY: `flow` is the socket's live storage; the index is masked to 0 or 1.
    unsafe {
        let uplink = slot::uplink((*flow).netns_cookie, ifindex);
        let slot = slot::slot(uplink, Home::Flow as u32, (*flow).tag);
        (*flow).slot[at] = slot as u16;
        (*flow).ifindex[at] = ifindex;
    }
    0
}

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// Hands the flow's totals over as an end. The agent is woken only when the ring is a quarter full; else it comes by
/// itself.
#[inline(never)]
pub fn report_end(flow: *mut Flow) -> u64 {
    let ring = ptr::from_ref(&EVENTS).cast_mut().cast();
    // SAFETY: ring and flow are live map objects of the size given.
    unsafe {
        let pending = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
        let wakeup = if pending > u64::from(events_wakeup_bytes()) {
            BPF_RB_FORCE_WAKEUP
        } else {
            BPF_RB_NO_WAKEUP
        };
        if bpf_ringbuf_output(ring, flow.cast(), size_of::<Flow>() as u64, wakeup) != 0 {
            lose(Lost::EventRing);
        }
    }
    0
}

/// What was answered before the last request, once.
///
/// # Safety
/// `flow` is live storage.
#[inline(always)]
pub unsafe fn answer_before(flow: *mut Flow) -> Answer {
    // SAFETY: the caller's promise.
    unsafe {
        let before = (*flow).before;
        (*flow).before = Answer::default();
        before
    }
}
