//! Question: whom does the client of a new TCP connection ask for?
//!
//! Asked under the socket lock of payload that is sent for the first time, until the answer is there or [`LOOK_BYTES_MAX`]
//! have passed. What is handed over: the first handshake message of TLS without record headers, the
//! `Host` of a plain request, the target that a proxy was told. Cannot see: a hello that begins in the middle of a
//! packet behind something else, a request line that is cut by a packet's end.

use core::ptr::{read_volatile, write_volatile};

use observer_ebpf::{
    abi::{
        EGRESS, Flow,
        capture::{self, CHUNK_BYTES, LOOK_BYTES_MAX},
        flag, initiator,
    },
    request::{begins, is_request},
};

use super::{
    capture::{
        Look, Scratch, first_bytes, give_room, hand_over, head_of_flow, load, take_room, wipe,
    },
    look::Sent,
    maps::PENDING,
    platform::{__sk_buff, bpf_skb_load_bytes},
};

/// Steps in one packet: a record's header or a part of its body each.
const STEPS_MAX: u32 = 32;
/// Bytes of a plain request in which its `Host` is looked for.
const REQUEST_BYTES: u32 = 1_024;
/// Bytes of a CONNECT request in which its target is looked for.
const TARGET_BYTES: u32 = 512;
/// A host name, or an address in brackets, with a port.
const HOST_BYTES_MAX: u32 = 262;

const HANDSHAKE: u32 = 22;
const RECORD_HEADER: u32 = 5;
const MESSAGE_HEADER: u32 = 4;
const CLIENT_HELLO: u32 = 1;

/// Looks at payload that is sent for the first time.
#[inline(always)]
pub fn look(flow: *mut Flow, skb: *mut __sk_buff, sent: &Sent) {
    let Sent { at, length, offset } = *sent;
    // SAFETY: `flow` is live storage, whose locked flags have this one writer.
    unsafe {
        let flags = u32::from((*flow).flags_locked);
        let ours = (*flow).initiator != initiator::REMOTE && flags & flag::FROM_START != 0;
        if !ours || offset >= u64::from(LOOK_BYTES_MAX) {
            let cut = if flags & flag::TLS == 0 {
                0
            } else {
                flag::LOOK_CUT
            };
            (*flow).flags_locked |= (flag::LOOKED | cut) as u16;
            return;
        }
        let Some(scratch) = take_room(EGRESS) else {
            (*flow).flags_locked |= (flag::LOOKED | flag::LOOK_CUT) as u16;
            return;
        };
        head_of_flow(scratch, flow);
        let goes_on = if offset == 0 {
            begin(flow, skb, scratch, at, length)
        } else {
            go_on(flow, skb, scratch, at, length, offset as u32)
        };
        if goes_on {
            hello(flow, skb, scratch, at, length);
        }
        give_room(scratch);
    }
}

/// Nothing more is looked at.
#[inline(always)]
unsafe fn end(flow: *mut Flow, cut: bool) {
    let cut = if cut { flag::LOOK_CUT } else { 0 };
    // SAFETY: the caller's `flow` is live storage.
    unsafe {
        (*flow).flags_locked |= (flag::LOOKED | cut) as u16;
        let _ = PENDING.remove((*flow).cookie);
    }
}

