//! Openings, closings and resets: each packet of them is named, and their number is what TCP says.

use anyhow::Result;
use observer_tests::{
    Class, Direction, Testbed, Wire, privileged, topology,
    traffic::{Abort, Ends, Refused, Side, TcpAbort, TcpTalk},
};

use crate::{measured, measured_as_server};

#[test]
fn each_part_of_a_short_connection_is_named() -> Result<()> {
    if !privileged("each_part_of_a_short_connection_is_named") {
        return Ok(());
    }
    let bed = Testbed::new("short")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for (version, first, closer) in [
        (4, Side::Client, Direction::Out),
        (4, Side::Server, Direction::In),
        (6, Side::Client, Direction::Out),
    ] {
        let plan = TcpTalk::short(40, first).plan();
        let (outcome, near, wire) = measured(&net, plan, net.far_address(version, 7201))?;
        assert_eq!(
            (outcome.client.connections, outcome.server.connections),
            (40, 40)
        );
        for record in [&near.record, &wire.record] {
            let parts = record.breakdown();
            let packets = |class| parts.get(&class).map_or(0, |sum| sum.packets);
            for class in [
                Class::Syn,
                Class::SynAck,
                Class::HandshakeAck,
                Class::ClosingAck,
            ] {
                assert_eq!(packets(class), 40, "{class:?} {first:?} {parts:?}");
            }
            assert_eq!(packets(Class::Fin), 80, "{parts:?}");
            assert_eq!(parts[&Class::Data].payload_bytes, 40 * 700, "{parts:?}");
            assert_eq!(
                (packets(Class::Retransmission), packets(Class::Rst)),
                (0, 0),
                "{parts:?}"
            );
        }
        // The end that closed first sends the last acknowledgement.
        let last = near.record.breakdown_of(closer);
        assert_eq!(last[&Class::ClosingAck].packets, 40, "{last:?}");
    }
    Ok(())
}

#[test]
fn resets_come_from_the_end_that_aborts() -> Result<()> {
    if !privileged("resets_come_from_the_end_that_aborts") {
        return Ok(());
    }
    let bed = Testbed::new("abort")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for (port, how, by, direction) in [
        (7301, Abort::UnreadData, Side::Client, Direction::Out),
        (7302, Abort::UnreadData, Side::Server, Direction::In),
        (7303, Abort::LingerZero, Side::Client, Direction::Out),
        (7304, Abort::LingerZero, Side::Server, Direction::In),
    ] {
        let plan = TcpAbort {
            connections: 10,
            bytes: 3000,
            how,
            by,
        }
        .plan();
        let (outcome, near, _) = measured(&net, plan, net.far_address(4, port))?;
        assert_eq!(outcome.client.resets + outcome.server.resets, 10);
        let read = outcome.client.payload_bytes_received + outcome.server.payload_bytes_received;
        assert_eq!(read, if how == Abort::LingerZero { 30_000 } else { 0 });
        let parts = near.record.breakdown_of(direction);
        assert_eq!(
            parts[&Class::Rst].packets,
            10,
            "{how:?} by {by:?}: {parts:?}"
        );
    }
    Ok(())
}

#[test]
fn closed_ports_answer_each_attempt() -> Result<()> {
    if !privileged("closed_ports_answer_each_attempt") {
        return Ok(());
    }
    let bed = Testbed::new("refused")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for version in [4, 6] {
        let (outcome, near, _) = measured(
            &net,
            Refused::tcp(20).plan(),
            net.far_address(version, 7401),
        )?;
        assert_eq!(outcome.client.refused, 20);
        assert_eq!(
            near.record.breakdown_of(Direction::In)[&Class::Rst].packets,
            20
        );

        let ends =
            Ends::from(net.near_address(version, 7402)).from_address(net.wire.far_address(version));
        let (_, near, _) = measured_as_server(&net, Refused::tcp(20).plan(), ends)?;
        assert_eq!(
            near.record.breakdown_of(Direction::Out)[&Class::Rst].packets,
            20
        );

        let (_, near, _) = measured(
            &net,
            Refused::udp(20, 300).plan(),
            net.far_address(version, 7403),
        )?;
        let errors = near.record.breakdown_of(Direction::In)[&Class::Icmp];
        // The error quotes the datagram: 20 + 8 before an IPv4 packet, 40 + 8 before an IPv6 one.
        let quoted = if version == 4 { 28 + 328 } else { 48 + 348 };
        assert_eq!((errors.packets, errors.device_bytes), (20, 20 * quoted));
    }
    Ok(())
}
