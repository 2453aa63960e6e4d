//! Question: which names were answered with which addresses?
//!
//! Asked of received packets from port 53, on loopback too: a local resolver's answers are read for their
//! names and counted nowhere. Cannot see: answers over TLS, HTTPS or a local socket of another kind, multicast DNS.

use observer_ebpf::{
    abi::{
        INGRESS,
        capture::{self, CHUNK_BYTES},
    },
    packet::{Headers, Packet as _, Start as _, protocol, size},
};

use super::{
    capture::{give_room, hand_over, head_of_packet, load, take_room},
    flow,
    platform::{__sk_buff, bpf_get_socket_cookie, bpf_sock},
    skb::SocketSkb,
};

pub const PORT: u16 = 53;
/// Chunks of one packet: a bundle of TCP segments has 64 KiB at the most, an answer seldom more than two of them.
const CHUNKS_MAX: u32 = 8;

/// Whether a packet that came in by loopback may be an answer: by the port alone, where it usually stands.
#[inline(always)]
pub fn may_be_answer(skb: *mut __sk_buff) -> bool {
    const V4: u8 = 0x45;
    const V6: u8 = 6;
    let Some(start) = SocketSkb(skb).start::<28>() else {
        return false;
    };
    let first = start.byte(0);
    if first == V4 {
        return start.be16(20) == PORT;
    }
    first >> 4 == V6
        && SocketSkb(skb)
            .start::<48>()
            .is_some_and(|start| start.be16(40) == PORT)
}

/// Looks at a packet from port 53.
#[inline(never)]
pub fn look(skb: *mut __sk_buff, sk: *mut bpf_sock, headers: &Headers) -> u64 {
    let payload_bytes = size(&SocketSkb(skb), headers.bytes()).payload_bytes as u32;
    if payload_bytes == 0 || headers.source_port != PORT {
        return 0;
    }
    let Some(scratch) = take_room(INGRESS) else {
        return 0;
    };
    // SAFETY: the context is valid while the program runs; `scratch` is this program's room.
    unsafe {
        let cookie = bpf_get_socket_cookie(skb.cast());
        let netns_cookie = flow::netns_cookie(skb, sk);
        head_of_packet::<INGRESS>(scratch, skb, headers, cookie, netns_cookie);
        let mut position = headers.bytes();
        if headers.protocol == protocol::UDP {
            let cut = if payload_bytes as usize > CHUNK_BYTES {
                capture::CUT
            } else {
                0
            };
            let n = load::<{ CHUNK_BYTES as u32 }>(scratch, skb, position, payload_bytes);
            if n != 0 {
                hand_over(scratch, capture::DNS, cut, 0, n);
            }
        } else {
            let mut left = payload_bytes;
            let mut sequence = headers.sequence;
            for _ in 0..CHUNKS_MAX {
                let n = load::<{ CHUNK_BYTES as u32 }>(scratch, skb, position, left);
                if n == 0 || !hand_over(scratch, capture::DNS_STREAM, 0, sequence, n) {
                    break;
                }
                left -= n;
                position += n;
                sequence = sequence.wrapping_add(n);
            }
        }
        give_room(scratch);
    }
    0
}
