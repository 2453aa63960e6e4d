//! The agent's configuration: what flags, the environment and a file say ([`Layer`], all optional), and what it means
//! ([`Config`], complete, cannot be wrong). Uses nothing of the other rooms, so that it is fuzzed alone; reads one file
//! and nothing else.

mod check;
mod file;
#[cfg(fuzzing)]
mod fuzzed;
mod layer;
mod source;
mod value;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::tz::TimeZone;
use observer_core::model::{money::Unit, names::CostAssumption, nearest};

#[cfg(fuzzing)]
pub use self::fuzzed::fuzzed;
use self::value::{ByName, Words, typed};
pub use self::{
    check::{Row, rows},
    layer::{Layer, Reach},
    source::{Loaded, Origin, Sources},
    value::{
        Absolute, Bytes, DeclaredPath, Destination, FilePath, Listen, Metadata, Name, Switch, Tick,
        UdpFlows, Uplink, Uplinks, Value, Word,
    },
};

/// Where pins go where `--pin` names no directory.
pub const PINS: &str = "/sys/fs/bpf/observer";

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switches something of its own"
)]
pub struct Config {
    /// Where flow records go; nowhere where `None`.
    pub flows: Option<Destination>,
    pub listen: Option<SocketAddr>,
    /// Plain HTTP off loopback is what the operator wants.
    pub listen_plain: bool,
    /// TLS and users of the metrics server.
    pub web_config: Option<PathBuf>,
    pub tick: Duration,
    /// The system's host name where `None`.
    pub host: Option<String>,
    pub cluster: Option<String>,
    /// Those that hold a route off the host where empty.
    pub uplinks: Vec<Uplink>,
    /// Directory of the unified hierarchy; the first one mounted where `None`.
    pub cgroup: Option<PathBuf>,
    pub pin: Option<PathBuf>,
    /// Whether flows are named by what their clients say and DNS answers.
    pub captures: bool,
    /// Read method and path of requests before programs encrypt them.
    pub plaintext: bool,
    /// Say what requests are as a rule that nobody read.
    pub inference: bool,
    pub source: Source,
    /// Lines and gateways that no address tells of.
    pub paths: Vec<DeclaredPath>,
    pub catalog: Catalog,
    pub price: Price,
    pub contracts: Contracts,
    pub metrics: Metrics,
    pub limits: Limits,
}

/// Where this host stands, as far as the operator says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub cloud: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
    pub zone: Option<String>,
    pub instance: Option<String>,
    /// Whether the provider's metadata service is asked for the rest.
    pub metadata: Metadata,
}

/// Files in place of the embedded catalogue, or before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    pub table: Option<PathBuf>,
    pub networks: Option<PathBuf>,
    pub names: Option<PathBuf>,
    /// The operator's own requests, which go before all others.
    pub routes: Option<PathBuf>,
}

/// What the operator says of prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Price books, before the shipped one; the last one goes first.
    pub files: Vec<PathBuf>,
    /// Where in its tiers a byte is taken to be.
    pub assumption: CostAssumption,
    /// Bytes in a month, by rate or cloud.
    pub volumes: BTreeMap<String, u64>,
    /// Places whose bills are the operator's too.
    pub own: Vec<String>,
    /// What was chosen of what rates have as `variant`.
    pub variants: Vec<String>,
    /// What a gigabyte is, by cloud.
    pub units: BTreeMap<String, Unit>,
    /// Where months begin, by cloud.
    pub months: BTreeMap<String, TimeZone>,
}

/// What flows are judged by, and whom violations are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// Files, or folders of them; nothing is judged without one.
    pub files: Vec<PathBuf>,
    /// Where an Alertmanager is.
    pub alertmanager: Option<String>,
    /// Its bearer token.
    pub alertmanager_token_file: Option<PathBuf>,
}

/// Bounds of what Prometheus is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub series_max: u32,
    pub idle_expiry: Duration,
    /// Whether there is the metric that OpenCost reads.
    pub opencost: bool,
    /// Labels kept, by metric; a metric that is not named keeps all of its own.
    pub labels: BTreeMap<String, Vec<String>>,
}

/// Sizes of the kernel's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub udp_flows: u32,
    /// A power of two, at least a page.
    pub events_bytes: u32,
    /// A power of two, at least a page.
    pub reads_bytes: u32,
}

