//! Question: on which socket is a request sent, and where in its streams does it begin?
//!
//! Hook: the tracepoint `sock_send_length` (6.3; with BTF), at the end of every send of a socket, in the sender's task. The first
//! send of the thread that wrote a request's plaintext is the request's, if its length can be that of the ciphertext. Which
//! connection has which socket is remembered. Where two writes wait to be sent, or a send is another thread's (SQPOLL, io-wq), or
//! MPTCP's, the request is counted as lost and belongs to none. Cannot see: what it is that is sent.

use core::{ffi::c_void, mem::size_of, ptr};

use observer_ebpf::{
    abi::{
        Answer, Flow, Lost,
        capture::{CUT, FIELDS, REQUEST},
        field::Field,
        flag, initiator,
        request::{Boundary, LINE_BYTES, ROOM_BYTES, Write, state},
    },
    account::answer_untold,
    packet::protocol,
    request::{fits, is_all, is_short, offset_of, whole},
};

use super::{
    capture::{fill_head, output},
    flow::answer_before,
    http2::holds_request,
    maps::{CONNECTIONS, WRITES, lose},
    peek,
    plaintext::key,
    platform::{bpf_get_current_pid_tgid, bpf_sk_storage_get},
    route,
};

/// Arguments of the tracepoint: `struct sock *`, `int ret`, `int flags`.
#[repr(C)]
pub struct Context {
    pub sk: *mut c_void,
    pub ret: u64,
    pub flags: u64,
}

const MPTCP: u16 = 262;
const EAGAIN: i32 = -11;
/// Times that a pair of numbers is read which another CPU may be writing.
const TRIES: u32 = 4;

#[unsafe(no_mangle)]
#[cfg_attr(target_arch = "bpf", unsafe(link_section = "tp_btf/sock_send_length"))]
pub extern "C" fn find_request(ctx: *mut Context) -> u32 {
    // SAFETY: no argument.
    let thread = unsafe { bpf_get_current_pid_tgid() };
    let Some(write) = WRITES.get_ptr_mut(thread) else {
        return 0;
    };
    // SAFETY: the kernel gives a valid context; a live map value of this thread's.
    unsafe {
        let ret = (*ctx).ret as i32;
        let sk = (*ctx).sk;
        if ret == EAGAIN {
            (*write).is_refused = 1;
        }
        if ret <= 0 || sk.is_null() || (*write).sent != 0 || !is_by_the_writer(write) {
            return 0;
        }
        let length = ret.cast_unsigned();
        match peek::read::<u16>(sk as u64, Field::SockProtocol) {
            Some(number) if number == u16::from(protocol::TCP) => {}
            Some(MPTCP) => {
                if fits((*write).length, length) {
                    drop_write(thread, write);
                }
                return 0;
            }
            _ => return 0,
        }
        let map = ptr::from_ref(&super::maps::FLOWS).cast_mut().cast();
        let flow: *mut Flow = bpf_sk_storage_get(map, sk, ptr::null_mut(), 0).cast();
        if !flow.is_null() && (*flow).initiator == initiator::REMOTE {
            // A server's, which answers.
            if fits((*write).length, length) {
                let _ = WRITES.remove(thread);
            }
            return 0;
        }
        let connection = key(thread, (*write).connection);
        let known = CONNECTIONS.get(connection).copied();
        if let Some(cookie) = known {
            // Something else of this thread's.
            if flow.is_null() || (*flow).cookie != cookie {
                return 0;
            }
        } else {
            if !fits((*write).length, length) {
                return 0;
            }
            if flow.is_null() {
                // Inside the host, where nothing is counted.
                let _ = WRITES.remove(thread);
                return 0;
            }
            if !may_carry(flow, length) {
                return 0;
            }
            if (*write).crossed != 0 {
                drop_write(thread, write);
                return 0;
            }
            if (*write).forgets == 0 {
                let cookie = (*flow).cookie;
                let _ = CONNECTIONS.insert(connection, cookie, 0);
            }
        }
        fill(write, flow, sk as u64, length);
        (*write).sent = 1;
        if (*write).state == state::WHOLE {
            hand_over(write);
            end(thread, write, length);
        }
    }
    0
}

/// Forgets a write that was handed over, unless the program has to write it again: its socket has not taken all, of which `length`
/// bytes came first. Rustls and Go keep themselves what was not taken.
#[inline(always)]
unsafe fn end(thread: u64, write: *mut Write, length: u32) {
    // SAFETY: the caller's live map value.
    unsafe {
        let repeats = (*write).is_fields != 0 && (*write).forgets == 0;
        if repeats && !is_all((*write).last, length) {
            (*write).is_refused = u8::from(is_short((*write).last, length));
            (*write).line_bytes = 0;
            return;
        }
    }
    let _ = WRITES.remove(thread);
}

