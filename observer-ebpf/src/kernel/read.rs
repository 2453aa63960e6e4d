//! Question: which flows changed since the last tick?
//!
//! Hook: the storage iterator, `iter/bpf_sk_storage_map` (5.9, with BTF). Context: the agent's own read. It hands changed
//! flows over in a ring, because a pass that writes nothing into the iterator's own buffer visits each socket once,
//! whereas that buffer makes the kernel start over every 32 KiB. A flow is marked as reported only after the ring took
//! it, for both directions at once. Cannot see: sockets without storage.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_ringbuf_output};
use observer_ebpf::abi::{Flow, Lost};

use super::maps::{CONTROL, READS, lose, net_inum_offset, sock_net_offset};

/// `struct bpf_iter__bpf_sk_storage_map` (net/core/bpf_sk_storage.c).
#[repr(C)]
pub struct Context {
    meta: *mut c_void,
    map: *mut c_void,
    sk: *mut c_void,
    value: *mut Flow,
}

const BPF_RB_NO_WAKEUP: u64 = 1;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_sk_storage_map")]
pub extern "C" fn read_flows(ctx: *mut Context) -> u32 {
    // SAFETY: the kernel gives a valid context; the verifier checks the pointers and their null tests.
    unsafe {
        let sk = (*ctx).sk;
        let flow = (*ctx).value;
        if sk.is_null() || flow.is_null() || (*flow).ready == 0 {
            return 0;
        }
        let bytes = (*flow).counters.device_bytes[0] + (*flow).counters.device_bytes[1];
        let flags = (*flow).flags();
        let generation = CONTROL.get(0).copied().unwrap_or(0);
        if bytes == (*flow).reported_bytes
            && flags == (*flow).reported_flags
            && generation == (*flow).reported_generation
        {
            return 0;
        }
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

/// Inode number of the socket's network namespace, by the offsets that the loader took from BTF.
#[inline(always)]
unsafe fn netns_inode(sk: *mut c_void) -> u32 {
    if sock_net_offset() == 0 {
        return 0;
    }
    let mut net: u64 = 0;
    let mut inode: u32 = 0;
    // SAFETY: the helper checks the addresses it reads; the buffers are as long as said.
    unsafe {
        let at = sk as u64 + u64::from(sock_net_offset());
        if bpf_probe_read_kernel((&raw mut net).cast(), 8, at as *const c_void) != 0 {
            return 0;
        }
        let at = net + u64::from(net_inum_offset());
        if bpf_probe_read_kernel((&raw mut inode).cast(), 4, at as *const c_void) != 0 {
            return 0;
        }
    }
    inode
}
