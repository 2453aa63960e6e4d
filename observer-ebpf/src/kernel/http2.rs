//! Question: which requests does a program encrypt as HTTP/2?
//!
//! No hook of its own: `plaintext` asks it of each write first. What is looked at are frames' headers, lengths, and methods and
//! paths; the rest is passed over. Plaintext is read byte by byte and kept nowhere. Needs `bpf_loop` (5.17). Cannot see: requests in cleartext.

use core::{ffi::c_void, mem::zeroed};

use observer_ebpf::{
    abi::{
        Lost,
        http2::{Frames, PART_BYTES, part, place},
        request::{Write, state},
    },
    http2::{
        HEADER_BYTES, Output, PREFACE, PREFACE_BYTES, begins_request, begins_settings,
        begins_small_frame,
    },
    huffman::{self, Steps},
    request::{begins, is_request},
};

use super::{
    maps::{HTTP2, lose},
    plaintext::{Call, key, pending_of},
    platform::{bpf_ktime_get_ns, bpf_loop, bpf_probe_read_user},
    sent,
};

static STEPS: Steps = huffman::steps();

/// What an entry is made from: on the stack it would be in each state that the verifier goes through.
static BLANK: &Frames = {
    // SAFETY: numbers alone, of which 0 is one.
    static ZERO: Frames = unsafe { zeroed() };
    &ZERO
};

/// Headers of frames, bytes that are looked at, stretches that are passed over, and ends of all of them, of one write at the most:
/// 64 MiB of frames of the usual 16 KiB.
const STEPS_MAX: u32 = 16_384;

/// What one step of a walk has.
#[repr(C)]
struct Walk {
    frames: *mut Frames,
    write: *mut Write,
    address: u64,
    left: u32,
    _pad: u32,
}

/// Takes in a write if its connection speaks HTTP/2, and says so.
#[inline(always)]
pub fn follow(thread: u64, call: &Call, first: u128) -> bool {
    let connection = key(thread, call.connection);
    let word = (first >> 64) as u64;
    // Its preface came from where it was before it was moved.
    let mut is_moved = false;
    if begins(word, PREFACE) {
        let _ = HTTP2.insert(connection, BLANK, 0);
        if call.forgets && call.length == PREFACE_BYTES {
            let _ = HTTP2.insert(key(thread, moved(thread)), BLANK, 0);
        }
    } else {
        // Also where there is an entry: it may be that of one that was here before.
        is_moved = call.forgets
            && begins_settings(first)
            && HTTP2.remove(key(thread, moved(thread))).is_ok();
        if HTTP2.get_ptr_mut(connection).is_none() {
            if !is_moved && !begins_request(first, call.length) {
                return false;
            }
            let _ = HTTP2.insert(connection, BLANK, 0);
        }
    }
    let Some(frames) = HTTP2.get_ptr_mut(connection) else {
        return false;
    };
    // SAFETY: a live map value, of a connection that one thread writes to at a time.
    unsafe {
        if begins(word, PREFACE) {
            (*frames).begin();
        } else if is_moved {
            (*frames).begin_behind_preface();
        } else if (*frames).is_blank() {
            (*frames).begin_late();
        }
        let is_lost = (*frames).place == place::LOST;
        if (is_lost || (*frames).is_between_frames()) && is_request(word) {
            // Another connection, at the address of one that has ended.
            let _ = HTTP2.remove(connection);
            return false;
        }
        if is_lost {
            if !begins_request(first, call.length) && !begins_small_frame(first) {
                return true;
            }
            (*frames).begin_late();
        }
        let Some(write) = pending_of(thread) else {
            // What is not walked is not followed.
            (*frames).give_up();
            return true;
        };
        let head = (first >> 56) as u64;
        if is_new(write, call, (*frames).is_between_frames(), head) {
            walk(frames, write, call);
            if (*write).sent != 0 && (*write).state == state::WHOLE {
                sent::hand_over(write);
                let _ = super::maps::WRITES.remove(thread);
            }
        }
    }
    true
}

/// Stands for the connection that a thread has written nothing but a preface to: no address of a program's is as high.
const fn moved(thread: u64) -> u64 {
    u64::MAX << 32 | (thread & 0xffff_ffff)
}

/// Whether what a thread has written is a request, or of requests, that would be lost with it.
///
/// # Safety
/// `write` is a live map value.
#[inline(always)]
pub unsafe fn holds_request(write: *const Write) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        // Of parts that are of bytes alone nothing is lost but whose they are.
        let is_whole = (*write).line_bytes.is_multiple_of(PART_BYTES as u32);
        let is_data = is_whole && (*write).line[0] == part::DATA;
        (*write).is_fields == 0 || ((*write).line_bytes != 0 && !is_data)
    }
}