/// Whether the goroutine that wrote is the one that sends: others may have run on the thread meanwhile.
#[inline(always)]
unsafe fn is_by_the_writer(write: *mut Write) -> bool {
    // SAFETY: a live map value.
    let wrote = unsafe { (*write).goroutine };
    wrote == 0 || goroutine() == wrote
}

/// The goroutine of the system call that is under way: a register that Go keeps for it.
#[cfg(feature = "x86_64")]
#[inline(always)]
fn goroutine() -> u64 {
    use super::platform::{bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_task_pt_regs};
    /// Offset of `r14` in `struct pt_regs`.
    const R14: u64 = 8;
    let mut value = 0_u64;
    // SAFETY: the helpers check what they are given; the buffer is as long as said.
    unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()).cast_unsigned();
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            8,
            (registers + R14) as *const c_void,
        );
    }
    value
}

#[cfg(not(feature = "x86_64"))]
#[inline(always)]
const fn goroutine() -> u64 {
    0
}

/// Whether these bytes of the flow can be an encrypted request: it speaks TLS and they are not its first, which are the hello; or
/// it is older than the agent.
#[inline(always)]
unsafe fn may_carry(flow: *mut Flow, length: u32) -> bool {
    // SAFETY: `flow` is live storage.
    let (flags, sent) = unsafe { ((*flow).flags(), (*flow).sent.payload_bytes) };
    if flags & flag::FROM_START == 0 {
        return true;
    }
    let speaks_tls = flags & (flag::TLS | flag::PROXY) != 0;
    speaks_tls && (flags & flag::TLS_PASSED != 0 || sent > u64::from(length))
}

/// The request belongs to no socket.
#[inline(always)]
unsafe fn drop_write(thread: u64, write: *const Write) {
    // SAFETY: the caller's live map value.
    if unsafe { holds_request(write) } {
        lose(Lost::Request);
    }
    let _ = WRITES.remove(thread);
}

/// Says of what flow the request is, and where in both streams it begins.
#[inline(always)]
unsafe fn fill(write: *mut Write, flow: *mut Flow, sk: u64, length: u32) {
    // SAFETY: a live map value, live storage.
    unsafe {
        fill_head(&raw mut (*write).head, flow);
        (*write).head.kind = if (*write).is_fields == 0 {
            REQUEST
        } else {
            FIELDS
        };
        let end = peek::read::<u32>(sk, Field::TcpWriteSeq).unwrap_or(0);
        let received_now = peek::read::<u64>(sk, Field::TcpReceived).unwrap_or(0);
        let from = end.wrapping_sub(length);
        let (sent, high) = sent_and_high(flow);
        let boundary = &raw mut (*write).boundary;
        (*boundary).sent = offset_of(from, high, sent);
        // What was not on its way when this was asked has no answer yet.
        let is_on_its_way = high.wrapping_sub(from).cast_signed() > 0;
        let received = if is_on_its_way {
            whole((*flow).asked_received, received_now)
        } else {
            received_now
        };
        (*boundary).received = received.saturating_sub((*flow).received_base);
        (*boundary).answer = if (*write).is_fields != 0 {
            Answer::default()
        } else if is_on_its_way {
            answer_before(flow)
        } else {
            answer_untold(&*flow)
        };
    }
}

/// Payload sent, and the sequence number behind it: two words that the sender's CPU writes one after the other.
#[inline(always)]
unsafe fn sent_and_high(flow: *mut Flow) -> (u64, u32) {
    // SAFETY: live storage.
    unsafe {
        let mut high = (&raw const (*flow).seq_high).read_volatile();
        let mut sent = (&raw const (*flow).sent.payload_bytes).read_volatile();
        for _ in 0..TRIES {
            let again = (&raw const (*flow).seq_high).read_volatile();
            if again == high {
                break;
            }
            high = again;
            sent = (&raw const (*flow).sent.payload_bytes).read_volatile();
        }
        (sent, high)
    }
}

/// Hands a request over.
///
/// # Safety
/// `write` is a live map value of which head and boundary are filled in.
#[inline(always)]
pub unsafe fn hand_over(write: *mut Write) {
    // SAFETY: the caller's promise; head, boundary and line lie one behind the other.
    unsafe {
        let line = (*write).line_bytes;
        let most = if (*write).is_fields == 0 {
            LINE_BYTES as u32
        } else {
            if line == 0 {
                return;
            }
            (*write).head.flags = if (*write).is_full == 0 { 0 } else { CUT };
            ROOM_BYTES as u32
        };
        let line = if line > most { most } else { line };
        let known = if (*write).is_fields == 0 {
            let is_cut = (*write).head.flags & CUT != 0;
            route::known((&raw const (*write).line).cast(), line, is_cut)
        } else {
            0
        };
        (*write).boundary.route = known;
        let line = if known == 0 { line } else { 0 };
        let bytes = size_of::<Boundary>() as u32 + line;
        (*write).head.bytes = bytes;
        (*write).head.offset = 0;
        output(&raw mut (*write).head, bytes);
    }
}
