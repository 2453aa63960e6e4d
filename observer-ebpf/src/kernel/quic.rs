//! Question: whom does the client of a new QUIC connection ask for?
//!
//! Asked of the first datagrams that a flow sends. Handed over is an Initial packet of version 1 or 2
//! (RFC 9000, section 17.2.2; RFC 9369), cut at its own length: what is coalesced behind it stays. Cannot see: Initials
//! behind another packet of the same datagram.

use observer_ebpf::{
    abi::{
        EGRESS, Flow,
        capture::{self, CHUNK_BYTES},
    },
    packet::Headers,
};

use super::{
    capture::{Scratch, first_bytes, give_room, hand_over, head_of_packet, load, take_room},
    platform::__sk_buff,
};

/// Datagrams of one bundle that are looked at.
const DATAGRAMS_MAX: u32 = 4;
/// An Initial datagram is larger (RFC 9000, section 14.1), a client's packet in it may be smaller.
const LEAST: u32 = 64;
const ID_BYTES_MAX: u32 = 20;

/// Looks at the datagrams of a packet; `further` is 1 for a further remote of a UDP socket.
#[inline(never)]
pub fn look(flow: *mut Flow, skb: *mut __sk_buff, headers: &Headers, further: u32) -> u64 {
    // SAFETY: the context is valid while the program runs, `flow` is live storage.
    unsafe {
        let (length, gso_size) = ((*skb).len, (*skb).gso_size);
        let at = headers.bytes();
        if !is_initial(skb, at, length.saturating_sub(at)) {
            return 0;
        }
        let Some(scratch) = take_room(EGRESS) else {
            return 0;
        };
        head_of_packet::<EGRESS>(scratch, skb, headers, (*flow).cookie, (*flow).netns_cookie);
        let mut position = at;
        for _ in 0..DATAGRAMS_MAX {
            let left = length.saturating_sub(position);
            let datagram = if gso_size != 0 && gso_size < left {
                gso_size
            } else {
                left
            };
            if !is_initial(skb, position, datagram) {
                break;
            }
            packet(scratch, skb, position, datagram, further);
            position += datagram;
        }
        give_room(scratch);
    }
    0
}

/// Long header, fixed bit, a version that is known and its type of Initial packets.
#[inline(always)]
fn is_initial(skb: *mut __sk_buff, at: u32, length: u32) -> bool {
    if length < LEAST {
        return false;
    }
    let first = first_bytes(skb, at, length);
    let (form, version) = (first >> 60, (first >> 24) as u32);
    (version == 1 && form == 0xc) || (version == 0x6b33_43cf && form == 0xd)
}

/// Hands over one packet.
#[inline(never)]
unsafe fn packet(
    scratch: *mut Scratch,
    skb: *mut __sk_buff,
    at: u32,
    datagram: u32,
    further: u32,
) -> u64 {
    let byte = |at: u32| (first_bytes(skb, at, 8) >> 56) as u32;
    let mut position = at + 5;
    // Both connection ids, behind their lengths.
    for _ in 0..2 {
        let id = byte(position);
        if id > ID_BYTES_MAX {
            return 0;
        }
        position += 1 + id;
    }
    let token = byte(position);
    let token_bytes = if token < 0x40 {
        1 + token
    } else if token < 0x80 {
        2 + ((first_bytes(skb, position, 8) >> 48) as u32 & 0x3fff)
    } else {
        return 0;
    };
    position += token_bytes;
    let first = first_bytes(skb, position, 8);
    let (length, length_bytes) = match first >> 62 {
        0 => ((first >> 56) as u32 & 0x3f, 1),
        1 => ((first >> 48) as u32 & 0x3fff, 2),
        2 => ((first >> 32) as u32 & 0x3fff_ffff, 4),
        _ => return 0,
    };
    let end = position.saturating_add(length_bytes + length);
    let whole = end.saturating_sub(at);
    if whole > datagram || whole as usize > CHUNK_BYTES {
        return 0;
    }
    let flags = if further != 0 { capture::FURTHER } else { 0 };
    // SAFETY: `scratch` is this program's room, with its head.
    unsafe {
        let n = load::<{ CHUNK_BYTES as u32 }>(scratch, skb, at, whole);
        u64::from(n != 0 && hand_over(scratch, capture::QUIC, flags, 0, n))
    }
}
