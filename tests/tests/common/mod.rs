//! One case of exactness: a topology, an agent on its near host, traffic, and the comparison of three accounts.

#![allow(dead_code, reason = "each test target uses its own part of this file")]

pub mod places;
pub mod started;

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::{
    Host, Meter, Testbed, Wire,
    agent::{Account, Agent, executable, uplink},
    capture::{Record, View},
    expect::{Expected, expected},
    privileged,
    pump::Verdict,
    topology,
    traffic::{Outcome, Plan},
};
use serde_json::Value;

/// How near and far are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Bridged,
    Tunnelled,
}

/// What is sent over what.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub shape: Shape,
    pub wire: Wire,
    pub plan: Plan,
    pub ip_version: u8,
    /// The far host is the client.
    pub far_opens: bool,
    /// How the link is captured.
    pub view: View,
    /// Nobody listens on the near host's UDP port.
    pub closed_udp_port: bool,
    /// Further arguments of the agent.
    pub arguments: &'static [&'static str],
}

pub const PORT: u16 = 7_000;

impl Case {
    pub fn new(name: &'static str, plan: Plan) -> Self {
        let shape = Shape::Bridged;
        Self {
            name,
            shape,
            wire: Wire::default(),
            plan,
            ip_version: 4,
            far_opens: false,
            view: View::Segments,
            closed_udp_port: false,
            arguments: &[],
        }
    }
}

/// Agents of several cases at once would only slow each other down.
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `test` where this machine can; says why where it cannot.
pub fn guarded(name: &str, test: impl FnOnce() -> Result<()>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !privileged(name) || executable().is_none() {
        return;
    }
    if let Err(error) = test() {
        panic!("{name}: {error:#}");
    }
}

/// Runs the case; says why where this machine cannot.
pub fn check(case: &Case) {
    guarded(case.name, || run(case));
}

fn run(case: &Case) -> Result<()> {
    let bed = Testbed::new("exact")?;
    match case.shape {
        Shape::Bridged => {
            let net = topology::bridged(&bed, &case.wire)?;
            let (near, far) = (
                net.near_address(case.ip_version, PORT),
                net.far_address(case.ip_version, PORT),
            );
            let hosts = Hosts {
                near: &net.near,
                device: net.near_device,
                far: &net.far,
            };
            let meter = || Meter::start(&net.middle, net.far_port, case.view);
            measure(
                case,
                &hosts,
                if case.far_opens { near } else { far },
                meter,
                |meter| Ok(meter.finish()?.record),
            )
        }
        Shape::Tunnelled => {
            let net = topology::tunnelled(&bed, &case.wire, |_| Verdict::Carry)?;
            let (near, far) = (
                net.near_address(case.ip_version, PORT),
                net.far_address(case.ip_version, PORT),
            );
            let hosts = Hosts {
                near: &net.near,
                device: net.near_device,
                far: &net.far,
            };
            let meter = || net.pump.reset();
            measure(
                case,
                &hosts,
                if case.far_opens { near } else { far },
                meter,
                |()| net.pump.record(),
            )
        }
    }
}

struct Hosts<'a> {
    near: &'a Host,
    device: &'a str,
    far: &'a Host,
}

/// `start` and `end` make the record of what crossed the link.
fn measure<M>(
    case: &Case,
    hosts: &Hosts<'_>,
    server: SocketAddr,
    start: impl FnOnce() -> Result<M>,
    end: impl FnOnce(M) -> Result<Record>,
) -> Result<()> {
    let uplink = uplink(hosts.near, hosts.device);
    let agent = Agent::start(std::slice::from_ref(&uplink), case.arguments)?;
    let on_device =
        Meter::start(hosts.near, hosts.device, View::Segments).context("meter on the uplink")?;
    let on_link = start().context("meter on the link")?;
    let outcome = if case.far_opens {
        case.plan.run(hosts.far, hosts.near, server)?
    } else {
        case.plan.run(hosts.near, hosts.far, server)?
    };
    let interface = on_device.finish().context("end the meter on the uplink")?;
    let link = end(on_link).context("end the meter on the link")?;
    ensure!(
        link.packets_dropped == 0 && link.packets_not_kept == 0,
        "the capture is not whole"
    );
    let counted = [
        interface.sent_network_bytes(),
        interface.received_network_bytes(),
    ];
    let accounts = agent.settled(&uplink, counted)?;
    let records = agent.stop()?;

    let expected = expected(
        &link.packets,
        if case.closed_udp_port { &[PORT] } else { &[] },
    );
    balances(&accounts)?;
    remainders(&accounts, &expected)?;
    let on_wire = [&link.sent, &link.received].map(|sums| sums.wire_bytes + sums.non_ip_bytes);
    wire_bytes(&records, &uplink, &expected, on_wire)?;
    payload(case, &records, &uplink, &outcome)
}