/// Metrics with the labels that each may have.
pub type Known<'a> = &'a [(&'a str, &'a [&'a str])];

impl Config {
    /// What the layers mean together, once what no single value can show is right too.
    fn of(layer: &Layer, known: Known<'_>) -> Result<Self, Conflict> {
        let layer = layer.clone();
        let config = Self {
            flows: layer.flows,
            listen: layer.listen.map(|listen| listen.0),
            listen_plain: layer.listen_plain.is_some_and(|switch| switch.0),
            web_config: layer.web_config.map(|path| path.0),
            tick: layer.tick.unwrap_or_default().0,
            host: layer.host.map(|name| name.0),
            cluster: layer.cluster.map(|name| name.0),
            uplinks: layer.uplinks.unwrap_or_default().into_vec(),
            cgroup: layer.cgroup.map(|path| path.0),
            pin: layer.pin.map(|path| path.0),
            paths: layer.paths.unwrap_or_default().into_vec(),
            captures: layer.captures.is_none_or(|switch| switch.0),
            inference: layer.inference.is_none_or(|switch| switch.0),
            plaintext: layer.plaintext.unwrap_or_default().routes,
            catalog: Catalog {
                table: layer.catalog_table.map(|path| path.0),
                networks: layer.catalog_networks.map(|path| path.0),
                names: layer.catalog_names.map(|path| path.0),
                routes: layer.catalog_routes.map(|path| path.0),
            },
            source: Source {
                cloud: layer.source_cloud.map(|word| word.0),
                account: layer.source_account.map(|word| word.0),
                region: layer.source_region.map(|word| word.0),
                zone: layer.source_zone.map(|word| word.0),
                instance: layer.source_instance.map(|word| word.0),
                metadata: layer.source_metadata.unwrap_or_default(),
            },
            price: Price {
                files: paths(layer.price_files),
                assumption: layer.price_assumption.unwrap_or_default().0,
                volumes: by_name(layer.price_volumes, |volume| volume.0),
                own: layer.price_own.unwrap_or_default().0,
                variants: layer.price_variants.unwrap_or_default().0,
                units: by_name(layer.price_units, |unit| unit),
                months: by_name(layer.price_months, |zone| zone.0),
            },
            contracts: Contracts {
                files: paths(layer.contracts_files),
                alertmanager: layer.contracts_alertmanager.map(|server| server.0),
                alertmanager_token_file: layer.contracts_alertmanager_token_file.map(|path| path.0),
            },
            metrics: Metrics {
                series_max: layer.metrics_series_max.unwrap_or_default().0,
                idle_expiry: layer.metrics_idle_expiry.unwrap_or_default().0,
                opencost: layer.metrics_opencost.unwrap_or_default().0,
                labels: layer.metrics_labels.unwrap_or_default().0,
            },
            limits: Limits {
                udp_flows: layer.limits_udp_flows.unwrap_or_default().0,
                events_bytes: layer.limits_events_bytes.unwrap_or_default().0,
                reads_bytes: layer.limits_reads_bytes.unwrap_or_default().0,
            },
        };
        config.listens_safely()?;
        config.pins_apart()?;
        config.series_outlive_a_tick()?;
        config.labels_are_known(known)?;
        Ok(config)
    }

    fn listens_safely(&self) -> Result<(), Conflict> {
        match self.listen {
            Some(address)
                if !address.ip().is_loopback()
                    && self.web_config.is_none()
                    && !self.listen_plain =>
            {
                Err(Conflict::new(
                    "listen",
                    format!(
                        "`{address}` can be reached from other hosts; set `web_config` for TLS, or `listen_plain: true` for plain HTTP"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// A bpf filesystem takes no files, and a cgroup hierarchy no pins.
    fn pins_apart(&self) -> Result<(), Conflict> {
        let Some(pin) = &self.pin else {
            return Ok(());
        };
        let clash = |key, path: &Path| {
            let both_ways = path.starts_with(pin) || pin.starts_with(path);
            both_ways.then(|| {
                Conflict::new(
                    "pin",
                    format!(
                        "`{}` and `{key}: {}` lie in one another; pins need a directory of their own on a bpf filesystem, such as `{PINS}`",
                        pin.display(),
                        path.display()
                    ),
                )
            })
        };
        let flows = match &self.flows {
            Some(Destination::File(path)) => clash("flows", path),
            Some(Destination::Stdout) | None => None,
        };
        let cgroup = self
            .cgroup
            .as_deref()
            .and_then(|path| clash("cgroup", path));
        flows.or(cgroup).map_or(Ok(()), Err)
    }

    fn series_outlive_a_tick(&self) -> Result<(), Conflict> {
        if self.metrics.idle_expiry < self.tick {
            return Err(Conflict::new(
                "metrics.idle_expiry",
                format!(
                    "`{}` is shorter than `tick: {}`; every series would expire between two ticks",
                    typed(self.metrics.idle_expiry),
                    typed(self.tick)
                ),
            ));
        }
        Ok(())
    }

    fn labels_are_known(&self, known: Known<'_>) -> Result<(), Conflict> {
        for (metric, labels) in &self.metrics.labels {
            let Some((_, allowed)) = known.iter().find(|(name, _)| name == metric) else {
                let names = known.iter().map(|(name, _)| *name);
                return Err(Conflict::new(
                    "metrics.labels",
                    format!(
                        "unknown metric `{metric}`, {}",
                        nearest::hint(metric, names)
                    ),
                ));
            };
            if let Some(label) = labels.iter().find(|label| !allowed.contains(&&***label)) {
                return Err(Conflict::new(
                    "metrics.labels",
                    format!(
                        "metric `{metric}` has no label `{label}`, {}",
                        nearest::hint(label, allowed.iter().copied())
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn paths(words: Option<Words>) -> Vec<PathBuf> {
    let words = words.unwrap_or_default().0;
    words.into_iter().map(PathBuf::from).collect()
}

fn by_name<T, U>(rows: Option<ByName<T>>, value: impl Fn(T) -> U) -> BTreeMap<String, U> {
    let rows = rows.unwrap_or_default().0.into_iter();
    rows.map(|(name, term)| (name, value(term))).collect()
}

/// Values that are right each by itself and wrong together.
struct Conflict {
    /// The key to change.
    key: &'static str,
    what: String,
}

impl Conflict {
    const fn new(key: &'static str, what: String) -> Self {
        Self { key, what }
    }
}

/// Why there is no configuration: where, and what. One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: Place,
    what: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// From 1.
    FileAt(PathBuf, usize, usize),
    FileKey(PathBuf, &'static str),
    Environment(String),
    Flag(&'static str),
    Default(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "config `{}`", path.display()),
            Place::FileAt(path, line, column) => {
                write!(
                    f,
                    "config `{}`, line {line}, column {column}",
                    path.display()
                )
            }
            Place::FileKey(path, key) => write!(f, "config `{}`, `{key}`", path.display()),
            Place::Environment(name) => write!(f, "environment `{name}`"),
            Place::Flag(name) => write!(f, "flag `{name}`"),
            Place::Default(key) => write!(f, "`{key}`"),
        }?;
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ConfigError {}
