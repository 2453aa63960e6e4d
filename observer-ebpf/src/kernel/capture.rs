//! Hands bytes of packets over, and keeps the room in which they are put together. What may be handed over is the list of
//! `abi::capture`; each question that asks for some has a file of its own.

use core::{
    mem::{offset_of, size_of},
    ptr,
};

use observer_ebpf::{
    abi::{
        EGRESS, Flow, Lost,
        capture::{CAPTURES_BYTES, CHUNK_BYTES, Head},
    },
    packet::Headers,
};

use super::{
    maps::{CAPTURES, SCRATCH, captures_on, lose},
    platform::{
        __sk_buff, bpf_ktime_get_ns, bpf_ringbuf_output, bpf_ringbuf_query, bpf_skb_load_bytes,
    },
    skb::{SocketSkb, address, store_address},
};

/// What is handed over: the head, and behind it up to [`CHUNK_BYTES`] of data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Chunk {
    pub head: Head,
    pub data: [u8; CHUNK_BYTES],
}

/// How far a client's stream has been read. Numbers are bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Of the current record's header, 0 to 5.
    pub header: u32,
    /// Of the current record's body that are still to come.
    pub record: u32,
    /// Of the first handshake message, its header included; 0 while that has not passed.
    pub message: u32,
    /// Of that message that were handed over.
    pub handed: u32,
    /// Where the client's next message to a SOCKS proxy begins in the stream; 0 where there is none.
    pub next: u32,
    /// Where the packet is being read.
    pub position: u32,
}

/// One CPU's room for one hand-over of one direction. A program can be interrupted by another packet's on the same CPU:
/// that one then finds the room taken and hands nothing over.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Scratch {
    pub busy: u64,
    pub look: Look,
    pub chunk: Chunk,
}

/// The stand-ins of maps make values so.
impl Default for Scratch {
    fn default() -> Self {
        Self {
            busy: 0,
            look: Look::default(),
            chunk: Chunk {
                head: Head::default(),
                data: [0; CHUNK_BYTES],
            },
        }
    }
}

/// Takes this CPU's room of a direction; `None` where captures are off, or it is taken, which is counted.
#[inline(always)]
pub fn take_room(at: usize) -> Option<*mut Scratch> {
    if captures_on() == 0 {
        return None;
    }
    let scratch = SCRATCH.get_ptr_mut(at as u32)?;
    // SAFETY: a live value of this CPU's; what interrupts this program is done before it goes on.
    unsafe {
        if (*scratch).busy != 0 {
            lose(Lost::CaptureRing);
            return None;
        }
        (*scratch).busy = 1;
    }
    Some(scratch)
}

/// Gives the room back.
///
/// # Safety
/// `scratch` is from [`take_room`].
#[inline(always)]
pub unsafe fn give_room(scratch: *mut Scratch) {
    // SAFETY: the caller's promise.
    unsafe { (*scratch).busy = 0 };
}

/// Says of what flow the hand-over is, from the flow itself.
///
/// # Safety
/// `scratch` is from [`take_room`], `flow` is live storage.
#[inline(always)]
pub unsafe fn head_of_flow(scratch: *mut Scratch, flow: *mut Flow) {
    // SAFETY: the caller's promise.
    unsafe { fill_head(&raw mut (*scratch).chunk.head, flow) };
}

/// Fills a head from the flow.
///
/// # Safety
/// `head` is in a live map value, `flow` is live storage.
#[inline(always)]
pub unsafe fn fill_head(head: *mut Head, flow: *mut Flow) {
    // SAFETY: the caller's promise.
    unsafe {
        (*head).cookie = (*flow).cookie;
        (*head).netns_cookie = (*flow).netns_cookie;
        (*head).at_ns = bpf_ktime_get_ns();
        (*head).local_address = (*flow).local_address;
        (*head).remote_address = (*flow).remote_address;
        (*head).local_port = (*flow).local_port;
        (*head).remote_port = (*flow).remote_port;
        (*head).protocol = (*flow).protocol;
        (*head)._pad = 0;
    }
}

/// The same from a packet, whose socket may have no flow or several.
///
/// # Safety
/// `scratch` is from [`take_room`].
#[inline(always)]
pub unsafe fn head_of_packet<const AT: usize>(
    scratch: *mut Scratch,
    skb: *mut __sk_buff,
    headers: &Headers,
    cookie: u64,
    netns_cookie: u64,
) {
    let packet = SocketSkb(skb);
    let egress = AT == EGRESS;
    // SAFETY: the caller's promise.
    unsafe {
        let head = &raw mut (*scratch).chunk.head;
        (*head).cookie = cookie;
        (*head).netns_cookie = netns_cookie;
        (*head).at_ns = bpf_ktime_get_ns();
        let local = address(&packet, headers.ip_version, egress);
        let remote = address(&packet, headers.ip_version, !egress);
        store_address(&raw mut (*head).local_address, local);
        store_address(&raw mut (*head).remote_address, remote);
        let ports = (headers.source_port, headers.destination_port);
        ((*head).local_port, (*head).remote_port) = if egress { ports } else { (ports.1, ports.0) };
        (*head).protocol = headers.protocol;
        (*head)._pad = 0;
    }
}

