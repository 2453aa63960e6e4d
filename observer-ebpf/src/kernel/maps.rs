//! Every map, with its type, key, size and the reason for each, and the constants the loader sets. Knows no program.

use core::ptr;

use observer_ebpf::abi::{
    Counters, EVENTS_BYTES, Flow, LOSSES, Lost, NOTES_BYTES, Origin, PREFIXES_MAX, PROCESSES_MAX,
    READS_BYTES, SLOTS_MAX, SlotKey, TAG_SETS_MAX, UDP_FLOWS_MAX, UPLINKS_MAX, UdpFlow, UdpKey,
    UplinkConfig, UplinkKey, UplinkTotals,
    capture::{CAPTURES_BYTES, PENDING_MAX},
    control,
    field::FIELDS_COUNT,
    note::{Life, Note},
    request::{LEARNED_MAX, ROUTE_BYTES, ROUTES_MAX},
};
#[cfg(target_arch = "bpf")]
use observer_ebpf::abi::{
    http2::{Frames, HTTP2_MAX},
    request::{CONNECTIONS_MAX, ConnectionKey, WRITES_MAX, Write},
};

use super::{
    capture::{Chunk, Look, Scratch},
    platform::{
        Array, HashMap, Key, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, Queue, RingBuf,
        SkStorage, atomic_add, bpf_sk_storage_get, loaded,
    },
    skb::Address,
};

/// State of each socket: freed by the kernel together with the socket.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static FLOWS: SkStorage<Flow> = SkStorage::new();

/// Namespace of each socket made since the agent attached (from 6.15 on of datagram sockets alone, to tell them from
/// older ones); cloned from listener to accepted socket.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static ORIGINS: CloningSkStorage<Origin> = CloningSkStorage::new();

/// Further remotes of UDP sockets. A plain hash, never LRU: what does not fit is counted, not evicted.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static UDP_FLOWS: HashMap<UdpKey, UdpFlow, { UDP_FLOWS_MAX as usize }> = HashMap::new();

/// Which slot counts for which (uplink, home, destination).
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static SLOTS: HashMap<SlotKey, u32, { SLOTS_MAX as usize }> = HashMap::new();

/// Slots not given out yet, filled by the loader: popping is atomic on every kernel.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static SLOTS_FREE: Queue<u32, { SLOTS_MAX as usize }> = Queue::new();

/// The kernel's totals; slot 0 takes what found no slot.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static SLOT_TOTALS: PerCpuArray<Counters, { SLOTS_MAX as usize }> = PerCpuArray::new();

/// Address prefixes to tag sets.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static PREFIXES: LpmTrie<Address, u32, { PREFIXES_MAX as usize }> = LpmTrie::new();

/// What the claims of each tag set hash to, at its number; 0 = not given. No program reads it: it tells an agent that starts
/// on these maps what their numbers stand for.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static TAG_SETS: Array<u64, { TAG_SETS_MAX as usize }> = Array::new();

/// Which interface of which namespace is which uplink (index + 1).
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static UPLINKS: HashMap<UplinkKey, u32, { UPLINKS_MAX as usize }> = HashMap::new();

/// What the uplink programs must know of their device.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static UPLINK_CONFIGS: Array<UplinkConfig, { UPLINKS_MAX as usize }> = Array::new();

/// What passed each uplink.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static UPLINK_TOTALS: PerCpuArray<UplinkTotals, { UPLINKS_MAX as usize }> = PerCpuArray::new();

/// What was lost, by place.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static LOST: PerCpuArray<u64, { LOSSES as usize }> = PerCpuArray::new();

/// Ends of flows.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static EVENTS: RingBuf<Flow, { EVENTS_BYTES as usize }> = RingBuf::new();

/// What one pass of the iterator hands over.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static READS: RingBuf<Flow, { READS_BYTES as usize }> = RingBuf::new();

/// What is told of processes and cgroups.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static NOTES: RingBuf<Note, { NOTES_BYTES as usize }> = RingBuf::new();

/// Which life of each pid was told of. LRU: nothing has to add up, and who falls out is told of again.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static PROCESSES: LruHashMap<u32, Life, { PROCESSES_MAX as usize }> = LruHashMap::new();

/// Bytes that name flows.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static CAPTURES: RingBuf<Chunk, { CAPTURES_BYTES as usize }> = RingBuf::new();

/// The programs that look at sent packets: for hellos, for plain requests. One map a direction: kernels from 6.17 on let only programs of one attach type
/// into a map.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static LOOK_AT_SENT: ProgramArray<2> = ProgramArray::new();

/// The one that looks at received packets.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static LOOK_AT_RECEIVED: ProgramArray<1> = ProgramArray::new();

