//! Question: which process holds a socket that no call told the owner of?
//!
//! Hook: the iterator over the files of all tasks, `iter/task_file` (5.8; `bpf_sock_from_file` 5.11). Context: the
//! agent's own read, which runs it when flows without an owner have begun. The first holder in the order of pids is
//! taken; of owners that are known it is told again what is not remembered. The iterator holds the file, so the socket is not let go meanwhile. Cannot see: sockets that were let go, those
//! that wait to be accepted, those in flight between processes.

use core::{ffi::c_void, ptr};

use observer_ebpf::abi::{Flow, field::Field, flag};

use super::{
    maps::FLOWS,
    peek,
    platform::{bpf_sk_storage_get, bpf_sock_from_file},
    process::process,
};

/// `struct bpf_iter__task_file` (kernel/bpf/task_iter.c).
#[repr(C)]
pub struct Context {
    pub meta: *mut c_void,
    pub task: *mut c_void,
    pub fd: u32,
    pub file: *mut c_void,
}

/// The start of `struct socket` (include/linux/net.h). The verifier follows typed pointers by fixed offsets alone; the
/// loader leaves this program out where BTF has another one.
#[repr(C)]
pub struct Socket {
    _head: [u64; 3],
    pub sk: *mut c_void,
}

#[unsafe(no_mangle)]
#[cfg_attr(target_arch = "bpf", unsafe(link_section = "iter/task_file"))]
pub extern "C" fn find_holders(ctx: *mut Context) -> u32 {
    // SAFETY: the kernel gives a valid context; the verifier checks the pointers and their null tests.
    unsafe {
        let (task, file) = ((*ctx).task, (*ctx).file);
        if task.is_null() || file.is_null() {
            return 0;
        }
        let socket: *mut Socket = bpf_sock_from_file(file.cast()).cast();
        if socket.is_null() {
            return 0;
        }
        let sk = (*socket).sk;
        if sk.is_null() {
            return 0;
        }
        let map = ptr::from_ref(&FLOWS).cast_mut().cast();
        let flow: *mut Flow = bpf_sk_storage_get(map, sk, ptr::null_mut(), 0).cast();
        if flow.is_null() || (*flow).flags() & flag::KERNEL_OWNED != 0 {
            return 0;
        }
        if (*flow).flags() & flag::OWNER == 0 {
            hold(flow, task as u64);
        } else if peek::read::<u32>(task as u64, Field::TaskTgid) == Some((*flow).pid) {
            // Tells of it where that was forgotten.
            process(task as u64, (*flow).pid);
        }
    }
    0
}

#[inline(always)]
unsafe fn hold(flow: *mut Flow, task: u64) {
    let pid = peek::read::<u32>(task, Field::TaskTgid);
    let comm = peek::read::<[u8; 16]>(task, Field::TaskComm);
    let uid = peek::pointer(task, Field::TaskCred)
        .and_then(|cred| peek::read::<u32>(cred, Field::CredUid));
    let (Some(pid), Some(comm), Some(uid)) = (pid, comm, uid) else {
        return;
    };
    // SAFETY: `flow` is live storage; no hook writes an owner to a socket that has passed packets without one, but for
    // sendmsg, which writes the same kind of facts.
    unsafe {
        (*flow).pid = pid;
        (*flow).uid = uid;
        (*flow).comm = comm;
        (*flow).process = process(task, pid);
        (*flow).flags_owner |= ((flag::OWNER | flag::HOLDER) >> 24) as u8;
    }
}
