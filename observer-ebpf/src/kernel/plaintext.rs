//! Question: which request does a program encrypt?
//!
//! Hooks: uprobes at the entries of `SSL_write`, `SSL_write_ex` and `SSL_free` of OpenSSL (1.1 and 3), of `gnutls_record_send2`
//! (before 3.6.3 `gnutls_record_send`) and `gnutls_deinit` of GnuTLS, of the writer of rustls (0.20 on, where symbols are left) and
//! of `crypto/tls.(*Conn).Write` of Go (register ABI, 1.17), with cookies (5.15); none at a function's return. Context: the calling
//! thread. Some 1 to 2 us a call. Kept is method and path of what begins a request, until its ciphertext is sent (`sent`). HTTP/2
//! has a file of its own (`http2`). Cannot see: requests of HTTP/1 that begin in the middle of a write, libraries that are linked in
//! without symbols.

use core::{
    ffi::c_void,
    mem::{MaybeUninit, size_of},
    ptr,
};

use observer_ebpf::{
    abi::{
        Lost,
        capture::CUT,
        request::{ConnectionKey, LINE_BYTES, ROOM_BYTES, Write, convention, state},
    },
    request::{Part, is_request, part},
};

use super::{
    http2,
    maps::{CONNECTIONS, HTTP2, NO_WRITE, WRITES, lose},
    platform::{
        ProbeContext, bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_loop,
        bpf_probe_read_kernel, bpf_probe_read_user,
    },
    sent,
};

/// Pieces of one call at the most, as many as a system call takes of the usual libraries.
const PIECES_MAX: u32 = 64;

/// What one call hands to the library.
#[repr(C)]
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

/// What a call hands over, in one piece or in several.
#[repr(C)]
struct Pieces {
    call: Call,
    /// Where the pieces are listed, each with address and length; 0 = there is one, the call's own.
    list: u64,
}

/// Every function that is handed plaintext; the cookie of its probe says how it takes its arguments.
///
/// - [`LIBRARY`](convention::LIBRARY): `int SSL_write(SSL *, const void *, int)`, `int SSL_write_ex(SSL *, const void *, size_t,
///   size_t *)`, `ssize_t gnutls_record_send2(gnutls_session_t, const void *, size_t, size_t, unsigned)`.
/// - [`RUSTLS`](convention::RUSTLS): `fn <Writer as io::Write>::write(&mut self, buf: &[u8]) -> io::Result<usize>`, where a `Writer`
///   is a reference to its connection and the table of a trait. The ABI is not Rust's promise: what does not fit is no request.
/// - [`RUSTLS_PIECES`](convention::RUSTLS_PIECES): `write_vectored(&mut self, bufs: &[IoSlice<'_>])`, of which each is a `struct iovec`.
/// - [`GO`](convention::GO): `func (c *Conn) Write(b []byte) (int, error)`.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::uprobe)]
pub fn write_plaintext(ctx: ProbeContext) -> u32 {
    // SAFETY: the context is valid while the program runs.
    let kind = unsafe { bpf_get_attach_cookie(ctx.regs.cast()) };
    if kind == convention::GO {
        write_go(&ctx);
        return 0;
    }
    let (Some(connection), Some(address), Some(length)) =
        (ctx.arg::<u64>(0), ctx.arg::<u64>(1), ctx.arg::<u64>(2))
    else {
        return 0;
    };
    let is_rustls = kind != convention::LIBRARY;
    let mut pieces = Pieces {
        call: Call {
            connection,
            goroutine: 0,
            forgets: is_rustls,
            address,
            length: length as u32,
        },
        list: 0,
    };
    if is_rustls {
        // SAFETY: the buffer is as long as said; the helper checks the address.
        let failed = unsafe {
            bpf_probe_read_user(
                (&raw mut pieces.call.connection).cast(),
                8,
                connection as *const _,
            )
        };
        if failed != 0 || length > u64::from(u32::MAX) {
            return 0;
        }
    }
    let count = if kind == convention::RUSTLS_PIECES {
        pieces.list = address;
        pieces.call.length
    } else {
        1
    };
    write_all(
        &pieces,
        if count > PIECES_MAX {
            PIECES_MAX
        } else {
            count
        },
    );
    0
}

#[cfg(feature = "x86_64")]
#[inline(always)]
fn write_go(ctx: &ProbeContext) {
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
        write_all(&Pieces { call, list: 0 }, 1);
    }
}

/// Go's registers are known of this architecture alone.
#[cfg(not(feature = "x86_64"))]
#[inline(always)]
const fn write_go(_ctx: &ProbeContext) {}

/// Takes in each piece as a write of its own. Of more than [`PIECES_MAX`] the rest is missed, and what is followed ends there.
#[inline(always)]
fn write_all(pieces: &Pieces, count: u32) {
    let mut known = MaybeUninit::<Pieces>::uninit();
    // SAFETY: both are as long as said; the callback is given what it expects, and the value outlives it.
    unsafe {
        // What the verifier knows of each value would have it follow each convention apart. Of a copy it knows nothing.
        bpf_probe_read_kernel(
            known.as_mut_ptr().cast(),
            size_of::<Pieces>() as u32,
            ptr::from_ref(pieces).cast(),
        );
        bpf_loop(
            count,
            write_piece as *const () as *mut c_void,
            known.as_mut_ptr().cast(),
            0,
        );
    }
}

unsafe extern "C" fn write_piece(nth: u64, pieces: *mut Pieces) -> u64 {
    // SAFETY: `pieces` is the caller's; the buffer is as long as said, and the helper checks the address.
    unsafe {
        if (*pieces).list != 0 {
            let mut piece = [0_u64; 2];
            let at = (*pieces).list + 16 * nth;
            if bpf_probe_read_user(piece.as_mut_ptr().cast(), 16, at as *const _) != 0 {
                return 1;
            }
            (*pieces).call.address = piece[0];
            (*pieces).call.length = piece[1] as u32;
        }
        write(&(*pieces).call);
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
