//! UDP sockets: the first remote in the socket's storage, the others in the table.

use observer_ebpf::{
    abi::{Home, Lost, UDP_FLOWS_MAX, flag, initiator},
    packet::protocol,
};

use super::{
    super::maps::UDP_FLOWS,
    endpoint::Endpoint,
    host::{TAG, boot, configure, ends, home, lost, slots},
    packet::{Packet, REMOTE, address, udp},
};

#[test]
fn the_first_remote_is_the_flow_and_the_others_are_entries() {
    boot();
    let socket = Endpoint::new(protocol::UDP);
    socket.sendmsg();
    socket.send(udp(REMOTE, 100));
    socket.receive(udp(REMOTE, 50));
    socket.send(udp(10, 200));
    socket.receive(udp(10, 20));
    socket.send(udp(11, 30));
    socket.receive(udp(12, 40));

    let flow = socket.flow().expect("the socket has storage");
    assert_eq!(flow.counters().payload_bytes, [100, 50]);
    assert_eq!(flow.counters().device_bytes, [128, 78]);
    let mut entries = UDP_FLOWS.entries();
    entries.sort_by_key(|(key, _)| key.remote_address);
    let seen: Vec<_> = entries
        .iter()
        .map(|(key, entry)| {
            assert_eq!(
                (key.cookie, key.local_port, key.remote_port),
                (77, 40_000, 53)
            );
            assert_eq!((entry.pid, entry.cgroup_id, entry.ready), (4321, 5, 1));
            (
                key.remote_address,
                entry.counters.payload_bytes,
                entry.initiator,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (address(4, 10), [200, 20], initiator::LOCAL),
            (address(4, 11), [30, 0], initiator::LOCAL),
            (address(4, 12), [0, 40], initiator::REMOTE),
        ]
    );
    assert_eq!(home(Home::Flow).device_bytes, socket.device_bytes.get());
    let tags: Vec<_> = slots().iter().map(|(key, _)| key.tag).collect();
    assert_eq!(tags, [TAG, 0]);
}

#[test]
fn a_full_table_of_remotes_has_a_home_by_destination() {
    boot();
    let socket = Endpoint::new(protocol::UDP);
    socket.send(udp(1, 0));
    let fill = Endpoint::new(protocol::UDP);
    fill.send(udp(1, 0));
    for port in 0..UDP_FLOWS_MAX {
        let remote_port = 1000 + (port % 60_000) as u16;
        fill.send(Packet {
            remote_port,
            ..udp(2, 0)
        });
    }
    assert_eq!(lost(Lost::UdpTable), 0);
    socket.send(udp(REMOTE, 500));
    socket.receive(udp(REMOTE, 60));
    socket.send(udp(1, 5));
    assert_eq!(lost(Lost::UdpTable), 2);
    assert_eq!(home(Home::TableFull).device_bytes, [528, 88]);
    let full = slots()
        .into_iter()
        .find(|(key, _)| key.home == Home::TableFull as u8);
    assert_eq!(full.map(|(key, _)| key.tag), Some(TAG));
    let flow = socket.flow().expect("the socket has storage");
    assert_eq!(
        flow.counters().payload_bytes,
        [5, 0],
        "the first remote stays"
    );
}

#[test]
fn ipv6_datagrams_count_alike() {
    boot();
    let socket = Endpoint::new(protocol::UDP);
    socket.receive(udp(REMOTE, 10).v6());
    socket.send(udp(REMOTE, 20).v6());
    socket.send(udp(12, 30).v6());
    let flow = socket.flow().expect("the socket has storage");
    assert_eq!(flow.counters().payload_bytes, [20, 10]);
    assert_eq!(
        (flow.ip_version, flow.remote_address),
        (6, address(6, REMOTE))
    );
    assert_eq!(flow.initiator, initiator::REMOTE);
    let [(key, entry)] = UDP_FLOWS.entries()[..] else {
        panic!("one further remote");
    };
    assert_eq!(key.remote_address, address(6, 12));
    assert_eq!(entry.counters.device_bytes, [78, 0]);
    assert_eq!(home(Home::Flow).device_bytes, socket.device_bytes.get());
}

#[test]
fn release_ends_a_datagram_socket() {
    boot();
    let silent = Endpoint::new(protocol::UDP);
    silent.connect();
    silent.release();
    assert!(ends().is_empty(), "no packet, no flow");
    let socket = Endpoint::new(protocol::UDP);
    socket.connect();
    socket.send(udp(REMOTE, 9));
    socket.release();
    let [(end, _)] = ends()[..] else {
        panic!("one end");
    };
    assert_eq!(end.flags(), flag::OWNER | flag::RELEASED);
    assert_eq!(end.counters().device_bytes, socket.device_bytes.get());
}

#[test]
fn bundles_count_as_the_device_is_handed_them() {
    for (cuts_udp, device_bytes, bundled_bytes) in [(0, 3028, 56), (1, 3084, 0)] {
        boot();
        configure(cuts_udp);
        let socket = Endpoint::new(protocol::UDP);
        let bundle = |remote| Packet {
            gso: (1000, 3),
            ..udp(remote, 3000)
        };
        socket.send(bundle(REMOTE));
        socket.send(bundle(12));
        let flow = socket.flow().expect("the socket has storage").counters();
        let (_, entry) = UDP_FLOWS.entries()[0];
        for counters in [flow, entry.counters] {
            assert_eq!(counters.device_bytes, [device_bytes, 0]);
            assert_eq!(counters.bundled_bytes, [bundled_bytes, 0]);
            assert_eq!(counters.packets, [3, 0]);
        }
        assert_eq!(home(Home::Flow).device_bytes[0], 2 * device_bytes);
    }
}
