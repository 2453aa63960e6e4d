//! Tells a developer what is being lost, through aya-log. Compiled in debug builds of the agent alone (feature `log`).

use aya_log_ebpf::warn;
use observer_ebpf::abi::Lost;

/// Tells of the loss numbered `count` on this CPU: of the first, the second, the fourth and so on, never of every packet.
#[inline(never)]
pub fn tell(place: u32, count: u64) -> u64 {
    const EVENT_RING: u32 = Lost::EventRing as u32;
    const READ_RING: u32 = Lost::ReadRing as u32;
    const STORAGE: u32 = Lost::Storage as u32;
    const UDP_TABLE: u32 = Lost::UdpTable as u32;
    const SLOT: u32 = Lost::Slot as u32;
    const HEADERS: u32 = Lost::Headers as u32;
    if count & count.wrapping_sub(1) != 0 {
        return 0;
    }
    // The programs' contexts have several types; aya-log takes any and reads none.
    match place {
        EVENT_RING => warn!((), "the ring of ends is full: {} ends lost", count),
        READ_RING => warn!((), "the iterator's ring is full: {} flows left", count),
        STORAGE => warn!((), "no socket storage: {} packets without a flow", count),
        UDP_TABLE => warn!((), "the table of UDP remotes is full: {} packets", count),
        SLOT => warn!((), "no slot is free: {} lookups fell into slot 0", count),
        HEADERS => warn!((), "unreadable headers: {} packets", count),
        _ => {}
    }
    0
}