/// Adds a call to the thread's entry; false where it is one that was taken in before.
#[inline(always)]
unsafe fn is_new(write: *mut Write, call: &Call, is_at_frame: bool, head: u64) -> bool {
    // SAFETY: the caller's live map value.
    unsafe {
        let is_of_this = (*write).connection == call.connection
            && (*write).goroutine == call.goroutine
            && (*write).is_fields != 0;
        if is_of_this {
            let looks_same = (*write).address == call.address && (*write).last == call.length;
            let is_waiting = (*write).sent == 0 || (*write).is_refused != 0;
            // A goroutine whose stack grows calls the function again, and a program whose socket was full calls it again. Others
            // may write something else from the same place: where that begins within a frame it is taken in, and a frame that
            // cannot be will tell if it was the same.
            let is_same = call.goroutine != 0 || ((*write).frame != 0 && (*write).frame == head);
            if looks_same && is_waiting && is_same {
                // What is refused again will be told of again.
                if (*write).sent != 0 {
                    (*write).is_refused = 0;
                }
                return false;
            }
            if (*write).sent != 0 && (*write).state == state::WHOLE {
                restart(write, call);
            } else {
                (*write).length = (*write).length.saturating_add(call.length);
            }
        } else {
            let is_waiting = (*write).connection != 0 && (*write).sent == 0;
            if is_waiting && holds_request(write) {
                lose(Lost::Request);
            }
            (*write).crossed = u8::from(is_waiting && (*write).connection != call.connection);
            (*write).connection = call.connection;
            (*write).goroutine = call.goroutine;
            (*write).forgets = u8::from(call.forgets);
            (*write).is_fields = 1;
            (*write).head.flags = 0;
            restart(write, call);
        }
        (*write).address = call.address;
        (*write).last = call.length;
        // The header of a frame is nobody's secret; what stands within one may be.
        (*write).frame = if is_at_frame { head } else { 0 };
        (*write).is_refused = 0;
    }
    true
}

/// Nothing of the entry's connection waits to be sent but this call's.
#[inline(always)]
unsafe fn restart(write: *mut Write, call: &Call) {
    // SAFETY: the caller's live map value.
    unsafe {
        (*write).at_ns = bpf_ktime_get_ns();
        (*write).length = call.length;
        (*write).line_bytes = 0;
        (*write).is_full = 0;
        (*write).sent = 0;
    }
}

/// Reads a write's frames.
#[inline(always)]
unsafe fn walk(frames: *mut Frames, write: *mut Write, call: &Call) {
    let mut walk = Walk {
        frames,
        write,
        address: call.address,
        left: call.length,
        _pad: 0,
    };
    // SAFETY: the callback is given what it expects, and the values outlive it.
    unsafe {
        bpf_loop(
            STEPS_MAX,
            step as *const () as *mut c_void,
            (&raw mut walk).cast(),
            0,
        );
        if walk.left != 0 {
            (*frames).lose(&mut output(write));
        }
        if (*frames).place == place::LOST {
            lose(Lost::Request);
        }
        (*write).state = if (*frames).is_open != 0 && (*frames).place != place::LOST {
            state::LINE
        } else {
            state::WHOLE
        };
    }
}

#[inline(always)]
unsafe fn output<'w>(write: *mut Write) -> Output<'w> {
    // SAFETY: the caller's live map value, of which nobody else holds these.
    unsafe {
        Output {
            bytes: &mut (*write).line,
            used: &mut (*write).line_bytes,
            is_full: &mut (*write).is_full,
        }
    }
}

/// One byte, a stretch that is passed over, or what follows its end; 1 at the write's end.
unsafe extern "C" fn step(_index: u64, walk: *mut Walk) -> u64 {
    // SAFETY: `walk` is the caller's, and what it points to is live.
    unsafe {
        let left = (*walk).left;
        let frames = (*walk).frames;
        let is_telling = (*frames).place == place::TELL;
        if left == 0 && !is_telling && !(*frames).is_due() {
            return 1;
        }
        let mut out = output((*walk).write);
        let idle = (*frames).idle();
        // On its own, before any byte: what leads here need not be told apart by who checks it.
        if (*frames).is_due() {
            (*frames).settle(&mut out);
            return 0;
        }
        if is_telling {
            (*frames).tell_data(&mut out);
            return 0;
        }
        let bytes = if (*frames).is_between_frames() && left >= HEADER_BYTES {
            let mut header = [0_u8; HEADER_BYTES as usize];
            let address = (*walk).address as *const c_void;
            if bpf_probe_read_user((&raw mut header).cast(), HEADER_BYTES, address) == 0 {
                (*frames).take_header(&header);
            } else {
                (*frames).lose(&mut out);
            }
            HEADER_BYTES
        } else if idle == 0 {
            let mut byte = 0_u8;
            let address = (*walk).address as *const c_void;
            if bpf_probe_read_user((&raw mut byte).cast(), 1, address) != 0 {
                (*frames).lose(&mut out);
            } else {
                (*frames).take(byte, &STEPS, &mut out);
            }
            1
        } else {
            let bytes = if idle < left { idle } else { left };
            (*frames).pass(bytes, &mut out);
            bytes
        };
        (*walk).address += u64::from(bytes);
        (*walk).left = left.wrapping_sub(bytes);
    }
    0
}