/// The first payload of the connection tells what is spoken; whether it is TLS.
#[inline(always)]
unsafe fn begin(
    flow: *mut Flow,
    skb: *mut __sk_buff,
    scratch: *mut Scratch,
    at: u32,
    length: u32,
) -> bool {
    let first = first_bytes(skb, at, length);
    // SAFETY: `flow` is live storage, `scratch` this program's room.
    unsafe {
        let flags = &raw mut (*flow).flags_locked;
        (*scratch).look = Look::default();
        if is_record(first, length) {
            *flags |= flag::TLS as u16;
            return true;
        }
        if first == u64::from_be_bytes(*b"CONNECT ") {
            *flags |= flag::PROXY as u16;
            connect(skb, scratch, at, length);
            // What stood behind the target is nobody's business.
            wipe::<{ TARGET_BYTES as usize }>(scratch);
        } else if is_socks_greeting(first, length) {
            *flags |= flag::PROXY as u16;
            (*scratch).look.next = length;
            let _ = PENDING.insert((*flow).cookie, (*scratch).look, 0);
        } else if is_request(first) || begins(first, b"PRI ") {
            *flags |= flag::HTTP as u16;
            let found = host(skb, scratch, at, length) != 0;
            // Nor are its other fields.
            wipe::<{ REQUEST_BYTES as usize }>(scratch);
            end(flow, !found);
        } else {
            end(flow, false);
        }
    }
    false
}

/// Type and version of a TLS record, as far as they are there (RFC 8446, section 5.1).
#[inline(always)]
const fn is_record(first: u64, length: u32) -> bool {
    first >> 56 == HANDSHAKE as u64 && (length < 2 || first >> 48 & 0xff == 3)
}

/// Version, number of methods, methods, and nothing more (RFC 1928, section 3).
#[inline(always)]
const fn is_socks_greeting(first: u64, length: u32) -> bool {
    first >> 56 == 5 && length > 2 && length as u64 == 2 + (first >> 48 & 0xff)
}

/// A later packet: of a hello under way, or of a dialogue with a proxy; whether it is TLS.
#[inline(always)]
unsafe fn go_on(
    flow: *mut Flow,
    skb: *mut __sk_buff,
    scratch: *mut Scratch,
    at: u32,
    length: u32,
    offset: u32,
) -> bool {
    // SAFETY: `flow` is live storage, `scratch` this program's room.
    unsafe {
        let known = PENDING.get((*flow).cookie);
        (*scratch).look = match known {
            Some(look) => *look,
            None => Look::default(),
        };
        let is_known = known.is_some();
        let flags = u32::from((*flow).flags_locked);
        if flags & flag::TLS != 0 {
            if !is_known {
                // Thrown out for others.
                end(flow, true);
            }
            return is_known;
        }
        let first = first_bytes(skb, at, length);
        let next = (*scratch).look.next;
        if next != 0 {
            if offset != next || socks(flow, skb, scratch, first, at, length) == 0 {
                end(flow, false);
            }
        } else if length >= 2 && is_record(first, length) {
            (*flow).flags_locked |= flag::TLS as u16;
            (*scratch).look = Look::default();
            return true;
        }
    }
    false
}

/// Follows the records, and hands over what they have of the first message.
#[inline(never)]
unsafe fn hello(
    flow: *mut Flow,
    skb: *mut __sk_buff,
    scratch: *mut Scratch,
    at: u32,
    length: u32,
) -> u64 {
    // No skb is longer.
    const POSITION_MASK: u32 = 0x1_ffff;
    let to = at + length;
    // SAFETY: `flow` is live storage, `scratch` this program's room. The position lies there too: in a register the verifier
    // would follow each of its values apart.
    unsafe {
        let look = &raw mut (*scratch).look;
        let position_at = &raw mut (*look).position;
        write_volatile(position_at, at);
        for _ in 0..STEPS_MAX {
            let position = read_volatile(position_at) & POSITION_MASK;
            if position >= to {
                let _ = PENDING.insert((*flow).cookie, *look, 0);
                return 0;
            }
            let passed = if (*look).header < RECORD_HEADER {
                header(skb, look, position, to - position)
            } else {
                body(skb, scratch, position, to - position)
            };
            if passed == 0 {
                end(flow, true);
                return 0;
            }
            let (message, handed) = ((*look).message, (*look).handed);
            if handed >= MESSAGE_HEADER && handed >= message {
                end(flow, false);
                return 0;
            }
            write_volatile(position_at, position + passed);
        }
        end(flow, true);
    }
    0
}

