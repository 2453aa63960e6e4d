//! Losses on the way and on the uplink: what was dropped is known from the dropper, and the rest still adds up.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use observer_tests::{
    Class, Direction, Meter, Packet, Testbed, Wire,
    capture::{Limits, View},
    privileged,
    pump::Verdict,
    qdisc::TokenBucket,
    topology,
    traffic::{TcpTalk, UdpTalk},
};

const TIGHT: TokenBucket = TokenBucket {
    rate_bits_per_second: 40_000_000,
    burst_bytes: 20_000,
    limit_bytes: 60_000,
};

#[test]
fn what_a_rate_limit_in_the_middle_drops_was_sent_before() -> Result<()> {
    if !privileged("what_a_rate_limit_in_the_middle_drops_was_sent_before") {
        return Ok(());
    }
    let bed = Testbed::new("tbf")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    net.middle.limit_rate(net.far_port, TIGHT)?;
    let points = [
        (&net.near, net.near_device, View::Bundles),
        (&net.middle, net.near_port, View::Bundles),
        (&net.middle, net.far_port, View::Segments),
    ];
    let meters = Meter::start_together(points, Limits::default())?;
    let queue = net.middle.queue_counters(net.far_port)?;
    let payload = 2_000_000;
    TcpTalk::bulk(payload, 0)
        .plan()
        .run(&net.near, &net.far, net.far_address(4, 7501))?;
    let [near, before, after] = Meter::finish_together(meters)?;
    let dropped = net.middle.queue_counters(net.far_port)?.dropped_packets - queue.dropped_packets;
    near.check_exact()?;
    before.check_exact()?;
    ensure!(dropped > 0, "the rate limit dropped nothing");
    assert_eq!(
        near.record.sent.wire_bytes,
        before.record.received.wire_bytes
    );
    let (entered, left) = (before.record.received, after.record.sent);
    ensure!(
        left.wire_bytes < entered.wire_bytes,
        "{entered:?} entered, {left:?} left"
    );
    // All payload was sent at least once, and what was dropped was sent again.
    let parts = near.record.breakdown_of(Direction::Out);
    let payload_of = |class| parts.get(&class).map_or(0, |sum| sum.payload_bytes);
    let (first, again) = (payload_of(Class::Data), payload_of(Class::Retransmission));
    ensure!(
        again > 0 && first + again >= payload,
        "sent {first} and again {again} of {payload}"
    );
    let delivered = after
        .record
        .sum(|packet| packet.direction == Direction::Out && packet.is_tcp());
    ensure!(
        delivered.payload_bytes >= payload,
        "{delivered:?} carry less than {payload}"
    );
    Ok(())
}

#[test]
fn what_a_rate_limit_on_the_uplink_drops_the_device_never_counts() -> Result<()> {
    if !privileged("what_a_rate_limit_on_the_uplink_drops_the_device_never_counts") {
        return Ok(());
    }
    let bed = Testbed::new("uplink-tbf")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    net.near.limit_rate(net.near_device, TIGHT)?;
    // No multicast reports: queue and device are not read at the same moment.
    net.near.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
    let near = Meter::start(&net.near, net.near_device, View::Bundles)?;
    let before = net.near.queue_counters(net.near_device)?;
    let plan = UdpTalk::datagrams(2000, 1000).plan();
    let outcome = plan.run(&net.near, &net.far, net.far_address(4, 7502))?;
    let near = near.finish()?;
    let after = net.near.queue_counters(net.near_device)?;
    near.check_exact()?;
    let dropped = after.dropped_packets - before.dropped_packets;
    ensure!(dropped > 0, "the rate limit dropped nothing");
    let sent = near
        .record
        .sum(|packet| packet.is_udp() && packet.direction == Direction::Out);
    assert_eq!(sent.packets + dropped, 2000);
    assert_eq!(sent.packets, outcome.server.messages_received);
    let passed = (after.packets - before.packets, after.bytes - before.bytes);
    assert_eq!(passed, (near.counters.tx_packets, near.counters.tx_bytes));
    Ok(())
}

#[test]
fn a_pump_loses_what_the_test_wants_lost() -> Result<()> {
    if !privileged("a_pump_loses_what_the_test_wants_lost") {
        return Ok(());
    }
    let bed = Testbed::new("lossy")?;
    let count = AtomicU32::new(0);
    // Of the first sixty packets with data every tenth.
    let judge = move |packet: &Packet| {
        if packet.direction == Direction::In || !packet.is_tcp() || packet.payload_bytes == 0 {
            return Verdict::Carry;
        }
        let nth = count.fetch_add(1, Ordering::Relaxed);
        if nth < 60 && nth % 10 == 9 {
            Verdict::Lose
        } else {
            Verdict::Carry
        }
    };
    let net = topology::tunnelled(&bed, &Wire::default(), judge)?;
    let points = [
        (&net.near, "tun0", View::Bundles),
        (&net.far, "tun0", View::Bundles),
    ];
    let meters = Meter::start_together(points, Limits::default())?;
    net.pump.reset()?;
    TcpTalk::bulk(6_000_000, 0)
        .plan()
        .run(&net.near, &net.far, net.far_address(4, 7503))?;
    let [near, far] = Meter::finish_together(meters)?;
    near.check_exact()?;
    far.check_exact()?;
    let (sent, lost) = (net.pump.record()?, net.pump.lost()?);
    assert_eq!(lost.sent.packets, 6);
    assert_eq!(sent.sent, near.record.sent);
    assert_eq!(
        far.record.received.wire_bytes + lost.sent.wire_bytes,
        sent.sent.wire_bytes
    );
    let parts = sent.breakdown_of(Direction::Out);
    let again = parts
        .get(&Class::Retransmission)
        .map_or(0, |sum| sum.payload_bytes);
    ensure!(
        again >= lost.sent.payload_bytes,
        "lost {:?}, sent again {again} bytes",
        lost.sent
    );
    Ok(())
}
