//! What happens where something is full or refused: every byte has a home all the same, and the loss is counted.

use observer_ebpf::{
    abi::{EVENTS_BYTES, Flow, Home, Lost, SLOTS_MAX},
    packet::{protocol, tcp_flag},
};

use super::{
    super::{
        maps::{EVENTS_WAKEUP_BYTES, SLOTS_FREE},
        platform::{change_world, load},
    },
    endpoint::Endpoint,
    host::{TAG, boot, ends, home, lost, slot_zero, slots},
    packet::{REMOTE, tcp, udp},
};

#[test]
fn without_storage_bytes_are_counted_by_destination() {
    boot();
    let client = Endpoint::new(protocol::TCP);
    change_world(|world| world.storage_fails = true);
    client.connect();
    client.send(tcp(tcp_flag::ACK, 1, 100));
    client.receive(tcp(tcp_flag::ACK, 1, 1000));
    client.release();
    assert!(client.flow().is_none() && ends().is_empty());
    assert_eq!(lost(Lost::Storage), 2);
    let failed = home(Home::StorageFailed);
    assert_eq!(failed.device_bytes, client.device_bytes.get());
    assert_eq!(failed.payload_bytes, [100, 1000]);
    let [(key, _)] = slots()[..] else {
        panic!("one slot");
    };
    assert_eq!((key.uplink, key.tag), (1, TAG));
    // memory is there again: the next packet has a flow
    change_world(|world| world.storage_fails = false);
    client.send(tcp(tcp_flag::ACK, 101, 10));
    let flow = client.flow().expect("the socket has storage");
    assert_eq!(flow.counters().payload_bytes[0], 10);
}

#[test]
fn without_slots_the_first_one_takes_the_bytes() {
    boot();
    while SLOTS_FREE.pop() != Ok(None) {}
    let socket = Endpoint::new(protocol::UDP);
    socket.send(udp(REMOTE, 100));
    socket.send(udp(REMOTE, 100));
    assert!(slots().is_empty());
    assert_eq!(lost(Lost::Slot), 1, "the flow remembers its slot");
    assert_eq!(slot_zero().device_bytes, [256, 0]);
    // a slot that comes free serves the next destination
    SLOTS_FREE.push(SLOTS_MAX - 1, 0).expect("room for a slot");
    socket.send(udp(12, 1));
    assert_eq!(home(Home::Flow).device_bytes, [29, 0]);
}

const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;

#[test]
fn a_full_ring_of_events_counts_what_it_refuses() {
    boot();
    let socket = Endpoint::new(protocol::UDP);
    socket.send(udp(REMOTE, 1));
    let room = EVENTS_BYTES as usize / (size_of::<Flow>() + 8);
    for _ in 0..room + 3 {
        socket.release();
    }
    let ends = ends();
    assert_eq!((ends.len(), lost(Lost::EventRing)), (room, 3));
    assert_eq!(ends[0].1, NO_WAKEUP);
    assert_eq!(ends[room / 4 - 1].1, NO_WAKEUP);
    assert_eq!(ends[room / 4 + 2].1, FORCE_WAKEUP, "a quarter is full");
}

#[test]
fn a_small_ring_wakes_the_agent_at_its_own_quarter() {
    boot();
    load(&raw const EVENTS_WAKEUP_BYTES, 1_024);
    let socket = Endpoint::new(protocol::UDP);
    socket.send(udp(REMOTE, 1));
    let quarter = 1_024 / (size_of::<Flow>() + 8);
    for _ in 0..quarter + 2 {
        socket.release();
    }
    let ends = ends();
    assert_eq!(ends[quarter].1, NO_WAKEUP);
    assert_eq!(ends[quarter + 1].1, FORCE_WAKEUP);
}
