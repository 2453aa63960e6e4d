//! Programs that do nothing: what the kernel itself takes to run one, so that a benchmark can tell it from our own work.
//! Loaded and attached by the benchmark alone.

use aya_ebpf::{
    macros::{cgroup_skb, classifier},
    programs::{SkBuffContext, TcContext},
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
