//! The kernel's totals by (uplink, home, destination): finding a packet's slot once, adding to it every time.

use observer_ebpf::{
    abi::{Lost, SlotKey, UplinkKey},
    packet::Size,
};

use super::{
    maps::{SLOT_TOTALS, SLOTS, SLOTS_FREE, UPLINK_CONFIGS, UPLINKS, add, lose},
    platform::BPF_NOEXIST,
};

/// Index + 1 of the uplink; 0 = the interface is none.
#[inline(always)]
pub fn uplink(netns_cookie: u64, ifindex: u32) -> u32 {
    // SAFETY: the value is copied at once; entries change only when the agent is reconfigured.
    unsafe {
        UPLINKS.get(UplinkKey {
            netns_cookie,
            ifindex,
            _pad: 0,
        })
    }
    .copied()
    .unwrap_or(0)
}

/// A sent UDP packet as its device is handed it. What is no bundle, nearly all, costs one comparison.
#[inline(always)]
pub fn datagrams_at_device(size: Size, netns_cookie: u64, ifindex: u32) -> Size {
    if size.bundled_bytes == 0 {
        return size;
    }
    let Some(index) = uplink(netns_cookie, ifindex).checked_sub(1) else {
        return size;
    };
    match UPLINK_CONFIGS.get(index) {
        Some(config) if config.cuts_udp != 0 => size.cut(),
        _ => size,
    }
}

/// Slot of (uplink, home, destination), given out at its first use; `home` is a [`Home`](observer_ebpf::abi::Home).
#[inline(never)]
pub fn slot(uplink: u32, home: u32, tag: u32) -> u32 {
    let key = SlotKey {
        uplink: uplink as u16,
        home: home as u8,
        _pad: 0,
        tag,
    };
    // SAFETY: the value is copied at once and never changes.
    if let Some(slot) = unsafe { SLOTS.get(key) } {
        return *slot;
    }
    let Ok(Some(free)) = SLOTS_FREE.pop() else {
        lose(Lost::Slot);
        return 0;
    };
    if SLOTS.insert(key, free, u64::from(BPF_NOEXIST)).is_err() {
        // Another CPU was first: its slot counts, ours goes back.
        let _ = SLOTS_FREE.push(free, 0);
    }
    // SAFETY: the value is copied at once and never changes.
    unsafe { SLOTS.get(key) }.copied().unwrap_or(0)
}

/// Adds one packet to a slot's totals; `at` is the direction's index. Sending happens in a task, which a receiving softirq
/// may interrupt on the same CPU: the adds are atomic.
#[inline(always)]
pub fn add_to_slot(
    slot: u32,
    at: u32,
    size: &Size,
    payload_bytes: u64,
    retransmitted_wire_bytes: u64,
) {
    let Some(totals) = SLOT_TOTALS.get_ptr_mut(slot) else {
        return;
    };
    let at = at as usize & 1;
    // SAFETY: the pointer is to a live map value, the index is 0 or 1.
    unsafe {
        add(&raw mut (*totals).device_bytes[at], size.device_bytes);
        add(&raw mut (*totals).packets[at], size.packets);
        if size.bundled_bytes != 0 {
            add(&raw mut (*totals).bundled_bytes[at], size.bundled_bytes);
        }
        if payload_bytes != 0 {
            add(&raw mut (*totals).payload_bytes[at], payload_bytes);
        }
        if retransmitted_wire_bytes != 0 {
            add(
                &raw mut (*totals).retransmitted_wire_bytes,
                retransmitted_wire_bytes,
            );
        }
    }
}

/// As [`add_to_slot`] for received packets: softirqs of one CPU do not interrupt each other, and nothing else writes this
/// CPU's received half.
#[inline(always)]
pub fn add_received_to_slot(slot: u32, size: &Size, payload_bytes: u64) {
    let Some(totals) = SLOT_TOTALS.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: the pointer is to a live map value.
    unsafe {
        (*totals).device_bytes[1] += size.device_bytes;
        (*totals).bundled_bytes[1] += size.bundled_bytes;
        (*totals).payload_bytes[1] += payload_bytes;
        (*totals).packets[1] += size.packets;
    }
}