/// Reads a record's header, whole or by the byte; how many bytes, 0 where it is another record's.
#[inline(always)]
unsafe fn header(skb: *mut __sk_buff, look: *mut Look, position: u32, left: u32) -> u32 {
    // SAFETY: `look` lies in this program's room.
    unsafe {
        let first = first_bytes(skb, position, left);
        if (*look).header == 0 && left >= RECORD_HEADER {
            if !is_record(first, left) {
                return 0;
            }
            (*look).record = (first >> 24) as u32 & 0xffff;
            (*look).header = RECORD_HEADER;
            if (*look).record == 0 {
                (*look).header = 0;
            }
            return RECORD_HEADER;
        }
        let byte = (first >> 56) as u32;
        let is_other =
            ((*look).header == 0 && byte != HANDSHAKE) || ((*look).header == 1 && byte != 3);
        if is_other {
            return 0;
        }
        // The version's byte is shifted out by the two of the length.
        (*look).record = ((*look).record << 8 | byte) & 0xffff;
        (*look).header += 1;
        if (*look).header == RECORD_HEADER && (*look).record == 0 {
            (*look).header = 0;
        }
        1
    }
}

/// Hands over a part of a record's body; how many bytes, 0 where it is no hello's, or there was no room.
#[inline(always)]
unsafe fn body(skb: *mut __sk_buff, scratch: *mut Scratch, position: u32, left: u32) -> u32 {
    // SAFETY: `scratch` is this program's room.
    unsafe {
        let look = &raw mut (*scratch).look;
        let record = (*look).record;
        let here = if record < left { record } else { left };
        let handed = (*look).handed;
        let wanted = if handed >= MESSAGE_HEADER {
            let more = (*look).message - handed;
            if here < more { here } else { more }
        } else {
            let first = first_bytes(skb, position, here);
            if handed == 0 {
                if first >> 56 != u64::from(CLIENT_HELLO) {
                    return 0;
                }
                if here >= MESSAGE_HEADER {
                    (*look).message = (first >> 32) as u32 & 0x00ff_ffff;
                }
            }
            if handed == 0 && here >= MESSAGE_HEADER {
                let message = (*look).message + MESSAGE_HEADER;
                (*look).message = message;
                if here < message { here } else { message }
            } else {
                // The message's own header by the byte; its type is shifted out by the length.
                let message = ((*look).message << 8 | (first >> 56) as u32) & 0x00ff_ffff;
                (*look).message = if handed + 1 == MESSAGE_HEADER {
                    message + MESSAGE_HEADER
                } else {
                    message
                };
                1
            }
        };
        let n = load::<{ CHUNK_BYTES as u32 }>(scratch, skb, position, wanted);
        if n == 0 || !hand_over(scratch, capture::HELLO, 0, handed, n) {
            return 0;
        }
        (*look).handed = handed + n;
        (*look).record = record - n;
        if record == n {
            (*look).header = 0;
        }
        n
    }
}

/// Hands over the target of a CONNECT request: what stands between its first two spaces.
#[inline(never)]
unsafe fn connect(skb: *mut __sk_buff, scratch: *mut Scratch, at: u32, length: u32) -> u64 {
    const METHOD: u32 = 8;
    // SAFETY: `scratch` is this program's room.
    unsafe {
        let n = load::<TARGET_BYTES>(scratch, skb, at + METHOD, length.saturating_sub(METHOD));
        let data = (&raw const (*scratch).chunk.data).cast::<u8>();
        let mut target = 0;
        for i in 0..HOST_BYTES_MAX {
            if i >= n || *data.add(i as usize) == b' ' {
                target = i;
                break;
            }
        }
        if target == 0 || target >= n {
            return 0;
        }
        u64::from(hand_over(scratch, capture::CONNECT, 0, 0, target))
    }
}

