//! `observer run`: from what was typed to the agent's settings.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    agent::{
        self,
        settings::{Destination, PINS, Settings, default_uplinks},
    },
    place::{Metadata, Overrides, Said, dmi::Directories},
    probe::{self, Limits, device::UplinkSpec},
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  observer run --flows - --duration 10\n  \
                        observer run --flows /var/log/observer/flows.jsonl --listen 127.0.0.1:9464")]
pub struct Arguments {
    /// Where flow records go, one JSON object a line: a file, or `-` for standard output.
    #[arg(long, value_name = "PATH|-")]
    flows: Option<Destination>,
    /// Where metrics are served (`/metrics`).
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// TLS and authentication for what is served: a web config file as Prometheus' exporters have it.
    #[arg(long, value_name = "FILE")]
    web_config: Option<PathBuf>,
    /// Serve in plain text to everybody on an address off loopback too.
    #[arg(long)]
    listen_plain: bool,
    /// Stop by itself after so many seconds, draining as on SIGTERM.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Length of an interval.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    tick: Duration,
    /// Device that is balanced (`eth0`, or `/run/netns/blue:eth0`); all that hold a route off the host when none is given.
    #[arg(long = "uplink", value_name = "[NAMESPACE:]DEVICE")]
    uplinks: Vec<UplinkSpec>,
    /// Directory of the unified cgroup hierarchy; found in `/proc/self/mounts` when not given.
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,
    /// Keep counting while the agent is down: pin maps and links in a directory on a bpf filesystem.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = PINS)]
    pin: Option<PathBuf>,
    /// Name of this host in records; the system's host name when not given.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Name of the cluster in records.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Where this host stands (cloud, account, region, zone, instance), where it is known better than by asking.
    #[arg(long, value_name = "FIELD=VALUE")]
    source: Vec<Said>,
    /// Whether the cloud's metadata service may be asked for what `--source` does not say.
    #[arg(long, value_enum, default_value_t)]
    metadata: Metadata,
    /// The firmware's tables, of another machine.
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    dmi: Option<PathBuf>,
    /// Remotes of UDP sockets counted apart.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().udp_flows, hide = true)]
    udp_flows_max: u32,
    /// Bytes of the ring for ended flows, a power of two.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().events_bytes, hide = true)]
    events_bytes: u32,
    /// Bytes of the ring for one pass over all sockets, a power of two.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().reads_bytes, hide = true)]
    reads_bytes: u32,
    /// Attach programs that do nothing beside ours, to compare their cost with.
    #[arg(long, hide = true)]
    benchmark: bool,
    /// Attach programs that wipe callback flags before and after ours.
    #[arg(long, hide = true)]
    rivals: bool,
    /// What else to print to standard error, as JSON lines.
    #[arg(long, value_name = "WHAT", hide = true)]
    print: Vec<Print>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    /// Let the kernel time its programs while the agent runs; each program's time at the end.
    RunTimes,
    /// Each tick's time.
    TickTimes,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=1e9).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give a number of seconds, 0.1 or more".to_owned()),
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut source = Overrides {
        metadata: arguments.metadata,
        ..Overrides::default()
    };
    arguments
        .source
        .into_iter()
        .for_each(|said| source.say(said));
    let uplinks = if arguments.uplinks.is_empty() {
        default_uplinks()?
    } else {
        arguments.uplinks
    };
    agent::run(Settings {
        flows: arguments.flows,
        listen: arguments.listen,
        web_config: arguments.web_config,
        listen_plain: arguments.listen_plain,
        duration: arguments.duration,
        tick: arguments.tick,
        host: arguments.host,
        cluster: arguments.cluster,
        source,
        firmware: arguments
            .dmi
            .as_deref()
            .map_or_else(Directories::default, Directories::within),
        print_run_times: arguments.print.contains(&Print::RunTimes),
        print_tick_times: arguments.print.contains(&Print::TickTimes),
        probe: probe::Settings {
            cgroup: arguments.cgroup,
            pins: arguments.pin,
            uplinks,
            generation: 0,
            limits: Limits {
                udp_flows: arguments.udp_flows_max,
                events_bytes: arguments.events_bytes,
                reads_bytes: arguments.reads_bytes,
                benchmark: arguments.benchmark,
                rivals: arguments.rivals,
            },
        },
    })?;
    Ok(ExitCode::SUCCESS)
}
