//! Pairs: the same load without the agent and with it, in turns, so that what else the machine does meets both.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Bench,
    load::{Done, Load},
    report::{Row, Target, median},
};

const TIME: Duration = Duration::from_secs(1);

/// What is kept of throughput.
pub fn throughput(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let messages = Load::Messages {
        connections: 64,
        bytes: 100,
    };
    let loads = [
        (
            "bulk, 1 stream",
            "MB/s",
            1e6,
            Load::Bulk { streams: 1 },
            0.99,
        ),
        (
            "bulk, 8 streams",
            "MB/s",
            1e6,
            Load::Bulk { streams: 8 },
            0.99,
        ),
        (
            "100-byte messages on 64 connections",
            "round trips/s",
            1.0,
            messages,
            0.97,
        ),
        ("new connections", "1/s", 1.0, Load::Connections, 0.95),
    ];
    let mut rows = Vec::new();
    for (what, unit, scale, load, least) in loads {
        let pairs = pairs(bench, load)?;
        let figure = |done: &Done| done.per_second / scale;
        rows.push(ratio("throughput", what, unit, &pairs, figure).target(Target::AtLeast(least)));
    }
    Ok(rows)
}

/// Round trips of a single small message.
pub fn latency(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let pairs = pairs(bench, Load::PingPong { bytes: 100 })?;
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

/// [without, with] of each pair.
fn pairs(bench: &Bench<'_>, load: Load) -> Result<Vec<[Done; 2]>> {
    (0..bench.pairs)
        .map(|_| {
            let without = load.run(&bench.net, TIME)?;
            let agent = bench.agent(&["--tick", "1"])?;
            let with = load.run(&bench.net, TIME)?;
            agent.stop()?;
            Ok([without, with])
        })
        .collect()
}

fn ratio(
    part: &'static str,
    what: &str,
    unit: &'static str,
    pairs: &[[Done; 2]],
    figure: impl Fn(&Done) -> f64,
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
        what: format!("{what} (pairs {lowest:.3} to {highest:.3})"),
        unit,
        without: Some(of(0)),
        with: of(1),
        result: median(ratios),
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
