//! The benchmark: what the agent costs a host, with and without it in turns. All traffic stays between two network
//! namespaces of this run.

#![forbid(unsafe_code)]

mod agent_cost;
mod awake;
mod ends;
mod holder;
mod kernel_cost;
mod load;
mod names;
mod pair;
mod processes;
mod report;
mod requests;
mod start;
mod web;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use observer_tests::{Host, Observed, Testbed, Wire, agent, topology};

use self::{awake::Awake, ends::Ends, report::Row};

/// What the agent costs: one table, pairs measured in turns.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Only this part; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<Part>,
    /// Write the rows to this file too
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Pairs of measurements, with and without, of each ratio
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    pairs: u32,
    /// Be a holder of sockets
    #[arg(long, num_args = 2, value_names = ["INDEX", "COUNT"], hide = true)]
    hold: Option<Vec<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Time of the kernel programs for one packet
    Kernel,
    /// Bytes, messages and connections a second that are kept
    Throughput,
    /// Round trips of small messages
    Latency,
    /// What it takes to hear the names of new connections
    Names,
    /// What it takes to read requests before programs encrypt them
    Requests,
    /// From start to ready
    Start,
    /// The agent's own time and memory
    Agent,
}

/// What every part works with.
struct Bench<'a> {
    ends: Ends,
    agent_host: Host,
    executable: &'a Path,
    uplink: String,
    pairs: u32,
}

impl Bench<'_> {
    fn agent(&self, arguments: &[&str]) -> Result<Observed> {
        let mut all = vec!["--uplink", self.uplink.as_str()];
        all.extend(arguments);
        Observed::start(&self.agent_host, self.executable, &all)
    }

    fn agent_without_records(&self, arguments: &[&str]) -> Result<Observed> {
        let mut all = vec!["--uplink", self.uplink.as_str()];
        all.extend(arguments);
        Observed::start_without_records(&self.agent_host, self.executable, &all)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn awake(
    bench: &Bench<'_>,
    measure: impl FnOnce(&Bench<'_>) -> Result<Vec<Row>>,
) -> Result<Vec<Row>> {
    let _awake = Awake::start(&bench.agent_host)?;
    measure(bench)
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some([index, count]) = arguments.hold.as_deref() {
        return holder::hold(*index, *count);
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("`bench` makes network namespaces and loads kernel programs: run it again as root");
    }
    let executable = agent::executable().context("`observer` is not built")?;
    let bed = Testbed::new("bench")?;
    let net = topology::direct(
        &bed,
        &Wire {
            far_offload: observer_tests::offload::Offload::DEFAULT,
            ..Wire::default()
        },
    )?;
    let bench = Bench {
        uplink: agent::uplink(&net.near, net.near_device),
        agent_host: bed.host("agent")?,
        ends: Ends::new(net)?,
        executable: &executable,
        pairs: arguments.pairs.max(1),
    };
    let mut rows = Vec::<Row>::new();
    for part in Part::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(part) {
            continue;
        }
        eprintln!("bench: {part:?}");
        rows.extend(match part {
            Part::Kernel => awake(&bench, kernel_cost::measure)?,
            Part::Throughput => awake(&bench, pair::throughput)?,
            Part::Latency => awake(&bench, pair::latency)?,
            Part::Names => awake(&bench, names::measure)?,
            Part::Requests => requests::measure(&bench)?,
            Part::Start => start::measure(&bench)?,
            Part::Agent => agent_cost::measure(&bench)?,
        });
    }
    print!("{}", report::table(&rows));
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
