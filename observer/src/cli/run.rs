//! `observer run`: from what was typed to the agent's settings.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Output, print};
use crate::{
    agent::{
        self,
        settings::{Experiments, Settings},
    },
    config::{self, Config, Layer, Loaded, PINS, Row, Sources, Value},
    metrics,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  observer run --flows - --duration 10\n  \
                        observer run --flows /var/log/observer/flows.jsonl --listen 127.0.0.1:9464\n  \
                        observer run --config /etc/observer.yaml --check\n\n\
                        Each key of the file has a variable too (`OBSERVER_LISTEN`); flags come first, then variables, then \
                        the file.")]
pub struct Arguments {
    /// Configuration file; `docs/observer.yaml` has every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what would be in force and where each value comes from, and start nothing.
    #[arg(long)]
    check: bool,
    /// How `--check` prints.
    #[arg(long, value_enum, default_value_t, requires = "check")]
    output: Output,
    /// Where flow records go, one JSON object a line: a file, or `-` for standard output.
    #[arg(long, value_name = "PATH|-", value_parser = value::<config::Destination>)]
    flows: Option<config::Destination>,
    /// Where metrics are served (`/metrics`).
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Serve metrics by plain HTTP to other hosts too.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", value_parser = value::<config::Switch>)]
    listen_plain: Option<config::Switch>,
    /// TLS and users of the metrics server.
    #[arg(long, value_name = "FILE", value_parser = value::<config::FilePath>)]
    web_config: Option<config::FilePath>,
    /// Stop by itself after so many seconds, draining as on SIGTERM.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Length of an interval, 5 by default.
    #[arg(long, value_name = "SECONDS", value_parser = config::Tick::of_flag)]
    tick: Option<config::Tick>,
    /// Device that is balanced (`eth0`, or `/run/netns/blue:eth0`); all that hold a route off the host when none is given.
    #[arg(long = "uplink", value_name = "[NAMESPACE:]DEVICE", value_parser = value::<config::Uplink>)]
    uplinks: Vec<config::Uplink>,
    /// Directory of the unified cgroup hierarchy; found in `/proc/self/mounts` when not given.
    #[arg(long, value_name = "DIRECTORY", value_parser = value::<config::Absolute>)]
    cgroup: Option<config::Absolute>,
    /// Keep counting while the agent is down: pin maps and links in a directory on a bpf filesystem.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = PINS, value_parser = value::<config::Absolute>)]
    pin: Option<config::Absolute>,
    /// Name of this host in records; the system's host name when not given.
    #[arg(long, value_name = "NAME", value_parser = value::<config::Name>)]
    host: Option<config::Name>,
    /// Name of the cluster in records.
    #[arg(long, value_name = "NAME", value_parser = value::<config::Name>)]
    cluster: Option<config::Name>,
    /// Remotes of UDP sockets counted apart.
    #[arg(long, value_name = "COUNT", value_parser = value::<config::UdpFlows>, hide = true)]
    udp_flows_max: Option<config::UdpFlows>,
    /// Bytes of the ring for ended flows, a power of two.
    #[arg(long, value_name = "BYTES", value_parser = value::<config::Bytes>, hide = true)]
    events_bytes: Option<config::Bytes>,
    /// Bytes of the ring for one pass over all sockets, a power of two.
    #[arg(long, value_name = "BYTES", value_parser = value::<config::Bytes>, hide = true)]
    reads_bytes: Option<config::Bytes>,
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

fn value<T: Value>(text: &str) -> Result<T, String> {
    T::parse(text)
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let (check, output) = (arguments.check, arguments.output);
    let (duration, print_what) = (arguments.duration, arguments.print.clone());
    let experiments = Experiments {
        benchmark: arguments.benchmark,
        rivals: arguments.rivals,
    };
    let file = arguments.config.clone();
    let sources = Sources::new(flags(arguments)?, file, |name| std::env::var_os(name))?;
    let loaded = sources.load(&metrics::known_labels())?;
    if check {
        print(&match output {
            Output::Json => format!(
                "{}\n",
                serde_json::to_string_pretty(&Checked::of(&sources, &loaded))?
            ),
            Output::Table => table(&Checked::of(&sources, &loaded))?,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    refuse_what_is_not_served(&loaded.config)?;
    agent::run(Settings {
        sources,
        loaded,
        duration,
        print_run_times: print_what.contains(&Print::RunTimes),
        print_tick_times: print_what.contains(&Print::TickTimes),
        experiments,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The layer that comes first.
fn flags(arguments: Arguments) -> Result<Layer> {
    let uplinks = match arguments.uplinks.is_empty() {
        true => None,
        false => match config::Uplinks::of(arguments.uplinks) {
            Ok(uplinks) => Some(uplinks),
            Err(what) => bail!("flag `--uplink`: {what}"),
        },
    };
    Ok(Layer {
        flows: arguments.flows,
        listen: arguments.listen.map(config::Listen),
        listen_plain: arguments.listen_plain,
        web_config: arguments.web_config,
        tick: arguments.tick,
        host: arguments.host,
        cluster: arguments.cluster,
        uplinks,
        cgroup: arguments.cgroup,
        pin: arguments.pin,
        limits_udp_flows: arguments.udp_flows_max,
        limits_events_bytes: arguments.events_bytes,
        limits_reads_bytes: arguments.reads_bytes,
        ..Layer::default()
    })
}

/// An operator who asks for TLS must not get plain HTTP.
fn refuse_what_is_not_served(config: &Config) -> Result<()> {
    if config.web_config.is_some() {
        bail!(
            "`web_config` is set, and this version serves no TLS; remove it, or serve on loopback behind a proxy"
        );
    }
    Ok(())
}

/// What `--check` prints.
#[derive(Serialize)]
struct Checked<'a> {
    file: Option<String>,
    config_version: &'a str,
    settings: Vec<Row>,
}

impl<'a> Checked<'a> {
    fn of(sources: &Sources, loaded: &'a Loaded) -> Self {
        Self {
            file: sources
                .file
                .as_ref()
                .map(|file| file.to_string_lossy().into_owned()),
            config_version: &loaded.version,
            settings: config::rows(loaded),
        }
    }
}

fn table(checked: &Checked<'_>) -> Result<String> {
    let shown = |row: &Row| match &row.value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let key_width = checked
        .settings
        .iter()
        .map(|row| row.key.len())
        .max()
        .unwrap_or(0);
    let value_width = checked
        .settings
        .iter()
        .map(|row| shown(row).len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for row in &checked.settings {
        let origin = match &row.from {
            Some(from) => format!("{} {from}", row.origin),
            None => row.origin.to_owned(),
        };
        let line = format!(
            "{:key_width$}  {:value_width$}  {origin}",
            row.key,
            shown(row)
        );
        writeln!(text, "{}", line.trim_end())?;
    }
    writeln!(text, "\nconfig_version {}", checked.config_version)?;
    Ok(text)
}
