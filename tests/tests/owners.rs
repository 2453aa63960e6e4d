//! Records of real traffic name the cloud and the process that were declared beforehand.

mod common;

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, uplink},
    topology,
    traffic::{Actor, Plan, Side, TcpTalk, UdpTalk},
};
use serde_json::Value;

/// Who talks to whom, and what the record must say.
struct Declared {
    comm: &'static str,
    far: &'static str,
    plan: Plan,
    cloud: &'static str,
    region: &'static str,
    protocol: &'static str,
}

fn declared() -> [Declared; 4] {
    let short = TcpTalk::short(5, Side::Client).plan();
    let datagrams = UdpTalk {
        replies: true,
        ..UdpTalk::datagrams(20, 300)
    };
    [
        Declared {
            comm: "bedrock-client",
            far: "52.94.0.10",
            plan: short,
            cloud: "aws",
            region: "us-east-1",
            protocol: "tcp",
        },
        Declared {
            comm: "azure-client",
            far: "20.42.65.88",
            plan: short,
            cloud: "azure",
            region: "eastus",
            protocol: "tcp",
        },
        Declared {
            comm: "six-client",
            far: "2600:1f18::10",
            plan: TcpTalk::bulk(100_000, 50_000).plan(),
            cloud: "aws",
            region: "us-east-1",
            protocol: "tcp",
        },
        Declared {
            comm: "resolver",
            far: "2603:1030::10",
            plan: datagrams.plan(),
            cloud: "azure",
            region: "centralus",
            protocol: "udp",
        },
    ]
}

#[test]
fn cloud_and_process_are_right() {
    guarded("cloud_and_process_are_right", || {
        let bed = Testbed::new("owner")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let uplink = uplink(&net.near, net.near_device);
        let agent = Agent::start(std::slice::from_ref(&uplink), &[])?;
        let program = Path::new(env!("CARGO_BIN_EXE_traffic"));
        let mut pids = Vec::new();
        for (index, row) in declared().iter().enumerate() {
            let port = PORT + u16::try_from(index)?;
            let server = SocketAddr::new(row.far.parse()?, port);
            let client = Actor::process(&net.near, program, row.comm);
            let talk = row.plan.start(client, Actor::thread(&net.far), server)?;
            pids.push((
                port,
                talk.client_pid().context("a client that is no process")?,
            ));
            talk.finish().with_context(|| row.comm)?;
        }
        let records = agent.stop()?;
        for ((port, pid), row) in pids.iter().zip(declared()) {
            owned(&records, &uplink, *port, *pid, &row).with_context(|| row.comm)?;
        }
        Ok(())
    });
}

fn owned(records: &[Value], uplink: &str, port: u16, pid: u32, row: &Declared) -> Result<()> {
    let own: Vec<&Value> = records
        .iter()
        .filter(|record| record["device"] == uplink && record["remote_port"] == port)
        .collect();
    ensure!(!own.is_empty(), "no record");
    for record in own {
        let found = [
            "comm",
            "cloud",
            "region",
            "protocol",
            "initiator",
            "remote_address",
        ]
        .map(|field| &record[field]);
        let expected = [
            row.comm,
            row.cloud,
            row.region,
            row.protocol,
            "local",
            row.far,
        ];
        ensure!(
            found
                .iter()
                .zip(expected)
                .all(|(found, expected)| **found == expected),
            "{found:?}"
        );
        ensure!(
            record["pid"] == pid && record["uid"] == 0,
            "pid {} uid {}, not {pid} and 0",
            record["pid"],
            record["uid"]
        );
    }
    Ok(())
}
