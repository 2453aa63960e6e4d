//! How the bytes of an skb are reached: directly where the program starts at the IP header (`cgroup_skb`), by helper
//! where a link-layer header stands before it (TC). Knows no map.

use observer_ebpf::packet::{Packet, Start};

use super::platform::{
    __sk_buff, bpf_sk_fullsock, bpf_skb_load_bytes, bpf_skb_load_bytes_relative, bpf_sock,
};

/// The skb of a `cgroup_skb` program: offset 0 is the IP header.
pub struct SocketSkb(pub *mut __sk_buff);

/// Packet bytes that were found to lie inside the skb's linear part.
pub struct Linear(*const u8);

impl Start for Linear {
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        // SAFETY: the verifier refuses an offset beyond the bounds that were checked.
        unsafe { *self.0.add(at) }
    }

    #[inline(always)]
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "an IP header starts at an even address"
    )]
    fn be16(&self, at: usize) -> u16 {
        // SAFETY: as above.
        u16::from_be(unsafe { *self.0.add(at).cast::<u16>() })
    }
}

#[inline(always)]
fn linear(skb: *mut __sk_buff, skip: usize, length: usize) -> Option<Linear> {
    // SAFETY: the context is valid while the program runs; the bounds are checked before anything is read.
    unsafe {
        let start = (*skb).data as usize + skip;
        if start + length > (*skb).data_end as usize {
            None
        } else {
            Some(Linear(start as *const u8))
        }
    }
}

impl Packet for SocketSkb {
    type Start = Linear;

    #[inline(always)]
    fn start<const N: usize>(&self) -> Option<Linear> {
        linear(self.0, 0, N)
    }

    #[inline(always)]
    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the buffer is as long as said.
        let failed = unsafe {
            bpf_skb_load_bytes(self.0.cast(), offset, bytes.as_mut_ptr().cast(), N as u32)
        };
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
/// Bytes of an Ethernet header without tags.
const ETHERNET: u32 = 14;

impl Packet for LinkSkb {
    type Start = Linear;

    #[inline(always)]
    fn start<const N: usize>(&self) -> Option<Linear> {
        // The verifier follows constants better than a number from a map.
        match self.link_header {
            0 => linear(self.skb, 0, N),
            ETHERNET => linear(self.skb, ETHERNET as usize, N),
            _ => None,
        }
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
    let at = match (ip_version, source) {
        (4, true) => 12,
        (4, false) => 16,
        (_, true) => 8,
        (_, false) => 24,
    };
    if ip_version == 4 {
        let [a, b, c, d] = packet.at::<4>(at).unwrap_or_default();
        [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])]
    } else {
        let (high, low) = (packet.at::<8>(at), packet.at::<8>(at + 8));
        [
            u64::from_ne_bytes(high.unwrap_or_default()),
            u64::from_ne_bytes(low.unwrap_or_default()),
        ]
    }
}

/// As [`address`], of a packet with [`usual_headers`](observer_ebpf::packet::usual_headers).
#[inline(always)]
pub fn usual_address<S: Start>(start: &S, ip_version: u8, source: bool) -> Address {
    let pair = |at| (u64::from(start.be32(at)) << 32 | u64::from(start.be32(at + 4))).to_be();
    match (ip_version, source) {
        (4, true) => [0, (0xffff_0000_0000 | u64::from(start.be32(12))).to_be()],
        (4, false) => [0, (0xffff_0000_0000 | u64::from(start.be32(16))).to_be()],
        (_, true) => [pair(8), pair(16)],
        (_, false) => [pair(24), pair(32)],
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