/// Hellos that go on in a later packet, by socket cookie. LRU: who falls out is counted as cut short.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static PENDING: LruHashMap<u64, Look, { PENDING_MAX as usize }> = LruHashMap::new();

/// Where a hand-over is put together, one a direction: a packet's bytes do not fit on the stack.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static SCRATCH: PerCpuArray<Scratch, 2> = PerCpuArray::new();

/// Plaintext of each thread that is not sent yet, by thread (`bpf_get_current_pid_tgid`): no other writes to an entry. A plain
/// hash: an entry that an LRU one gives to others could be written by two. User space takes out what dead threads left.
#[cfg(target_arch = "bpf")]
#[aya_ebpf::macros::btf_map]
pub static WRITES: HashMap<u64, Write, { WRITES_MAX as usize }> = HashMap::new();

/// An empty entry of [`WRITES`], too long for a program's stack.
#[cfg(target_arch = "bpf")]
#[aya_ebpf::macros::btf_map]
pub static NO_WRITE: Array<Write, 1> = Array::new();

/// Socket cookie of each connection that has sent something. LRU: who falls out is found again.
#[cfg(target_arch = "bpf")]
#[aya_ebpf::macros::btf_map]
pub static CONNECTIONS: LruHashMap<ConnectionKey, u64, { CONNECTIONS_MAX as usize }> =
    LruHashMap::new();

/// How far the sent stream of each connection that speaks HTTP/2 was read. LRU: who falls out is found again.
#[cfg(target_arch = "bpf")]
#[aya_ebpf::macros::btf_map]
pub static HTTP2: LruHashMap<ConnectionKey, Frames, { HTTP2_MAX as usize }> = LruHashMap::new();

/// Beginnings of request lines that say which request it is, to its number: see [`Boundary::route`](observer_ebpf::abi::request::Boundary).
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static ROUTES: LpmTrie<[u8; ROUTE_BYTES], u32, { ROUTES_MAX as usize }> = LpmTrie::new();

/// Numbers of further requests, by what their lines hash to: no path is kept. LRU: who falls out is told of again.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static LEARNED: LruHashMap<u64, u32, { LEARNED_MAX as usize }> = LruHashMap::new();

/// Where a socket's address becomes a number, see `peek`.
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static ADDRESS: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Single words, see [`control`].
#[cfg_attr(target_arch = "bpf", aya_ebpf::macros::btf_map)]
pub static CONTROL: Array<u32, { control::WORDS as usize }> = Array::new();

/// 1 where `bpf_get_netns_cookie` may be called by programs with an skb (kernel 6.15).
#[unsafe(no_mangle)]
pub static NETNS_BY_PACKET: u8 = 0;
/// Offset of `skc_net` in `struct sock_common`, from BTF; 0 = not known.
#[unsafe(no_mangle)]
pub static SOCK_NET_OFFSET: u32 = 0;
/// Offset of `ns.inum` in `struct net`, from BTF.
#[unsafe(no_mangle)]
pub static NET_INUM_OFFSET: u32 = 0;
/// Offset of `net_cookie` in `struct net`, where programs with an skb need it and may read it; else 0.
#[unsafe(no_mangle)]
pub static NET_COOKIE_OFFSET: u32 = 0;
/// Offset of `bytes_received` (64 bits) in `struct tcp_sock`, from BTF; 0 = not known, as below.
#[unsafe(no_mangle)]
pub static BYTES_RECEIVED_OFFSET: u32 = 0;
/// Offset of `srtt_us` in `struct tcp_sock`.
#[unsafe(no_mangle)]
pub static SRTT_US_OFFSET: u32 = 0;
/// Offset of the newest sample's value of `rtt_min` in `struct tcp_sock`.
#[unsafe(no_mangle)]
pub static RTT_MIN_US_OFFSET: u32 = 0;

/// 0 where this kernel takes no tail call in the counting programs, or the operator switched captures off.
#[unsafe(no_mangle)]
pub static CAPTURES_ON: u32 = 0;

/// 1 where requests are looked for.
#[unsafe(no_mangle)]
pub static REQUESTS_ON: u32 = 0;

/// By which lines are hashed: nobody knows them but this agent.
#[unsafe(no_mangle)]
pub static LINE_KEYS: [u64; 2] = [0; 2];

/// Bytes in [`EVENTS`] above which the agent is woken: a quarter of the ring, whose size the operator may change.
#[unsafe(no_mangle)]
pub static EVENTS_WAKEUP_BYTES: u32 = EVENTS_BYTES / 4;

/// Offset + 1 of each [`Field`](observer_ebpf::abi::field::Field), from BTF; 0 = not known.
#[unsafe(no_mangle)]
pub static FIELD_OFFSETS: [u32; FIELDS_COUNT] = [0; FIELDS_COUNT];

