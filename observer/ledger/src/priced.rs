//! Sums of records, priced by one book as a provider would bill the month: tiers are filled by all hosts together.

use std::collections::HashMap;

use observer_core::{
    model::{
        identity::Word,
        money::Money,
        names::{CostSide, UnpricedReason},
    },
    price::{
        book::Book,
        commitment::{self, Due},
        place::Places,
        plan::Charges,
        statement::{Charge, Line, Usage},
    },
};

use crate::{
    change::Change,
    tally::{Sum, Summed, Tally, Way},
};

/// One row of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// One for each column.
    pub values: Vec<Word>,
    /// Sent, received.
    pub bytes: [u64; 2],
    /// Estimate, hours left out.
    pub cost: Money,
    /// Its share of what is charged by the hour.
    pub hourly: Money,
    /// Sent bytes without a price, or without all of it.
    pub unpriced_bytes: u64,
}

/// A whole report.
#[derive(Clone, Debug, Default)]
pub struct Priced {
    /// By their values.
    pub rows: Vec<Row>,
    pub total: Row,
    pub unpriced: [u64; UnpricedReason::ALL.len()],
    /// What each rate came to, tier by tier.
    pub lines: Vec<Line>,
    /// What each row is charged by each rate; `row` is a place in `rows`.
    pub charges: Vec<Charge<u32>>,
    /// What is paid for at the least, month by month; in no row.
    pub commitments: Vec<Due>,
    pub currency: String,
    pub version: String,
}

/// Prices `tally` by `book`; `own` are the places whose bills are the operator's too.
#[must_use]
pub fn price(tally: &Tally, book: &Book, own: &Places) -> Priced {
    price_changed(tally, book, own, |_| None)
}

/// The same, as it would be if these changes were made.
#[must_use]
pub fn price_changed<'c>(
    tally: &Tally,
    book: &Book,
    own: &Places,
    change: impl Fn(&Summed<'_>) -> Option<&'c Change>,
) -> Priced {
    let values = tally.rows();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values.get(*a).cmp(&values.get(*b)));
    let mut places = vec![0_usize; values.len()];
    for (place, number) in order.iter().enumerate() {
        if let Some(slot) = places.get_mut(*number) {
            *slot = place;
        }
    }
    let rows = order.iter().filter_map(|number| values.get(*number));
    let mut priced = Priced {
        rows: rows
            .map(|values| Row {
                values: values.clone(),
                ..Row::default()
            })
            .collect(),
        currency: book.currency().to_string(),
        version: book.version().to_owned(),
        ..Priced::default()
    };
    let mut usage = Usage::new();
    let mut cache = HashMap::new();
    for summed in tally.sums() {
        let place = places.get(summed.row).copied().unwrap_or_default();
        let change = change(&summed);
        let key = (
            summed.route,
            change.is_some(),
            book.next_change(summed.sum.first),
        );
        let changed = change.map(|change| change.applied(summed.way, summed.sum));
        let as_is = (summed.way, summed.sum);
        let (way, sum) = changed.as_ref().map_or(as_is, |(way, sum)| (way, sum));
        let charges: &Charges = cache
            .entry(key)
            .or_insert_with(|| way.route(|route| book.charges(route, own, sum.first)));
        add(&mut usage, book, (place, way, sum), charges);
        if let Some(row) = priced.rows.get_mut(place) {
            count(row, &mut priced.unpriced, sum, charges.unpriced);
        }
    }
    let statement = usage.statement();
    for charge in &statement.charges {
        if let Some(row) = priced.rows.get_mut(charge.row as usize) {
            row.cost += charge.cost;
            row.hourly += charge.hourly;
        }
    }
    priced.commitments = commitment::due(book.commitments(), &statement.lines);
    (priced.lines, priced.charges) = (statement.lines, statement.charges);
    priced.total = total(&priced.rows);
    priced
}

/// Gives each rate of the way the bytes that it counts.
fn add(
    usage: &mut Usage<u32>,
    book: &Book,
    (place, way, sum): (usize, &Way, &Sum),
    charges: &Charges,
) {
    let row = u32::try_from(place).unwrap_or(u32::MAX);
    for (rate, side) in &charges.rates {
        let bytes = rate.facts.direction.count(side.of(sum.bytes));
        way.route(|route| {
            let leaves = match side {
                CostSide::Local => route.from,
                CostSide::Remote => route.to,
            };
            let region = leaves.region.unwrap_or_default();
            usage.add(book, rate, region, (sum.first, bytes), &row);
            // For the hours alone.
            usage.add(book, rate, region, (sum.last, 0), &row);
        });
    }
}

fn count(
    row: &mut Row,
    unpriced: &mut [u64; UnpricedReason::ALL.len()],
    sum: &Sum,
    reason: Option<UnpricedReason>,
) {
    for (bytes, more) in row.bytes.iter_mut().zip(sum.bytes) {
        *bytes = bytes.saturating_add(more);
    }
    if let Some(reason) = reason {
        let [sent, _] = sum.bytes;
        row.unpriced_bytes = row.unpriced_bytes.saturating_add(sent);
        if let Some(bytes) = unpriced.get_mut(reason as usize) {
            *bytes = bytes.saturating_add(sent);
        }
    }
}

fn total(rows: &[Row]) -> Row {
    let mut total = Row::default();
    for row in rows {
        for (bytes, more) in total.bytes.iter_mut().zip(row.bytes) {
            *bytes = bytes.saturating_add(more);
        }
        total.cost += row.cost;
        total.hourly += row.hourly;
        total.unpriced_bytes = total.unpriced_bytes.saturating_add(row.unpriced_bytes);
    }
    total
}
