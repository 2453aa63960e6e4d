//! The demo: an agent counts the traffic of a few processes on a host that talks TLS to three clouds and a front, all of
//! it in network namespaces that this run makes and that lead nowhere. What is printed comes from the agent's records and
//! accounts, and is held against what the clients counted themselves.

#![forbid(unsafe_code)]

mod balance;
mod client;
mod crew;
mod http;
mod look;
mod names;
mod outcome;
mod places;
mod serve;
mod server;
mod table;
mod tasks;
mod tls;
mod traffic;
mod truth;
mod verdicts;
mod world;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use observer_core::identify::address::AddressTable;
use observer_tests::{
    Observed, Testbed,
    agent::{self, Account},
    cgroup::Slice,
    interrupt,
    scratch::Scratch,
};

use self::{
    client::Pace,
    crew::Crew,
    look::{Paint, Progress},
    outcome::{Links, Outcome},
    truth::{Key, Truth},
    world::World,
};

const PREFIX: &str = "observer-demo-";
/// Of `--serve`: pauses are so many times as long as in the counted part.
const SERVED_SLOWNESS: u32 = 4;
const SECONDS_MAX: f64 = 600.0;

/// TLS traffic to three clouds and a front that never leaves this machine, and what the agent says of it.
#[derive(Parser)]
#[command(name = "demo", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// How long the workloads play
    #[arg(long, value_name = "NUMBER", default_value = "12", value_parser = seconds)]
    seconds: Duration,
    /// Print the table as one JSON object
    #[arg(long)]
    json: bool,
    /// Then keep everything up, with traffic, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Keep the flow records in this file too, one JSON object a line
    #[arg(long, value_name = "PATH")]
    flows: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when the demo starts it again inside a host.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    Server { folder: PathBuf, place: usize },
    #[command(hide = true)]
    Workload {
        folder: PathBuf,
        name: String,
        #[arg(long)]
        unit: PathBuf,
        #[arg(long, value_delimiter = ',')]
        addresses: Vec<Ipv4Addr>,
        #[arg(long)]
        slowness: u32,
        #[arg(long, value_parser = seconds)]
        seconds: Option<Duration>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.role {
        None => demo(&arguments),
        Some(Role::Server { folder, place }) => server::serve(folder, *place),
        Some(Role::Workload {
            folder,
            name,
            unit,
            addresses,
            slowness,
            seconds,
        }) => {
            let pace = Pace {
                time: *seconds,
                slowness: *slowness,
            };
            join(unit).and_then(|()| client::run(folder, name, addresses, pace))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The terminal may be gone.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.5..=SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("give a number of seconds, 0.5 to {SECONDS_MAX}")),
    }
}

/// Moves this process into the control group: before its first socket, which takes the group along.
fn join(unit: &Path) -> Result<()> {
    let path = unit.join("cgroup.procs");
    fs::write(&path, "0").with_context(|| format!("cannot join `{}`", path.display()))
}

/// Everything made is dropped in the reverse order, on each way out of here.
fn demo(arguments: &Arguments) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("`demo` makes network namespaces and loads kernel programs: run it again as root");
    }
    interrupt::watch();
    let executable = agent::executable().context("`observer` is not built")?;
    let table = AddressTable::embedded().context("read the embedded address table")?;
    let addresses = places::addresses(&table)?;

    let progress = Progress::start();
    progress.now("making hosts in network namespaces");
    let bed = Testbed::new("demo")?;
    let folder = Scratch::new(PREFIX)?;
    let slice = Slice::new(PREFIX)?;
    let world = World::build(&bed, &addresses)?;
    progress
        .done("world: a workload host, a router, three clouds and a front, without a route out");
    progress.now("the agent loads its programs");
    let uplink = agent::uplink(&world.workload, world::UPLINK);
    let config = configuration(folder.path())?;
    let options = [
        "--config",
        &config,
        "--tick",
        "0.5",
        "--host",
        "workload",
        "--uplink",
        &uplink,
        "--source",
        "cloud=aws",
        "--source",
        "region=us-east-1",
    ];
    let mut observed = Observed::start_on_machine(&bed, &executable, &options)?;
    progress.done(format!(
        "agent: counts, and serves on {}",
        observed.address()
    ));
    let crew = Crew {
        world: &world,
        folder: folder.path(),
        slice: &slice,
        addresses: &addresses,
    };
    crew.units()?;
    let _servers = crew.serve()?;
    let truth = traffic::play(&crew, &progress, arguments.seconds)?;
    progress.now("waiting for the last packets");
    let accounts = balance::settled(&observed, &world.workload, &uplink)?;
    if arguments.serve {
        let records = observed.records()?;
        let outcome = outcome(&records, &uplink, accounts, &truth, table.version())?;
        return serve(arguments, &outcome, &bed, &crew, &mut observed, &progress);
    }
    let (records, said) = observed.stop()?;
    progress.clear();
    if let Some(path) = &arguments.flows {
        fs::write(path, &records).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    for line in said.lines().filter(|line| !line.contains("serving")) {
        writeln!(io::stderr(), "{line}")?;
    }
    let outcome = outcome(&records, &uplink, accounts, &truth, table.version())?;
    print(arguments, &outcome, None)?;
    outcome.check()
}

/// What the records of `uplink` come to.
fn outcome(
    records: &str,
    uplink: &str,
    accounts: Vec<Account>,
    truth: &BTreeMap<Key, Truth>,
    catalog_version: String,
) -> Result<Outcome> {
    let rows = table::rows(records, uplink)?;
    let last = names::last(records, uplink)?;
    let said = (names::named(&last), verdicts::judged(&last));
    Ok(Outcome::new(rows, said, accounts, truth, catalog_version))
}

/// What flags cannot say.
fn configuration(folder: &Path) -> Result<String> {
    let files = verdicts::CONTRACTS.map(|(file, _)| format!("\"{file}\""));
    let path = folder.join("observer.yaml");
    let text = format!("contracts: {{files: [{}]}}\n", files.join(", "));
    fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn serve(
    arguments: &Arguments,
    outcome: &Outcome,
    bed: &Testbed,
    crew: &Crew<'_>,
    observed: &mut Observed,
    progress: &Progress,
) -> Result<()> {
    let mut links = serve::links(observed)?;
    let prometheus = serve::prometheus(bed, crew.folder, observed.address())?;
    if let Some((_, link)) = &prometheus {
        links.0.push(("prometheus", link.clone()));
    }
    progress.aside(|| print(arguments, outcome, Some(&links)))?;
    outcome.check()?;
    let pace = Pace {
        time: None,
        slowness: SERVED_SLOWNESS,
    };
    let members = crew.work(pace)?;
    serve::until_ended(progress, observed, members, crew.folder)?;
    progress.now("removing everything");
    Ok(())
}

fn print(arguments: &Arguments, outcome: &Outcome, links: Option<&Links>) -> Result<()> {
    let paint = Paint::of_stdout();
    let mut text = if arguments.json {
        outcome.to_json(links.unwrap_or(&Links::default()))? + "\n"
    } else {
        outcome.to_text(paint)
    };
    if let Some(links) = links.filter(|_| !arguments.json) {
        text.push_str(&links.to_text(paint));
    }
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print")
}
