//! What Prometheus is told about flows: sums over their records by label set, in a bounded number of series. Every record
//! is added once; what finds no room is under `other`, so that sums over all series are the sums of the records, less what
//! expired. Knows no text format and no clock.

mod histogram;
mod limits;
mod scratch;
mod settings;
mod table;

use std::sync::Arc;

pub use histogram::{BUCKETS_US, HISTOGRAM_SERIES, Histogram};
pub use limits::{CLOUDS_MAX, LABEL_BYTES_MAX, OWN_SERIES_MAX};
pub use scratch::{Recorded, SCRATCH_MAX};
pub use settings::{
    IDLE_EXPIRY, IDLE_EXPIRY_LEAST, LabelChoice, SERIES_MAX, SERIES_MAX_LEAST, SeriesSettings,
    SettingsError,
};
pub use table::SeriesValue;

use self::{
    limits::Limits,
    scratch::{Scratch, TIMES, Tally},
    table::{Delta, Source, Table},
};
use crate::model::{
    counters::Counters,
    identity::Word,
    names::{BlindReason, Direction, Label, Outcome, SeriesMetric, UnpricedReason},
};

/// All sums of one agent since its start.
#[derive(Debug)]
pub struct Series {
    scratch: Scratch,
    tables: Vec<Table>,
    limits: Limits,
    idle_ns: u64,
    expired: u64,
    blind: [u64; BlindReason::ALL.len()],
    unpriced: [u64; UnpricedReason::ALL.len()],
}

/// All series at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesSnapshot {
    pub metrics: Vec<MetricSeries>,
    /// Updates that went to `other`: one a label set and fold.
    pub overflowed: u64,
    /// Series that expired.
    pub expired: u64,
    /// Wire bytes of both directions of flows in which something could not be seen, by the reason, in the order of [`BlindReason::ALL`].
    pub blind_bytes: [u64; BlindReason::ALL.len()],
    /// Wire bytes that were sent over an uplink and have no price, or not all of it, by the reason, in the order of
    /// [`UnpricedReason::ALL`].
    pub unpriced_bytes: [u64; UnpricedReason::ALL.len()],
}

/// The series of one metric, in no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSeries {
    pub metric: SeriesMetric,
    pub labels: Arc<[Label]>,
    /// Label values in the order of `labels`, and what was counted.
    pub rows: Vec<(Arc<[Word]>, SeriesValue)>,
}

impl Series {
    #[must_use]
    pub fn new(settings: &SeriesSettings) -> Self {
        let SeriesSettings {
            series_max,
            idle_expiry,
            labels,
            ..
        } = settings;
        let mut tables: Vec<Table> = Vec::new();
        for metric in settings.metrics() {
            let kept = labels.of(metric);
            match tables.iter_mut().find(|table| *table.labels == *kept) {
                Some(table) => table.metrics.push(metric),
                None => tables.push(Table::new(kept, metric)),
            }
        }
        let kept = settings.metrics().map(|metric| (metric, labels.of(metric)));
        Self {
            scratch: Scratch::default(),
            tables,
            limits: Limits::new(*series_max, kept),
            idle_ns: u64::try_from(idle_expiry.as_nanos()).unwrap_or(u64::MAX),
            expired: 0,
            blind: [0; BlindReason::ALL.len()],
            unpriced: [0; UnpricedReason::ALL.len()],
        }
    }

    /// Adds one record.
    pub fn record(&mut self, recorded: &Recorded<'_>, now_ns: u64) {
        if let Some((reason, bytes)) = recorded
            .cost
            .and_then(|plan| plan.unpriced_bytes(recorded.counters))
            && let Some(sum) = self.unpriced.get_mut(reason as usize)
        {
            *sum = sum.saturating_add(bytes);
        }
        if self.scratch.add(recorded) {
            self.fold(now_ns);
        }
    }

    /// Ends a tick: brings what was recorded under its labels, and forgets series that are idle.
    pub fn end_tick(&mut self, now_ns: u64) {
        self.fold(now_ns);
        for table in &mut self.tables {
            let expired = table.expire(now_ns, self.idle_ns, &mut self.limits);
            self.expired = self.expired.saturating_add(expired);
        }
    }

    /// Everything up to the last [`Series::end_tick`].
    #[must_use]
    pub fn snapshot(&self) -> SeriesSnapshot {
        let of = |table: &Table, metric| MetricSeries {
            metric,
            labels: Arc::clone(&table.labels),
            rows: table
                .series(metric)
                .map(|(labels, value)| (Arc::clone(labels), value.clone()))
                .collect(),
        };
        let metrics = self
            .tables
            .iter()
            .flat_map(|table| table.metrics.iter().map(move |metric| of(table, *metric)));
        SeriesSnapshot {
            metrics: metrics.collect(),
            overflowed: self.limits.overflowed,
            expired: self.expired,
            blind_bytes: self.blind,
            unpriced_bytes: self.unpriced,
        }
    }

