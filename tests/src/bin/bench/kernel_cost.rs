//! What the kernel programs take for one packet, by the kernel's own statistics, beside empty programs of the same run.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{
    Bench,
    load::Load,
    report::{Row, Target, median},
};

const TIME: Duration = Duration::from_millis(1_500);
const RUNS: u32 = 3;
const MOST_NET_NS: f64 = 120.0;

/// Ours, and the empty one that it is held against: an empty program of the uplink's own kind is not attached.
const PROGRAMS: [(&str, &str); 4] = [
    ("count_egress", "empty_egress"),
    ("count_ingress", "empty_ingress"),
    ("uplink0_egress", "empty_egress"),
    ("uplink0_ingress", "empty_ingress"),
];

/// A line of `observer run --print run-times`.
#[derive(Deserialize)]
struct RunTime {
    program: String,
    run_ns: u64,
    runs: u64,
}

/// One row a load and program: ns for one packet, less those of the empty program.
pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let loads = [
        ("bulk", Load::Bulk { streams: 1 }),
        ("200-byte round trips", Load::PingPong { bytes: 200 }),
        ("200-byte datagrams", Load::Datagrams { bytes: 200 }),
    ];
    let mut rows = Vec::new();
    for (what, load) in loads {
        let runs = (0..RUNS)
            .map(|_| run(bench, load))
            .collect::<Result<Vec<_>>>()?;
        for (ours, empty) in PROGRAMS {
            rows.extend(row(what, ours, empty, &runs));
        }
    }
    Ok(rows)
}

/// Nanoseconds a run of each program that ran at all.
fn run(bench: &Bench<'_>, load: Load) -> Result<BTreeMap<String, f64>> {
    let agent = bench.agent(&["--tick", "1", "--benchmark", "--print", "run-times"])?;
    load.run(&bench.ends, TIME)?;
    let (_, said) = agent.stop()?;
    said.lines()
        .filter(|line| line.starts_with("{\"program\""))
        .map(|line| {
            let time: RunTime =
                serde_json::from_str(line).with_context(|| format!("run time `{line}`"))?;
            Ok((time.program, time.run_ns as f64 / time.runs as f64))
        })
        .collect()
}

/// None where a load has no packets of that direction.
fn row(what: &str, ours: &str, empty: &str, runs: &[BTreeMap<String, f64>]) -> Option<Row> {
    let pairs: Vec<[f64; 2]> = runs
        .iter()
        .filter_map(|run| Some([*run.get(empty)?, *run.get(ours)?]))
        .filter(|pair| pair.iter().all(|time| time.is_finite()))
        .collect();
    let of = |side: usize| median(pairs.iter().map(|pair| pair[side]));
    (!pairs.is_empty()).then(|| Row {
        part: "kernel",
        what: format!("{ours} in {what}, net of the empty program"),
        unit: "ns a packet",
        without: Some(of(0)),
        with: of(1),
        result: median(pairs.iter().map(|[empty, ours]| ours - empty)),
        spread: None,
        target: Some(Target::AtMost(MOST_NET_NS)),
    })
}
