//! A month as a provider would bill it: all bytes of a pool fill its tiers together, whoever sent them and in whatever order
//! they are taken in. Exact: what each row is charged sums to the whole.
//!
//! Where providers do not say how, it is stated here: bytes that share a tier or a free band share it by their number; what is
//! charged by the hour is shared by the bytes that used it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    book::Book,
    month::Month,
    rate::{Pool, Rate},
    tier,
};
use crate::model::{
    cost::RateFacts,
    identity::Word,
    money::{Money, Price},
    time::UnixUs,
};

const HOUR_US: u64 = 3_600_000_000;

/// Bytes of all rows, as they are taken in.
#[derive(Clone, Debug, Default)]
pub struct Usage<Row: Ord> {
    by_meter: BTreeMap<Meter, BTreeMap<Segment, Used<Row>>>,
    /// First and last moment of each month, to count hours.
    spans: BTreeMap<(Word, Month), (UnixUs, UnixUs)>,
}

/// What fills tiers together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Meter {
    cloud: Word,
    month: Month,
    pool: Word,
    /// Empty where regions count together.
    region: Word,
}

/// A rate for the time in which nothing of it changes; ordered by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    since: UnixUs,
    id: Word,
}

#[derive(Clone, Debug)]
struct Used<Row: Ord> {
    rate: Arc<Rate>,
    bytes: u64,
    rows: BTreeMap<Row, u64>,
}

/// What one row is charged by one rate in one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge<Row> {
    pub row: Row,
    pub month: Month,
    pub rate: Arc<RateFacts>,
    pub bytes: u64,
    pub cost: Money,
    /// Of the hours of what stands on the way; a part of no byte's price.
    pub hourly: Money,
}

/// What one rate came to in one month, tier by tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub month: Month,
    pub region: Option<Word>,
    pub rate: Arc<RateFacts>,
    pub bytes: u64,
    /// Of them without a charge, for a free band inside the first tier.
    pub free_bytes: u64,
    pub tiers: Vec<(u64, Price)>,
    pub cost: Money,
    pub hours: u64,
    pub hourly: Money,
}

/// A month's charges.
#[derive(Clone, Debug, Default)]
pub struct Statement<Row> {
    pub charges: Vec<Charge<Row>>,
    pub lines: Vec<Line>,
}

