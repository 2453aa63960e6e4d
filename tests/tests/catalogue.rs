//! Address tables and contracts that change places while bytes flow, and an agent that goes on under another table than the one before.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::{
    PORT, balances, guarded, no_gap_and_no_double,
    started::{Bed, eventually},
    sum,
};
use nix::{mount::umount, sys::signal::Signal};
use observer_tests::{
    Meter,
    agent::{Agent, detach},
    capture::View,
    mounts,
    traffic::{Side, TcpTalk, UdpTalk},
};
use serde_json::Value;

/// As often as `SWAPS` says.
fn swaps() -> usize {
    let said = std::env::var("SWAPS").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(6)
}
const CLOUDS: [&str; 2] = ["one", "two"];

/// The operator's networks: the far host is in this cloud; its network changes length, so that prefixes come and go.
fn networks(bed: &Bed, cloud: &str) -> String {
    let far = bed.net.far_address(4, PORT).ip();
    let (length, network) = match far {
        std::net::IpAddr::V4(v4) if cloud == "two" => (24, v4.to_bits() & 0xffff_ff00),
        std::net::IpAddr::V4(v4) => (32, v4.to_bits()),
        std::net::IpAddr::V6(_) => (32, 0),
    };
    let network = std::net::Ipv4Addr::from_bits(network);
    format!("cidr,cloud,region\n{network}/{length},{cloud},{cloud}-a\n")
}

struct Files {
    config: PathBuf,
    networks: PathBuf,
    contract: PathBuf,
}

/// Each has a rule of its own name.
fn contract(rule: &str) -> String {
    format!(
        "id: swapped\ntitle: t\nparties: [tests]\nreference: {{document: d}}\nowner: tests\ncontact: tests\neffective: {{from: \
         2026-01-01}}\nrules:\n- id: {rule}\n  when: protocol in [\"tcp\", \"udp\"]\n  require: cloud != \"internet\"\n  severity: \
         low\n  rationale: r\n"
    )
}

impl Files {
    fn new(folder: &Path) -> Result<Self> {
        let files = Self {
            config: folder.join("observer.yaml"),
            networks: folder.join("networks.csv"),
            contract: folder.join("contract.yaml"),
        };
        let text = format!(
            "catalog:\n  networks: {}\ncontracts: {{files: [{}]}}\n",
            files.networks.display(),
            files.contract.display()
        );
        fs::write(&files.contract, contract(CLOUDS[0]))?;
        fs::write(&files.config, text)?;
        Ok(files)
    }
}

#[test]
fn tables_change_places_under_traffic() {
    guarded("tables_change_places_under_traffic", || {
        let bed = Bed::new("swap")?;
        let files = Files::new(&bed.folder)?;
        fs::write(&files.networks, networks(&bed, CLOUDS[0]))?;
        let config = files.config.to_string_lossy().into_owned();
        let uplinks = std::slice::from_ref(&bed.uplink);
        let agent = Agent::start(uplinks, &["--config", &config])?;
        let meter = Meter::start(&bed.net.near, bed.net.near_device, View::Segments)?;
        let ends = AtomicBool::new(false);
        let payload = thread::scope(|scope| -> Result<u64> {
            let traffic = scope.spawn(|| talk(&bed, &ends));
            let swapped = swap(&bed, &agent, &files);
            ends.store(true, Ordering::Relaxed);
            let payload = traffic.join();
            swapped?;
            payload.map_err(|_| anyhow::anyhow!("the traffic panicked"))?
        })?;
        let reading = meter.finish()?;
        let counted = [
            reading.sent_network_bytes(),
            reading.received_network_bytes(),
        ];
        balances(&agent.settled(&bed.uplink, counted)?)?;
        let metrics = agent.metrics()?;
        let records = agent.stop()?;
        no_gap_and_no_double(&records)?;
        let recorded = sum(&records, &bed.uplink, "payload_bytes_egress");
        ensure!(
            recorded == payload,
            "{recorded} bytes of payload in records, {payload} were sent"
        );
        let versions = only_these_clouds(&records, &bed)?;
        ensure!(
            versions == 2,
            "{versions} versions of the catalogue in records"
        );
        judged_by_the_rules_in_force(&records)?;
        let build = metrics
            .lines()
            .find(|line| line.starts_with("observer_build_info"));
        let last = records.last().context("a record")?["catalog_version"].to_string();
        ensure!(
            build.is_some_and(|build| build.contains(&last)),
            "`{build:?}` does not name {last}"
        );
        Ok(())
    });
}

/// Short connections and datagrams until it is told to end; returns the payload sent.
fn talk(bed: &Bed, ends: &AtomicBool) -> Result<u64> {
    let mut payload = 0;
    while !ends.load(Ordering::Relaxed) {
        let far = |port| bed.net.far_address(4, port);
        for (plan, port) in [
            (TcpTalk::short(20, Side::Client).plan(), PORT),
            (TcpTalk::bulk(500_000, 0).plan(), PORT + 1),
            (UdpTalk::datagrams(20, 400).plan(), PORT + 2),
        ] {
            let outcome = plan.run(&bed.net.near, &bed.net.far, far(port))?;
            payload += outcome.client.payload_bytes_sent;
        }
        // Flows that end while no agent runs lie in a ring of bounded size.
        thread::sleep(Duration::from_millis(30));
    }
    Ok(payload)
}

