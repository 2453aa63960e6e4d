//! The account of one uplink in one direction, and its form as a table.

use core::fmt::Write as _;
use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::model::names::{Direction, Measure, RemainderReason};

/// `interface_bytes` = `attributed_bytes` + all of `remainder_bytes` + `balance_bytes`, always. Everything since the
/// uplink's baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceReport {
    pub device: Arc<str>,
    pub direction: Direction,
    /// How the interface counts, and so how everything here is counted.
    pub measure: Measure,
    /// The interface's own counter, link-layer headers taken off.
    pub interface_bytes: i128,
    /// In flow records.
    pub attributed_bytes: i128,
    /// In none, by reason.
    pub remainder_bytes: BTreeMap<RemainderReason, i128>,
    /// Not explained. 0 on a quiet host; on a busy one it wavers by what passes between two readings.
    pub balance_bytes: i128,
    /// Times the account began anew: the device was made again, or the kernel's totals were.
    pub baselines: u64,
}

/// The accounts as a table, one column an account, one row a reason that is not 0 in all of them.
#[must_use]
pub fn render(reports: &[BalanceReport]) -> String {
    let mut rows = vec![
        head("device", reports, |report| report.device.to_string()),
        head("direction", reports, |report| {
            report.direction.word().to_owned()
        }),
        head("measure", reports, |report| {
            report.measure.word().to_owned()
        }),
        head("interface_bytes", reports, |report| {
            report.interface_bytes.to_string()
        }),
        head("attributed", reports, |report| {
            report.attributed_bytes.to_string()
        }),
    ];
    let bytes = |report: &BalanceReport, reason| {
        report
            .remainder_bytes
            .get(&reason)
            .copied()
            .unwrap_or_default()
    };
    for reason in RemainderReason::ALL {
        if reports.iter().any(|report| bytes(report, *reason) != 0) {
            rows.push(head(reason.word(), reports, |report| {
                bytes(report, *reason).to_string()
            }));
        }
    }
    rows.push(head("balance", reports, |report| {
        report.balance_bytes.to_string()
    }));
    table(&rows)
}

fn head(
    name: &str,
    reports: &[BalanceReport],
    cell: impl Fn(&BalanceReport) -> String,
) -> Vec<String> {
    core::iter::once(name.to_owned())
        .chain(reports.iter().map(cell))
        .collect()
}

/// Cells in columns of equal width: the first to the left, the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a String does not fail.
            let _ = if index == 0 {
                write!(text, "{cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(direction: Direction, late: i128, balance_bytes: i128) -> BalanceReport {
        BalanceReport {
            device: "eth0".into(),
            direction,
            measure: Measure::Device,
            interface_bytes: 1000 + late + balance_bytes,
            attributed_bytes: 1000,
            remainder_bytes: BTreeMap::from([
                (RemainderReason::Late, late),
                (RemainderReason::Raw, 0),
            ]),
            balance_bytes,
            baselines: 1,
        }
    }

    #[test]
    fn a_table_shows_the_reasons_that_have_bytes() {
        let reports = [
            report(Direction::Egress, 0, 0),
            report(Direction::Ingress, 20, -1),
        ];
        let text = "\
device             eth0     eth0
direction        egress  ingress
measure          device   device
interface_bytes    1000     1019
attributed         1000     1000
late                  0       20
balance               0       -1
";
        assert_eq!(render(&reports), text);
        assert_eq!(render(&[]).lines().count(), 6);
    }

    #[test]
    fn a_report_is_one_json_object() {
        let json = serde_json::to_string(&report(Direction::Egress, 5, 0)).ok();
        let text = concat!(
            r#"{"device":"eth0","direction":"egress","measure":"device","interface_bytes":1005,"#,
            r#""attributed_bytes":1000,"remainder_bytes":{"raw":0,"late":5},"balance_bytes":0,"baselines":1}"#
        );
        assert_eq!(json.as_deref(), Some(text));
    }
}