    fn fold(&mut self, now_ns: u64) {
        let Self {
            scratch,
            tables,
            limits,
            blind,
            ..
        } = self;
        for tally in scratch.drain() {
            if let Some(reason) = tally.identity.blind_reason {
                let bytes = tally.counters.wire_bytes.iter();
                let sum = &mut blind[reason as usize];
                *sum = bytes.fold(*sum, |sum, bytes| sum.saturating_add(*bytes));
            }
            fold_bytes(&tally, tables, limits, now_ns);
            fold_flows(&tally, tables, limits, now_ns);
            fold_requests(&tally, tables, limits, now_ns);
            fold_times(&tally, tables, limits, now_ns);
            fold_cost(&tally, tables, limits, now_ns);
            fold_pods(&tally, tables, limits, now_ns);
            fold_verdicts(&tally, tables, limits, now_ns);
        }
    }
}

/// All counters of a direction that counted something; those at 0 have series too, so that their first increase is seen.
fn fold_bytes(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    let Counters {
        wire_bytes,
        payload_bytes,
        packets,
        retransmitted_wire_bytes,
        ..
    } = tally.counters;
    for direction in Direction::BOTH {
        let all = [
            (SeriesMetric::WireBytes, direction.of(wire_bytes)),
            (SeriesMetric::PayloadBytes, direction.of(payload_bytes)),
            (SeriesMetric::Packets, direction.of(packets)),
            (SeriesMetric::RetransmittedBytes, retransmitted_wire_bytes),
        ]
        .map(|(metric, count)| (metric, Delta::Count(count)));
        // What a remote sends again cannot be told here.
        let (deltas, _) = all.split_at(direction.of([4, 3]));
        if deltas
            .iter()
            .any(|(_, delta)| !matches!(delta, Delta::Count(0)))
        {
            let source = tally.source(Some(direction), None);
            for table in &mut *tables {
                table.add(&source, deltas, limits, now_ns);
            }
        }
    }
}

fn fold_flows(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    for (outcome, flows) in Outcome::ALL.iter().zip(tally.flows) {
        if flows > 0 {
            let source = tally.source(None, Some(*outcome));
            let delta = [(SeriesMetric::Flows, Delta::Count(flows))];
            for table in &mut *tables {
                table.add(&source, &delta, limits, now_ns);
            }
        }
    }
}

fn fold_requests(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    if tally.requests > 0 {
        let delta = [(SeriesMetric::Requests, Delta::Count(tally.requests))];
        for table in tables {
            table.add(&tally.source(None, None), &delta, limits, now_ns);
        }
    }
}

fn fold_times(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    for (metric, times) in TIMES.iter().zip(&tally.times) {
        if let Some(times) = times {
            let delta = [(*metric, Delta::Times(times))];
            for table in &mut *tables {
                table.add(&tally.source(None, None), &delta, limits, now_ns);
            }
        }
    }
}

/// A direction that counted something has a series, if only of 0: a gateway's first byte is seen as an increase.
fn fold_cost(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    let Some((currency, costs)) = &tally.cost else {
        return;
    };
    for direction in Direction::BOTH {
        if direction.of(tally.counters.wire_bytes) == 0 {
            continue;
        }
        let source = Source {
            currency: Some(currency),
            ..tally.source(Some(direction), None)
        };
        let delta = [(
            SeriesMetric::EgressCostEstimate,
            Delta::Cost(direction.of(*costs)),
        )];
        for table in &mut *tables {
            table.add(&source, &delta, limits, now_ns);
        }
    }
}

/// What pods send, by the words of OpenCost.
fn fold_pods(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    let sent = Direction::Egress.of(tally.counters.wire_bytes);
    if sent > 0 {
        let delta = [(SeriesMetric::PodNetworkEgress, Delta::Count(sent))];
        for table in tables {
            table.add(&tally.source(None, None), &delta, limits, now_ns);
        }
    }
}

/// What each rule said of these bytes and of the flows that ended.
fn fold_verdicts(tally: &Tally, tables: &mut [Table], limits: &mut Limits, now_ns: u64) {
    let flows = tally
        .flows
        .iter()
        .fold(0_u64, |sum, more| sum.saturating_add(*more));
    for judgement in tally.verdicts.iter().flat_map(|verdicts| &**verdicts) {
        let source = |direction| Source {
            judgement: Some(judgement),
            ..tally.source(direction, None)
        };
        for direction in Direction::BOTH {
            let bytes = direction.of(tally.counters.wire_bytes);
            if bytes > 0 {
                let delta = [(SeriesMetric::ContractBytes, Delta::Count(bytes))];
                for table in &mut *tables {
                    table.add(&source(Some(direction)), &delta, limits, now_ns);
                }
            }
        }
        if flows > 0 {
            let delta = [(SeriesMetric::ContractFlows, Delta::Count(flows))];
            for table in &mut *tables {
                table.add(&source(None), &delta, limits, now_ns);
            }
        }
    }
}

impl Tally {
    fn source(&self, direction: Option<Direction>, outcome: Option<Outcome>) -> Source<'_> {
        Source {
            identity: &self.identity,
            workload: &self.workload,
            direction,
            outcome,
            currency: None,
            judgement: None,
        }
    }
}
