//! The demo: an agent counts the traffic of a few processes on a host that talks to four clouds, all of it in network
//! namespaces that this run makes and that lead nowhere. What is printed comes from the agent's records and accounts.

#![forbid(unsafe_code)]

mod balance;
mod table;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use observer_tests::{Observed, Testbed, agent};

use self::world::{Scene, World};

/// Traffic to four clouds that never leaves this machine, and what the agent says of it.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Keep the flow records in this file too, one JSON object a line
    #[arg(long, value_name = "PATH")]
    flows: Option<PathBuf>,
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

fn run(arguments: &Arguments) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("`demo` makes network namespaces and loads kernel programs: run it again as root");
    }
    let executable = agent::executable().context("`observer` is not built")?;
    let traffic = std::env::current_exe()
        .context("cannot find this program's own path")?
        .with_file_name("traffic");
    let scenes = world::scenes();
    world::check_places(&executable)?;

    let progress = progress(scenes.len() as u64 + 3);
    step(
        &progress,
        "namespaces for a workload, a router and four clouds",
    );
    let bed = Testbed::new("demo")?;
    let world = World::build(&bed)?;
    step(
        &progress,
        "the agent: loads its programs and starts to count",
    );
    let uplink = agent::uplink(&world.workload, world::UPLINK);
    let arguments_of_agent = ["--tick", "0.5", "--host", "workload", "--uplink", &uplink];
    let observed = Observed::start(&world.agent, &executable, &arguments_of_agent)?;
    let mut running = Vec::new();
    for scene in &scenes {
        step(&progress, scene.what);
        running.push(scene.start(&world, &traffic)?);
        std::thread::sleep(Duration::from_millis(200));
    }
    for (scene, running) in scenes.iter().zip(running) {
        running.finish().with_context(|| scene.what.to_owned())?;
    }
    step(&progress, "waiting for the last packets");
    let accounts = balance::settled(&observed, &world.workload, &uplink)?;
    let (records, said) = observed.stop()?;
    progress.finish_and_clear();

    for line in said.lines().filter(|line| !line.contains("serving")) {
        eprintln!("{line}");
    }
    if let Some(path) = &arguments.flows {
        std::fs::write(path, &records)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    print(&scenes, &records, &uplink, &accounts)
}

fn print(scenes: &[Scene], records: &str, uplink: &str, accounts: &[agent::Account]) -> Result<()> {
    println!("What ran (between namespaces of this machine; nothing left it):");
    for scene in scenes {
        println!("  {:<10} {}", scene.comm, scene.what);
    }
    println!("\nWhere it went, from the agent's records (medians of the flows):\n");
    print!("{}", table::flows(records, uplink)?);
    println!("\nDo the bytes add up? The interface's own counters against the agent's:\n");
    print!("{}", balance::lines(accounts));
    Ok(())
}

/// Hidden by itself where standard error is no terminal.
fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} [{pos}/{len}] {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn step(progress: &ProgressBar, what: &str) {
    progress.inc(1);
    progress.set_message(what.to_owned());
}
