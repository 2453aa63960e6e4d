//! The ways that flows take, on real hosts: as the operator declares them, beyond what the host translates, between zones,
//! and inside the host.

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
};

use anyhow::{Context as _, Result, ensure};
use common::{
    PORT, guarded,
    started::{Bed, TIMEOUT, eventually},
};
use nix::sys::signal::Signal;
use observer_tests::{
    Host,
    agent::{Agent, uplink},
    traffic::TcpTalk,
};
use serde_json::{Value, json};

/// Path and elements of the records of the far host's flows, in order, each once.
fn paths(records: &[Value], bed: &Bed) -> Vec<(Value, Value)> {
    let far = bed.net.far_address(4, PORT).ip().to_string();
    let mut found: Vec<(Value, Value)> = records
        .iter()
        .filter(|record| record["remote_address"] == far.as_str())
        .filter(|record| record["device"] == bed.uplink.as_str())
        .map(|record| (record["path_kind"].clone(), record["path_elements"].clone()))
        .collect();
    found.dedup();
    found
}

#[test]
fn declared_paths_are_in_records_and_change_with_a_reload() {
    guarded(
        "declared_paths_are_in_records_and_change_with_a_reload",
        || {
            let bed = Bed::new("paths")?;
            let far = bed.net.far_address(4, PORT).ip();
            let by_network = format!(
                "paths:\n  - {{cidr: 0.0.0.0/0, elements: [nat_gateway]}}\n  - {{cidr: {far}/32, kind: interconnect, elements: [transit_gateway]}}\n"
            );
            let by_interface = format!(
                "paths:\n  - {{interface: \"{}\", kind: peering}}\n",
                bed.uplink
            );
            let file = bed.folder.join("observer.yaml");
            let config = file.to_string_lossy().into_owned();
            fs::write(&file, by_network)?;
            let agent = Agent::start(std::slice::from_ref(&bed.uplink), &["--config", &config])?;
            let counted = |paths_seen: usize| {
                eventually("the records", || {
                    Ok((paths(&agent.records()?, &bed).len() == paths_seen).then_some(()))
                })
            };
            bed.run(&TcpTalk::bulk(10_000, 0).plan())?;
            counted(1)?;
            fs::write(&file, by_interface)?;
            agent.signal(Signal::SIGHUP)?;
            eventually("a reload", || {
                let said = agent.said();
                Ok(said
                    .into_iter()
                    .find(|line| line.contains("`paths` changed")))
            })?;
            bed.run(&TcpTalk::bulk(10_000, 0).plan())?;
            counted(2)?;
            let found = paths(&agent.stop()?, &bed);
            let expected = [
                (json!("interconnect"), json!(["transit_gateway"])),
                (json!("peering"), Value::Null),
            ];
            ensure!(found == expected, "{found:?}");
            Ok(())
        },
    );
}

/// Address of a service that no host has.
const SERVICE: &str = "10.96.0.10";
const SERVICE_PORT: u16 = 443;

/// Sends some bytes by TCP and UDP from the near host to `target`; the far host answers at [`PORT`].
fn talk(bed: &Bed, target: SocketAddr) -> Result<()> {
    let (far, any) = (bed.net.far_address(4, PORT), "0.0.0.0:0");
    let (listener, datagrams) = bed.net.far.run(|| -> Result<_> {
        let listener = TcpListener::bind(far)?;
        Ok((listener, UdpSocket::bind(far)?))
    })?;
    datagrams.set_read_timeout(Some(TIMEOUT))?;
    let serving = bed.net.far.start("serve", move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked)?;
        stream.write_all(&asked)?;
        drop(stream);
        let mut datagram = [0; 64];
        let (length, from) = datagrams.recv_from(&mut datagram)?;
        datagrams.send_to(&datagram[..length], from)?;
        Ok(())
    })?;
    bed.net.near.run(|| -> Result<()> {
        let mut stream = TcpStream::connect(target).context("connect to the service")?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(&[7; 10_000])?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        ensure!(answer.len() == 10_000, "{} bytes came back", answer.len());
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.connect(target)?;
        socket.send(&[7; 32])?;
        socket.recv(&mut [0; 64])?;
        Ok(())
    })?;
    serving
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Sends what is for the service to the far host instead.
fn translate(host: &Host, chain: &str, far: IpAddr) -> Result<()> {
    for protocol in ["tcp", "udp"] {
        let rule = format!(
            "-t nat -A {chain} -p {protocol} -d {SERVICE} --dport {SERVICE_PORT} -j DNAT --to-destination {far}:{PORT}"
        );
        host.iptables(&rule)?;
    }
    Ok(())
}