/// Interface = flows + remainders.
pub fn balances(accounts: &[Account; 2]) -> Result<()> {
    for account in accounts {
        ensure!(
            account.balance_bytes == 0,
            "the account does not close: {account:?}"
        );
        for reason in [
            "late",
            "table_full",
            "storage_failed",
            "not_attached",
            "dropped_after_hook",
            "forwarded",
        ] {
            ensure!(
                account.remainder(reason) == 0,
                "`{reason}` without a cause: {account:?}"
            );
        }
    }
    Ok(())
}

/// Each remainder = the packets of that kind on the far side.
pub fn remainders([egress, ingress]: &[Account; 2], expected: &Expected) -> Result<()> {
    let kernel_made = egress.remainder("kernel_sent") + egress.remainder("control_socket");
    let pairs = [
        (
            "handshake, sent",
            egress.remainder("handshake"),
            expected.handshake_egress,
        ),
        (
            "handshake, received",
            ingress.remainder("handshake"),
            expected.handshake_ingress,
        ),
        (
            "kernel_sent and control_socket",
            kernel_made,
            expected.kernel_made_egress,
        ),
        ("raw", egress.remainder("raw"), expected.raw_egress),
        (
            "no_socket",
            ingress.remainder("no_socket"),
            expected.no_socket_ingress,
        ),
        (
            "non_ip, sent",
            egress.remainder("non_ip"),
            expected.non_ip_egress,
        ),
        (
            "non_ip, received",
            ingress.remainder("non_ip"),
            expected.non_ip_ingress,
        ),
        (
            "fragment_headers, sent",
            egress.remainder("fragment_headers"),
            expected.fragment_headers_egress,
        ),
        (
            "fragment_headers, received",
            ingress.remainder("fragment_headers"),
            expected.fragment_headers_ingress,
        ),
    ];
    for (what, found, captured) in pairs {
        ensure!(
            found == i128::from(captured),
            "{what}: the agent names {found} bytes, captured were {captured}"
        );
    }
    Ok(())
}

/// Wire bytes of all flows and remainders = bytes of all packets on the far side.
pub fn wire_bytes(
    records: &[Value],
    uplink: &str,
    expected: &Expected,
    on_wire: [u64; 2],
) -> Result<()> {
    let aside = [
        expected.handshake_egress
            + expected.kernel_made_egress
            + expected.raw_egress
            + expected.non_ip_egress
            + expected.fragment_headers_egress,
        expected.handshake_ingress
            + expected.no_socket_ingress
            + expected.non_ip_ingress
            + expected.fragment_headers_ingress,
    ];
    for (index, field) in ["wire_bytes_egress", "wire_bytes_ingress"]
        .into_iter()
        .enumerate()
    {
        let flows = sum(records, uplink, field);
        ensure!(
            flows + aside[index] == on_wire[index],
            "{field}: flows {flows} and remainders {} are not the {} bytes captured",
            aside[index],
            on_wire[index]
        );
    }
    Ok(())
}

/// Payload of all flows = what the application sent and received.
fn payload(case: &Case, records: &[Value], uplink: &str, outcome: &Outcome) -> Result<()> {
    let near = if case.far_opens {
        &outcome.server
    } else {
        &outcome.client
    };
    let sent = sum(records, uplink, "payload_bytes_egress");
    if matches!(case.plan, Plan::TcpTalk(_) | Plan::UdpTalk(_)) {
        ensure!(
            sent == near.payload_bytes_sent,
            "payload_bytes_egress: records say {sent}, the application sent {}",
            near.payload_bytes_sent
        );
        let received = sum(records, uplink, "payload_bytes_ingress");
        ensure!(
            received == near.payload_bytes_received,
            "payload_bytes_ingress: records say {received}, the application received {}",
            near.payload_bytes_received
        );
    }
    Ok(())
}

pub fn sum(records: &[Value], device: &str, field: &str) -> u64 {
    records
        .iter()
        .filter(|record| record["device"] == device)
        .filter_map(|record| record[field].as_u64())
        .sum()
}

/// Of each flow: sequence numbers 1, 2, 3, ... and running sums equal to the totals since the start.
pub fn no_gap_and_no_double(records: &[Value]) -> Result<()> {
    let mut flows = std::collections::HashMap::<&str, (u64, u64)>::new();
    for record in records {
        let id = record["flow_id"]
            .as_str()
            .context("a record without a flow")?;
        let (sequence, sum) = flows.entry(id).or_default();
        *sequence += 1;
        *sum += record["wire_bytes_egress"].as_u64().unwrap_or_default();
        ensure!(
            record["sequence"] == *sequence,
            "flow `{id}`: {} follows {}",
            record["sequence"],
            *sequence - 1
        );
        ensure!(
            record["wire_bytes_egress_since_start"] == *sum,
            "flow `{id}`, record {sequence}: {} since the start, {sum} in records",
            record["wire_bytes_egress_since_start"]
        );
    }
    Ok(())
}
