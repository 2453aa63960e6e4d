//! UDP sockets that talk to several remotes: the first is counted in the socket's storage, the others in a bounded hash.

use observer_ebpf::{
    abi::{
        Counters, Flow, Home, INGRESS, Lost, UdpFlow, UdpKey, capture::INITIALS_MAX, flag,
        initiator,
    },
    packet::{Headers, Packet, size},
};

use super::{
    maps::{UDP_FLOWS, add, lose, tag},
    platform::{__sk_buff, BPF_NOEXIST, bpf_ktime_get_ns},
    skb::{SocketSkb, address, load_address, store_address, usual_address},
    slot::{self, add_to_slot},
};

/// What a new entry holds until it is filled; a constant, because the stack has no room for it.
static EMPTY: UdpFlow = UdpFlow {
    counters: Counters {
        device_bytes: [0; 2],
        bundled_bytes: [0; 2],
        payload_bytes: [0; 2],
        packets: [0; 2],
        retransmitted_wire_bytes: 0,
    },
    netns_cookie: 0,
    cgroup_id: 0,
    start_ns: 0,
    comm: [0; 16],
    pid: 0,
    uid: 0,
    ifindex: [0; 2],
    slot: [0; 2],
    tag: 0,
    netns_inode: 0,
    process: 0,
    initiator: 0,
    ip_version: 0,
    ready: 0,
    flags_owner: 0,
    _pad: [0; 4],
};

/// Whether the packet's remote is the one the storage counts.
///
/// # Safety
/// `flow` is live storage.
#[inline(always)]
pub unsafe fn is_first_remote<const AT: usize>(
    flow: *mut Flow,
    packet: &SocketSkb,
    headers: &Headers,
) -> bool {
    let ingress = AT == INGRESS;
    let port = if ingress {
        headers.source_port
    } else {
        headers.destination_port
    };
    // SAFETY: the caller's promise.
    let (first_port, first) = unsafe {
        (
            (*flow).remote_port,
            load_address(&raw const (*flow).remote_address),
        )
    };
    if port != first_port {
        return false;
    }
    if headers.ip_version == 4 {
        packet
            .start::<28>()
            .is_some_and(|start| usual_address(&start, 4, ingress) == first)
    } else {
        packet
            .start::<48>()
            .is_some_and(|start| usual_address(&start, 6, ingress) == first)
    }
}

/// Counts a packet to or from a further remote; `at` is the direction's index. 1 where a name is looked for in it.
#[inline(never)]
pub fn count(flow: *mut Flow, skb: *mut __sk_buff, headers: &Headers, at: u32) -> u64 {
    let packet = SocketSkb(skb);
    let egress = at == 0;
    // SAFETY: the context is valid while the program runs, `flow` is live storage.
    let (ifindex, cookie, netns_cookie) =
        unsafe { ((*skb).ifindex, (*flow).cookie, (*flow).netns_cookie) };
    let size = size(&packet, headers.bytes());
    let size = &if egress {
        slot::datagrams_at_device(size, netns_cookie, ifindex)
    } else {
        size
    };
    let (local_port, remote_port) = if egress {
        (headers.source_port, headers.destination_port)
    } else {
        (headers.destination_port, headers.source_port)
    };
    let mut key = UdpKey {
        cookie,
        local_port,
        remote_port,
        ..UdpKey::default()
    };
    let remote = address(&packet, headers.ip_version, !egress);
    // SAFETY: the fields of a local value.
    unsafe {
        store_address(
            &raw mut key.local_address,
            address(&packet, headers.ip_version, egress),
        );
        store_address(&raw mut key.remote_address, remote);
    }
    let Some(entry) = entry(&key) else {
        lose(Lost::UdpTable);
        // SAFETY: `flow` is live storage.
        let uplink = slot::uplink(unsafe { (*flow).netns_cookie }, ifindex);
        add_to_slot(
            slot::slot(uplink, Home::TableFull as u32, tag(remote)),
            at,
            size,
            size.payload_bytes,
            0,
        );
        return 0;
    };
    let at = at as usize & 1;
    // SAFETY: `entry` is a live map value, `flow` is live storage; the index is 0 or 1.
    let names = unsafe {
        if (*entry).ready == 0 {
            fill(entry, flow, tag(remote), headers.ip_version, egress);
        }
        if (*entry).ifindex[at] != ifindex {
            let uplink = slot::uplink((*entry).netns_cookie, ifindex);
            (*entry).slot[at] = slot::slot(uplink, Home::Flow as u32, (*entry).tag) as u16;
            (*entry).ifindex[at] = ifindex;
        }
        let counters = &raw mut (*entry).counters;
        let is_first = (*counters).packets[0] < INITIALS_MAX;
        add(&raw mut (*counters).device_bytes[at], size.device_bytes);
        add(&raw mut (*counters).bundled_bytes[at], size.bundled_bytes);
        add(&raw mut (*counters).payload_bytes[at], size.payload_bytes);
        add(&raw mut (*counters).packets[at], size.packets);
        add_to_slot(
            u32::from((*entry).slot[at]),
            at as u32,
            size,
            size.payload_bytes,
            0,
        );
        egress && is_first && (*entry).initiator != initiator::REMOTE
    };
    u64::from(names)
}

/// The remote's entry, made where there is none; `None` where the table is full.
#[inline(always)]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value it would be copied to the stack, which has no room for it"
)]
fn entry(key: &UdpKey) -> Option<*mut UdpFlow> {
    if let Some(entry) = UDP_FLOWS.get_ptr_mut(key) {
        return Some(entry);
    }
    // A race for the same remote is lost to the other CPU, whose entry then counts for both.
    let _ = UDP_FLOWS.insert(key, &EMPTY, u64::from(BPF_NOEXIST));
    UDP_FLOWS.get_ptr_mut(key)
}

/// Fills a new entry from its socket; two CPUs that race here write the same values.
#[inline(always)]
unsafe fn fill(entry: *mut UdpFlow, flow: *mut Flow, tag: u32, ip_version: u8, egress: bool) {
    // SAFETY: both are live map values.
    unsafe {
        (*entry).netns_cookie = (*flow).netns_cookie;
        (*entry).cgroup_id = (*flow).cgroup_id;
        (*entry).start_ns = bpf_ktime_get_ns();
        (*entry).comm = (*flow).comm;
        (*entry).pid = (*flow).pid;
        (*entry).uid = (*flow).uid;
        (*entry).process = (*flow).process;
        (*entry).flags_owner = (*flow).flags_owner & !((flag::RELEASED >> 24) as u8);
        (*entry).tag = tag;
        (*entry).ip_version = ip_version;
        (*entry).initiator = match ((*flow).initiator, egress) {
            (initiator::UNKNOWN, _) => initiator::UNKNOWN,
            (_, true) => initiator::LOCAL,
            (_, false) => initiator::REMOTE,
        };
        (*entry).ready = 1;
    }
}
