//! What the agent's process takes: time for new connections, memory, and one interval with very many changed sockets.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use observer_tests::Observed;
use serde::Deserialize;

use crate::{
    Bench,
    holder::Held,
    load,
    report::{Row, Target, median},
};

const CONNECTIONS: u32 = 20_000;
const IDLE_SOCKETS: usize = 10_000;
const CHANGED_SOCKETS: usize = 100_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A line of `observer run --print tick-times`.
#[derive(Deserialize)]
struct Tick {
    tick_ns: u64,
    cpu_ns: u64,
    records: u64,
}

pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = vec![connections(bench)?];
    rows.extend(memory(bench)?);
    rows.extend(ticks(bench)?);
    Ok(rows)
}

/// CPU time of the agent for connections that come and go, less what it takes idle in the same time.
fn connections(bench: &Bench<'_>) -> Result<Row> {
    let agent = bench.agent(&["--tick", "1"])?;
    std::thread::sleep(Duration::from_millis(1_500));
    let (before, start) = (cpu_ns(agent.pid())?, Instant::now());
    load::open_and_close(&bench.ends, CONNECTIONS)?;
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
    let held = load::pairs(&bench.ends, IDLE_SOCKETS / 2)?;
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

/// One tick that finds very many new sockets, then one that finds all of them changed; with records written to a file,
/// and without (metrics alone).
fn ticks(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut sockets = Held::open(&bench.ends, CHANGED_SOCKETS)?;
    let mut rows = Vec::new();
    for (written, records) in [(false, "no records"), (true, "records to a file")] {
        let arguments = ["--tick", "2", "--print", "tick-times"];
        let agent = if written {
            bench.agent(&arguments)?
        } else {
            bench.agent_without_records(&arguments)?
        };
        for what in ["new", "changed"] {
            let seen = ticks_of(&agent)?.len();
            sockets.send()?;
            let busiest = counted(&agent, seen, CHANGED_SOCKETS)?;
            let row = |kind: &str, ns: u64| {
                Row::alone(
                    "agent",
                    format!(
                        "tick of {} sockets {what}, {records}, {kind}",
                        busiest.records
                    ),
                    "ms",
                    ns as f64 / 1e6,
                )
            };
            let target = (what == "changed").then_some(Target::AtMost(100.0));
            rows.push(Row {
                target,
                ..row("time of a core", busiest.cpu_ns)
            });
            rows.push(row("from start to end", busiest.tick_ns));
        }
        if !written {
            rows.push(unchanged(&agent)?);
        }
        rows.push(Row::alone(
            "agent",
            format!("resident memory, {CHANGED_SOCKETS} sockets, {records}"),
            "MB",
            rss_bytes(agent.pid())? as f64 / 1e6,
        ));
        agent.stop()?;
    }
    Ok(rows)
}

/// What walking over all sockets takes where there is nothing to say of them.
fn unchanged(agent: &Observed) -> Result<Row> {
    let seen = ticks_of(agent)?.len();
    std::thread::sleep(Duration::from_secs(7));
    let quiet = ticks_of(agent)?.split_off(seen);
    let times = quiet.iter().filter(|tick| tick.records == 0);
    Ok(Row::alone(
        "agent",
        format!("tick of {CHANGED_SOCKETS} sockets, none changed, time of a core"),
        "ms",
        median(times.map(|tick| tick.cpu_ns as f64 / 1e6)),
    ))
}

/// Waits until ticks after the first `seen` have found every socket; the longest of them. All were sent on within one
/// interval or two, so the longest has most of them, and says how many.
fn counted(agent: &Observed, seen: usize, sockets: usize) -> Result<Tick> {
    let start = Instant::now();
    loop {
        let ticks = ticks_of(agent)?.split_off(seen);
        let found: u64 = ticks.iter().map(|tick| tick.records).sum();
        if found >= sockets as u64 {
            let longest = ticks.into_iter().max_by_key(|tick| tick.records);
            return longest.context("no tick");
        }
        if start.elapsed() > TIMEOUT {
            bail!("the agent found {found} of {sockets} sockets after {TIMEOUT:?}");
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

/// Time on a CPU, user and system, of all threads.
pub fn cpu_ns(pid: u32) -> Result<u64> {
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
