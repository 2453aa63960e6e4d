//! What other rules would have said of the same flows: which verdicts change, with how many bytes and how much money.

use std::{collections::BTreeMap, fmt::Write as _};

use observer_core::model::{money::Money, names::Verdict, size};
use serde_json::{Value, json};

use crate::{
    judged::{Judged, Told},
    report::DECIMALS,
    table::aligned,
};

/// Decimals for people.
const CENTS: u32 = 2;

/// The verdicts of two sides, counted.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    rows: BTreeMap<Row, Sum>,
    pub records: u64,
    /// Records of which any verdict is another one.
    pub changed: u64,
    /// Records that nobody had judged, where recorded verdicts are one side.
    pub unjudged: u64,
}

/// One rule's word on both sides; `None` where it says nothing of the flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    contract: String,
    rule: Option<String>,
    before: Option<Verdict>,
    after: Option<Verdict>,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    records: u64,
    wire_bytes: u64,
    costs: BTreeMap<String, Money>,
}

impl Replay {
    /// Counts one record; `before` is `None` where nobody judged it.
    pub fn add(&mut self, record: &Judged, before: Option<&[Told]>, after: &[Told]) {
        self.records += 1;
        let Some(before) = before else {
            self.unjudged += 1;
            return;
        };
        let mut both: BTreeMap<(&str, Option<&str>), [Option<Verdict>; 2]> = BTreeMap::new();
        for (side, told) in [before, after].into_iter().enumerate() {
            for told in told {
                let key = (&*told.contract, told.rule.as_deref());
                both.entry(key).or_default()[side] = Some(told.verdict);
            }
        }
        let mut is_changed = false;
        for ((contract, rule), [before, after]) in both {
            is_changed |= before != after;
            let sum = self.rows.entry(Row {
                contract: contract.to_owned(),
                rule: rule.map(str::to_owned),
                before,
                after,
            });
            let sum = sum.or_default();
            sum.records += 1;
            sum.wire_bytes = sum.wire_bytes.saturating_add(record.occasion.wire_bytes);
            if let Some((cost, currency)) = &record.cost {
                *sum.costs.entry(currency.clone()).or_default() += *cost;
            }
        }
        self.changed += u64::from(is_changed);
    }

    /// For people: what changes, and how much stays.
    #[must_use]
    pub fn table(&self) -> String {
        let head = [
            "contract", "rule", "before", "after", "records", "bytes", "cost",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let mut same: u64 = 0;
        for (row, sum) in &self.rows {
            if row.before == row.after {
                same += sum.records;
                continue;
            }
            let costs = sum.costs.iter();
            let costs = costs.map(|(currency, cost)| format!("{} {currency}", cost.fixed(CENTS)));
            rows.push(vec![
                row.contract.clone(),
                row.rule.clone().unwrap_or_else(|| "-".to_owned()),
                word(row.before),
                word(row.after),
                sum.records.to_string(),
                size::about(sum.wire_bytes),
                costs.collect::<Vec<_>>().join(" + "),
            ]);
        }
        let mut text = match rows.len() {
            1 => String::new(),
            _ => aligned(&rows, 4) + "\n",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} of {} records get another verdict; {same} verdicts stay.",
            self.changed, self.records
        );
        if self.unjudged > 0 {
            let _ = writeln!(
                text,
                "{} records were judged by nobody: their verdicts are null, and they are in no row.",
                self.unjudged
            );
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(row, sum)| {
            let costs = sum.costs.iter();
            let costs =
                costs.map(|(currency, cost)| (currency.clone(), cost.text(DECIMALS).into()));
            json!({
                "contract": row.contract,
                "rule": row.rule,
                "before": row.before,
                "after": row.after,
                "changed": row.before != row.after,
                "records": sum.records,
                "wire_bytes": sum.wire_bytes,
                "cost_estimates": costs.collect::<serde_json::Map<_, _>>(),
            })
        });
        json!({
            "records": self.records,
            "changed": self.changed,
            "unjudged": self.unjudged,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

fn word(verdict: Option<Verdict>) -> String {
    verdict.map_or("-", Verdict::word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = include_str!("../../core/tests/golden/record.json");

    fn told(contract: &str, rule: Option<&str>, verdict: Verdict) -> Told {
        Told {
            contract: contract.to_owned(),
            rule: rule.map(str::to_owned),
            verdict,
            reason: None,
        }
    }

    #[test]
    fn changes_are_told_with_bytes_and_money() {
        let record = Judged::parse(RECORD.as_bytes()).expect("a record");
        let (cost, _) = record.cost.clone().expect("it is priced");
        let before = [
            told("a", Some("r"), Verdict::Violation),
            told("b", None, Verdict::NotCovered),
        ];
        let after = [
            told("a", Some("r"), Verdict::Compliant),
            told("b", None, Verdict::NotCovered),
            told("c", Some("s"), Verdict::Violation),
        ];
        let mut replay = Replay::default();
        replay.add(&record, Some(&before), &after);
        replay.add(&record, Some(&before), &after);
        replay.add(&record, Some(&after), &after);
        replay.add(&record, None, &after);
        assert_eq!((replay.records, replay.changed, replay.unjudged), (4, 2, 1));
        let json = replay.json();
        let row = &json["rows"][1];
        assert_eq!(
            (&row["before"], &row["after"], &row["records"]),
            (&json!("violation"), &json!("compliant"), &json!(2))
        );
        assert_eq!(row["wire_bytes"], json!(2 * 3_200));
        assert_eq!(
            row["cost_estimates"]["USD"],
            json!((cost + cost).text(DECIMALS))
        );
        let table = replay.table();
        assert!(
            table.contains("2 of 4 records get another verdict; 5 verdicts stay."),
            "{table}"
        );
        assert!(table.contains("1 records were judged by nobody"), "{table}");
        assert!(
            table
                .lines()
                .any(|line| line.starts_with("c         s     -          violation")),
            "{table}"
        );
    }
}
