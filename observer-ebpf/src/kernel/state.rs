//! Question: who opened a TCP connection, how long did it take, and how did it end?
//!
//! Hook: `sock_ops` on the root of the unified hierarchy (4.13; storage 5.2). Context: under the socket lock.
//! Other programs' callback flags are kept: ours is or-ed to them. Where theirs takes ours away, the packet path still
//! sees the end (`count::is_end`). Cannot see: sockets that were connected before the agent attached.

use observer_ebpf::{
    abi::{Flow, flag, initiator},
    account::{closed_flags, elapsed_us},
};

use super::{
    count, flow, maps,
    platform::{
        SockOpsContext, bpf_ktime_get_ns, bpf_sock, bpf_sock_ops, bpf_sock_ops_cb_flags_set,
    },
};

const TCP_CONNECT: u32 = 3;
const ACTIVE_ESTABLISHED: u32 = 4;
const PASSIVE_ESTABLISHED: u32 = 5;
const STATE: u32 = 10;
const STATE_FLAG: u32 = 1 << 2;

const TCP_ESTABLISHED: u32 = 1;
const TCP_SYN_SENT: u32 = 2;
const TCP_CLOSE: u32 = 7;

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::sock_ops)]
pub fn follow_state(ctx: SockOpsContext) -> u32 {
    let ops = ctx.ops;
    // SAFETY: the context is valid while the program runs; the verifier checks the socket pointer.
    unsafe {
        let op = (*ops).op;
        if op != TCP_CONNECT && op != ACTIVE_ESTABLISHED && op != PASSIVE_ESTABLISHED && op != STATE
        {
            return 0;
        }
        let sk: *mut bpf_sock = (*ops).__bindgen_anon_2.sk;
        if sk.is_null() {
            return 0;
        }
        let flow = maps::flow(sk, op != STATE);
        if op != STATE {
            bpf_sock_ops_cb_flags_set(
                ops,
                ((*ops).bpf_sock_ops_cb_flags | STATE_FLAG).cast_signed(),
            );
        }
        if flow.is_null() {
            return 0;
        }
        match op {
            TCP_CONNECT => opened(flow, 0, initiator::LOCAL),
            ACTIVE_ESTABLISHED => {
                opened(flow, flag::ESTABLISHED, initiator::LOCAL);
                if (*flow).start_ns != 0 {
                    (*flow).connect_us = elapsed_us((*flow).start_ns, bpf_ktime_get_ns());
                }
            }
            PASSIVE_ESTABLISHED => opened(flow, flag::ESTABLISHED, initiator::REMOTE),
            _ => changed(flow, ops),
        }
    }
    0
}

#[inline(always)]
unsafe fn opened(flow: *mut Flow, flags: u32, by: u8) {
    // SAFETY: `flow` is live storage, written under the socket lock.
    unsafe {
        (*flow).flags_locked |= (flag::FROM_START | flags) as u16;
        (*flow).initiator = by;
    }
}

#[inline(always)]
unsafe fn changed(flow: *mut Flow, ops: *mut bpf_sock_ops) {
    // SAFETY: `flow` is live storage, written under the socket lock.
    unsafe {
        let [old, new, ..] = (*ops).__bindgen_anon_1.args;
        if new != TCP_CLOSE {
            // Other programs set their flags when a connection stands: what is called after that stays.
            if new != TCP_ESTABLISHED {
                (*flow).flags_locked |= flag::STATE_FOLLOWED as u16;
            }
            return;
        }
        (*flow).flags_locked |= closed_flags((*flow).flags(), old == TCP_SYN_SENT);
        if (*ops).is_fullsock != 0 {
            count::note_rtt(flow, (*ops).srtt_us, (*ops).rtt_min);
            count::note_received(flow, (*ops).bytes_received);
        }
        if (*flow).ready != 0 {
            flow::report_end(flow);
        }
    }
}
