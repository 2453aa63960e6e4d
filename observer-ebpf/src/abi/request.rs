//! Requests that programs encrypt: what the kernel half keeps between the plaintext and the socket that its ciphertext is sent
//! on, and what it hands over of it: method and path up to the first space or `?`.

use core::mem::size_of;

use super::{Answer, capture::Head};

/// Bytes of method and path that are handed over at the most; longer ones are cut.
pub const LINE_BYTES: usize = 256;
/// Room for a line and for one more part of it, and for what is told of the field blocks of one write.
pub const ROOM_BYTES: usize = 4 * LINE_BYTES;
/// Threads that have written plaintext and not sent it, at the same time.
pub const WRITES_MAX: u32 = 2_048;
/// Connections of TLS libraries whose socket is known. LRU: who falls out is found again.
pub const CONNECTIONS_MAX: u32 = 16_384;
/// Processes that run Go, and have written.
pub const GO_MAX: u32 = 4_096;

/// Bytes of method, space and path by which the kernel half knows requests; zeroes behind shorter ones.
pub const ROUTE_BYTES: usize = 64;
/// Beginnings of requests that the kernel half knows.
pub const ROUTES_MAX: u32 = 16_384;
/// Further requests, by what their lines hash to, that it was told of. LRU: who falls out is told of again.
pub const LEARNED_MAX: u32 = 4_096;

/// What is handed over, behind [`Head`] and before the line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// Payload bytes that were sent before the request.
    pub sent: u64,
    /// Payload bytes that were received before it.
    pub received: u64,
    /// Number of what the kernel half knows the request to be, by the table that user space put there: then no line follows. 0 = not
    /// known.
    pub route: u32,
    /// What was answered before it; of HTTP/1.
    pub answer: Answer,
}

/// How a function takes its plaintext: the cookie of its probe.
pub mod convention {
    /// Connection, address, length.
    pub const LIBRARY: u64 = 0;
    /// The connection's address stands at the first argument's.
    pub const RUSTLS: u64 = 1;
    /// The same, of several pieces.
    pub const RUSTLS_PIECES: u64 = 2;
    /// In Go's own registers.
    pub const GO: u64 = 3;
}

/// How far a request line has been seen.
pub mod state {
    /// Nothing is under way.
    pub const NONE: u8 = 0;
    /// It goes on in the next write.
    pub const LINE: u8 = 1;
    pub const WHOLE: u8 = 2;
}

/// Plaintext that a thread has written, until it is sent.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// What stands for the connection in the process: the address of a library's struct.
    pub connection: u64,
    /// The goroutine that writes; 0 outside Go.
    pub goroutine: u64,
    /// When the request began, CLOCK_MONOTONIC ns.
    pub at_ns: u64,
    /// Where the plaintext of the last call lies, of HTTP/2.
    pub address: u64,
    /// Header of the frame that the last call's plaintext begins with, but for its first byte; 0 where it begins within one.
    pub frame: u64,
    /// Bytes of the last call's plaintext, of HTTP/2.
    pub last: u32,
    /// 1 = the line is what is told of fields of HTTP/2.
    pub is_fields: u8,
    /// 1 = more was to be told of fields than there is room for.
    pub is_full: u8,
    /// 1 = the socket did not take all of the last call's ciphertext, so that the call may be made again.
    pub is_refused: u8,
    /// 1 = nothing tells when the connection ends, so that its socket is not remembered.
    pub forgets: u8,
    /// Bytes of plaintext from the request's first on.
    pub length: u32,
    /// Bytes of the line.
    pub line_bytes: u32,
    /// See [`state`].
    pub state: u8,
    /// 1 = its first bytes have been sent: head and boundary are filled in.
    pub sent: u8,
    /// 1 = other plaintext of the same thread was waiting too.
    pub crossed: u8,
    /// Not 0 = the line has come to its end, while it is looked through.
    pub over: u8,
    /// Bytes of plaintext, while it is looked through, that were spaces.
    pub spaces: u32,
    pub head: Head,
    pub boundary: Boundary,
    pub line: [u8; ROOM_BYTES],
}

impl Default for Write {
    fn default() -> Self {
        Self {
            connection: 0,
            goroutine: 0,
            at_ns: 0,
            address: 0,
            frame: 0,
            last: 0,
            is_fields: 0,
            is_full: 0,
            is_refused: 0,
            forgets: 0,
            length: 0,
            line_bytes: 0,
            state: state::NONE,
            sent: 0,
            crossed: 0,
            over: 0,
            spaces: 0,
            head: Head::default(),
            boundary: Boundary::default(),
            line: [0; ROOM_BYTES],
        }
    }
}

const _: () = assert!(size_of::<Boundary>() == 32);
/// Head, boundary and line are handed over as they lie.
const _: () = assert!(
    core::mem::offset_of!(Write, line)
        == core::mem::offset_of!(Write, head) + size_of::<Head>() + size_of::<Boundary>()
);

/// Which connection of which process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    pub connection: u64,
    pub tgid: u32,
    pub _pad: u32,
}

const _: () = assert!(size_of::<ConnectionKey>() == 16);
