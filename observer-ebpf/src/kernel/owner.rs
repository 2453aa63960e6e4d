//! Question: who opened the socket, and when did the last process let go of it?
//!
//! Hooks: `cgroup/sock_create` (4.10; storage 5.9), `cgroup/connect4|6`, `cgroup/sendmsg4|6` (4.17/4.18; storage 5.8),
//! `cgroup/sock_release` (5.9). Context: the caller's task.
//! Cannot see: who accepted, inherited or already had a socket, until it is let go. Always allows the call.

use observer_ebpf::{
    abi::{Flow, field::Field, flag, initiator},
    packet::protocol,
};

use super::{
    flow,
    maps::{self, netns_by_packet},
    peek,
    platform::{
        SockAddrContext, SockContext, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_task, bpf_get_current_uid_gid, bpf_get_netns_cookie, bpf_ktime_get_ns,
        bpf_sock,
    },
    process,
};

const ALLOW: i32 = 1;
const SOCK_STREAM: u32 = 1;

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_sock(sock_create))]
pub fn note_origin(ctx: SockContext) -> i32 {
    // SAFETY: the context is valid while the program runs.
    let stream = unsafe { (*ctx.sock).type_ } == SOCK_STREAM;
    if stream && netns_by_packet() != 0 {
        // TCP says itself who opened a connection, and this kernel the namespace of each packet.
        return ALLOW;
    }
    let origin = maps::origin(ctx.sock, true);
    if !origin.is_null() {
        // SAFETY: the pointer is checked and points to a live map value.
        unsafe { (*origin).netns_cookie = bpf_get_netns_cookie(ctx.sock.cast()) };
    }
    ALLOW
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_sock_addr(connect4))]
pub fn own_connect4(ctx: SockAddrContext) -> i32 {
    own_connect(&ctx)
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_sock_addr(connect6))]
pub fn own_connect6(ctx: SockAddrContext) -> i32 {
    own_connect(&ctx)
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_sock_addr(sendmsg4))]
pub fn own_sendmsg4(ctx: SockAddrContext) -> i32 {
    own_sendmsg(&ctx)
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_sock_addr(sendmsg6))]
pub fn own_sendmsg6(ctx: SockAddrContext) -> i32 {
    own_sendmsg(&ctx)
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_sock(sock_release))]
pub fn release(ctx: SockContext) -> i32 {
    let flow = maps::flow(ctx.sock, false);
    if flow.is_null() {
        return ALLOW;
    }
    // SAFETY: `flow` is live storage; the owner's flags have no other writer once the socket is let go.
    unsafe {
        if (*flow).flags() & (flag::OWNER | flag::KERNEL_OWNED) == 0 {
            own(flow, flag::LAST_HOLDER);
        }
        (*flow).flags_owner |= (flag::RELEASED >> 24) as u8;
        let flags = (*flow).flags();
        // An open connection still sends its FIN or RST, and that packet hands the flow over.
        let more = (*flow).protocol == protocol::TCP
            && flags & flag::ESTABLISHED != 0
            && flags & flag::CLOSED == 0;
        if (*flow).ready != 0 && !more {
            flow::report_end(flow);
        }
    }
    ALLOW
}

#[inline(always)]
fn socket(ctx: &SockAddrContext) -> *mut bpf_sock {
    // SAFETY: the context is valid while the program runs.
    unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk }
}

#[inline(always)]
fn own_connect(ctx: &SockAddrContext) -> i32 {
    // SAFETY: the context is valid while the program runs.
    let number = unsafe { (*ctx.sock_addr).protocol };
    let tcp = number == u32::from(protocol::TCP);
    if !tcp && number != u32::from(protocol::UDP) {
        return ALLOW;
    }
    let flow = maps::flow(socket(ctx), true);
    if flow.is_null() {
        return ALLOW;
    }
    // SAFETY: `flow` is live storage.
    unsafe {
        if tcp {
            if (*flow).ready != 0 {
                // The socket connects again after a failed attempt: that is another flow.
                flow::report_end(flow);
                *flow = Flow::default();
            }
            (*flow).start_ns = bpf_ktime_get_ns();
            (*flow).flags_locked |= flag::FROM_START as u16;
        } else if (*flow).start_ns == 0 {
            (*flow).start_ns = bpf_ktime_get_ns();
        }
        call(flow);
    }
    ALLOW
}

#[inline(always)]
fn own_sendmsg(ctx: &SockAddrContext) -> i32 {
    let flow = maps::flow(socket(ctx), true);
    // SAFETY: the pointer is checked and points to live storage.
    unsafe {
        if !flow.is_null() && (*flow).flags() & (flag::OWNER | flag::KERNEL_OWNED) == 0 {
            call(flow);
        }
    }
    ALLOW
}

#[inline(always)]
unsafe fn call(flow: *mut Flow) {
    // SAFETY: `flow` is live storage.
    unsafe {
        // A datagram socket that was written to first may still have been there before the agent.
        if (*flow).ready == 0 {
            (*flow).initiator = initiator::LOCAL;
        }
        own(flow, 0);
    }
}

/// Writes who runs now; `how` is a flag that tells it from a caller, or 0.
#[inline(always)]
unsafe fn own(flow: *mut Flow, how: u32) {
    // Where the fields are not known the helper is not called: a kernel may not have it for these programs.
    let task = if peek::knows(Field::TaskFlags) {
        // SAFETY: no argument.
        unsafe { bpf_get_current_task() }
    } else {
        0
    };
    // SAFETY: `flow` is live storage; the buffer is as long as said.
    unsafe {
        if task != 0 && process::is_kernel(task) {
            // A worker of the kernel may let a process's socket go in its place: that tells of nobody.
            if how != flag::LAST_HOLDER {
                (*flow).flags_owner |= (flag::KERNEL_OWNED >> 24) as u8;
            }
            return;
        }
        let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*flow).pid = pid;
        (*flow).uid = bpf_get_current_uid_gid() as u32;
        bpf_get_current_comm((&raw mut (*flow).comm).cast(), 16);
        if task != 0 {
            (*flow).process = process::process(task, pid);
        }
        (*flow).flags_owner |= ((flag::OWNER | how) >> 24) as u8;
    }
}
