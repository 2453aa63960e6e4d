//! Paths that the operator declares, by network and by interface, and a reload of them, on a real host.

mod common;

use std::fs;

use anyhow::ensure;
use common::{
    PORT, guarded,
    started::{Bed, eventually},
};
use nix::sys::signal::Signal;
use observer_tests::{agent::Agent, traffic::TcpTalk};
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
