//! The real surroundings: aya-ebpf's names, and the two things that it does not have. Every name here has its stand-in in
//! `native`.

use core::ptr;

pub use aya_ebpf::{
    bindings::{__sk_buff, BPF_NOEXIST, bpf_sock, bpf_sock_ops},
    btf_maps::{
        Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, Queue, RingBuf, SkStorage,
        lpm_trie::Key,
    },
    helpers::generated::{
        bpf_get_attach_cookie, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_task, bpf_get_current_task_btf, bpf_get_current_uid_gid,
        bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_ktime_get_ns, bpf_loop,
        bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_ringbuf_output,
        bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit, bpf_sk_cgroup_id,
        bpf_sk_fullsock, bpf_sk_storage_get, bpf_skb_load_bytes, bpf_skb_load_bytes_relative,
        bpf_sock_from_file, bpf_sock_ops_cb_flags_set, bpf_task_pt_regs, bpf_tcp_sock,
    },
    programs::{
        ProbeContext, SkBuffContext, SockAddrContext, SockContext, SockOpsContext, TcContext,
    },
};

/// Atomic add without a result, which 5.10 takes.
#[inline(always)]
pub unsafe fn atomic_add(counter: *mut u64, count: u64) {
    // SAFETY: the caller passes a field of a live map value.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
            counter, count,
        );
    }
}

/// What the loader put in a constant's place, or the constant.
#[inline(always)]
pub unsafe fn loaded<T: Copy>(constant: *const T) -> T {
    // SAFETY: the caller passes an initialised, aligned static; the loader may have replaced it before load.
    unsafe { ptr::read_volatile(constant) }
}
