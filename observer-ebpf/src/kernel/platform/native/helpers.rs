//! The helpers that the programs call, answered from the contexts, the thread's maps and its [`World`](super::World).
//! Each does as much of the kernel's work as the programs can see.

use std::{
    ffi::c_void,
    ptr, slice,
    sync::atomic::{AtomicU64, Ordering},
};

use observer_ebpf::abi::{Flow, capture::CAPTURES_BYTES, note::Note};

use super::{
    contexts::{__sk_buff, Socket, bpf_sock, bpf_sock_ops, bpf_tcp_sock},
    world::{Records, STORAGE_WORDS, Storage, change_world, contents, leak, world},
};

const TCP_TIME_WAIT: u32 = 6;
const TCP_NEW_SYN_RECV: u32 = 12;
const FAILED: i64 = -1;
/// What the kernel puts before each record of a ring.
const RECORD_HEADER: u64 = 8;

pub unsafe fn atomic_add(counter: *mut u64, count: u64) {
    // SAFETY: the caller passes an aligned field of a leaked map value.
    unsafe { AtomicU64::from_ptr(counter) }.fetch_add(count, Ordering::Relaxed);
}

pub unsafe fn bpf_ktime_get_ns() -> u64 {
    world().now_ns
}

pub unsafe fn bpf_get_current_pid_tgid() -> u64 {
    u64::from(world().pid) << 32 | u64::from(world().pid)
}

pub unsafe fn bpf_get_current_task() -> u64 {
    world().task
}

pub unsafe fn bpf_get_current_uid_gid() -> u64 {
    u64::from(world().uid)
}

pub unsafe fn bpf_get_current_comm(buffer: *mut c_void, length: u32) -> i64 {
    let comm = world().comm;
    assert!(length as usize <= comm.len());
    // SAFETY: the buffer is as long as said.
    unsafe { ptr::copy_nonoverlapping(comm.as_ptr(), buffer.cast(), length as usize) };
    0
}

pub unsafe fn bpf_get_netns_cookie(_context: *mut c_void) -> u64 {
    world().netns_cookie
}

pub unsafe fn bpf_get_socket_cookie(skb: *mut c_void) -> u64 {
    // SAFETY: the programs ask by skb alone, and every socket of a test is a `Socket`.
    unsafe {
        (*(*skb.cast::<__sk_buff>())
            .__bindgen_anon_2
            .sk
            .cast::<Socket>())
        .cookie
    }
}

pub unsafe fn bpf_sk_cgroup_id(sk: *mut c_void) -> u64 {
    // SAFETY: every socket of a test is a `Socket`.
    unsafe { (*sk.cast::<Socket>()).cgroup_id }
}

pub unsafe fn bpf_sk_fullsock(sk: *mut bpf_sock) -> *mut bpf_sock {
    // SAFETY: every socket of a test is a `Socket`.
    match unsafe { (*sk).state } {
        TCP_TIME_WAIT | TCP_NEW_SYN_RECV => ptr::null_mut(),
        _ => sk,
    }
}

pub unsafe fn bpf_tcp_sock(sk: *mut bpf_sock) -> *mut bpf_tcp_sock {
    let socket = sk.cast::<Socket>();
    // SAFETY: every socket of a test is a `Socket`.
    unsafe { &raw mut (*socket).tcp }
}

pub unsafe fn bpf_sk_storage_get(
    map: *mut c_void,
    sk: *mut c_void,
    _value: *mut c_void,
    flags: u64,
) -> *mut c_void {
    contents(map.addr(), |storage: &mut Storage| {
        if let Some(value) = storage.values.get(&sk.addr()) {
            return value.cast();
        }
        if flags == 0 || world().storage_fails {
            return ptr::null_mut();
        }
        let value = leak([0; STORAGE_WORDS]);
        storage.values.insert(sk.addr(), value);
        value.cast()
    })
}

pub unsafe fn bpf_skb_load_bytes(
    skb: *const c_void,
    offset: u32,
    to: *mut c_void,
    length: u32,
) -> i64 {
    // SAFETY: the context of a test; `data` and `len` describe the whole packet.
    let bytes = unsafe {
        let skb = &*skb.cast::<__sk_buff>();
        slice::from_raw_parts(
            ptr::with_exposed_provenance::<u8>(skb.data as usize),
            skb.len as usize,
        )
    };
    let Some(bytes) = bytes.get(offset as usize..(offset + length) as usize) else {
        return FAILED;
    };
    // SAFETY: the buffer is as long as said.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len()) };
    0
}

