//! The makers declare what they did: messages, fan-out, threads, echo, processes with a name.

use std::{collections::HashSet, path::Path};

use anyhow::{Context, Result, ensure};
use observer_tests::{
    Direction, Meter, Testbed, Wire,
    capture::{Limits, View},
    privileged, topology,
    traffic::{Actor, IcmpEcho, Pause, TcpTalk, UdpTalk},
};

use crate::measured;

#[test]
fn small_messages_are_as_many_writes() -> Result<()> {
    if !privileged("small_messages_are_as_many_writes") {
        return Ok(());
    }
    let bed = Testbed::new("messages")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    let plan = TcpTalk::messages(5000, 100).plan();
    let (outcome, near, _) = measured(&net, plan, net.far_address(6, 7601))?;
    assert_eq!(
        (
            outcome.client.messages_sent,
            outcome.client.payload_bytes_sent
        ),
        (5000, 500_000)
    );
    assert_eq!(near.record.payload_bytes_once(Direction::Out), 500_000);
    Ok(())
}

#[test]
fn one_socket_reaches_500_remotes_and_each_answers() -> Result<()> {
    if !privileged("one_socket_reaches_500_remotes_and_each_answers") {
        return Ok(());
    }
    let bed = Testbed::new("fan-out")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for version in [4, 6] {
        let talk = UdpTalk {
            rounds: 2,
            replies: true,
            ..UdpTalk::fan_out(500, 120)
        };
        let (outcome, near, _) = measured(&net, talk.plan(), net.far_address(version, 7602))?;
        assert_eq!(outcome.client.remotes, 500);
        assert_eq!(outcome.client.payload_bytes_received, 120_000);
        let local = outcome
            .client
            .locals
            .first()
            .context("a local endpoint")?
            .port();
        let (mut sent_to, mut heard_from) = (HashSet::new(), HashSet::new());
        for packet in near.record.packets.iter().filter(|packet| packet.is_udp()) {
            assert!(packet.has_port(local), "one socket");
            match packet.direction {
                Direction::Out => sent_to.insert(packet.destination),
                Direction::In => heard_from.insert(packet.source),
            };
        }
        assert_eq!(sent_to.len(), 500);
        assert_eq!(sent_to, heard_from);
    }
    Ok(())
}

/// `SENDS=1500000` is the size at which plain adds from two CPUs were seen to lose some; it takes some seconds longer.
#[test]
fn two_threads_on_one_socket_are_captured_whole() -> Result<()> {
    if !privileged("two_threads_on_one_socket_are_captured_whole") {
        return Ok(());
    }
    let sends_of_each: u32 = std::env::var("SENDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60_000);
    let bed = Testbed::new("threads")?;
    let net = topology::direct(&bed, &Wire::default())?;
    let meter = Meter::start(&net.near, "eth0", View::Segments)?;
    let plan = UdpTalk::two_threads(sends_of_each, 20).plan();
    let outcome = plan.run(&net.near, &net.far, net.far_address(4, 7603))?;
    let reading = meter.finish()?;
    reading.check_exact()?;
    reading.record.check_complete()?;
    let datagrams = 2 * u64::from(sends_of_each);
    assert_eq!(outcome.client.messages_sent, datagrams);
    let sent = reading
        .record
        .sum(|packet| packet.is_udp() && packet.direction == Direction::Out);
    assert_eq!(
        (sent.packets, sent.payload_bytes),
        (datagrams, 20 * datagrams)
    );
    Ok(())
}

#[test]
fn beyond_its_limit_a_capture_still_counts() -> Result<()> {
    if !privileged("beyond_its_limit_a_capture_still_counts") {
        return Ok(());
    }
    let bed = Testbed::new("limit")?;
    let net = topology::direct(&bed, &Wire::default())?;
    let limits = Limits {
        packets: 100,
        ..Limits::default()
    };
    let meter = Meter::start_with(&net.near, "eth0", View::Segments, limits)?;
    let plan = UdpTalk {
        replies: true,
        ..UdpTalk::datagrams(300, 50)
    }
    .plan();
    plan.run(&net.near, &net.far, net.far_address(4, 7605))?;
    let reading = meter.finish()?;
    reading.check_exact()?;
    let record = &reading.record;
    assert_eq!(record.packets.len(), 100);
    assert_eq!(
        record.packets_not_kept + 100,
        record.sent.packets + record.received.packets
    );
    ensure!(
        record.check_complete().is_err(),
        "a record with packets not kept passes as complete"
    );
    Ok(())
}

#[test]
fn echo_requests_and_replies_are_equal() -> Result<()> {
    if !privileged("echo_requests_and_replies_are_equal") {
        return Ok(());
    }
    let bed = Testbed::new("echo")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for (version, headers) in [(4, 28), (6, 48)] {
        let echo = IcmpEcho {
            count: 10,
            payload_bytes: 500,
        };
        let (outcome, near, _) = measured(&net, echo.plan(), net.far_address(version, 0))?;
        assert_eq!(outcome.client.messages_received, 10);
        for direction in [Direction::Out, Direction::In] {
            let echoes = near
                .record
                .sum(|packet| packet.direction == direction && packet.payload_bytes == 500);
            assert_eq!(echoes.device_bytes, 10 * (500 + headers));
        }
    }
    Ok(())
}

#[test]
fn a_process_plays_an_end_under_its_own_name() -> Result<()> {
    if !privileged("a_process_plays_an_end_under_its_own_name") {
        return Ok(());
    }
    let bed = Testbed::new("process")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    let program = observer_tests::traffic::program(env!("CARGO_BIN_EXE_traffic"));
    let talk = TcpTalk {
        pause: Some(Pause::Connected),
        ..TcpTalk::bulk(100_000, 50_000)
    };
    let client = Actor::process(&net.near, &program, "alpha");
    let server = Actor::process(&net.far, &program, "omega");
    let mut running = talk
        .plan()
        .start(client, server, net.far_address(4, 7604))?;
    running.paused()?;
    // The connection stands and is idle: what is measured from now on has no handshake.
    let meter = Meter::start(&net.near, net.near_device, View::Bundles)?;
    let pid = running.client_pid().context("a process has a pid")?;
    assert_eq!(comm_of(pid)?, "alpha");
    assert_eq!(
        namespace_of(pid)?,
        format!("net:[{}]", net.near.namespace().inode())
    );
    running.release()?;
    let outcome = running.finish()?;
    assert_eq!(
        (outcome.client.pid, outcome.client.comm.as_str()),
        (pid, "alpha")
    );
    assert_eq!(outcome.server.comm, "omega");
    assert_eq!(outcome.client.payload_bytes_received, 50_000);
    let reading = meter.finish()?;
    reading.check_exact()?;
    assert_eq!(
        reading.record.sum(|packet| packet.has_flags(2, 2)).packets,
        0
    );
    Ok(())
}

fn comm_of(pid: u32) -> Result<String> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/comm"))?
        .trim_end()
        .to_owned())
}

fn namespace_of(pid: u32) -> Result<String> {
    let link = std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("ns/net"))?;
    Ok(link.to_string_lossy().into_owned())
}
