//! What passes from the agent's start until it counts: programs and maps, and the address table that the kernel looks
//! addresses up in.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{
    Bench,
    report::{Row, median},
};

/// A line of `observer run --print tick-times`.
#[derive(Deserialize)]
struct Start {
    start_ns: u64,
    address_table_ns: u64,
}

pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let starts = (0..bench.pairs).map(|_| start(bench));
    let starts = starts.collect::<Result<Vec<_>>>()?;
    let row = |what: &str, time: fn(&Start) -> u64| {
        Row::alone(
            "start",
            what,
            "ms",
            median(starts.iter().map(|start| time(start) as f64 / 1e6)),
        )
    };
    Ok(vec![
        row("start of the agent", |start| start.start_ns),
        row("of it: the kernel's address table", |start| {
            start.address_table_ns
        }),
    ])
}

fn start(bench: &Bench<'_>) -> Result<Start> {
    let agent = bench.agent_without_records(&["--print", "tick-times"])?;
    let said = agent.said()?;
    let line = said.lines().find(|line| line.starts_with("{\"start_ns\""));
    let start = serde_json::from_str(line.context("the agent told no time of its start")?)?;
    agent.stop()?;
    Ok(start)
}
