//! The latest snapshot as metric families. Adds nothing up that the snapshot holds apart, except series that would
//! have the same labels.

use std::{collections::BTreeMap, sync::PoisonError};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::{DestinationLabels, DestinationTotals, Snapshot},
    model::{counters::Counters, kernel::ProgramRunTime, names::Direction, names::UNKNOWN},
};
use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    BuildInfo, Latest, Published, Reloads,
    declare::{
        BALANCE_BYTES, BPF_RUN_SECONDS, BUILD_INFO, EVENTS_LOST, FLOWS, INTERFACE_BYTES, Kind,
        Metric, OF_SNAPSHOT, PACKETS, PAYLOAD_BYTES, RELOAD_SUCCESS, REMAINDER_BYTES,
        RETRANSMITTED_BYTES, WIRE_BYTES,
    },
    published,
};

/// Label value of remainders whose packets crossed no uplink.
const NO_DEVICE: &str = "none";

/// Serves whatever was published last.
pub struct SnapshotCollector {
    build: BuildInfo,
    latest: Latest,
    reloads: Reloads,
    descs: Vec<Desc>,
}

impl SnapshotCollector {
    /// # Errors
    /// Where a declared name is none that Prometheus takes.
    pub fn new(build: BuildInfo, latest: Latest, reloads: Reloads) -> Result<Self> {
        Ok(Self {
            build,
            latest,
            reloads,
            descs: descs(OF_SNAPSHOT)?,
        })
    }
}

impl Collector for SnapshotCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut families = vec![build_info(&self.build), self.reload_success()];
        if let Some(published) = published(&self.latest) {
            let Published {
                snapshot,
                run_times,
            } = &*published;
            families.extend(of_snapshot(snapshot));
            families.push(bpf_run_seconds(run_times));
        }
        families
    }
}

impl SnapshotCollector {
    fn reload_success(&self) -> proto::MetricFamily {
        let mut family = Family::new(RELOAD_SUCCESS);
        let reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, success) in &*reloads {
            family.add(&[file], f64::from(u8::from(*success)));
        }
        family.finish()
    }
}

/// The declarations as the registry wants them.
///
/// # Errors
/// Where a declared name is none that Prometheus takes.
pub fn descs(metrics: &[Metric]) -> Result<Vec<Desc>> {
    metrics
        .iter()
        .map(|metric| {
            metric
                .desc()
                .with_context(|| format!("declare metric `{}`", metric.name))
        })
        .collect()
}

/// One metric with its values.
pub struct Family {
    metric: Metric,
    series: Vec<proto::Metric>,
}

impl Family {
    pub const fn new(metric: Metric) -> Self {
        Self {
            metric,
            series: Vec::new(),
        }
    }

    /// Adds one series; `labels` are values in the order of declaration.
    pub fn add(&mut self, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), self.metric.labels.len());
        let pairs = self.metric.labels.iter().zip(labels).map(|(name, label)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*label).to_owned());
            pair
        });
        let mut series = proto::Metric::from_label(pairs.collect());
        match self.metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
            }
        }
        self.series.push(series);
    }

    pub fn finish(self) -> proto::MetricFamily {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.metric.name.to_owned());
        family.set_help(self.metric.help.to_owned());
        family.set_field_type(self.metric.kind.proto());
        family.set_metric(self.series);
        family
    }
}

fn of_snapshot(snapshot: &Snapshot) -> [proto::MetricFamily; 9] {
    let totals = &snapshot.destinations;
    [
        by_destination(WIRE_BYTES, totals, |counters| counters.wire_bytes),
        by_destination(PAYLOAD_BYTES, totals, |counters| counters.payload_bytes),
        retransmitted(totals),
        by_destination(PACKETS, totals, |counters| counters.packets),
        flows(snapshot),
        remainders(snapshot),
        balances(snapshot),
        interfaces(snapshot),
        losses(snapshot),
    ]
}

