//! The latest snapshot as metric families. Adds nothing up that the snapshot holds apart, except series that would
//! have the same labels; integers become floats here.

use std::{collections::BTreeMap, sync::PoisonError};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::{Histogram, MetricSeries, SeriesValue, Snapshot},
    model::{
        identity::Word,
        kernel::ProgramRunTime,
        names::{BlindReason, Fault, TypedWhere, UNKNOWN, UnpricedReason},
    },
};
use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    Build, ExemptionEnd, FaultState, Latest, Published, Reloads,
    declare::{
        BALANCE_BYTES, BLIND_BYTES, BPF_RUN_SECONDS, BUILD_INFO, DEGRADED, EVENTS_LOST,
        EXEMPTION_END, FAULTS, INTERFACE_BYTES, Kind, Metric, OF_SNAPSHOT, RELOAD_SUCCESS,
        REMAINDER_BYTES, REQUESTS_TYPED, SERIES_EXPIRED, SERIES_OVERFLOW, UNPRICED_BYTES, declared,
    },
    published,
};

/// Label value of remainders whose packets crossed no uplink.
const NO_DEVICE: &str = "none";

/// Serves whatever was published last.
pub struct SnapshotCollector {
    build: Build,
    latest: Latest,
    reloads: Reloads,
    descs: Vec<Desc>,
}

impl SnapshotCollector {
    /// # Errors
    /// Where a declared name is none that Prometheus takes.
    pub fn new(build: Build, latest: Latest, reloads: Reloads) -> Result<Self> {
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
        let mut families = vec![
            self.build_info(),
            self.exemption_ends(),
            self.reload_success(),
        ];
        if let Some(published) = published(&self.latest) {
            let Published {
                snapshot,
                run_times,
                faults,
            } = &*published;
            families.extend(of_snapshot(snapshot));
            families.extend(of_faults(faults));
            families.push(bpf_run_seconds(run_times));
        }
        families
    }
}

impl SnapshotCollector {
    fn build_info(&self) -> proto::MetricFamily {
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = Family::new(BUILD_INFO);
        let catalog_version = build.catalog_version.as_deref().unwrap_or(UNKNOWN);
        family.add(&[&build.version, catalog_version], 1.0);
        family.finish()
    }

    fn exemption_ends(&self) -> proto::MetricFamily {
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = Family::new(EXEMPTION_END);
        for ExemptionEnd {
            contract,
            rule,
            end,
        } in &build.exemptions
        {
            family.add(&[contract, rule], end.0 as f64 / 1e6);
        }
        family.finish()
    }

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
        let pairs = self
            .metric
            .labels
            .iter()
            .copied()
            .zip(labels.iter().copied());
        let mut series = labelled(pairs);
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
            Kind::Histogram => debug_assert!(false, "a histogram is no single value"),
        }
        self.series.push(series);
    }

    /// A metric that is summed over records, by the labels that it keeps.
    fn summed(series: &MetricSeries) -> Self {
        let mut family = Self::new(declared(series.metric));
        for (labels, value) in &series.rows {
            let names = series.labels.iter().map(|label| label.word());
            let mut row = labelled(names.zip(labels.iter().map(Word::as_str)));
            match value {
                SeriesValue::Count(count) => {
                    let mut counter = proto::Counter::default();
                    counter.set_value(*count as f64);
                    row.set_counter(counter);
                }
                SeriesValue::Cost(cost) => {
                    let mut counter = proto::Counter::default();
                    counter.set_value(cost.to_f64());
                    row.set_counter(counter);
                }
                SeriesValue::Times(times) => {
                    row.set_histogram(histogram(times, family.metric.buckets_us));
                }
            }
            family.series.push(row);
        }
        family
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

fn labelled<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> proto::Metric {
    let pairs = pairs.map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    proto::Metric::from_label(pairs.collect())
}

fn histogram(times: &Histogram, bounds_us: &[u32]) -> proto::Histogram {
    let mut below = 0_u64;
    let buckets = bounds_us.iter().zip(times.buckets).map(|(us, count)| {
        below = below.saturating_add(count);
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(f64::from(*us) / 1e6);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(times.count());
    histogram.set_sample_sum(times.sum_us as f64 / 1e6);
    histogram
}

fn of_snapshot(snapshot: &Snapshot) -> Vec<proto::MetricFamily> {
    let summed = snapshot.series.metrics.iter().map(Family::summed);
    let mut families: Vec<_> = summed.map(Family::finish).collect();
    families.extend([
        remainders(snapshot),
        balances(snapshot),
        interfaces(snapshot),
        losses(snapshot),
        blind(snapshot),
        unpriced(snapshot),
        requests_typed(snapshot),
        single(SERIES_OVERFLOW, snapshot.series.overflowed as f64),
        single(SERIES_EXPIRED, snapshot.series.expired as f64),
    ]);
    families
}

/// A metric without labels.
pub fn single(metric: Metric, value: f64) -> proto::MetricFamily {
    let mut family = Family::new(metric);
    family.add(&[], value);
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

fn blind(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(BLIND_BYTES);
    for (reason, bytes) in BlindReason::ALL.iter().zip(snapshot.series.blind_bytes) {
        family.add(&[reason.word()], bytes as f64);
    }
    family.finish()
}

fn unpriced(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(UNPRICED_BYTES);
    for (reason, bytes) in UnpricedReason::ALL
        .iter()
        .zip(snapshot.series.unpriced_bytes)
    {
        family.add(&[reason.word()], bytes as f64);
    }
    family.finish()
}

fn requests_typed(snapshot: &Snapshot) -> proto::MetricFamily {
    let mut family = Family::new(REQUESTS_TYPED);
    for (place, requests) in TypedWhere::ALL.iter().zip(snapshot.requests_typed) {
        family.add(&[place.word()], requests as f64);
    }
    family.finish()
}

fn of_faults(faults: &FaultState) -> [proto::MetricFamily; 2] {
    let mut counts = Family::new(FAULTS);
    for (fault, mending, count) in &faults.counts {
        counts.add(&[fault.word(), mending.word()], *count as f64);
    }
    let mut degraded = Family::new(DEGRADED);
    for fault in Fault::ALL {
        let value = f64::from(u8::from(faults.degraded.contains(fault)));
        degraded.add(&[fault.word()], value);
    }
    [counts.finish(), degraded.finish()]
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

#[cfg(test)]
pub mod tests;
