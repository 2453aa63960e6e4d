//! Capture, device counter and declared payload agree to the byte, in each topology and with each offload.

use anyhow::{Result, ensure};
use observer_tests::{
    Direction, Meter, Packet, Testbed, Wire,
    capture::{Limits, View},
    offload::Offload,
    privileged,
    pump::Verdict,
    topology,
    traffic::{Ends, Side, TcpTalk, UdpTalk},
};

use crate::{measured, measured_as_server};

const BULK: u64 = 6_000_000;

#[test]
fn segments_equal_the_counters_of_both_ends_without_offloads() -> Result<()> {
    if !privileged("segments_equal_the_counters_of_both_ends_without_offloads") {
        return Ok(());
    }
    for mtu_bytes in [1280, 1500, 9000] {
        let bed = Testbed::new("plain")?;
        let wire = Wire {
            mtu_bytes,
            near_offload: Offload::OFF,
            ..Wire::default()
        };
        let net = topology::direct(&bed, &wire)?;
        let points = [
            (&net.near, "eth0", View::Segments),
            (&net.far, "eth0", View::Segments),
        ];
        let meters = Meter::start_together(points, Limits::default())?;
        let mut payload = 0;
        for version in [4, 6] {
            let talk = TcpTalk {
                both_at_once: true,
                ..TcpTalk::bulk(2_000_000, 1_000_000)
            };
            let outcome = talk
                .plan()
                .run(&net.near, &net.far, net.far_address(version, 7001))?;
            assert_eq!(
                outcome.client.payload_bytes_sent,
                outcome.server.payload_bytes_received
            );
            payload += outcome.client.payload_bytes_sent;
        }
        let [near, far] = Meter::finish_together(meters)?;
        near.check_exact()?;
        far.check_exact()?;
        assert_eq!(near.record.sent, far.record.received, "mtu {mtu_bytes}");
        assert_eq!(near.record.received, far.record.sent, "mtu {mtu_bytes}");
        // Not the sum: TCP sends some again when the receiver is slow.
        assert_eq!(near.record.payload_bytes_once(Direction::Out), payload);
        let largest = near
            .record
            .packets
            .iter()
            .map(|packet| packet.device_bytes)
            .max();
        assert_eq!(largest, Some(mtu_bytes), "full segments");
        let network = near.record.sent.device_bytes + near.record.sent.non_ip_bytes;
        assert_eq!(near.sent_network_bytes(), network);
    }
    Ok(())
}

#[test]
fn bundles_on_the_device_are_segments_on_the_wire() -> Result<()> {
    if !privileged("bundles_on_the_device_are_segments_on_the_wire") {
        return Ok(());
    }
    let bed = Testbed::new("bundles")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for version in [4, 6] {
        let at = net.far_address(version, 7002);
        let (outcome, near, wire) = measured(&net, TcpTalk::bulk(BULK, 0).plan(), at)?;
        assert_eq!(outcome.server.payload_bytes_received, BULK);
        // Every segment repeats 20 or 40 bytes of IP and 32 of TCP with timestamps.
        let headers = if version == 4 { 52 } else { 72 };
        let data = near
            .record
            .sum(|packet| packet.direction == Direction::Out && packet.payload_bytes > 0);
        ensure!(data.segments > data.packets * 5, "no bundles: {data:?}");
        let further = (data.segments - data.packets) * headers;
        assert_eq!(
            near.record.sent.wire_bytes,
            near.record.sent.device_bytes + further
        );
        assert_eq!(wire.record.payload_bytes_once(Direction::Out), BULK);
        assert_eq!(near.record.payload_bytes_once(Direction::Out), BULK);
        let all_fit = wire
            .record
            .packets
            .iter()
            .all(|packet| packet.direction == Direction::In || packet.device_bytes <= 1500);
        ensure!(all_fit, "uncut bundles on the wire");
    }
    Ok(())
}

#[test]
fn near_as_server_and_a_mapped_client_are_exact_too() -> Result<()> {
    if !privileged("near_as_server_and_a_mapped_client_are_exact_too") {
        return Ok(());
    }
    let bed = Testbed::new("server")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for version in [4, 6] {
        let far = net.wire.far_address(version);
        let ends = Ends::from(net.near_address(version, 7003)).from_address(far);
        let (outcome, near, _) =
            measured_as_server(&net, TcpTalk::bulk(1_000_000, BULK).plan(), ends)?;
        assert_eq!(outcome.client.payload_bytes_received, BULK);
        assert_eq!(near.record.payload_bytes_once(Direction::Out), BULK);
        assert_eq!(near.record.payload_bytes_once(Direction::In), 1_000_000);
    }
    let mapped = TcpTalk {
        mapped: true,
        ..TcpTalk::short(5, Side::Server)
    };
    let (outcome, near, _) = measured(&net, mapped.plan(), net.far_address(4, 7004))?;
    ensure!(
        outcome
            .client
            .locals
            .iter()
            .all(std::net::SocketAddr::is_ipv6),
        "the client's sockets are not IPv6"
    );
    assert_eq!(
        near.record
            .sum(|packet| packet.is_tcp() && packet.ip_version == 6)
            .packets,
        0
    );
    let sent = near
        .record
        .sum(|packet| packet.direction == Direction::Out && packet.is_tcp());
    assert_eq!(sent.payload_bytes, 5 * 200);
    Ok(())
}