fn by_destination(
    metric: Metric,
    totals: &[DestinationTotals],
    counted: impl Fn(&Counters) -> [u64; 2],
) -> proto::MetricFamily {
    let mut family = Family::new(metric);
    for total in totals {
        for direction in Direction::BOTH {
            let value = direction.of(counted(&total.counters));
            family.add(&byte_labels(direction, &total.labels), value as f64);
        }
    }
    family.finish()
}

fn retransmitted(totals: &[DestinationTotals]) -> proto::MetricFamily {
    let mut family = Family::new(RETRANSMITTED_BYTES);
    for total in totals {
        let labels = byte_labels(Direction::Egress, &total.labels);
        family.add(&labels, total.counters.retransmitted_wire_bytes as f64);
    }
    family.finish()
}

fn flows(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(FLOWS);
    for ended in &snapshot.flows_ended {
        let mut labels = destination(&ended.labels).to_vec();
        labels.push(ended.outcome.word());
        family.add(&labels, ended.flows as f64);
    }
    family.finish()
}

fn remainders(snapshot: &Snapshot) -> proto::MetricFamily {
    // Packets of an uplink that is gone have no device either.
    let mut sums: BTreeMap<[&str; 4], u64> = BTreeMap::new();
    for remainder in &snapshot.remainders {
        let labels = [
            remainder.device.as_deref().unwrap_or(NO_DEVICE),
            remainder.direction.word(),
            remainder.reason.word(),
            remainder.cloud.as_deref().unwrap_or(UNKNOWN),
        ];
        let sum = sums.entry(labels).or_default();
        *sum = sum.saturating_add(remainder.bytes);
    }
    let mut family = Family::new(REMAINDER_BYTES);
    for (labels, bytes) in sums {
        family.add(&labels, bytes as f64);
    }
    family.finish()
}

fn balances(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(BALANCE_BYTES);
    for report in &snapshot.balances {
        let labels = [
            &*report.device,
            report.direction.word(),
            report.measure.word(),
        ];
        family.add(&labels, report.balance_bytes as f64);
    }
    family.finish()
}

fn interfaces(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(INTERFACE_BYTES);
    for total in &snapshot.interfaces {
        family.add(&[&total.device, total.direction.word()], total.bytes as f64);
    }
    family.finish()
}

fn losses(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(EVENTS_LOST);
    for (place, lost) in &snapshot.losses {
        family.add(&[place.word()], *lost as f64);
    }
    family.finish()
}

fn bpf_run_seconds(run_times: &[ProgramRunTime]) -> proto::MetricFamily {
    // One program may be loaded more than once.
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for run_time in run_times {
        *sums.entry(&run_time.program).or_default() += run_time.run_seconds;
    }
    let mut family = Family::new(BPF_RUN_SECONDS);
    for (program, seconds) in sums {
        family.add(&[program], seconds);
    }
    family.finish()
}

fn build_info(build: &BuildInfo) -> proto::MetricFamily {
    let mut family = Family::new(BUILD_INFO);
    let catalog_version = build.catalog_version.as_deref().unwrap_or(UNKNOWN);
    family.add(&[&build.version, catalog_version], 1.0);
    family.finish()
}

/// Values of the labels of the byte metrics.
fn byte_labels(direction: Direction, labels: &DestinationLabels) -> [&str; 10] {
    let mut values = [direction.word(); 10];
    values[1..].copy_from_slice(&destination(labels));
    values
}

/// Values of the labels of a destination. Of the last four nothing is known in this version: no stage reads API state,
/// path or workload.
fn destination(labels: &DestinationLabels) -> [&str; 9] {
    let DestinationLabels {
        cloud,
        region,
        provider,
        vendor,
        service,
    } = labels;
    let [cloud, region, provider, vendor, service] =
        [cloud, region, provider, vendor, service].map(|word| word.as_deref().unwrap_or(UNKNOWN));
    [
        cloud, region, provider, vendor, service, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
    ]
}

#[cfg(test)]
pub mod tests;
