//! Pairs: the same load without the agent and with it, in turns, so that what else the machine does meets both.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Bench,
    load::{Done, Load},
    report::{Row, Target, median},
};

pub const TIME: Duration = Duration::from_secs(1);

/// Which ends of a connection the agent counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// The near one, as on a real host.
    Near,
    /// Both, since both are on this machine: twice the work.
    Both,
}

/// What is kept of throughput.
pub fn throughput(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let messages = Load::Messages {
        connections: 64,
        bytes: 100,
    };
    let bulk = |streams| Load::Bulk { streams };
    let loads = [
        (
            "bulk, 1 stream",
            "MB/s",
            1e6,
            bulk(1),
            Counted::Near,
            Some(0.99),
        ),
        (
            "bulk, 8 streams",
            "MB/s",
            1e6,
            bulk(8),
            Counted::Near,
            Some(0.99),
        ),
        (
            "100-byte messages on 64 connections",
            "round trips/s",
            1.0,
            messages,
            Counted::Near,
            Some(0.97),
        ),
        (
            "new connections",
            "1/s",
            1.0,
            Load::Connections,
            Counted::Near,
            Some(0.95),
        ),
        (
            "new connections, both ends counted",
            "1/s",
            1.0,
            Load::Connections,
            Counted::Both,
            None,
        ),
    ];
    let mut rows = Vec::new();
    for (what, unit, scale, load, counted, least) in loads {
        let pairs = pairs(bench, load, counted)?;
        let figure = |done: &Done| done.per_second / scale;
        rows.push(Row {
            target: least.map(Target::AtLeast),
            ..ratio("throughput", what, unit, &pairs, figure)
        });
    }
    Ok(rows)
}

/// Round trips of a single small message.
pub fn latency(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let pairs = pairs(bench, Load::PingPong { bytes: 100 }, Counted::Near)?;
    let row = |what, share| {
        ratio("latency", what, "us", &pairs, |done| {
            percentile(&done.round_trips_ns, share) / 1e3
        })
    };
    Ok(vec![
        row("100-byte round trip, p50", 0.50),
        row("100-byte round trip, p99", 0.99),
    ])
}

fn pairs(bench: &Bench<'_>, load: Load, counted: Counted) -> Result<Vec<[Done; 2]>> {
    let cgroup = bench.ends.near_cgroup().to_string_lossy();
    let arguments: &[&str] = match counted {
        Counted::Near => &["--tick", "1", "--cgroup", &cgroup],
        Counted::Both => &["--tick", "1"],
    };
    turns(
        bench,
        || load.run(&bench.ends, TIME),
        || with_agent(bench, load, arguments),
    )
}

/// What `load` did while an agent with `arguments` ran.
pub fn with_agent(bench: &Bench<'_>, load: Load, arguments: &[&str]) -> Result<Done> {
    let agent = bench.agent(arguments)?;
    let done = load.run(&bench.ends, TIME)?;
    agent.stop()?;
    Ok(done)
}

/// [without, with] of each pair; which comes first changes from pair to pair, so that a slow drift meets both.
pub fn turns(
    bench: &Bench<'_>,
    without: impl Fn() -> Result<Done>,
    with: impl Fn() -> Result<Done>,
) -> Result<Vec<[Done; 2]>> {
    (0..bench.pairs)
        .map(|pair| {
            if pair % 2 == 0 {
                Ok([without()?, with()?])
            } else {
                let with = with()?;
                Ok([without()?, with])
            }
        })
        .collect()
}

/// The row of a figure that both sides of each pair have.
pub fn ratio<T>(
    part: &'static str,
    what: &str,
    unit: &'static str,
    pairs: &[[T; 2]],
    figure: impl Fn(&T) -> f64,
) -> Row {
    let of = |side: usize| median(pairs.iter().map(|pair| figure(&pair[side])));
    let ratios: Vec<f64> = pairs
        .iter()
        .map(|[without, with]| figure(with) / figure(without))
        .collect();
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    Row {
        part,
        what: what.to_owned(),
        unit,
        without: Some(of(0)),
        with: of(1),
        result: median(ratios),
        spread: Some([lowest, highest]),
        target: None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is an index"
)]
fn percentile(times_ns: &[u64], share: f64) -> f64 {
    let mut sorted = times_ns.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() as f64 * share) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .map_or(f64::NAN, |time_ns| *time_ns as f64)
}
