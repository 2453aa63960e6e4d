//! Left running under churn: new processes, units and users all the time, more UDP remotes than are kept. Prints what the
//! agent holds each minute; what it holds at the end is what it held when it was warm. Half an hour by default:
//! `MINUTES=5` for a look.

mod common;

use std::{
    ffi::OsStr,
    fs,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use common::{
    PORT, guarded,
    places::{Places, Server, said},
};
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, uplink},
    topology::{self, Bridged},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_owner");
const MINUTES: u64 = 30;
const MINUTE: Duration = Duration::from_mins(1);
/// Processes of one round, and how long a round takes at the least: some 100 a second.
const ROUND: usize = 200;
const ROUND_TIME: Duration = Duration::from_secs(2);
/// Remotes that one UDP socket sends to in one round.
const REMOTES: u16 = 500;

#[test]
fn memory_stays_under_churn() {
    guarded("memory_stays_under_churn", || {
        let minutes = std::env::var("MINUTES").map_or(Ok(MINUTES), |minutes| minutes.parse())?;
        let bed = Testbed::new("soak")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let places = Places::new("soak")?;
        places.copies(PROGRAM, &["alpha", "beta", "gamma", "delta"])?;
        let server = net.far_address(4, PORT);
        let far = Server::start(&net.far, server)?;
        let agent = Agent::start(
            std::slice::from_ref(&uplink(&net.near, net.near_device)),
            &["--tick", "5"],
        )?;
        let over = AtomicBool::new(false);
        let held = thread::scope(|scope| -> Result<Vec<u64>> {
            let churning = scope.spawn(|| churn(&net, &places, server, &over));
            let held = watch(&agent, minutes);
            over.store(true, Ordering::Relaxed);
            churning
                .join()
                .map_err(|_| anyhow::anyhow!("the churn panicked"))??;
            held
        })?;
        far.end(&net.near)?;
        agent.stop()?;
        let (Some(warm), Some(last)) = (held.get(4), held.last()) else {
            println!("too short to compare: minute 5 is warm");
            return Ok(());
        };
        println!("minute 5: {warm} KiB, minute {minutes}: {last} KiB");
        ensure!(
            last * 100 <= warm * 105,
            "memory grew from {warm} to {last} KiB"
        );
        Ok(())
    });
}

/// What the agent holds at the end of each minute, KiB.
fn watch(agent: &Agent, minutes: u64) -> Result<Vec<u64>> {
    let mut held = Vec::new();
    for minute in 1..=minutes {
        thread::sleep(MINUTE);
        let status = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
        let resident_kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.split_whitespace().next())
            .context("no VmRSS")?
            .parse()?;
        let metrics = agent.metrics()?;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or(" -").trim().to_owned()
        };
        let series = metrics
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count();
        println!(
            "minute {minute}: {resident_kib} KiB, {series} lines of metrics, {} descriptors, {} s of CPU",
            value("process_open_fds"),
            value("process_cpu_seconds_total"),
        );
        held.push(resident_kib);
    }
    Ok(held)
}

fn churn(net: &Bridged, places: &Places, server: SocketAddr, over: &AtomicBool) -> Result<()> {
    let far = server.ip();
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        let (count, called, unit) = (
            ROUND.to_string(),
            server.to_string(),
            format!("round{round}"),
        );
        let arguments: [&OsStr; 6] = [
            "churn".as_ref(),
            count.as_ref(),
            called.as_ref(),
            places.programs.as_ref(),
            places.cgroup.as_ref(),
            unit.as_ref(),
        ];
        said(&net.near, PROGRAM, arguments, MINUTE)?;
        net.near.run(|| -> Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for remote in 0..REMOTES {
                let port = 10_000 + (u32::from(remote) + round * u32::from(REMOTES)) % 50_000;
                // Nobody listens: a refusal of the one before is no error of this one.
                let _ = socket.send_to(b"churn", (far, u16::try_from(port)?));
            }
            Ok(())
        })?;
        thread::sleep(ROUND_TIME.saturating_sub(start.elapsed()));
    }
    Ok(())
}
