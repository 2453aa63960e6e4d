//! How the bytes of an skb are reached: directly where the program starts at the IP header (`cgroup_skb`), by helper
//! where a link-layer header stands before it (TC). Knows no map.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::generated::{bpf_skb_load_bytes, bpf_skb_load_bytes_relative, bpf_sk_fullsock},
};
use observer_ebpf::packet::Packet;

/// The skb of a `cgroup_skb` program: offset 0 is the IP header.
pub struct SocketSkb(pub *mut __sk_buff);

impl Packet for SocketSkb {
    #[inline(always)]
    fn fixed<const AT: usize, const N: usize>(&self) -> Option<[u8; N]> {
        // SAFETY: the context is valid while the program runs; the bounds are checked before the read.
        unsafe {
            let start = (*self.0).data as usize;
            let end = (*self.0).data_end as usize;
            if start + AT + N > end {
                return self.at::<N>(AT as u32);
            }
            // An IP header starts at an even address, so pairs of bytes are loaded at once: the compiler would load
            // an array of bytes one by one.
            let mut bytes = [0; N];
            for (index, pair) in bytes.chunks_exact_mut(2).enumerate() {
                pair.copy_from_slice(&(*((start + AT + index * 2) as *const u16)).to_ne_bytes());
            }
            Some(bytes)
        }
    }

    #[inline(always)]
    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the buffer is as long as said.
        let failed = unsafe { bpf_skb_load_bytes(self.0.cast(), offset, bytes.as_mut_ptr().cast(), N as u32) };
        (failed == 0).then_some(bytes)
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    fn gso_size(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.0).gso_size }
    }

    #[inline(always)]
    fn gso_segs(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.0).gso_segs }
    }
}

/// The skb of a TC program: offsets count from the IP header, wherever it is.
pub struct LinkSkb {
    pub skb: *mut __sk_buff,
    /// Bytes before the IP header.
    pub link_header: u32,
}

const BPF_HDR_START_NET: u32 = 1;

impl Packet for LinkSkb {
    #[inline(always)]
    fn fixed<const AT: usize, const N: usize>(&self) -> Option<[u8; N]> {
        self.at::<N>(AT as u32)
    }

    #[inline(always)]
    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the buffer is as long as said.
        let failed = unsafe {
            bpf_skb_load_bytes_relative(
                self.skb.cast(),
                offset,
                bytes.as_mut_ptr().cast(),
                N as u32,
                BPF_HDR_START_NET,
            )
        };
        (failed == 0).then_some(bytes)
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).len }.saturating_sub(self.link_header)
    }

    #[inline(always)]
    fn gso_size(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).gso_size }
    }

    #[inline(always)]
    fn gso_segs(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).gso_segs }
    }
}

/// Which end of the packet is the remote one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Egress,
    Ingress,
}

impl Direction {
    /// Index of the direction's half of a counter.
    #[inline(always)]
    pub const fn index(self) -> usize {
        match self {
            Self::Egress => observer_ebpf::abi::EGRESS,
            Self::Ingress => observer_ebpf::abi::INGRESS,
        }
    }
}

/// An address as the ABI has it (network byte order, IPv4 as ::ffff:a.b.c.d), in two words.
pub type Address = [u64; 2];

/// Source (or destination) address of an IP packet.
#[inline(always)]
pub fn address<P: Packet>(packet: &P, ip_version: u8, source: bool) -> Address {
    if ip_version == 4 {
        let four = if source { packet.fixed::<12, 4>() } else { packet.fixed::<16, 4>() };
        let [a, b, c, d] = four.unwrap_or_default();
        [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])]
    } else {
        let [high, low] = if source {
            [packet.fixed::<8, 8>(), packet.fixed::<16, 8>()]
        } else {
            [packet.fixed::<24, 8>(), packet.fixed::<32, 8>()]
        };
        [u64::from_ne_bytes(high.unwrap_or_default()), u64::from_ne_bytes(low.unwrap_or_default())]
    }
}

/// Reads an address field of a live ABI value.
///
/// # Safety
/// `field` points to such a field; the ABI asserts that it is aligned for words.
#[inline(always)]
pub unsafe fn load_address(field: *const [u8; 16]) -> Address {
    // SAFETY: the caller's promise.
    unsafe { *field.cast() }
}

/// Writes an address field of a live ABI value.
///
/// # Safety
/// As [`load_address`].
#[inline(always)]
pub unsafe fn store_address(field: *mut [u8; 16], address: Address) {
    // SAFETY: the caller's promise.
    unsafe { *field.cast() = address }
}

/// The full socket of an skb; `None` for none and for time-wait and request sockets.
#[inline(always)]
pub fn full_socket(skb: *mut __sk_buff) -> Option<*mut bpf_sock> {
    // SAFETY: the verifier checks the context field, the null test and the helper's result.
    unsafe {
        let sk = (*skb).__bindgen_anon_2.sk;
        if sk.is_null() {
            return None;
        }
        let full = bpf_sk_fullsock(sk);
        if full.is_null() { None } else { Some(full) }
    }
}
