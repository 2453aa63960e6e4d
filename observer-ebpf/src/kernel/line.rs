//! Question: which requests does a client make that encrypts nothing?
//!
//! Asked of the first payload that is sent for the first time after an answer, of connections whose first payload was a plain
//! request. What is handed over: method and path up to the first space or `?`, and where in both streams the request begins. Cannot
//! see: a request that does not wait for the answer before it, a request line that is cut by a packet's end.

use core::{
    mem::size_of,
    ptr::{read_volatile, write_volatile},
};

use observer_ebpf::{
    abi::{
        EGRESS, Flow, Lost,
        capture::{CUT, REQUEST},
        request::{Boundary, LINE_BYTES},
    },
    request::{Part, is_request, part},
};

use super::{
    capture::{
        Scratch, bounded, first_bytes, give_room, hand_over, head_of_flow, take_room, wipe, words,
    },
    flow::answer_before,
    look::Sent,
    maps::{lose, requests_on},
    platform::{__sk_buff, bpf_skb_load_bytes, bpf_sock, bpf_tcp_sock},
    route,
};

/// Hands a request over, if one begins with the payload.
///
/// # Safety
/// `flow` is live storage, and `sk` its socket.
#[inline(always)]
pub unsafe fn look(flow: *mut Flow, sk: *mut bpf_sock, skb: *mut __sk_buff, sent: &Sent) {
    if requests_on() == 0 || !is_request(first_bytes(skb, sent.at, sent.length)) {
        return;
    }
    // SAFETY: the caller's promise; the verifier checks the socket pointer.
    unsafe {
        let tcp = bpf_tcp_sock(sk);
        if tcp.is_null() {
            return;
        }
        let received = (*tcp).bytes_received;
        let Some(scratch) = take_room(EGRESS) else {
            return;
        };
        head_of_flow(scratch, flow);
        let boundary = words(scratch).cast::<Boundary>();
        (*boundary).sent = sent.offset;
        (*boundary).received = received.saturating_sub((*flow).received_base);
        (*boundary).answer = answer_before(flow);
        if line(skb, scratch, sent.at, sent.length) == 0 {
            lose(Lost::Request);
        }
        give_room(scratch);
    }
}

/// See [`route::known`]. Behind the line's end, which is noted in the room, stands what followed it: it is wiped first.
#[inline(always)]
unsafe fn known(scratch: *mut Scratch, is_cut: bool) -> u32 {
    const AT: usize = size_of::<Boundary>() / size_of::<u64>();
    // SAFETY: `scratch` is this program's room, which is longer than boundary and line.
    unsafe {
        let line = words(scratch).add(AT);
        let end = &raw const (*scratch).look.record;
        for i in 0..LINE_BYTES as u32 {
            if i >= read_volatile(end) {
                write_volatile(line.cast::<u8>().add(i as usize), 0);
            }
        }
        route::known(line, read_volatile(end), is_cut)
    }
}

/// Puts the line behind the boundary, and hands over what may be; 0 where it does not end.
#[inline(never)]
unsafe fn line(skb: *mut __sk_buff, scratch: *mut Scratch, at: u32, length: u32) -> u64 {
    const FROM: usize = size_of::<Boundary>();
    const MOST: u32 = LINE_BYTES as u32;
    // SAFETY: `scratch` is this program's room, which is longer than boundary and line. What the loop knows lies there: in
    // registers the verifier would follow each of its values apart.
    unsafe {
        let line = (&raw mut (*scratch).chunk.data).cast::<u8>().add(FROM);
        let n = bounded::<MOST>(length);
        if bpf_skb_load_bytes(skb.cast(), at, line.cast(), n) != 0 {
            return 0;
        }
        let spaces = &raw mut (*scratch).look.header;
        let end = &raw mut (*scratch).look.record;
        let loaded = &raw mut (*scratch).look.message;
        write_volatile(loaded, n);
        write_volatile(spaces, 0);
        write_volatile(end, MOST);
        for i in 0..MOST {
            if i >= read_volatile(loaded) || read_volatile(end) != MOST {
                break;
            }
            let byte = *line.add(i as usize);
            match part(byte, read_volatile(spaces)) {
                Part::Goes if byte == b' ' => write_volatile(spaces, 1),
                Part::Goes => {}
                Part::Ends => write_volatile(end, i),
            }
        }
        let end = read_volatile(end);
        let is_cut = end >= MOST;
        let is_whole = !is_cut || read_volatile(loaded) == MOST;
        if is_whole {
            let flags = if is_cut { CUT } else { 0 };
            let known = known(scratch, is_cut);
            (*words(scratch).cast::<Boundary>()).route = known;
            let line = if known == 0 { bounded::<MOST>(end) } else { 0 };
            hand_over(scratch, REQUEST, flags, 0, FROM as u32 + line);
        }
        // What stood behind the line is nobody's business.
        wipe::<{ FROM + LINE_BYTES }>(scratch);
        u64::from(is_whole)
    }
}