#[test]
fn the_peer_behind_a_translation_is_judged() {
    guarded("the_peer_behind_a_translation_is_judged", || {
        let bed = Bed::new("translated")?;
        let far = bed.net.far_address(4, PORT).ip();
        // Before the translation the kernel wants a way, which is looked up again after it.
        let route = format!("route add {SERVICE}/32 dev {}", bed.net.near_device);
        bed.net.near.ip(&[&route])?;
        translate(&bed.net.near, "OUTPUT", far)?;
        let networks = bed.folder.join("networks.csv");
        let network = format!("cidr,cloud,region,zone\n{far}/32,aws,us-east-1,use1-az2\n");
        fs::write(&networks, network)?;
        let file = bed.folder.join("observer.yaml");
        let networks = networks.display();
        fs::write(
            &file,
            format!(
                "source: {{cloud: aws, region: us-east-1, zone: use1-az1, metadata: off}}\ncatalog: {{networks: {networks}}}\n"
            ),
        )?;
        let config = file.to_string_lossy().into_owned();
        let agent = Agent::start(std::slice::from_ref(&bed.uplink), &["--config", &config])?;
        talk(&bed, SocketAddr::new(SERVICE.parse()?, SERVICE_PORT))?;
        let records = agent.stop()?;
        for protocol in ["tcp", "udp"] {
            let flow: Vec<&Value> = records
                .iter()
                .filter(|record| record["device"] == bed.uplink.as_str())
                .filter(|record| record["protocol"] == protocol)
                .collect();
            ensure!(!flow.is_empty(), "no {protocol} flow in {records:?}");
            let expected = json!({
                "remote_address": SERVICE,
                "remote_port": SERVICE_PORT,
                "translated_address": far.to_string(),
                "translated_port": PORT,
                "cloud": "aws",
                "region": "us-east-1",
                "path_kind": "inter_zone",
            });
            for record in flow {
                for (field, value) in expected.as_object().into_iter().flatten() {
                    ensure!(record[field] == *value, "{field} of {record}");
                }
            }
        }
        // The far host's own flows are not translated for it.
        let near = bed.net.near_address(4, PORT).ip().to_string();
        let mut others = records
            .iter()
            .filter(|record| record["remote_address"] == near.as_str());
        ensure!(
            others.all(|record| record["translated_address"].is_null()),
            "{records:?}"
        );
        Ok(())
    });
}

#[test]
fn flows_between_two_namespaces_of_the_host_stay_in_it() {
    guarded(
        "flows_between_two_namespaces_of_the_host_stay_in_it",
        || {
            let bed = Bed::new("inside")?;
            // Of the three the one in the middle has the uplink: the others are as pods are.
            let uplink = uplink(&bed.net.middle, bed.net.far_port);
            let agent = Agent::start(&[uplink], &[])?;
            talk(&bed, bed.net.far_address(4, PORT))?;
            let records = agent.stop()?;
            let ours = [bed.net.near_address(4, PORT), bed.net.far_address(4, PORT)]
                .map(|end| end.ip().to_string());
            let between: Vec<&Value> = records
                .iter()
                .filter(|record| {
                    ours.iter()
                        .any(|end| record["remote_address"] == *end.as_str())
                })
                .collect();
            ensure!(between.len() >= 4, "{records:?}");
            for record in between {
                ensure!(record["path_kind"] == "same_host", "{record}");
            }
            Ok(())
        },
    );
}

