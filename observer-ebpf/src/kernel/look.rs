//! The programs that look at packets which may name a flow. The counting programs end in them by a tail call, for such
//! packets alone: what they do is checked, and on older kernels refused, apart from the counting.
//!
//! Hooks: none; called from `count_egress` and `count_ingress`, `look_at_line` from `look_at_sent` (in programs with calls of their own: 5.10 on x86-64, 6.0 on
//! arm64). Context: theirs. Always pass the packet.

use observer_ebpf::{
    abi::{EGRESS, Flow, flag, initiator},
    packet::{Headers, headers, protocol, size, usual_headers},
};

use super::{
    dns, hello, line,
    maps::{self, LOOK_AT_RECEIVED, LOOK_AT_SENT, captures_on},
    platform::{__sk_buff, SkBuffContext, bpf_sock},
    quic,
    skb::{SocketSkb, full_socket},
    udp,
};

const PASS: i32 = 1;
/// Word of the skb's scratch in which the counting program leaves how many bytes of the payload were sent before.
const AGAIN: usize = 0;
/// Places in the map of programs.
const HELLO: u32 = 0;
const LINE: u32 = 1;

/// Leaves for [`look_at_sent`] how much of the payload was sent before.
///
/// # Safety
/// `skb` is the context of a `cgroup_skb` program.
#[inline(always)]
pub unsafe fn note_again(skb: *mut __sk_buff, bytes: u32) {
    // SAFETY: the caller's promise; a program's own words.
    unsafe { (*skb).cb[AGAIN] = bytes };
}

/// Ends in the program that looks; comes back where there is none.
#[inline(always)]
pub fn call_on<const AT: usize>(ctx: &SkBuffContext) {
    if captures_on() == 0 {
        return;
    }
    // SAFETY: nothing here has to be dropped.
    unsafe {
        if AT == EGRESS {
            LOOK_AT_SENT.tail_call(ctx, HELLO);
        } else {
            LOOK_AT_RECEIVED.tail_call(ctx, 0);
        }
    }
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_skb(egress))]
pub fn look_at_sent(ctx: SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    let Some((_, flow)) = flow_of(skb) else {
        return PASS;
    };
    // SAFETY: `flow` is live storage.
    let looked = unsafe { (*flow).flags_locked } & flag::LOOKED as u16 != 0;
    if !looked {
        let headers = headers_of(skb);
        if headers.protocol == protocol::TCP {
            // SAFETY: the context is valid while the program runs.
            let sent = unsafe { sent(skb, flow, &headers) };
            if sent.length != 0 {
                hello::look(flow, skb, &sent);
            }
        } else if headers.protocol == protocol::UDP {
            // SAFETY: `flow` is live storage.
            let first = unsafe { udp::is_first_remote::<EGRESS>(flow, &SocketSkb(skb), &headers) };
            quic::look(flow, skb, &headers, u32::from(!first));
        }
    }
    // SAFETY: `flow` is live storage; nothing here has to be dropped.
    unsafe {
        if (*flow).flags_locked & flag::HTTP as u16 != 0 {
            LOOK_AT_SENT.tail_call(&ctx, LINE);
        }
    }
    PASS
}

/// Looks at a plain request: a program of its own, as its loops after those for a hello were more than kernels check.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_skb(egress))]
pub fn look_at_line(ctx: SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    let Some((sk, flow)) = flow_of(skb) else {
        return PASS;
    };
    let headers = headers_of(skb);
    if headers.protocol == protocol::TCP {
        // SAFETY: the context is valid while the program runs, `flow` is `sk`'s live storage.
        unsafe {
            let sent = sent(skb, flow, &headers);
            if sent.length != 0 {
                line::look(flow, sk, skb, &sent);
            }
        }
    }
    PASS
}

/// The packet's socket, and its flow.
#[inline(always)]
fn flow_of(skb: *mut __sk_buff) -> Option<(*mut bpf_sock, *mut Flow)> {
    let sk = full_socket(skb)?;
    let flow = maps::flow(sk, false);
    (!flow.is_null()).then_some((sk, flow))
}

/// A packet's payload that is sent for the first time.
pub struct Sent {
    /// Where it lies in the packet.
    pub at: u32,
    pub length: u32,
    /// Its place in the connection's stream.
    pub offset: u64,
}

/// # Safety
/// `skb` is the context of a `cgroup_skb` program on which the counting one has called, `flow` is live storage.
#[inline(always)]
unsafe fn sent(skb: *mut __sk_buff, flow: *mut Flow, headers: &Headers) -> Sent {
    // SAFETY: the caller's promise.
    unsafe {
        let again = (*skb).cb[AGAIN];
        let payload = size(&SocketSkb(skb), headers.bytes()).payload_bytes as u32;
        let length = payload.saturating_sub(again);
        Sent {
            at: headers.bytes() + again,
            length,
            offset: (*flow).sent.payload_bytes.saturating_sub(length.into()),
        }
    }
}

#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::cgroup_skb(ingress))]
pub fn look_at_received(ctx: SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    let Some(sk) = full_socket(skb) else {
        return PASS;
    };
    let flow = maps::flow(sk, false);
    // Nobody asked: anyone can send from that port. Loopback has no flow.
    // SAFETY: the pointer is checked and points to live storage.
    if !flow.is_null() && unsafe { (*flow).initiator } == initiator::REMOTE {
        return PASS;
    }
    dns::look(skb, sk, &headers_of(skb));
    PASS
}

/// What cannot be read has no protocol.
#[inline(always)]
fn headers_of(skb: *mut __sk_buff) -> Headers {
    if let Some(headers) = usual_headers(&SocketSkb(skb)) {
        headers
    } else {
        let mut unusual = Headers::default();
        read_unusual(skb, &mut unusual);
        unusual
    }
}

#[inline(never)]
fn read_unusual(skb: *mut __sk_buff, unusual: &mut Headers) -> u64 {
    if let Some(headers) = headers(&SocketSkb(skb)) {
        *unusual = headers;
    }
    0
}
