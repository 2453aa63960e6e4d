//! The label sets of the metrics that keep the same labels, and what each has counted. A set that finds no room is counted
//! under `other`, of which the room is reserved: nothing that is added is lost but by expiry.

use std::{collections::HashMap, sync::Arc};

use super::{
    histogram::Histogram,
    limits::{LABEL_BYTES_MAX, Limits, Words, series},
};
use crate::model::{
    identity::{Identity, Word},
    money::Money,
    names::{Direction, Label, Outcome, PathKind, SeriesMetric},
    verdict::Judgement,
    workload::Workload,
};

/// One table.
#[derive(Debug)]
pub struct Table {
    pub labels: Arc<[Label]>,
    pub metrics: Vec<SeriesMetric>,
    rows: HashMap<Arc<[Word]>, Row>,
    /// The set that is being looked up; kept for its room.
    key: Vec<Word>,
}

/// What label values are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub identity: &'a Identity,
    pub workload: &'a Workload,
    pub direction: Option<Direction>,
    pub outcome: Option<Outcome>,
    pub currency: Option<&'a Word>,
    pub judgement: Option<&'a Judgement>,
}

/// What is added to one metric.
#[derive(Clone, Copy, Debug)]
pub enum Delta<'a> {
    Count(u64),
    Cost(Money),
    Times(&'a Histogram),
}

/// What one series has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeriesValue {
    Count(u64),
    Cost(Money),
    Times(Box<Histogram>),
}

#[derive(Debug)]
struct Row {
    /// By metric of the table; `None` where nothing was added yet and no room is taken.
    cells: Box<[Option<SeriesValue>]>,
    /// Series that were claimed; the reserved ones were not.
    claimed: usize,
    /// Holds what found no room, and stays.
    is_other: bool,
    changed_ns: u64,
}

impl Table {
    pub fn new(labels: &[Label], metric: SeriesMetric) -> Self {
        Self {
            labels: labels.into(),
            metrics: vec![metric],
            rows: HashMap::new(),
            key: Vec::new(),
        }
    }

