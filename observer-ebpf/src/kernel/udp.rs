//! UDP sockets that talk to several remotes: the first is counted in the socket's storage, the others in a bounded hash.

use aya_ebpf::{bindings::{__sk_buff, BPF_NOEXIST}, helpers::generated::bpf_ktime_get_ns};
use observer_ebpf::{
    abi::{Flow, Home, Lost, UdpFlow, UdpKey, initiator},
    packet::{Headers, Size},
};

use super::{
    maps::{UDP_FLOWS, add, lose, tag},
    skb::{Direction, SocketSkb, address},
    slot::{self, add_to_slot},
};

/// Whether the packet's remote is the one the storage counts.
#[inline(always)]
pub unsafe fn is_first_remote(flow: *mut Flow, packet: &SocketSkb, headers: &Headers, direction: Direction) -> bool {
    let ingress = direction == Direction::Ingress;
    let port = if ingress { headers.source_port } else { headers.destination_port };
    // SAFETY: `flow` is live storage.
    unsafe {
        (*flow).remote_port == port && (*flow).remote_address == address(packet, headers.ip_version, ingress)
    }
}

/// Counts a packet to or from a further remote.
#[inline(never)]
pub fn count(flow: *mut Flow, skb: *mut __sk_buff, headers: &Headers, size: &Size, direction: Direction) -> u64 {
    let packet = SocketSkb(skb);
    let egress = direction == Direction::Egress;
    // SAFETY: the context is valid while the program runs, `flow` is live storage.
    let (ifindex, cookie) = unsafe { ((*skb).ifindex, (*flow).cookie) };
    let (local_port, remote_port) = if egress {
        (headers.source_port, headers.destination_port)
    } else {
        (headers.destination_port, headers.source_port)
    };
    let key = UdpKey {
        cookie,
        local_address: address(&packet, headers.ip_version, egress),
        remote_address: address(&packet, headers.ip_version, !egress),
        local_port,
        remote_port,
        _pad: 0,
    };
    let entry = match UDP_FLOWS.get_ptr_mut(key) {
        Some(entry) => entry,
        None => match make(flow, &key, headers.ip_version, egress) {
            Some(entry) => entry,
            None => {
                lose(Lost::UdpTable);
                // SAFETY: `flow` is live storage.
                let uplink = slot::uplink(unsafe { (*flow).netns_cookie }, ifindex);
                let slot = slot::slot(uplink, Home::TableFull, tag(&key.remote_address));
                add_to_slot(slot, direction, size, size.payload_bytes, 0);
                return 0;
            }
        },
    };
    let at = direction.index();
    // SAFETY: `entry` is a live map value; the index is 0 or 1.
    unsafe {
        if (*entry).ifindex[at] != ifindex {
            let uplink = slot::uplink((*entry).netns_cookie, ifindex);
            (*entry).slot[at] = slot::slot(uplink, Home::Flow, (*entry).tag) as u16;
            (*entry).ifindex[at] = ifindex;
        }
        let counters = &raw mut (*entry).counters;
        add(&raw mut (*counters).device_bytes[at], size.device_bytes);
        add(&raw mut (*counters).wire_bytes[at], size.wire_bytes);
        add(&raw mut (*counters).payload_bytes[at], size.payload_bytes);
        add(&raw mut (*counters).packets[at], size.packets);
        add_to_slot(u32::from((*entry).slot[at]), direction, size, size.payload_bytes, 0);
    }
    0
}

#[inline(always)]
fn make(flow: *mut Flow, key: &UdpKey, ip_version: u8, egress: bool) -> Option<*mut UdpFlow> {
    // SAFETY: `flow` is live storage.
    let entry = unsafe {
        let known = (*flow).initiator != initiator::UNKNOWN;
        UdpFlow {
            netns_cookie: (*flow).netns_cookie,
            cgroup_id: (*flow).cgroup_id,
            start_ns: bpf_ktime_get_ns(),
            comm: (*flow).comm,
            pid: (*flow).pid,
            uid: (*flow).uid,
            tag: tag(&key.remote_address),
            initiator: match (known, egress) {
                (false, _) => initiator::UNKNOWN,
                (true, true) => initiator::LOCAL,
                (true, false) => initiator::REMOTE,
            },
            ip_version,
            ..UdpFlow::default()
        }
    };
    // A race for the same remote is lost to the other CPU, whose entry then counts for both.
    let _ = UDP_FLOWS.insert(key, entry, u64::from(BPF_NOEXIST));
    UDP_FLOWS.get_ptr_mut(key)
}
