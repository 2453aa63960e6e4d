//! Company for our programs, loaded on demand by benchmarks and tests alone: programs that do nothing, to tell what the
//! kernel itself takes to run one, and a rival that wipes other programs' callback flags.

use aya_ebpf::{
    macros::{cgroup_skb, classifier, sock_ops},
    programs::{SkBuffContext, SockOpsContext, TcContext},
};

#[cgroup_skb(egress)]
pub fn empty_egress(_ctx: SkBuffContext) -> i32 {
    1
}

#[cgroup_skb(ingress)]
pub fn empty_ingress(_ctx: SkBuffContext) -> i32 {
    1
}

#[classifier]
pub fn empty_uplink(_ctx: TcContext) -> i32 {
    -1
}

/// Another agent's program, attached before ours: sets its own callback flags in place of all others.
#[sock_ops]
pub fn rival_before(ctx: SockOpsContext) -> u32 {
    wipe_flags(&ctx)
}

/// The same, attached after ours: takes our flag away.
#[sock_ops]
pub fn rival_after(ctx: SockOpsContext) -> u32 {
    wipe_flags(&ctx)
}

#[inline(always)]
fn wipe_flags(ctx: &SockOpsContext) -> u32 {
    const RTO_FLAG: i32 = 1;
    let _ = ctx.set_cb_flags(RTO_FLAG);
    0
}
