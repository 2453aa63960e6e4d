//! Question: which request does a program encrypt?
//!
//! Hooks: uprobes at the entries of `SSL_write`, `SSL_write_ex` and `SSL_free` of OpenSSL (1.1 and 3), of `gnutls_record_send2`
//! (before 3.6.3 `gnutls_record_send`) and `gnutls_deinit` of GnuTLS, of the writer of
//! rustls (0.20 on, where symbols are left) and of `crypto/tls.(*Conn).Write` of Go (register ABI, 1.17). Context: the calling thread. Some 1 to 2 us a call; none of them at a
//! function's return. Kept is method and path of what begins a request, until its ciphertext is sent (`sent`). HTTP/2 has a file of
//! its own (`http2`). Cannot see: requests of HTTP/1 that begin in the middle of a write, libraries that are linked in without
//! symbols.

use observer_ebpf::{
    abi::{
        Lost,
        capture::CUT,
        request::{ConnectionKey, LINE_BYTES, ROOM_BYTES, Write, state},
    },
    request::{Part, is_request, part},
};

use super::{
    http2,
    maps::{CONNECTIONS, HTTP2, NO_WRITE, WRITES, lose},
    platform::{ProbeContext, bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_user},
    sent,
};

/// What one call hands to the library.
pub struct Call {
    /// The connection, by the address of the library's struct.
    pub connection: u64,
    pub goroutine: u64,
    /// Nothing tells when the connection ends.
    pub forgets: bool,
    /// Where the plaintext lies.
    pub address: u64,
    pub length: u32,
}

/// `int SSL_write(SSL *, const void *, int)`, `int SSL_write_ex(SSL *, const void *, size_t, size_t *)`,
/// `ssize_t gnutls_record_send2(gnutls_session_t, const void *, size_t, size_t, unsigned)`.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::uprobe)]
pub fn write_openssl(ctx: ProbeContext) -> u32 {
    let (Some(connection), Some(address), Some(length)) =
        (ctx.arg::<u64>(0), ctx.arg::<u64>(1), ctx.arg::<u64>(2))
    else {
        return 0;
    };
    write(&Call {
        connection,
        goroutine: 0,
        forgets: false,
        address,
        length: length as u32,
    });
    0
}

/// `fn <Writer as io::Write>::write(&mut self, buf: &[u8]) -> io::Result<usize>`, where a `Writer` is a reference to its connection
/// and the table of a trait. The ABI is not Rust's promise: what does not fit is no request.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::uprobe)]
pub fn write_rustls(ctx: ProbeContext) -> u32 {
    let (Some(writer), Some(address), Some(length)) =
        (ctx.arg::<u64>(0), ctx.arg::<u64>(1), ctx.arg::<u64>(2))
    else {
        return 0;
    };
    let mut connection = 0_u64;
    // SAFETY: the buffer is as long as said; the helper checks the address.
    let failed =
        unsafe { bpf_probe_read_user((&raw mut connection).cast(), 8, writer as *const _) };
    if failed == 0 {
        write(&Call {
            connection,
            goroutine: 0,
            forgets: true,
            address,
            length: u32::try_from(length).unwrap_or(0),
        });
    }
    0
}

/// `void SSL_free(SSL *)`, `void gnutls_deinit(gnutls_session_t)`: the address may stand for another connection from now on.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::uprobe)]
pub fn free_openssl(ctx: ProbeContext) -> u32 {
    let Some(connection) = ctx.arg::<u64>(0) else {
        return 0;
    };
    // SAFETY: no argument.
    let thread = unsafe { bpf_get_current_pid_tgid() };
    let _ = CONNECTIONS.remove(key(thread, connection));
    let _ = HTTP2.remove(key(thread, connection));
    if let Some(write) = WRITES.get_ptr_mut(thread) {
        // SAFETY: a live map value of this thread's.
        if unsafe { (*write).connection } == connection {
            let _ = WRITES.remove(thread);
        }
    }
    0
}

/// `func (c *Conn) Write(b []byte) (int, error)`.
#[cfg(feature = "x86_64")]
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::uprobe)]
pub fn write_go(ctx: ProbeContext) -> u32 {
    // SAFETY: the context is valid while the program runs.
    let call = unsafe {
        let registers = ctx.regs;
        Call {
            connection: (*registers).rax,
            goroutine: (*registers).r14,
            forgets: true,
            address: (*registers).rbx,
            length: (*registers).rcx as u32,
        }
    };
    if call.goroutine != 0 {
        write(&call);
    }
    0
}

#[inline(always)]
pub const fn key(thread: u64, connection: u64) -> ConnectionKey {
    ConnectionKey {
        connection,
        tgid: (thread >> 32) as u32,
        _pad: 0,
    }
}