macro_rules! loader_constant {
    ($name:ident, $constant:ident, $type:ty) => {
        #[inline(always)]
        pub fn $name() -> $type {
            // SAFETY: the static is initialised, aligned read-only data.
            unsafe { loaded(&raw const $constant) }
        }
    };
}

loader_constant!(netns_by_packet, NETNS_BY_PACKET, u8);
loader_constant!(sock_net_offset, SOCK_NET_OFFSET, u32);
loader_constant!(net_inum_offset, NET_INUM_OFFSET, u32);
loader_constant!(net_cookie_offset, NET_COOKIE_OFFSET, u32);
loader_constant!(bytes_received_offset, BYTES_RECEIVED_OFFSET, u32);
loader_constant!(srtt_us_offset, SRTT_US_OFFSET, u32);
loader_constant!(rtt_min_us_offset, RTT_MIN_US_OFFSET, u32);
loader_constant!(captures_on, CAPTURES_ON, u32);
loader_constant!(requests_on, REQUESTS_ON, u32);
loader_constant!(line_keys, LINE_KEYS, [u64; 2]);
loader_constant!(events_wakeup_bytes, EVENTS_WAKEUP_BYTES, u32);

/// Atomic add without a result, which 5.10 takes.
#[inline(always)]
pub fn add(counter: *mut u64, count: u64) {
    // SAFETY: every caller passes a field of a live map value.
    unsafe { atomic_add(counter, count) };
}

/// Which word says whether SYN-ACKs pass the egress hook.
#[inline(always)]
const fn requests_word(ip_version: u8) -> u32 {
    if ip_version == 6 {
        control::REQUESTS_HOOKED_6
    } else {
        control::REQUESTS_HOOKED_4
    }
}

/// The egress hook has seen a SYN-ACK.
#[inline(always)]
pub fn note_requests_hooked(ip_version: u8) {
    if let Some(word) = CONTROL.get_ptr_mut(requests_word(ip_version)) {
        // SAFETY: a live map value; all writers write the same.
        unsafe { *word = 1 };
    }
}

/// Whether the egress hook sees SYN-ACKs: it runs before the uplink, so it has seen one by the time the first is asked
/// about.
#[inline(always)]
pub fn requests_hooked(ip_version: u8) -> bool {
    CONTROL
        .get(requests_word(ip_version))
        .is_some_and(|word| *word != 0)
}

/// Says that a flow began whose owner is not known.
#[inline(always)]
pub fn want_owner() {
    if let Some(word) = CONTROL.get_ptr_mut(control::OWNERS_WANTED) {
        // SAFETY: a live map value; all programs write the same.
        unsafe { *word = 1 };
    }
}

pub fn lose(place: Lost) {
    if let Some(count) = LOST.get_ptr_mut(place as u32) {
        add(count, 1);
        #[cfg(all(feature = "log", target_arch = "bpf"))]
        // SAFETY: this CPU's own word of a live map value.
        super::tell::tell(place as u32, unsafe { *count });
    }
}

/// Tag set of an address.
#[inline(always)]
pub fn tag(address: Address) -> u32 {
    PREFIXES
        .get(&Key::new(128, address))
        .copied()
        .unwrap_or(observer_ebpf::abi::TAG_NONE)
}

/// The socket's flow, made where there is none; null where option memory is used up.
///
/// `sk` is the socket pointer that the program's context or `bpf_sk_fullsock` gave.
#[inline(always)]
pub fn flow<T>(sk: *mut T, make: bool) -> *mut Flow {
    storage(ptr::from_ref(&FLOWS).cast_mut().cast(), sk, make).cast()
}

/// The socket's origin; null for sockets older than the agent.
#[inline(always)]
pub fn origin<T>(sk: *mut T, make: bool) -> *mut Origin {
    storage(ptr::from_ref(&ORIGINS).cast_mut().cast(), sk, make).cast()
}

#[inline(always)]
fn storage<T>(map: *mut core::ffi::c_void, sk: *mut T, make: bool) -> *mut core::ffi::c_void {
    // SAFETY: the verifier checks the map, the socket pointer and every use of the result.
    unsafe { bpf_sk_storage_get(map, sk.cast(), ptr::null_mut(), u64::from(make)) }
}

const BPF_F_NO_PREALLOC: usize = 1;
const BPF_F_CLONE: usize = 1 << 9;

/// As aya's `SkStorage`, with the flag that copies the value to accepted sockets.
#[repr(C)]
pub struct CloningSkStorage<T> {
    r#type: *const [i32; 24],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC | BPF_F_CLONE],
}

// SAFETY: the pointers are a declaration that the loader reads from BTF; nothing dereferences them.
unsafe impl<T> Sync for CloningSkStorage<T> {}

impl<T> CloningSkStorage<T> {
    pub const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }
}
