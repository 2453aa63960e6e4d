//! `observer run`: from what was typed to the agent's settings.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Output, print};
use crate::{
    agent::{
        self,
        settings::{Experiments, Settings, files},
    },
    config::{self, Layer, Loaded, PINS, Row, Sources, Value},
    contracts, metrics,
    place::{Field, Said, dmi::Directories},
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  observer run --flows - --duration 10\n  \
                        observer run --flows /var/log/observer/flows.jsonl --listen 127.0.0.1:9464\n  \
                        observer run --config /etc/observer/observer.yaml --check\n\n\
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
    /// Where this host stands (cloud, account, region, zone, instance), where it is known better than by asking.
    #[arg(long, value_name = "FIELD=VALUE")]
    source: Vec<Said>,
    /// Whether the cloud's metadata service may be asked for what `--source` does not say.
    #[arg(long, value_name = "auto|off", value_parser = value::<config::Metadata>)]
    metadata: Option<config::Metadata>,
    /// The firmware's tables, of another machine.
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    dmi: Option<PathBuf>,
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
    /// The start's time, and each tick's.
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
    let firmware = arguments
        .dmi
        .as_deref()
        .map_or_else(Directories::default, Directories::within);
    let file = arguments.config.clone();
    let sources = Sources::new(flags(arguments)?, file, |name| std::env::var_os(name))?;
    let loaded = sources.load(&metrics::known_labels())?;
    if check {
        let web = metrics::Web::new(loaded.config.web_config.as_deref())?;
        if let Some(address) = loaded.config.listen {
            web.current()
                .check_address(address, loaded.config.listen_plain)?;
        }
        let files = files(&loaded.config);
        let (networks, names) = (files.addresses()?, files.name_tables()?);
        contracts::named(&loaded.config.contracts.files, &networks.table, &names)?;
        crate::prices::pricing(&loaded.config.price)?;
        print(&match output {
            Output::Json => format!(
                "{}\n",
                serde_json::to_string_pretty(&Checked::of(&sources, &loaded))?
            ),
            Output::Table => table(&Checked::of(&sources, &loaded))?,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    agent::run(Settings {
        sources,
        loaded,
        duration,
        print_run_times: print_what.contains(&Print::RunTimes),
        print_tick_times: print_what.contains(&Print::TickTimes),
        experiments,
        firmware,
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
    let mut layer = Layer {
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
        source_metadata: arguments.metadata,
        ..Layer::default()
    };
    for Said { field, value } in arguments.source {
        let word = match config::Word::parse(&value) {
            Ok(word) => Some(word),
            Err(what) => bail!("flag `--source`: {what}"),
        };
        *match field {
            Field::Cloud => &mut layer.source_cloud,
            Field::Account => &mut layer.source_account,
            Field::Region => &mut layer.source_region,
            Field::Zone => &mut layer.source_zone,
            Field::Instance => &mut layer.source_instance,
        } = word;
    }
    Ok(layer)
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