/// From the network header on, which is all that the programs ask for.
pub unsafe fn bpf_skb_load_bytes_relative(
    skb: *const c_void,
    offset: u32,
    to: *mut c_void,
    length: u32,
    start_header: u32,
) -> i64 {
    assert_eq!(start_header, 1, "BPF_HDR_START_NET");
    // SAFETY: the context of a test; the rest is the caller's promise.
    unsafe {
        let network = (*skb.cast::<__sk_buff>()).network_offset;
        bpf_skb_load_bytes(skb, network + offset, to, length)
    }
}

pub unsafe fn bpf_sock_ops_cb_flags_set(_ops: *mut bpf_sock_ops, flags: i32) -> i64 {
    change_world(|world| world.callback_flags = flags);
    0
}

/// Bytes of the ring that are taken; nothing takes a record out before the test has ended.
fn taken(records: &Records) -> u64 {
    let bytes = |records: usize, size: usize| records as u64 * (size as u64 + RECORD_HEADER);
    let captures = records.captures.iter().map(|record| bytes(1, record.len()));
    bytes(records.flows.len(), size_of::<Flow>())
        + bytes(records.notes.len(), size_of::<Note>())
        + captures.sum::<u64>()
}

pub unsafe fn bpf_ringbuf_query(ring: *mut c_void, _flags: u64) -> u64 {
    contents(ring.addr(), |records: &mut Records| taken(records))
}

pub unsafe fn bpf_ringbuf_output(
    ring: *mut c_void,
    data: *mut c_void,
    size: u64,
    flags: u64,
) -> i64 {
    // SAFETY: a ring's declaration begins with its size.
    let max = unsafe { *ring.cast::<usize>() as u64 };
    let has_room = contents(ring.addr(), |records: &mut Records| {
        taken(records) + size + RECORD_HEADER <= max
    });
    if !has_room {
        return FAILED;
    }
    if max == u64::from(CAPTURES_BYTES) {
        // SAFETY: the record is as long as said.
        let bytes = unsafe { slice::from_raw_parts(data.cast::<u8>(), size as usize) };
        contents(ring.addr(), |records: &mut Records| {
            records.captures.push(bytes.to_vec());
        });
        return 0;
    }
    assert_eq!(size, size_of::<Flow>() as u64);
    // SAFETY: the record is a flow.
    let flow = unsafe { *data.cast::<Flow>() };
    contents(ring.addr(), |records: &mut Records| {
        records.flows.push((flow, flags));
        0
    })
}

/// Reads the test's own memory.
pub unsafe fn bpf_probe_read_kernel(to: *mut c_void, size: u32, from: *const c_void) -> i64 {
    // SAFETY: the test set the offsets of fields of its `Socket`.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast(), size as usize) };
    0
}

/// Ends at a NUL, which is written and counted; a longer text is cut.
pub unsafe fn bpf_probe_read_kernel_str(to: *mut c_void, size: u32, from: *const c_void) -> i64 {
    if from.is_null() {
        return FAILED;
    }
    for at in 0..size as usize {
        // SAFETY: the test set the addresses of texts that end with NUL; the buffer is as long as said.
        unsafe {
            let byte = if at + 1 == size as usize {
                0
            } else {
                *from.cast::<u8>().add(at)
            };
            *to.cast::<u8>().add(at) = byte;
            if byte == 0 {
                return i64::try_from(at).map_or(FAILED, |at| at + 1);
            }
        }
    }
    0
}

/// Room with the ring's address before it, so that [`bpf_ringbuf_submit`] finds the ring.
#[repr(C)]
struct Reserved {
    ring: usize,
    note: Note,
}

pub unsafe fn bpf_ringbuf_reserve(ring: *mut c_void, size: u64, _flags: u64) -> *mut c_void {
    assert_eq!(size, size_of::<Note>() as u64);
    // SAFETY: a ring's declaration begins with its size.
    let max = unsafe { *ring.cast::<usize>() as u64 };
    let full = contents(ring.addr(), |records: &mut Records| {
        taken(records) + size + RECORD_HEADER > max
    });
    if full {
        return ptr::null_mut();
    }
    // SAFETY: a note of zeroes is one.
    let note = unsafe { std::mem::zeroed() };
    let reserved = leak(Reserved {
        ring: ring.addr(),
        note,
    });
    // SAFETY: a field of a leaked value.
    unsafe { (&raw mut (*reserved).note).cast() }
}

pub unsafe fn bpf_ringbuf_submit(data: *mut c_void, _flags: u64) {
    // SAFETY: the note lies in what `bpf_ringbuf_reserve` leaked.
    let reserved = unsafe {
        &*data
            .byte_sub(std::mem::offset_of!(Reserved, note))
            .cast::<Reserved>()
    };
    contents(reserved.ring, |records: &mut Records| {
        records.notes.push(reserved.note);
    });
}

/// A test's file is the struct of its socket.
pub unsafe fn bpf_sock_from_file(file: *mut c_void) -> *mut c_void {
    file
}