    /// Adds to one label set what of `deltas` is this table's. All series that the set still lacks find room together, or
    /// what is for them goes to `other`.
    pub fn add(
        &mut self,
        source: &Source<'_>,
        deltas: &[(SeriesMetric, Delta<'_>)],
        limits: &mut Limits,
        now_ns: u64,
    ) {
        let is_ours = |(metric, _): &&(SeriesMetric, _)| self.metrics.contains(metric);
        if !deltas.iter().any(|delta| is_ours(&delta)) {
            return;
        }
        self.key.clear();
        let words = self
            .labels
            .iter()
            .map(|label| source.word(*label, &limits.words));
        self.key.extend(words);
        let row = self.rows.get_mut(&*self.key);
        let lacking = deltas.iter().filter(is_ours).filter(|(metric, _)| {
            row.as_ref()
                .is_none_or(|row| !row.has(&self.metrics, *metric))
        });
        let missing = lacking.map(|(metric, _)| series(*metric)).sum();
        if missing == 0 || limits.claim(missing) {
            let row = match row {
                Some(row) => row,
                None => row_of(&mut self.rows, &self.key, self.metrics.len()),
            };
            row.add(&self.metrics, deltas, |_| true);
            row.claimed += missing;
            row.changed_ns = now_ns;
            return;
        }
        self.overflow(deltas, limits, now_ns);
    }

    /// Adds what the set has series for to them, and the rest to `other`.
    fn overflow(&mut self, deltas: &[(SeriesMetric, Delta<'_>)], limits: &mut Limits, now_ns: u64) {
        let mut has = [false; SeriesMetric::ALL.len()];
        if let Some(row) = self.rows.get_mut(&*self.key) {
            for metric in &self.metrics {
                has[*metric as usize] = row.has(&self.metrics, *metric);
            }
            row.add(&self.metrics, deltas, |metric| has[metric as usize]);
            row.changed_ns = now_ns;
        }
        let mut renamed = false;
        for (label, word) in self.labels.iter().zip(&mut self.key) {
            let other = match label {
                Label::Direction | Label::Outcome | Label::Currency | Label::Verdict => continue,
                Label::Cloud => limits.cloud(word.clone()),
                Label::Contract
                | Label::Rule
                | Label::Severity
                | Label::Region
                | Label::Provider
                | Label::Vendor
                | Label::Service
                | Label::ApiFamily
                | Label::ApiState
                | Label::PathKind
                | Label::Namespace
                | Label::Workload
                | Label::PodName
                | Label::Internet
                | Label::SameZone
                | Label::SameRegion => limits.words.other.clone(),
            };
            renamed |= *word != other;
            *word = other;
        }
        let row = row_of(&mut self.rows, &self.key, self.metrics.len());
        row.is_other = true;
        row.add(&self.metrics, deltas, |metric| !has[metric as usize]);
        row.changed_ns = now_ns;
        limits.overflowed = limits.overflowed.saturating_add(renamed.into());
    }

    /// Removes sets that have not changed for longer than `idle_ns`; returns how many series they had.
    pub fn expire(&mut self, now_ns: u64, idle_ns: u64, limits: &mut Limits) -> u64 {
        let mut expired = 0;
        self.rows.retain(|_, row| {
            let stays = row.is_other || now_ns.saturating_sub(row.changed_ns) <= idle_ns;
            if !stays {
                limits.release(row.claimed);
                expired += row.claimed as u64;
            }
            stays
        });
        expired
    }

    /// Label sets and values of one metric of the table.
    pub fn series(
        &self,
        metric: SeriesMetric,
    ) -> impl Iterator<Item = (&Arc<[Word]>, &SeriesValue)> {
        let cell = self.metrics.iter().position(|own| *own == metric);
        self.rows.iter().filter_map(move |(labels, row)| {
            let value = row.cells.get(cell?)?.as_ref()?;
            Some((labels, value))
        })
    }
}

impl Row {
    fn has(&self, metrics: &[SeriesMetric], metric: SeriesMetric) -> bool {
        let cells = metrics.iter().zip(&self.cells);
        cells
            .into_iter()
            .any(|(own, cell)| *own == metric && cell.is_some())
    }

    fn add(
        &mut self,
        metrics: &[SeriesMetric],
        deltas: &[(SeriesMetric, Delta<'_>)],
        wanted: impl Fn(SeriesMetric) -> bool,
    ) {
        for (metric, delta) in deltas.iter().filter(|(metric, _)| wanted(*metric)) {
            let cell = metrics.iter().position(|own| own == metric);
            if let Some(cell) = cell.and_then(|cell| self.cells.get_mut(cell)) {
                add(cell, *delta);
            }
        }
    }
}

/// Saturates: 2^64 bytes are out of any host's reach, and a wrong sum must not wrap to a small one.
fn add(cell: &mut Option<SeriesValue>, delta: Delta<'_>) {
    match (cell, delta) {
        (Some(SeriesValue::Count(sum)), Delta::Count(more)) => *sum = sum.saturating_add(more),
        (Some(SeriesValue::Cost(sum)), Delta::Cost(more)) => *sum += more,
        (Some(SeriesValue::Times(sum)), Delta::Times(more)) => sum.add(more),
        (cell, Delta::Count(count)) => *cell = Some(SeriesValue::Count(count)),
        (cell, Delta::Cost(cost)) => *cell = Some(SeriesValue::Cost(cost)),
        (cell, Delta::Times(times)) => *cell = Some(SeriesValue::Times(Box::new(*times))),
    }
}

fn row_of<'a>(
    rows: &'a mut HashMap<Arc<[Word]>, Row>,
    key: &[Word],
    metrics: usize,
) -> &'a mut Row {
    rows.entry(key.into()).or_insert_with(|| Row {
        cells: vec![None; metrics].into(),
        claimed: 0,
        is_other: false,
        changed_ns: 0,
    })
}

impl Source<'_> {
    /// Value of one label.
    fn word(&self, label: Label, words: &Words) -> Word {
        let known = |word: &Option<Word>| match word {
            // An empty value would be no label at all.
            Some(word) if !word.is_empty() => word.clone(),
            Some(_) | None => words.unknown.clone(),
        };
        let Self {
            identity, workload, ..
        } = self;
        match label {
            Label::Direction => self
                .direction
                .map_or_else(|| words.unknown.clone(), |way| words.direction(way)),
            Label::Contract => self
                .judgement
                .map_or_else(|| words.unknown.clone(), |own| own.contract.clone()),
            Label::Rule => self
                .judgement
                .and_then(|own| own.rule.clone())
                .unwrap_or_else(|| words.none.clone()),
            Label::Severity => self
                .judgement
                .and_then(|own| own.severity)
                .map_or_else(|| words.none.clone(), |own| words.severity(own)),
            Label::Verdict => self
                .judgement
                .map_or_else(|| words.unknown.clone(), |own| words.verdict(own.verdict)),
            Label::Cloud => known(&identity.cloud),
            Label::Region => known(&identity.region),
            Label::Provider => known(&identity.provider),
            Label::Vendor => known(&identity.vendor),
            Label::Service => known(&identity.service),
            Label::ApiFamily => identity
                .api_family
                .map_or_else(|| words.unknown.clone(), |family| words.api_family(family)),
            Label::ApiState => identity
                .api_state
                .map_or_else(|| words.unknown.clone(), |state| words.api_state(state)),
            Label::PathKind => identity
                .path_kind
                .map_or_else(|| words.unknown.clone(), |kind| words.path_kind(kind)),
            Label::Namespace => cut(known(&workload.namespace)),
            Label::Workload => cut(known(&workload.name)),
            Label::PodName => cut(known(&workload.pod)),
            Label::Internet | Label::SameZone | Label::SameRegion => identity
                .path_kind
                .and_then(|kind| opencost(label, kind))
                .map_or_else(|| words.unknown.clone(), |is_it| words.switch(is_it)),
            Label::Outcome => self
                .outcome
                .map_or_else(|| words.unknown.clone(), |end| words.outcome(end)),
            Label::Currency => self
                .currency
                .map_or_else(|| words.unknown.clone(), Word::clone),
        }
    }
}

/// What OpenCost asks of a path (`pkg/costmodel/allocation.go`); where it has no word for one, its queries leave it out.
const fn opencost(label: Label, kind: PathKind) -> Option<bool> {
    let [internet, same_zone, same_region] = match kind {
        PathKind::Internet => [true, false, false],
        PathKind::SameHost | PathKind::SameZone => [false, true, true],
        PathKind::InterZone => [false, false, true],
        PathKind::InterRegion => [false, false, false],
        PathKind::PrivateEndpoint
        | PathKind::Interconnect
        | PathKind::Peering
        | PathKind::Proxy
        | PathKind::Unknown => return None,
    };
    match label {
        Label::Internet => Some(internet),
        Label::SameZone => Some(same_zone),
        Label::SameRegion => Some(same_region),
        _ => None,
    }
}

/// The first [`LABEL_BYTES_MAX`] bytes, up to a character's end.
fn cut(word: Word) -> Word {
    if word.len() <= LABEL_BYTES_MAX {
        return word;
    }
    let end = word.floor_char_boundary(LABEL_BYTES_MAX);
    word.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_at_a_character() {
        let ascii = "a".repeat(LABEL_BYTES_MAX + 1);
        let wide = format!("{}é", "a".repeat(LABEL_BYTES_MAX - 1));
        for (name, bytes) in [
            ("short", 5),
            (&*ascii, LABEL_BYTES_MAX),
            (&*wide, LABEL_BYTES_MAX - 1),
        ] {
            assert_eq!(cut(name.into()).len(), bytes, "{name}");
        }
    }
}