#[test]
fn bundles_received_are_expanded_with_and_without_gro() -> Result<()> {
    if !privileged("bundles_received_are_expanded_with_and_without_gro") {
        return Ok(());
    }
    // Far sends bundles and nobody cuts them: device counter and capture see bundles.
    let bed = Testbed::new("end-to-end")?;
    let wire = Wire {
        far_offload: Offload::DEFAULT,
        ..Wire::default()
    };
    let net = topology::direct(&bed, &wire)?;
    let near = Meter::start(&net.near, "eth0", View::Bundles)?;
    TcpTalk::bulk(0, BULK)
        .plan()
        .run(&net.near, &net.far, net.far_address(4, 7005))?;
    let near = near.finish()?;
    near.check_exact()?;
    let received = near.record.received;
    assert_eq!(received.frame_bytes, near.counters.rx_bytes);
    ensure!(
        received.segments > received.packets * 5,
        "no bundles: {received:?}"
    );

    // Far sends segments and near merges them: the device counter has segments, the capture bundles.
    let bed = Testbed::new("gro")?;
    let wire = Wire {
        near_offload: Offload::ALL,
        ..Wire::default()
    };
    let net = topology::direct(&bed, &wire)?;
    let points = [
        (&net.near, "eth0", View::Bundles),
        (&net.far, "eth0", View::Segments),
    ];
    let meters = Meter::start_together(points, Limits::default())?;
    TcpTalk::bulk(0, BULK)
        .plan()
        .run(&net.near, &net.far, net.far_address(4, 7006))?;
    let [near, far] = Meter::finish_together(meters)?;
    near.check_exact()?;
    far.check_exact()?;
    ensure!(
        near.record.received.packets < near.counters.rx_packets,
        "nothing was merged"
    );
    assert_eq!(near.record.received.wire_bytes, far.record.sent.wire_bytes);
    assert_eq!(near.record.received.segments, far.record.sent.segments);
    // Through NAPI the device counts each segment, and without its link header; so does the sending end of the pair.
    assert_eq!((near.rx_link_header_bytes, far.link_header_bytes), (0, 0));
    assert_eq!((near.link_header_bytes, far.rx_link_header_bytes), (14, 14));
    assert_eq!(
        near.received_as_segments(),
        (near.counters.rx_bytes, near.counters.rx_packets)
    );
    Ok(())
}

#[test]
fn a_pump_between_tun_devices_counts_bundles_and_segments() -> Result<()> {
    if !privileged("a_pump_between_tun_devices_counts_bundles_and_segments") {
        return Ok(());
    }
    let bed = Testbed::new("tun")?;
    let wire = Wire {
        far_offload: Offload::DEFAULT,
        ..Wire::default()
    };
    let net = topology::tunnelled(&bed, &wire, |_: &Packet| Verdict::Carry)?;
    for version in [4, 6] {
        let near = Meter::start(&net.near, "tun0", View::Bundles)?;
        net.pump.reset()?;
        let at = net.far_address(version, 7007);
        TcpTalk::bulk(2_000_000, BULK)
            .plan()
            .run(&net.near, &net.far, at)?;
        let talk = UdpTalk::segmented(20, 12_000, 1200);
        let outcome = talk.plan().run(&net.near, &net.far, at)?;
        assert_eq!(outcome.server.payload_bytes_received, 240_000);
        let near = near.finish()?;
        near.check_exact()?;
        let record = net.pump.record()?;
        assert_eq!(near.link_header_bytes, 0);
        assert_eq!(
            (near.record.sent, near.record.received),
            (record.sent, record.received)
        );
        ensure!(
            record.received.segments > record.received.packets * 5,
            "no bundles: {:?}",
            record.received
        );
        let datagrams = record.sum(|packet| packet.is_udp() && packet.direction == Direction::Out);
        assert_eq!(
            (datagrams.segments, datagrams.payload_bytes),
            (200, 240_000)
        );
    }
    net.pump.stop()
}