impl<Row: Ord + Clone> Usage<Row> {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            by_meter: BTreeMap::new(),
            spans: BTreeMap::new(),
        }
    }

    /// Takes in bytes that `rate` counts, sent or received at `at` in `region`.
    pub fn add(
        &mut self,
        book: &Book,
        rate: &Arc<Rate>,
        region: &str,
        (at, bytes): (UnixUs, u64),
        row: &Row,
    ) {
        let cloud = rate.facts.cloud.clone();
        let month = Month::of(at, book.zone(&cloud));
        self.span(cloud.clone(), month, at);
        let (pool, region) = match &rate.pool {
            Pool::Rate => (rate.facts.id.clone(), "".into()),
            Pool::Region => (rate.facts.id.clone(), region.into()),
            Pool::Named(name) => (name.clone(), "".into()),
        };
        let meter = Meter {
            cloud,
            month,
            pool,
            region,
        };
        let segment = Segment {
            since: rate.since,
            id: rate.facts.id.clone(),
        };
        let used = self.by_meter.entry(meter).or_default().entry(segment);
        let used = used.or_insert_with(|| Used {
            rate: Arc::clone(rate),
            bytes: 0,
            rows: BTreeMap::new(),
        });
        used.bytes = used.bytes.saturating_add(bytes);
        match used.rows.get_mut(row) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => {
                used.rows.insert(row.clone(), bytes);
            }
        }
    }

    fn span(&mut self, cloud: Word, month: Month, at: UnixUs) {
        let (first, last) = self.spans.entry((cloud, month)).or_insert((at, at));
        *first = (*first).min(at);
        *last = (*last).max(at);
    }

    /// What all of it costs.
    #[must_use]
    pub fn statement(&self) -> Statement<Row> {
        let free = self.free_bands();
        let mut statement = Statement {
            charges: Vec::new(),
            lines: Vec::new(),
        };
        for (meter, segments) in &self.by_meter {
            let mut position = 0;
            let free = free.get(meter).copied().unwrap_or(0);
            let mut segments: Vec<&Used<Row>> = segments.values().collect();
            while let Some(first) = segments.first() {
                let since = first.rate.since;
                let together = segments.partition_point(|used| used.rate.since == since);
                let rest = segments.split_off(together);
                position = self.charge(meter, &segments, (position, free), &mut statement);
                segments = rest;
            }
        }
        statement
    }

    /// Charges what fills one stretch of the tiers together; returns where the next begins.
    fn charge(
        &self,
        meter: &Meter,
        together: &[&Used<Row>],
        (position, free): (u64, u64),
        statement: &mut Statement<Row>,
    ) -> u64 {
        let whole: u64 = together
            .iter()
            .fold(0, |sum, used| sum.saturating_add(used.bytes));
        let end = position.saturating_add(whole);
        let start = position.max(free).min(end);
        for used in together {
            let rest = whole - used.bytes;
            let mut line = Line {
                month: meter.month,
                region: Some(meter.region.clone()).filter(|region| !region.is_empty()),
                rate: Arc::clone(&used.rate.facts),
                bytes: used.bytes,
                free_bytes: share(start - position, used.bytes, rest),
                tiers: Vec::new(),
                cost: Money::ZERO,
                hours: 0,
                hourly: Money::ZERO,
            };
            for part in tier::parts(&used.rate.tiers, start, end) {
                let all = part.price.of_bytes(part.bytes, used.rate.facts.unit);
                line.cost += all
                    .split(&[used.bytes, rest])
                    .first()
                    .copied()
                    .unwrap_or_default();
                line.tiers
                    .push((share(part.bytes, used.bytes, rest), part.price));
            }
            (line.hours, line.hourly) = self.hours(meter, &used.rate);
            let weights: Vec<u64> = used.rows.values().copied().collect();
            let costs = line
                .cost
                .split(&weights)
                .into_iter()
                .zip(line.hourly.split(&weights));
            for ((row, bytes), (cost, hourly)) in used.rows.iter().zip(costs) {
                statement.charges.push(Charge {
                    row: row.clone(),
                    month: meter.month,
                    rate: Arc::clone(&used.rate.facts),
                    bytes: *bytes,
                    cost,
                    hourly,
                });
            }
            statement.lines.push(line);
        }
        end
    }

    /// The part of each free band that each meter has: by its bytes.
    fn free_bands(&self) -> BTreeMap<Meter, u64> {
        let mut pools: BTreeMap<(Word, Month, Word), (u64, Vec<(&Meter, u64)>)> = BTreeMap::new();
        for (meter, segments) in &self.by_meter {
            let Some((free, first)) = segments
                .values()
                .find_map(|used| Some((used.rate.free.as_ref()?, used)))
            else {
                continue;
            };
            let key = (
                first.rate.facts.cloud.clone(),
                meter.month,
                free.pool.clone(),
            );
            let bytes = segments
                .values()
                .fold(0_u64, |sum, used| sum.saturating_add(used.bytes));
            let pool = pools.entry(key).or_insert((free.bytes, Vec::new()));
            pool.0 = pool.0.max(free.bytes);
            pool.1.push((meter, bytes));
        }
        let mut bands = BTreeMap::new();
        for (free, meters) in pools.into_values() {
            let weights: Vec<u64> = meters.iter().map(|(_, bytes)| *bytes).collect();
            let whole: u128 = weights.iter().copied().map(u128::from).sum();
            let given = u128::from(free).min(whole);
            // Whole bytes, shared as amounts are.
            let shares = Money::from_steps(i128::try_from(given).unwrap_or(0)).split(&weights);
            for ((meter, bytes), share) in meters.into_iter().zip(shares) {
                let share = u64::try_from(share.steps()).unwrap_or(0);
                bands.insert(meter.clone(), share.min(bytes));
            }
        }
        bands
    }

    /// Hours that were begun between the first and the last byte of the cloud's month, and what they cost.
    fn hours(&self, meter: &Meter, rate: &Rate) -> (u64, Money) {
        let span = self.spans.get(&(meter.cloud.clone(), meter.month));
        let (Some(price), Some((first, last))) = (rate.per_hour, span) else {
            return (0, Money::ZERO);
        };
        let (first, last) = (first.0.max(rate.since.0), last.0.min(rate.until.0));
        let time_us = u64::try_from(last.saturating_sub(first)).unwrap_or(0);
        let hours = time_us.div_ceil(HOUR_US).max(1) * u64::from(rate.count);
        (hours, price.of_units(hours))
    }
}

/// `bytes * mine / (mine + rest)`, cut.
fn share(bytes: u64, mine: u64, rest: u64) -> u64 {
    let whole = u128::from(mine) + u128::from(rest);
    let product = u128::from(bytes) * u128::from(mine);
    product
        .checked_div(whole)
        .and_then(|share| u64::try_from(share).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
