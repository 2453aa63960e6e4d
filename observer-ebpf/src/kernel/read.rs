//! Question: which flows changed since the last tick?
//!
//! Hook: the storage iterator, `iter/bpf_sk_storage_map` (5.9, with BTF). Context: the agent's own read. It hands changed
//! flows over in a ring, because a pass that writes nothing into the iterator's own buffer visits each socket once,
//! whereas that buffer makes the kernel start over every 32 KiB. A flow is marked as reported only after the ring took
//! it, for both directions at once. Cannot see: sockets without storage.

use core::{ffi::c_void, ptr};

use observer_ebpf::{
    abi::{Flow, Lost, control},
    packet::protocol,
};

use super::{
    count,
    maps::{self, CONTROL, READS, lose},
    peek,
    platform::bpf_ringbuf_output,
};

/// `struct bpf_iter__bpf_sk_storage_map` (net/core/bpf_sk_storage.c).
#[repr(C)]
pub struct Context {
    pub meta: *mut c_void,
    pub map: *mut c_void,
    pub sk: *mut c_void,
    pub value: *mut Flow,
}

const BPF_RB_NO_WAKEUP: u64 = 1;

#[unsafe(no_mangle)]
#[cfg_attr(target_arch = "bpf", unsafe(link_section = "iter/bpf_sk_storage_map"))]
pub extern "C" fn read_flows(ctx: *mut Context) -> u32 {
    // SAFETY: the kernel gives a valid context; the verifier checks the pointers and their null tests.
    unsafe {
        let sk = (*ctx).sk;
        let flow = (*ctx).value;
        if sk.is_null() || flow.is_null() || (*flow).ready == 0 {
            return 0;
        }
        let bytes = (*flow).sent.device_bytes + (*flow).received.device_bytes;
        let flags = (*flow).flags();
        let generation = CONTROL.get(control::GENERATION).copied().unwrap_or(0);
        let same = bytes == (*flow).reported_bytes
            && flags == (*flow).reported_flags
            && generation == (*flow).reported_generation;
        if same && (*flow).settled != 0 {
            return 0;
        }
        // TCP takes a packet in after the hook has counted it: what a reading missed of it, the next one has.
        let grew = (*flow).protocol == protocol::TCP && note_socket(flow, sk);
        if same && !grew {
            (*flow).settled = 1;
            return 0;
        }
        (*flow).settled = 0;
        if (*flow).netns_inode == 0 {
            (*flow).netns_inode = netns_inode(sk);
        }
        let ring = ptr::from_ref(&READS).cast_mut().cast();
        if bpf_ringbuf_output(
            ring,
            flow.cast(),
            size_of::<Flow>() as u64,
            BPF_RB_NO_WAKEUP,
        ) == 0
        {
            (*flow).reported_bytes = bytes;
            (*flow).reported_flags = flags;
            (*flow).reported_generation = generation;
        } else {
            lose(Lost::ReadRing);
        }
    }
    0
}

/// Takes TCP's own count and times into the flow; says whether the count grew.
#[inline(always)]
unsafe fn note_socket(flow: *mut Flow, sk: *mut c_void) -> bool {
    // SAFETY: `flow` is live storage.
    unsafe {
        let srtt_us = peek::field::<u32>(sk as u64, maps::srtt_us_offset());
        let rtt_min_us = peek::field::<u32>(sk as u64, maps::rtt_min_us_offset());
        count::note_rtt(flow, srtt_us.unwrap_or(0), rtt_min_us.unwrap_or(0));
        peek::field::<u64>(sk as u64, maps::bytes_received_offset())
            .is_some_and(|bytes_received| count::note_received(flow, bytes_received))
    }
}

/// Inode number of the socket's network namespace.
#[inline(always)]
unsafe fn netns_inode(sk: *mut c_void) -> u32 {
    peek::field::<u64>(sk as u64, maps::sock_net_offset())
        .and_then(|net| peek::field::<u32>(net, maps::net_inum_offset()))
        .unwrap_or(0)
}