/// An address beside the near host's own, which the far host has too.
const GATEWAY: &str = "10.0.0.77";

#[test]
fn the_next_hop_decides_where_it_is_declared() {
    guarded("the_next_hop_decides_where_it_is_declared", || {
        let bed = Bed::new("hop")?;
        let far = bed.net.far_address(4, PORT);
        let config = bed.folder.join("observer.yaml");
        fs::write(
            &config,
            format!(
                "paths:\n  - {{next_hop: {GATEWAY}, kind: interconnect, elements: [transit_gateway]}}\n  - {{interface: \"{}\", kind: peering}}\n",
                bed.uplink
            ),
        )?;
        let config = config.to_string_lossy().into_owned();
        let agent = Agent::start(std::slice::from_ref(&bed.uplink), &["--config", &config])?;
        talk(&bed, far)?;
        let found = paths(&agent.stop()?, &bed);
        ensure!(found == [(json!("peering"), Value::Null)], "{found:?}");
        let device = bed.net.far_device;
        let address = format!("address add {GATEWAY}/32 dev {device}");
        bed.net.far.ip(&[&address])?;
        let device = bed.net.near_device;
        let route = format!(
            "route replace {}/32 via {GATEWAY} dev {device} onlink",
            far.ip()
        );
        bed.net.near.ip(&[&route])?;
        let agent = Agent::start(std::slice::from_ref(&bed.uplink), &["--config", &config])?;
        talk(&bed, far)?;
        let found = paths(&agent.stop()?, &bed);
        let expected = [(json!("interconnect"), json!(["transit_gateway"]))];
        ensure!(found == expected, "{found:?}");
        Ok(())
    });
}

#[test]
fn pods_behind_a_service_of_their_node_know_each_other() {
    guarded(
        "pods_behind_a_service_of_their_node_know_each_other",
        || {
            let bed = Bed::new("service")?;
            let [near, far] =
                [bed.net.near_address(4, PORT), bed.net.far_address(4, PORT)].map(|end| end.ip());
            // The host in the middle is the node: it has the uplink, routes, and translates both ends.
            let node = &bed.net.middle;
            node.forward()?;
            node.ip(&[
                &format!("address add {GATEWAY}/24 dev bridge"),
                &format!("route add {far}/32 dev bridge"),
            ])?;
            translate(node, "PREROUTING", far)?;
            node.iptables(&format!("-t nat -A POSTROUTING -d {far} -j MASQUERADE"))?;
            let device = bed.net.near_device;
            let route = format!("route add {SERVICE}/32 via {GATEWAY} dev {device} onlink");
            bed.net.near.ip(&[&route])?;
            let agent = Agent::start(&[uplink(node, bed.net.far_port)], &[])?;
            talk(&bed, SocketAddr::new(SERVICE.parse()?, SERVICE_PORT))?;
            let records = agent.stop()?;
            let (near, far) = (near.to_string(), far.to_string());
            for protocol in ["tcp", "udp"] {
                for (local, remote, peer) in [(&near, SERVICE, &far), (&far, GATEWAY, &near)] {
                    let mut flow = records
                        .iter()
                        .filter(|record| record["protocol"] == protocol)
                        .filter(|record| record["local_address"] == local.as_str())
                        .filter(|record| record["remote_address"] == remote)
                        .peekable();
                    ensure!(
                        flow.peek().is_some(),
                        "no {protocol} flow from {local} to {remote}: {records:?}"
                    );
                    for record in flow {
                        ensure!(
                            record["translated_address"] == peer.as_str()
                                && record["path_kind"] == "same_host",
                            "{record}"
                        );
                    }
                }
            }
            Ok(())
        },
    );
}