#[inline(always)]
fn write(call: &Call) {
    if call.length == 0 || call.length > i32::MAX as u32 || call.connection == 0 {
        return;
    }
    // SAFETY: no argument.
    let thread = unsafe { bpf_get_current_pid_tgid() };
    let first = first_bytes(call);
    if http2::follow(thread, call, first) {
        return;
    }
    let pending = WRITES.get_ptr_mut(thread);
    if is_request((first >> 64) as u64) {
        begin(thread, call);
        return;
    }
    let Some(pending) = pending else {
        return;
    };
    // SAFETY: a live map value of this thread's.
    unsafe {
        if (*pending).connection != call.connection {
            (*pending).crossed = 1;
            return;
        }
        (*pending).length = (*pending).length.saturating_add(call.length);
        if (*pending).state == state::LINE {
            let before = (*pending).line_bytes;
            take(pending, call, before);
            if (*pending).state == state::WHOLE && (*pending).sent != 0 {
                sent::hand_over(pending);
                let _ = WRITES.remove(thread);
            }
        }
    }
}

/// The first 16 bytes of a call's plaintext, the first one highest; zeroes where there are not as many, or they cannot be read.
#[inline(always)]
fn first_bytes(call: &Call) -> u128 {
    let mut first = [0_u8; 16];
    let bytes = match call.length {
        16.. => 16,
        8..16 => 8,
        _ => return 0,
    };
    // SAFETY: the buffer is as long as said; the helper checks the address.
    let failed =
        unsafe { bpf_probe_read_user(first.as_mut_ptr().cast(), bytes, call.address as *const _) };
    if failed == 0 {
        u128::from_be_bytes(first)
    } else {
        0
    }
}

/// The thread's entry, which is made if need be.
#[inline(always)]
pub fn pending_of(thread: u64) -> Option<*mut Write> {
    if let Some(write) = WRITES.get_ptr_mut(thread) {
        return Some(write);
    }
    let empty = NO_WRITE.get(0)?;
    let _ = WRITES.insert(thread, empty, 0);
    let write = WRITES.get_ptr_mut(thread);
    if write.is_none() {
        lose(Lost::Request);
    }
    write
}

/// A request begins: an earlier one of this thread that was never sent is given up.
#[inline(always)]
fn begin(thread: u64, call: &Call) {
    let Some(write) = pending_of(thread) else {
        return;
    };
    // SAFETY: a live map value of this thread's.
    unsafe {
        let mut crossed = 0;
        if (*write).connection != 0 && (*write).sent == 0 {
            let is_of_this = (*write).connection == call.connection;
            // A goroutine whose stack grows calls the function again; so does a program whose handshake was not over.
            let is_again = is_of_this
                && (*write).goroutine == call.goroutine
                && (*write).length == call.length;
            if !is_again && http2::holds_request(write) {
                lose(Lost::Request);
            }
            crossed = u8::from(!is_of_this);
        }
        (*write).connection = call.connection;
        (*write).goroutine = call.goroutine;
        (*write).forgets = u8::from(call.forgets);
        (*write).at_ns = bpf_ktime_get_ns();
        (*write).length = call.length;
        (*write).is_fields = 0;
        (*write).sent = 0;
        (*write).crossed = crossed;
        wipe(write, 0);
        take(write, call, 0);
    }
}

/// Puts what the call has of the request line behind the `before` bytes that are there, and wipes what follows it. Behind the
/// `before` bytes there are zeroes.
#[inline(never)]
unsafe fn take(write: *mut Write, call: &Call, before: u32) -> u64 {
    const MOST: u32 = LINE_BYTES as u32;
    let before = before & (MOST - 1);
    let more = if call.length > MOST {
        MOST
    } else {
        call.length
    };
    // SAFETY: `before` and what is read are within the room: each is at most half of it.
    unsafe {
        let line = (&raw mut (*write).line).cast::<u8>();
        if bpf_probe_read_user(
            line.add(before as usize).cast(),
            more,
            call.address as *const _,
        ) != 0
        {
            (*write).state = state::NONE;
            return 0;
        }
        // What the loop finds lies in the entry: in registers the verifier would follow each of its values apart.
        let over = &raw mut (*write).over;
        let spaces = &raw mut (*write).spaces;
        let end = &raw mut (*write).line_bytes;
        over.write_volatile(0);
        spaces.write_volatile(0);
        end.write_volatile(MOST);
        for i in 0..MOST {
            let byte = line.add(i as usize);
            if over.read_volatile() == 0 {
                match part(*byte, spaces.read_volatile()) {
                    Part::Goes if *byte == b' ' => spaces.write_volatile(1),
                    Part::Goes => {}
                    Part::Ends => {
                        over.write_volatile(1);
                        end.write_volatile(i);
                    }
                }
            }
            if over.read_volatile() != 0 {
                *byte = 0;
            }
        }
        wipe(write, LINE_BYTES);
        let there = before + more;
        let end = end.read_volatile();
        (*write).head.flags = if end == MOST { CUT } else { 0 };
        // Zeroes behind what is there end it too.
        (*write).state = if end == there && there < MOST {
            state::LINE
        } else {
            state::WHOLE
        };
    }
    0
}

/// The second half of a line's room, or all of it.
#[inline(always)]
unsafe fn wipe(write: *mut Write, from: usize) {
    // SAFETY: the caller's live map value.
    unsafe {
        let line = (&raw mut (*write).line).cast::<u8>();
        for i in from..ROOM_BYTES {
            line.add(i).write(0);
        }
    }
}