fn swap(bed: &Bed, agent: &Agent, files: &Files) -> Result<()> {
    let in_force = || {
        let said = agent.said();
        let said = said
            .iter()
            .filter(|line| line.contains("catalogue `") && line.contains("is in force"));
        said.count()
    };
    for done in 1..=swaps() {
        fs::write(&files.networks, networks(bed, CLOUDS[done % 2]))?;
        fs::write(&files.contract, contract(CLOUDS[done % 2]))?;
        agent.signal(Signal::SIGHUP)?;
        eventually(
            "a table in force",
            || Ok((in_force() == done).then_some(())),
        )?;
        thread::sleep(Duration::from_millis(50));
    }
    // What is wrong changes nothing.
    fs::write(&files.networks, "cidr,cloud\n10.0.0.1/8,x\n")?;
    agent.signal(Signal::SIGHUP)?;
    eventually("a refusal", || {
        let said = agent.said();
        Ok(said.into_iter().find(|line| {
            ["reload failed", "networks.csv", "line 2", "bits are set"]
                .iter()
                .all(|part| line.contains(part))
        }))
    })?;
    ensure!(in_force() == swaps(), "the wrong table was taken");
    Ok(())
}

/// No record of the uplink has another cloud; returns how many catalogues were in force.
fn only_these_clouds(records: &[Value], bed: &Bed) -> Result<usize> {
    let far = bed.net.far_address(4, PORT).ip().to_string();
    let mut clouds = BTreeSet::new();
    let mut versions = BTreeSet::new();
    for record in records {
        versions.insert(record["catalog_version"].to_string());
        if record["remote_address"] == far.as_str() {
            let place = (record["cloud"].to_string(), record["region"].to_string());
            clouds.insert(place);
        }
    }
    let expected = CLOUDS.map(|cloud| (format!("\"{cloud}\""), format!("\"{cloud}-a\"")));
    ensure!(clouds.iter().eq(&expected), "{clouds:?}");
    Ok(versions.len())
}

/// Every record was judged, by the rule of the contract that its version names.
fn judged_by_the_rules_in_force(records: &[Value]) -> Result<()> {
    let mut rules = BTreeSet::new();
    for record in records {
        let verdicts = record["verdicts"].as_array().context("nobody judged it")?;
        let [verdict] = &**verdicts else {
            anyhow::bail!("{verdicts:?}");
        };
        ensure!(verdict["contract"] == "swapped", "{verdict}");
        rules.insert((
            record["rules_version"].to_string(),
            verdict["rule"].to_string(),
        ));
    }
    let versions: BTreeSet<&String> = rules.iter().map(|(version, _)| version).collect();
    ensure!(rules.len() == 2 && versions.len() == 2, "{rules:?}");
    Ok(())
}

/// The numbers on pinned maps keep their meaning under another table.
#[test]
fn an_agent_goes_on_under_another_table() {
    guarded("an_agent_goes_on_under_another_table", || {
        mounts::with_own(|| {
            let bed = Bed::new("table")?;
            let pins = bed.folder.join("bpf");
            mounts::mount_at(&pins, "bpf")?;
            let done = go_on(&bed, &pins.join("observer"));
            let _ = umount(&pins);
            done
        })
    });
}

fn go_on(bed: &Bed, pins: &Path) -> Result<()> {
    let files = Files::new(&bed.folder)?;
    let (config, pins) = (
        files.config.to_string_lossy().into_owned(),
        pins.to_string_lossy().into_owned(),
    );
    let start = |cloud: &str| -> Result<Agent> {
        fs::write(&files.networks, networks(bed, cloud))?;
        let uplinks = std::slice::from_ref(&bed.uplink);
        Agent::start_in(&bed.folder, uplinks, &["--config", &config, "--pin", &pins])
    };
    let agent = start(CLOUDS[0])?;
    let meter = Meter::start(&bed.net.near, bed.net.near_device, View::Segments)?;
    let ends = AtomicBool::new(false);
    let (agent, payload) = thread::scope(|scope| -> Result<(Agent, u64)> {
        let traffic = scope.spawn(|| talk(bed, &ends));
        let mut agent = agent;
        for turn in 1..=4 {
            thread::sleep(Duration::from_millis(500));
            agent.kill()?;
            agent = start(CLOUDS[turn % 2])?;
        }
        ends.store(true, Ordering::Relaxed);
        let payload = traffic.join();
        Ok((
            agent,
            payload.map_err(|_| anyhow::anyhow!("the traffic panicked"))??,
        ))
    })?;
    let reading = meter.finish()?;
    let counted = [
        reading.sent_network_bytes(),
        reading.received_network_bytes(),
    ];
    balances(&agent.settled(&bed.uplink, counted)?)?;
    let records = agent.stop()?;
    detach(&pins, &bed.uplink)?;
    no_gap_and_no_double(&records)?;
    let recorded = sum(&records, &bed.uplink, "payload_bytes_egress");
    ensure!(
        recorded == payload,
        "{recorded} bytes of payload in records, {payload} were sent"
    );
    only_these_clouds(&records, bed).map(drop)
}