/// Goes through a dialogue with a SOCKS5 proxy: credentials (RFC 1929) are passed over, a request is handed over from its
/// address type on. 0 where it is neither.
#[inline(always)]
unsafe fn socks(
    flow: *mut Flow,
    skb: *mut __sk_buff,
    scratch: *mut Scratch,
    first: u64,
    at: u32,
    length: u32,
) -> u64 {
    const BEFORE_ADDRESS: u32 = 3;
    let byte = |nth: u32| (first >> (56 - 8 * nth)) as u32 & 0xff;
    // SAFETY: `flow` is live storage, `scratch` this program's room.
    unsafe {
        if byte(0) == 1 {
            let user = byte(1);
            let mut password = 0_u8;
            let password_at = at + 2 + user;
            if bpf_skb_load_bytes(skb.cast(), password_at, (&raw mut password).cast(), 1) != 0
                || length != 3 + user + u32::from(password)
            {
                return 0;
            }
            (*scratch).look.next += length;
            let _ = PENDING.insert((*flow).cookie, (*scratch).look, 0);
            return 1;
        }
        if byte(0) != 5 || byte(1) != 1 || byte(2) != 0 {
            return 0;
        }
        let address = match byte(3) {
            1 => 7,
            3 => 4 + byte(4),
            4 => 19,
            _ => return 0,
        };
        if length != BEFORE_ADDRESS + address {
            return 0;
        }
        let n = load::<TARGET_BYTES>(scratch, skb, at + BEFORE_ADDRESS, address);
        // What follows is for the target: perhaps a hello.
        let _ = PENDING.remove((*flow).cookie);
        u64::from(n != 0 && hand_over(scratch, capture::SOCKS, 0, 0, n))
    }
}

/// Hands over the value of the `Host` field of a request; 0 where there is none in its first bytes.
#[inline(never)]
unsafe fn host(skb: *mut __sk_buff, scratch: *mut Scratch, at: u32, length: u32) -> u64 {
    // "\nhost:" with the bit set that tells cases apart, the first byte lowest.
    const FIELD: u64 = u64::from_le_bytes(*b"\nhost:\0\0");
    const FIELD_BYTES: u32 = 6;
    // SAFETY: `scratch` is this program's room. What the loop knows lies there: in registers the verifier would follow each
    // of its values apart.
    unsafe {
        let n = load::<REQUEST_BYTES>(scratch, skb, at, length);
        let data = (&raw const (*scratch).chunk.data).cast::<u8>();
        let matched_at = &raw mut (*scratch).look.header;
        let start_at = &raw mut (*scratch).look.record;
        let end_at = &raw mut (*scratch).look.message;
        write_volatile(matched_at, 0);
        write_volatile(start_at, 0);
        write_volatile(end_at, 0);
        for i in 0..REQUEST_BYTES {
            if i >= n {
                break;
            }
            let byte = *data.add(i as usize);
            let is_line_end = byte == b'\r' || byte == b'\n';
            let start = read_volatile(start_at);
            if start != 0 {
                if is_line_end {
                    write_volatile(end_at, i);
                    break;
                }
                if start == i && (byte == b' ' || byte == b'\t') {
                    write_volatile(start_at, i + 1);
                }
                continue;
            }
            let matched = read_volatile(matched_at);
            if matched == 1 && is_line_end {
                // An empty line: the fields are over.
                break;
            }
            let wanted = (FIELD >> (8 * (matched & 7))) as u8;
            let same = byte == wanted || (matched > 0 && byte | 0x20 == wanted);
            let matched = if same {
                matched + 1
            } else {
                u32::from(byte == b'\n')
            };
            write_volatile(matched_at, matched);
            if matched == FIELD_BYTES {
                write_volatile(start_at, i + 1);
            }
        }
        let (start, end) = (read_volatile(start_at), read_volatile(end_at));
        if end <= start || end - start > HOST_BYTES_MAX {
            return 0;
        }
        let n = load::<TARGET_BYTES>(scratch, skb, at + start, end - start);
        u64::from(n != 0 && hand_over(scratch, capture::HOST, 0, 0, n))
    }
}
