//! What the agent tells Prometheus: the latest snapshot under declared names, over HTTP. Knows no flow, no probe and
//! no wall clock; every number is read where it was counted, and becomes a float only in the text.

mod access;
mod collector;
mod declare;
mod place;
mod process;
mod readiness;
pub mod server;
mod web;

#[cfg(test)]
mod manual;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::{BalanceReport, HISTOGRAM_SERIES, Snapshot},
    model::{
        kernel::ProgramRunTime,
        names::{Fault, Mending, SeriesMetric},
        record::SourcePlace,
        time::UnixUs,
    },
};
use prometheus::{
    Registry, TextEncoder,
    proto::{MetricFamily, MetricType},
};

use tokio::time::Instant;

use self::{
    collector::SnapshotCollector, place::PlaceCollector, process::ProcessCollector,
    readiness::Watch,
};

pub use self::{
    readiness::Readiness,
    web::{Web, WebConfig},
};

/// The latest readings, between the agent, which publishes, and the server, which serves. Clones share them.
#[derive(Clone)]
pub struct Shared {
    build: Build,
    latest: Latest,
    reloads: Reloads,
    source: Arc<Mutex<SourcePlace>>,
    registry: Registry,
    watch: Arc<Mutex<Watch>>,
}

/// Versions of the agent and of the catalogue in force.
#[derive(Clone, Debug, Default)]
pub struct BuildInfo {
    pub version: String,
    pub catalog_version: Option<String>,
    /// What the contracts in force except for a time.
    pub exemptions: Vec<ExemptionEnd>,
}

/// When an exemption lapses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptionEnd {
    pub contract: String,
    pub rule: String,
    pub end: UnixUs,
}

/// Readings of one tick.
#[derive(Debug, Default)]
struct Published {
    snapshot: Snapshot,
    run_times: Vec<ProgramRunTime>,
    faults: FaultState,
}

/// What went wrong around the agent, and what of it lasts.
#[derive(Clone, Debug, Default)]
pub struct FaultState {
    pub counts: Vec<(Fault, Mending, u64)>,
    pub degraded: Vec<Fault>,
}

type Build = Arc<Mutex<BuildInfo>>;

/// `None` until the first tick is over.
type Latest = Arc<Mutex<Option<Arc<Published>>>>;

/// Whether the last reading of each file was taken. As many as the agent was started with.
type Reloads = Arc<Mutex<BTreeMap<String, bool>>>;

/// Metrics whose labels an operator may choose, with all that each has.
pub fn known_labels() -> Vec<(&'static str, &'static [&'static str])> {
    SeriesMetric::ALL
        .iter()
        .map(|metric| declare::declared(*metric))
        .map(|metric| (metric.name, metric.labels))
        .collect()
}

impl Shared {
    /// Nothing published yet.
    ///
    /// # Errors
    /// Where a declared name is none that Prometheus takes.
    pub fn new(build: BuildInfo) -> Result<Self> {
        let latest = Latest::default();
        let registry = Registry::new();
        let reloads = Reloads::default();
        let build = Arc::new(Mutex::new(build));
        let snapshot = SnapshotCollector::new(
            Arc::clone(&build),
            Arc::clone(&latest),
            Arc::clone(&reloads),
        )?;
        registry
            .register(Box::new(snapshot))
            .context("register the agent's metrics")?;
        let source = Arc::default();
        registry
            .register(Box::new(PlaceCollector::new(Arc::clone(&source))?))
            .context("register the metric of the place")?;
        registry
            .register(Box::new(ProcessCollector::new()?))
            .context("register the metrics of the process")?;
        Ok(Self {
            build,
            latest,
            reloads,
            source,
            registry,
            watch: Arc::new(Mutex::new(Watch::new())),
        })
    }

    /// Says which versions are in force from now on.
    pub fn build(&self, build: BuildInfo) {
        *self.build.lock().unwrap_or_else(PoisonError::into_inner) = build;
    }

    /// Says whether the last reading of `file` was taken.
    pub fn publish_reload(&self, file: &str, success: bool) {
        self.reloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file.to_owned(), success);
    }

    /// Makes the readings of one tick the ones that are served. Programs that the kernel takes no time of stay out of
    /// `run_times`.
    pub fn publish(&self, snapshot: Snapshot, run_times: Vec<ProgramRunTime>, faults: FaultState) {
        let published = Published {
            snapshot,
            run_times,
            faults,
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(published));
    }

    /// Says where the host stands from now on.
    pub fn stand(&self, source: SourcePlace) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// Says what the agent found when it started.
    pub fn started(&self, readiness: Readiness) {
        self.watch().readiness = Some(readiness);
    }

    /// Says that a tick is over.
    pub fn ticked(&self, at: Instant) {
        self.watch().last_tick = Some(at);
    }

    fn stuck(&self, now: Instant) -> Option<String> {
        self.watch().stuck(now)
    }

    fn missing(&self, now: Instant) -> Vec<String> {
        self.watch().missing(now)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// Where a family cannot be written in that format.
    fn text(&self) -> Result<String> {
        let mut families = self.registry.gather();
        let exposed: usize = families.iter().map(exposed).sum();
        // Itself is one too.
        let own = collector::single(declare::SERIES, (exposed + 1) as f64);
        let place = families.partition_point(|family| family.name() < own.name());
        families.insert(place, own);
        TextEncoder::new()
            .encode_to_string(&families)
            .context("write the metrics as text")
    }

    /// The accounts as a JSON array of [`BalanceReport`]; `None` before the first tick.
    ///
    /// # Errors
    /// Where they cannot be written as JSON.
    fn coverage(&self) -> Result<Option<String>> {
        let Some(published) = published(&self.latest) else {
            return Ok(None);
        };
        let balances: &[BalanceReport] = &published.snapshot.balances;
        serde_json::to_string(balances)
            .map(Some)
            .context("write the accounts as JSON")
    }
}

/// Series of a family as Prometheus counts them: each line of the text.
fn exposed(family: &MetricFamily) -> usize {
    let lines = match family.get_field_type() {
        MetricType::HISTOGRAM => HISTOGRAM_SERIES,
        MetricType::COUNTER | MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => 1,
    };
    family.get_metric().len() * lines
}

fn published(latest: &Latest) -> Option<Arc<Published>> {
    latest
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}
