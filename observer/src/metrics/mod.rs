//! What the agent tells Prometheus: the latest snapshot under declared names, over HTTP. Knows no flow, no probe and
//! no clock; every number is read where it was counted, and becomes a float only in the text.

mod collector;
mod declare;
mod process;
pub mod server;

#[cfg(test)]
mod manual;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::{BalanceReport, Snapshot},
    model::kernel::ProgramRunTime,
};
use prometheus::{Registry, TextEncoder};

use self::{collector::SnapshotCollector, process::ProcessCollector};

/// The latest readings, between the agent, which publishes, and the server, which serves. Clones share them.
#[derive(Clone)]
pub struct Shared {
    latest: Latest,
    reloads: Reloads,
    registry: Registry,
}

/// What does not change while the agent runs.
#[derive(Clone, Debug, Default)]
pub struct BuildInfo {
    pub version: String,
    pub catalog_version: Option<String>,
}

/// Readings of one tick.
#[derive(Debug, Default)]
struct Published {
    snapshot: Snapshot,
    run_times: Vec<ProgramRunTime>,
}

/// `None` until the first tick is over.
type Latest = Arc<Mutex<Option<Arc<Published>>>>;

/// Whether the last reading of each file was taken. As many as the agent was started with.
type Reloads = Arc<Mutex<BTreeMap<String, bool>>>;

/// Metrics whose labels an operator may choose, with all that each has.
pub fn known_labels() -> Vec<(&'static str, &'static [&'static str])> {
    declare::OF_SNAPSHOT
        .iter()
        .filter(|metric| !metric.labels.is_empty())
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
        let snapshot = SnapshotCollector::new(build, Arc::clone(&latest), Arc::clone(&reloads))?;
        registry
            .register(Box::new(snapshot))
            .context("register the agent's metrics")?;
        registry
            .register(Box::new(ProcessCollector::new()?))
            .context("register the metrics of the process")?;
        Ok(Self {
            latest,
            reloads,
            registry,
        })
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
    pub fn publish(&self, snapshot: Snapshot, run_times: Vec<ProgramRunTime>) {
        let published = Published {
            snapshot,
            run_times,
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(published));
    }

    /// Everything in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// Where a family cannot be written in that format.
    fn text(&self) -> Result<String> {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
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

fn published(latest: &Latest) -> Option<Arc<Published>> {
    latest
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}
