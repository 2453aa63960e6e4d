//! A reconciliation as people and programs read it.

use std::{collections::BTreeMap, fmt::Write as _};

use observer_core::model::{money::Money, size};
use serde_json::{Value, json};

use super::{Cell, Key, Parts, Reconciled};
use crate::{bill::Bill, priced::Priced, report::DECIMALS, table::aligned};

const CENTS: u32 = 2;
/// Days with the largest differences that are told.
const DAYS_SHOWN: usize = 5;

/// Sums of one cloud, region and usage.
#[derive(Default)]
struct Sums {
    billed: Money,
    estimated: Money,
    parts: Parts,
}

impl Sums {
    fn add(&mut self, cell: &Cell) {
        self.billed += cell.billed.map_or(Money::ZERO, |side| side.cost);
        self.estimated += cell.estimated.map_or(Money::ZERO, |side| side.cost);
        self.parts.add(&cell.parts());
    }

    fn cells(&self) -> Vec<String> {
        let parts = &self.parts;
        [
            self.billed,
            self.estimated,
            parts.sum(),
            parts.not_seen,
            parts.not_billed,
            parts.bytes,
            parts.price,
            parts.unexplained,
        ]
        .map(|money| money.fixed(CENTS))
        .to_vec()
    }
}

/// A line for each cloud, region and usage, the total, then the days that differ most.
#[must_use]
pub fn table(reconciled: &Reconciled, bill: &Bill, priced: &Priced) -> String {
    let mut sums: BTreeMap<(&str, &str, &str), Sums> = BTreeMap::new();
    let mut total = Sums::default();
    for (key, cell) in &reconciled.cells {
        let of = (&*key.cloud, &*key.region, key.kind.word());
        sums.entry(of).or_default().add(cell);
        total.add(cell);
    }
    let heads = [
        "cloud",
        "region",
        "usage",
        "bill",
        "estimate",
        "difference",
        "not seen",
        "not billed",
        "bytes",
        "price",
        "unexplained",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for ((cloud, region, usage), sums) in &sums {
        let mut row = vec![(*cloud).to_owned(), or_dash(region), (*usage).to_owned()];
        row.extend(sums.cells());
        rows.push(row);
    }
    let mut last = vec!["total".to_owned(), String::new(), String::new()];
    last.extend(total.cells());
    rows.push(last);
    let mut text = aligned(&rows, 3);
    days(reconciled, &mut text);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n{} lines of the bill are of other things than transfer, {} {}: not compared. Estimate by book {}.",
        bill.other_lines,
        bill.other_cost.fixed(CENTS),
        bill.currency.as_deref().unwrap_or(&priced.currency),
        priced.version
    );
    text.push_str(NAMES);
    text
}

const NAMES: &str = "not seen: charged, and no record of it (a host without an agent, a managed service). not billed: recorded, and not on the \
bill.\nbytes: more or fewer than were recorded. price: another one for the bytes that both have. unexplained: the bill says no bytes.\n";

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn days(reconciled: &Reconciled, text: &mut String) {
    let mut cells: Vec<(&Key, &Cell)> = reconciled.cells.iter().collect();
    let off = |cell: &Cell| cell.difference().steps().unsigned_abs();
    cells.sort_by(|(a, one), (b, other)| off(other).cmp(&off(one)).then_with(|| a.cmp(b)));
    text.push_str("\nDays that differ most\n");
    for (key, cell) in cells.into_iter().take(DAYS_SHOWN) {
        if cell.difference().is_zero() {
            continue;
        }
        let side = |side: Option<super::Side>| {
            side.map_or_else(
                || "-".to_owned(),
                |side| {
                    let bytes = side.bytes.map_or_else(|| "?".to_owned(), size::about);
                    format!("{} for {bytes}", side.cost.fixed(CENTS))
                },
            )
        };
        let _ = writeln!(
            text,
            "  {} {} {} {}: bill {}, estimate {}",
            key.day,
            key.cloud,
            or_dash(&key.region),
            key.kind.word(),
            side(cell.billed),
            side(cell.estimated)
        );
    }
}

/// Every cell.
#[must_use]
pub fn json(reconciled: &Reconciled, bill: &Bill, priced: &Priced) -> Value {
    let amount = |money: Money| money.text(DECIMALS);
    let side = |side: &super::Side| json!({"cost": amount(side.cost), "bytes": side.bytes});
    let parts_of = |parts: &Parts| {
        json!({
            "not_seen": amount(parts.not_seen),
            "not_billed": amount(parts.not_billed),
            "bytes": amount(parts.bytes),
            "price": amount(parts.price),
            "unexplained": amount(parts.unexplained),
        })
    };
    let mut total = Sums::default();
    let cells = reconciled.cells.iter().map(|(key, cell)| {
        total.add(cell);
        json!({
            "day": key.day.to_string(),
            "cloud": key.cloud,
            "region": key.region,
            "usage": key.kind.word(),
            "bill": cell.billed.as_ref().map(side),
            "estimate": cell.estimated.as_ref().map(side),
            "difference": amount(cell.difference()),
            "parts": parts_of(&cell.parts()),
        })
    });
    let cells: Vec<Value> = cells.collect();
    json!({
        "report": "reconcile",
        "currency": priced.currency,
        "price_version": priced.version,
        "bill": amount(total.billed),
        "estimate": amount(total.estimated),
        "difference": amount(total.parts.sum()),
        "parts": parts_of(&total.parts),
        "cells": cells,
        "other_lines": bill.other_lines,
        "other_cost": amount(bill.other_cost),
    })
}
