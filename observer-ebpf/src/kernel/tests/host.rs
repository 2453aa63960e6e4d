//! One host of a test: its maps as the loader leaves them, its uplink, and what its maps hold afterwards.

use std::ptr;

use observer_ebpf::abi::{
    Counters, Flow, Home, Lost, SLOTS_MAX, SlotKey, UplinkConfig, UplinkKey, UplinkTotals,
};

use super::{
    super::{
        maps::{
            EVENTS, LOST, NETNS_BY_PACKET, PREFIXES, SLOT_TOTALS, SLOTS, SLOTS_FREE,
            UPLINK_CONFIGS, UPLINK_TOTALS, UPLINKS,
        },
        platform::{Key, Records, SkBuffContext, change_world, contents, load, reset},
        uplink::{uplink0_egress, uplink0_ingress},
    },
    endpoint::{Endpoint, skb},
    packet::{Packet, REMOTE, address},
};

pub const NETNS: u64 = 7;
/// The only uplink, an Ethernet device.
pub const DEVICE: u32 = 2;
/// Tag set of the remote [`REMOTE`].
pub const TAG: u32 = 42;
pub const LINK_HEADER: usize = 14;

/// Empty maps, all slots free, one uplink.
pub fn boot() {
    reset();
    change_world(|world| {
        world.now_ns = 1_000_000;
        world.netns_cookie = NETNS;
        world.pid = 4321;
        world.uid = 1000;
        world.comm = *b"curl\0\0\0\0\0\0\0\0\0\0\0\0";
    });
    for slot in 1..SLOTS_MAX {
        SLOTS_FREE.push(slot, 0).expect("room for every slot");
    }
    let key = UplinkKey {
        netns_cookie: NETNS,
        ifindex: DEVICE,
        _pad: 0,
    };
    UPLINKS.insert(key, 1, 0).expect("room for one uplink");
    configure(0);
    for ip_version in [4, 6] {
        let [high, low] = words(address(ip_version, REMOTE));
        PREFIXES.insert(&Key::new(128, [high, low]), TAG);
    }
}

/// Says whether the device is handed the segments of UDP bundles.
pub fn configure(cuts_udp: u32) {
    let link_header = LINK_HEADER as u32;
    // SAFETY: a live map value.
    unsafe {
        *UPLINK_CONFIGS.get_ptr_mut(0).expect("row 0") = UplinkConfig {
            link_header,
            cuts_udp,
        };
    }
}

/// As on kernels from 6.15 on: each packet says its namespace.
pub fn boot_new_kernel() {
    boot();
    load(&raw const NETNS_BY_PACKET, 1);
}

fn words(address: [u8; 16]) -> [u64; 2] {
    let word = |at: usize| address[at..at + 8].try_into().map(u64::from_ne_bytes);
    [0, 8].map(|at| word(at).expect("8 bytes"))
}

/// What a test says of an skb at the uplink besides its packet.
#[derive(Default)]
pub struct AtUplink<'a> {
    pub endpoint: Option<&'a Endpoint>,
    pub forwarded: bool,
    /// Link-layer padding.
    pub padding: usize,
}

pub fn leave(packet: Packet, at: &AtUplink<'_>) {
    frame(&packet.bytes(true), ethertype(packet), packet.gso, at, true);
}

pub fn enter(packet: Packet, at: &AtUplink<'_>) {
    frame(
        &packet.bytes(false),
        ethertype(packet),
        packet.gso,
        at,
        false,
    );
}

const fn ethertype(packet: Packet) -> u16 {
    if packet.ip_version == 4 {
        0x0800
    } else {
        0x86dd
    }
}

/// Any frame at the uplink, given from behind its link-layer header on.
pub fn frame(bytes: &[u8], ethertype: u16, gso: (u32, u32), at: &AtUplink<'_>, egress: bool) {
    let mut frame = vec![0; LINK_HEADER];
    frame.extend_from_slice(bytes);
    frame.resize(frame.len() + at.padding, 0);
    let sk = at.endpoint.map_or(ptr::null_mut(), Endpoint::sk);
    let mut skb = skb(&frame, gso, sk);
    skb.network_offset = LINK_HEADER as u32;
    skb.protocol = u32::from(ethertype.to_be());
    skb.ingress_ifindex = u32::from(at.forwarded) * 3;
    let context = SkBuffContext::new(&mut skb);
    let verdict = if egress {
        uplink0_egress(context)
    } else {
        uplink0_ingress(context)
    };
    assert_eq!(verdict, -1, "the next program decides");
}

/// Every slot in use, with what it counted.
pub fn slots() -> Vec<(SlotKey, Counters)> {
    let mut slots: Vec<_> = SLOTS.entries();
    slots.sort_by_key(|(_, slot)| *slot);
    let counted = |(key, slot)| (key, *SLOT_TOTALS.get(slot).expect("a row for each slot"));
    slots.into_iter().map(counted).collect()
}

/// What slots of one home counted; all of them together.
pub fn home(home: Home) -> Counters {
    let mut sum = Counters::default();
    for (_, counters) in slots().iter().filter(|(key, _)| key.home == home as u8) {
        for at in 0..2 {
            sum.device_bytes[at] += counters.device_bytes[at];
            sum.bundled_bytes[at] += counters.bundled_bytes[at];
            sum.payload_bytes[at] += counters.payload_bytes[at];
            sum.packets[at] += counters.packets[at];
        }
        sum.retransmitted_wire_bytes += counters.retransmitted_wire_bytes;
    }
    sum
}

/// What found no slot.
pub fn slot_zero() -> Counters {
    *SLOT_TOTALS.get(0).expect("slot 0")
}

pub fn uplink_totals() -> UplinkTotals {
    // SAFETY: a live map value.
    unsafe { *UPLINK_TOTALS.get_ptr_mut(0).expect("row 0") }
}

pub fn lost(place: Lost) -> u64 {
    // SAFETY: a live map value.
    unsafe {
        *LOST
            .get_ptr_mut(place as u32)
            .expect("a row for each place")
    }
}

/// Every end that was handed over, with its wake-up flag.
pub fn ends() -> Vec<(Flow, u64)> {
    contents(ptr::from_ref(&EVENTS).addr(), |records: &mut Records| {
        records.flows.clone()
    })
}

/// Lets time pass.
pub fn wait_us(us: u64) {
    change_world(|world| world.now_ns += us * 1000);
}