/// The first 8 bytes from `at` on, or as many as there are, zeroes behind them; 0 where there is nothing.
#[inline(always)]
pub fn first_bytes(skb: *mut __sk_buff, at: u32, length: u32) -> u64 {
    let mut bytes = [0_u8; 8];
    let n = bounded::<8>(length);
    if length == 0 {
        return 0;
    }
    // SAFETY: the buffer is as long as said.
    let failed = unsafe { bpf_skb_load_bytes(skb.cast(), at, bytes.as_mut_ptr().cast(), n) };
    if failed == 0 {
        u64::from_be_bytes(bytes)
    } else {
        0
    }
}

/// Puts `length` bytes of the packet into the room, [`CHUNK_BYTES`] at the most; says how many, 0 where they cannot be had.
///
/// # Safety
/// `scratch` is from [`take_room`].
#[inline(always)]
pub unsafe fn load<const MOST: u32>(
    scratch: *mut Scratch,
    skb: *mut __sk_buff,
    at: u32,
    length: u32,
) -> u32 {
    const { assert!(MOST as usize <= CHUNK_BYTES) };
    let n = bounded::<MOST>(length);
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller's promise; the data have room for the most.
    unsafe {
        let data = (&raw mut (*scratch).chunk.data).cast();
        if bpf_skb_load_bytes(skb.cast(), at, data, n) != 0 {
            return 0;
        }
    }
    n
}

/// Wipes the first `BYTES` of the room's data, which are more than what was handed over.
///
/// # Safety
/// `scratch` is from [`take_room`].
#[inline(always)]
pub unsafe fn wipe<const BYTES: usize>(scratch: *mut Scratch) {
    const { assert!(BYTES <= CHUNK_BYTES && BYTES.is_multiple_of(8)) };
    // SAFETY: the caller's promise; the data are that long.
    unsafe {
        let data = words(scratch);
        for nth in 0..BYTES / 8 {
            ptr::write_volatile(data.add(nth), 0);
        }
    }
}

/// The room's data by words.
///
/// # Safety
/// `scratch` is from [`take_room`].
#[inline(always)]
pub unsafe fn words(scratch: *mut Scratch) -> *mut u64 {
    const AT: usize = offset_of!(Scratch, chunk) + offset_of!(Chunk, data);
    const { assert!(AT.is_multiple_of(size_of::<u64>())) };
    // SAFETY: the caller's promise; the data are part of the room.
    unsafe { scratch.cast::<u64>().add(AT / size_of::<u64>()) }
}

/// `length`, but `MOST` at the most, and 1 where it is 0. The mask is put on what the compiler knows nothing of, or it would
/// leave out what the verifier has to see.
#[inline(always)]
pub fn bounded<const MOST: u32>(length: u32) -> u32 {
    const { assert!(MOST.is_power_of_two()) };
    if length >= MOST {
        return MOST;
    }
    let before = length.wrapping_sub(1);
    // SAFETY: a local value.
    let before = unsafe { ptr::read_volatile(&raw const before) };
    (before & (MOST - 1)) + 1
}

/// Hands the first `length` bytes of data over, with the head as it is; says whether there was room.
///
/// # Safety
/// `scratch` is from [`take_room`], its head is filled.
#[inline(always)]
pub unsafe fn hand_over(
    scratch: *mut Scratch,
    kind: u8,
    flags: u8,
    offset: u32,
    length: u32,
) -> bool {
    let n = bounded::<{ CHUNK_BYTES as u32 }>(length);
    // SAFETY: the caller's promise; the chunk is longer than what is taken of it.
    unsafe {
        let chunk = &raw mut (*scratch).chunk;
        (*chunk).head.kind = kind;
        (*chunk).head.flags = flags;
        (*chunk).head.offset = offset;
        (*chunk).head.bytes = n;
        output(&raw mut (*chunk).head, n)
    }
}

/// Gives a head and the `bytes` behind it to the ring; says whether there was room. The agent is woken only when the ring is a
/// quarter full.
///
/// # Safety
/// `head` is in a live map value, and so are the bytes behind it.
#[inline(always)]
pub unsafe fn output(head: *mut Head, bytes: u32) -> bool {
    const BPF_RB_NO_WAKEUP: u64 = 1;
    const BPF_RB_FORCE_WAKEUP: u64 = 2;
    const BPF_RB_AVAIL_DATA: u64 = 0;
    let ring = ptr::from_ref(&CAPTURES).cast_mut().cast();
    // SAFETY: the caller's promise.
    unsafe {
        let pending = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
        let wakeup = if pending > u64::from(CAPTURES_BYTES / 4) {
            BPF_RB_FORCE_WAKEUP
        } else {
            BPF_RB_NO_WAKEUP
        };
        let size = size_of::<Head>() as u64 + u64::from(bytes);
        if bpf_ringbuf_output(ring, head.cast(), size, wakeup) != 0 {
            lose(Lost::CaptureRing);
            return false;
        }
    }
    true
}
