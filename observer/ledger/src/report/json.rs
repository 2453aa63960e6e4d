//! A report for programs: one document, amounts as decimal strings.

use serde_json::{Map, Value, json};

use super::{Amounts, Coverage, DECIMALS, Expected, Report, unpriced};
use crate::priced::Priced;
use observer_core::price::{commitment::Due, statement::Line};

impl Report {
    /// The whole report.
    #[must_use]
    pub fn json(&self) -> Value {
        let amounts = Amounts::of(&self.priced, DECIMALS);
        let against = self
            .against
            .as_ref()
            .map(|(name, priced)| (name, priced, Amounts::of(priced, DECIMALS)));
        let rows = self.priced.rows.iter().zip(&amounts.rows).enumerate();
        let rows = rows.map(|(nth, (row, cost))| {
            let mut object: Map<String, Value> = Map::new();
            for (name, value) in self.by.iter().zip(&row.values) {
                object.insert(name.clone(), json!(value));
            }
            let [sent, received] = row.bytes;
            object.insert("wire_bytes_egress".to_owned(), json!(sent));
            object.insert("wire_bytes_ingress".to_owned(), json!(received));
            object.insert("unpriced_bytes".to_owned(), json!(row.unpriced_bytes));
            object.insert("cost_estimate".to_owned(), json!(cost.text(DECIMALS)));
            if let Some((_, _, against)) = &against {
                let other = against.rows.get(nth).copied().unwrap_or_default();
                object.insert(
                    "cost_estimate_against".to_owned(),
                    json!(other.text(DECIMALS)),
                );
            }
            Value::Object(object)
        });
        let reasons = unpriced(&self.priced);
        let reasons: Map<String, Value> = reasons
            .iter()
            .map(|(reason, bytes)| (reason.word().to_owned(), json!(bytes)))
            .collect();
        let [sent, received] = self.priced.total.bytes;
        let mut document = json!({
            "report": "cost",
            "cost_assumption": "month",
            "currency": self.priced.currency,
            "price_version": self.priced.version,
            "by": self.by,
            "rows": rows.collect::<Vec<_>>(),
            "total": {
                "wire_bytes_egress": sent,
                "wire_bytes_ingress": received,
                "unpriced_bytes": self.priced.total.unpriced_bytes,
                "cost_estimate": amounts.total.text(DECIMALS),
            },
            "rates": rates(&self.priced),
            "commitments": commitments(&self.priced),
            "unpriced_bytes_by_reason": reasons,
            "coverage": coverage(&self.coverage),
        });
        if let (Some((name, priced, amounts)), Some(object)) = (&against, document.as_object_mut())
        {
            let other = json!({
                "name": name,
                "price_version": priced.version,
                "cost_estimate": amounts.total.text(DECIMALS),
                "rates": rates(priced),
                "commitments": commitments(priced),
            });
            object.insert("against".to_owned(), other);
        }
        document
    }
}

fn rates(priced: &Priced) -> Vec<Value> {
    let rate = |line: &Line| {
        let facts = &line.rate;
        let tiers = line.tiers.iter();
        let tiers: Vec<Value> = tiers
            .map(|(bytes, price)| json!({"bytes": bytes, "price": price}))
            .collect();
        json!({
            "month": line.month.to_string(),
            "region": line.region,
            "rate": facts.id,
            "cloud": facts.cloud,
            "kind": facts.kind,
            "direction": facts.direction,
            "unit": facts.unit.word(),
            "bytes": line.bytes,
            "free_bytes": line.free_bytes,
            "tiers": tiers,
            "cost": line.cost.text(DECIMALS),
            "hours": line.hours,
            "hourly": line.hourly.text(DECIMALS),
            "status": facts.status,
            "source": facts.source,
            "as_of": facts.as_of,
        })
    };
    priced.lines.iter().map(rate).collect()
}

fn commitments(priced: &Priced) -> Vec<Value> {
    let due = |due: &Due| {
        json!({
            "month": due.month.to_string(),
            "commitment": due.id,
            "source": due.source,
            "committed": due.committed.text(DECIMALS),
            "used": due.used.text(DECIMALS),
            "shortfall": due.shortfall().text(DECIMALS),
        })
    };
    priced.commitments.iter().map(due).collect()
}

fn coverage(coverage: &Coverage) -> Value {
    let (expected, missing) = match &coverage.expected {
        None => (None, None),
        Some(Expected::Number(number)) => (Some(*number), None),
        Some(Expected::Names { all, missing }) => (Some(*all), Some(missing)),
    };
    let (first, last) = coverage.time.unzip();
    json!({
        "is_whole": coverage.is_whole(),
        "hosts": coverage.hosts,
        "hosts_expected": expected,
        "hosts_missing": missing,
        "first_interval_end": first,
        "last_interval_end": last,
        "records": coverage.read.records,
        "records_of_no_uplink": coverage.inside,
        "records_of_other_months": coverage.of_other_months,
        "records_in_other": coverage.other_rows,
        "cut_records": coverage.read.cut,
        "unreadable_lines": coverage.read.unreadable,
        "first_unreadable": coverage.read.first_unreadable,
        "remainder": super::table::REMAINDER,
    })
}
