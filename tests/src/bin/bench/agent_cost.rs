//! What the agent's process takes: time for new connections, memory, and one interval with very many changed sockets.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use observer_tests::Observed;
use serde::Deserialize;

use crate::{
    Bench, load,
    report::{Row, Target},
};

const CONNECTIONS: u32 = 20_000;
const IDLE_SOCKETS: usize = 10_000;
const CHANGED_SOCKETS: usize = 100_000;
/// Ephemeral ports of one address are fewer than the sockets.
const SOCKETS_PER_ADDRESS: usize = 20_000;
/// Files of this process besides the sockets.
const OTHER_FILES: usize = 500;
const OPEN_FILES: u64 = 110_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A line of `observer run --print-run-times`.
#[derive(Deserialize)]
struct Tick {
    tick_ns: u64,
    records: u64,
}

pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let open_files = usize::try_from(raise_open_files()?)?;
    let changed = CHANGED_SOCKETS.min(open_files.saturating_sub(OTHER_FILES));
    let mut rows = vec![connections(bench)?];
    rows.extend(memory(bench)?);
    rows.extend(ticks(bench, changed)?);
    Ok(rows)
}

/// CPU time of the agent for connections that come and go, less what it takes idle in the same time.
fn connections(bench: &Bench<'_>) -> Result<Row> {
    let agent = bench.agent(&["--tick", "1"])?;
    std::thread::sleep(Duration::from_millis(1_500));
    let (before, start) = (cpu_ns(agent.pid())?, Instant::now());
    load::open_and_close(&bench.net, CONNECTIONS)?;
    std::thread::sleep(Duration::from_millis(2_200));
    let (after, time) = (cpu_ns(agent.pid())?, start.elapsed());
    std::thread::sleep(time);
    let idle = cpu_ns(agent.pid())?.saturating_sub(after);
    let spent = (after - before).saturating_sub(idle);
    agent.stop()?;
    Ok(Row::alone(
        "agent",
        "cpu time for 1,000 new connections (both ends on this machine)",
        "ms",
        spent as f64 / 1e6 / f64::from(CONNECTIONS / 1_000),
    ))
}

fn memory(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let agent = bench.agent(&["--tick", "0.5"])?;
    std::thread::sleep(Duration::from_millis(1_500));
    let idle = rss_bytes(agent.pid())?;
    let held = load::pairs(&bench.net, IDLE_SOCKETS / 2)?;
    std::thread::sleep(Duration::from_millis(1_500));
    let full = rss_bytes(agent.pid())?;
    let maps = map_bytes(agent.pid())?;
    drop(held);
    agent.stop()?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    Ok(vec![
        Row::alone("agent", "resident memory, idle", "MB", megabytes(idle))
            .target(Target::AtMost(30.0)),
        Row::alone(
            "agent",
            "resident memory, 10,000 idle sockets",
            "MB",
            megabytes(full),
        ),
        Row::alone("agent", "kernel memory of its maps", "MB", megabytes(maps)),
    ])
}

/// One tick that finds many new sockets, then one that finds all of them changed.
fn ticks(bench: &Bench<'_>, count: usize) -> Result<Vec<Row>> {
    let agent = bench.agent(&["--tick", "0.5", "--print-run-times"])?;
    let sockets = sockets(bench, count)?;
    let mut rows = Vec::new();
    for what in ["new", "changed"] {
        let seen = ticks_of(&agent)?.len();
        for socket in &sockets {
            socket.send(&[0; 32])?;
        }
        let (found, busiest) = counted(&agent, seen, sockets.len())?;
        rows.push(Row::alone(
            "agent",
            format!(
                "longest tick of {} sockets {what} ({} records in it)",
                found, busiest.records
            ),
            "ms",
            busiest.tick_ns as f64 / 1e6,
        ));
    }
    // The target is one for so many; fewer (a limit of open files) prove nothing.
    if let Some(row) = rows.last_mut().filter(|_| count == CHANGED_SOCKETS) {
        row.target = Some(Target::AtMost(100.0));
    }
    drop(sockets);
    agent.stop()?;
    Ok(rows)
}

/// UDP sockets of this process, connected to an address that answers nothing: the far host drops what is not its own.
fn sockets(bench: &Bench<'_>, count: usize) -> Result<Vec<UdpSocket>> {
    let near = &bench.net.near;
    near.sysctl("net.ipv4.ip_local_port_range", "10000 65000")?;
    near.route("198.18.0.0/24", bench.net.gateway(4), bench.net.near_device)?;
    near.own_prefix("10.9.0.0/24")?;
    near.run(|| {
        (0..count)
            .map(|index| {
                let last = u8::try_from(1 + index / SOCKETS_PER_ADDRESS)?;
                let socket = UdpSocket::bind((Ipv4Addr::new(10, 9, 0, last), 0))
                    .with_context(|| format!("cannot open socket {index}"))?;
                socket.connect((Ipv4Addr::new(198, 18, 0, 1), 9))?;
                Ok(socket)
            })
            .collect()
    })
}

/// Waits until ticks after the first `seen` have written a record for every socket; the longest of them.
fn counted(agent: &Observed, seen: usize, sockets: usize) -> Result<(u64, Tick)> {
    let start = Instant::now();
    loop {
        let ticks = ticks_of(agent)?.split_off(seen);
        let found: u64 = ticks.iter().map(|tick| tick.records).sum();
        if found >= sockets as u64 {
            let longest = ticks.into_iter().max_by_key(|tick| tick.tick_ns);
            return Ok((found, longest.context("no tick")?));
        }
        if start.elapsed() > TIMEOUT {
            bail!("the agent wrote {found} records of {sockets} sockets after {TIMEOUT:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ticks_of(agent: &Observed) -> Result<Vec<Tick>> {
    let said = agent.said()?;
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole
        .lines()
        .filter(|line| line.starts_with("{\"tick_ns\""))
        .map(|line| serde_json::from_str(line).with_context(|| format!("tick `{line}`")))
        .collect()
}

/// As far as this process may: root outside a container goes above the hard limit. Returns what it is now.
fn raise_open_files() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = OPEN_FILES.max(hard);
    if setrlimit(Resource::RLIMIT_NOFILE, limit, limit).is_ok() {
        return Ok(limit);
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .with_context(|| format!("cannot raise the limit of open files to {hard}"))?;
    Ok(hard)
}

/// Time on a CPU, user and system, of all threads.
fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat"))?;
        let first = text
            .split_whitespace()
            .next()
            .context("an empty schedstat")?;
        sum += first.parse::<u64>()?;
    }
    Ok(sum)
}

fn rss_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = field(&status, "VmRSS:").context("no `VmRSS` in the agent's status")?;
    Ok(kib * 1024)
}

/// What the kernel charges for every map that the agent holds, each once.
fn map_bytes(pid: u32) -> Result<u64> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        if let (Some(id), Some(bytes)) = (field(&text, "map_id:"), field(&text, "memlock:"))
            && text.contains("map_type:")
        {
            maps.insert(id, bytes);
        }
    }
    Ok(maps.values().sum())
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
