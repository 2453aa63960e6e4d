//! The table of flows: records added up by where they went and whose they are, as text or as JSON. It knows no agent and
//! no host.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use observer_core::model::money::Money;
use serde::Serialize;
use serde_json::Value;

use crate::{
    look::{bytes, milliseconds},
    places::label,
    truth::{Key, Truth},
};

/// Decimals of the few cents that a demo costs.
const DECIMALS: u32 = 6;

const HEADS: [[&str; 11]; 2] = [
    [
        "",
        "",
        "",
        "payload",
        "payload",
        "wire",
        "wire",
        "connect",
        "rtt",
        "first byte",
        "estimate",
    ],
    [
        "to", "workload", "conns", "out", "in", "out", "in", "ms", "ms", "ms, max", "USD",
    ],
];

const TIMES: [&str; 3] = ["connect_us", "rtt_us", "first_byte_us"];

/// Bytes of a row or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    pub connections: u64,
    pub payload_bytes_egress: u64,
    pub payload_bytes_ingress: u64,
    pub wire_bytes_egress: u64,
    pub wire_bytes_ingress: u64,
}

/// Over the flows of a row, the latest value of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub median: u64,
    pub max: u64,
}

/// One workload's traffic with one place.
#[derive(Debug, Serialize)]
pub struct Row {
    pub to: String,
    pub cloud: Option<String>,
    pub region: Option<String>,
    pub front: Option<String>,
    pub workload: String,
    #[serde(flatten)]
    pub sums: Sums,
    pub connect_us: Option<Spread>,
    pub rtt_us: Option<Spread>,
    pub first_byte_us: Option<Spread>,
    /// What its bytes cost as far as they are priced; `None` where none is.
    pub cost_estimate: Option<Money>,
    /// Why there is no price, or not all of it.
    pub unpriced_reason: Option<String>,
}

#[derive(Default)]
struct Gathered {
    sample: Value,
    sums: Sums,
    /// The latest times of each flow.
    flows: BTreeMap<String, [Option<u64>; 3]>,
    cost: Option<Money>,
    unpriced: Option<String>,
}

/// A row for each place and workload of the records that crossed `device`.
pub fn rows(records: &str, device: &str) -> Result<Vec<Row>> {
    let mut gathered = BTreeMap::<(String, String), Gathered>::new();
    for line in records.lines() {
        let record: Value =
            serde_json::from_str(line).with_context(|| format!("record `{line}`"))?;
        if record["device"] != device {
            continue;
        }
        let row = gathered
            .entry((place(&record), workload(&record)))
            .or_default();
        let count = |field: &str| record[field].as_u64().unwrap_or(0);
        row.sums.payload_bytes_egress += count("payload_bytes_egress");
        row.sums.payload_bytes_ingress += count("payload_bytes_ingress");
        row.sums.wire_bytes_egress += count("wire_bytes_egress");
        row.sums.wire_bytes_ingress += count("wire_bytes_ingress");
        if let Some(text) = record["cost_estimate"].as_str() {
            let cost = Money::parse(text).with_context(|| format!("estimate `{text}`"))?;
            row.cost = Some(row.cost.unwrap_or_default() + cost);
        }
        let reason = record["unpriced_reason"].as_str().map(str::to_owned);
        row.unpriced = reason.or(row.unpriced.take());
        let times = row.flows.entry(record["flow_id"].to_string()).or_default();
        for (time, field) in times.iter_mut().zip(TIMES) {
            *time = record[field].as_u64().or(*time);
        }
        row.sample = record;
    }
    Ok(gathered.into_iter().map(row).collect())
}

fn row(((to, workload), gathered): ((String, String), Gathered)) -> Row {
    let spread = |index: usize| {
        let mut times: Vec<u64> = gathered
            .flows
            .values()
            .filter_map(|times| times[index])
            .collect();
        times.sort_unstable();
        Some(Spread {
            median: *times.get(times.len() / 2)?,
            max: *times.last()?,
        })
    };
    let word = |field: &str| gathered.sample[field].as_str().map(str::to_owned);
    Row {
        to,
        cloud: word("cloud"),
        region: word("region"),
        front: word("front"),
        workload,
        sums: Sums {
            connections: gathered.flows.len() as u64,
            ..gathered.sums
        },
        connect_us: spread(0),
        rtt_us: spread(1),
        first_byte_us: spread(2),
        cost_estimate: gathered.cost,
        unpriced_reason: gathered.unpriced,
    }
}

pub fn total(rows: &[Row]) -> Sums {
    rows.iter().fold(Sums::default(), |sum, row| Sums {
        connections: sum.connections + row.sums.connections,
        payload_bytes_egress: sum.payload_bytes_egress + row.sums.payload_bytes_egress,
        payload_bytes_ingress: sum.payload_bytes_ingress + row.sums.payload_bytes_ingress,
        wire_bytes_egress: sum.wire_bytes_egress + row.sums.wire_bytes_egress,
        wire_bytes_ingress: sum.wire_bytes_ingress + row.sums.wire_bytes_ingress,
    })
}

/// The rows as the clients' own counts have them.
pub fn counted(rows: &[Row]) -> BTreeMap<Key, Truth> {
    let truth = |sums: Sums| Truth {
        connections: sums.connections,
        bytes_sent: sums.payload_bytes_egress,
        bytes_received: sums.payload_bytes_ingress,
    };
    rows.iter()
        .map(|row| ((row.workload.clone(), row.to.clone()), truth(row.sums)))
        .collect()
}

/// Two lines of heads, a line for each row, the total last.
pub fn lines(rows: &[Row]) -> Vec<String> {
    let mut cells: Vec<Vec<String>> = HEADS
        .iter()
        .map(|head| head.map(str::to_owned).to_vec())
        .collect();
    for row in rows {
        let mut line = vec![row.to.clone(), row.workload.clone()];
        line.extend(sums(&row.sums));
        line.extend([row.connect_us, row.rtt_us].map(median));
        line.push(times(row.first_byte_us));
        line.push(
            row.cost_estimate
                .map_or_else(|| "-".to_owned(), |cost| cost.fixed(DECIMALS)),
        );
        cells.push(line);
    }
    let mut line = vec!["total".to_owned(), String::new()];
    line.extend(sums(&total(rows)));
    line.extend([const { String::new() }; TIMES.len()]);
    let costs = rows.iter().filter_map(|row| row.cost_estimate);
    line.push(costs.sum::<Money>().fixed(DECIMALS));
    cells.push(line);
    aligned(&cells, 2)
}

/// Columns of equal width: the first `left` of them to the left, the others to the right.
pub fn aligned(rows: &[Vec<String>], left: usize) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(index, (cell, width))| {
                if index < left {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

fn sums(sums: &Sums) -> [String; 5] {
    [
        sums.connections.to_string(),
        bytes(sums.payload_bytes_egress),
        bytes(sums.payload_bytes_ingress),
        bytes(sums.wire_bytes_egress),
        bytes(sums.wire_bytes_ingress),
    ]
}

fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| milliseconds(spread.median))
}

/// A dash where no flow has one.
fn times(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |Spread { median, max }| format!("{}/{}", milliseconds(median), milliseconds(max)),
    )
}

fn place(record: &Value) -> String {
    let word = |field: &str| record[field].as_str();
    label(word("cloud"), word("region"), word("front"))
}

/// The agent's word for it, without a unit's ending; else the executable; else what the process calls itself.
fn workload(record: &Value) -> String {
    let word = |field: &str| record[field].as_str();
    let executable = || Path::new(word("executable")?).file_name()?.to_str();
    word("workload")
        .map(|name| name.strip_suffix(".service").unwrap_or(name))
        .or_else(executable)
        .or_else(|| word("comm"))
        .unwrap_or("unknown")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(flow: &str, device: &str, bytes: u64, connect: &Value) -> String {
        json!({
            "flow_id": flow, "device": device, "cloud": "aws", "region": "r", "comm": "c",
            "payload_bytes_egress": bytes, "wire_bytes_ingress": 1, "connect_us": connect, "cost_estimate": "0.25",
        })
        .to_string()
    }

    #[test]
    fn records_of_one_flow_are_one_connection_and_other_devices_are_left_out() {
        let records = [
            record("a", "d", 5, &json!(1500)),
            record("a", "d", 7, &json!(null)),
            record("b", "d", 1, &json!(500)),
            record("c", "other", 100, &json!(1)),
        ]
        .join("\n");
        let rows = rows(&records, "d").expect("the records can be read");
        let expected = Sums {
            connections: 2,
            payload_bytes_egress: 13,
            wire_bytes_ingress: 3,
            ..Sums::default()
        };
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].sums, expected);
        assert_eq!(rows[0].cost_estimate, Money::parse("0.75"));
        assert_eq!(total(&rows), expected);
        let spread = Spread {
            median: 1500,
            max: 1500,
        };
        assert_eq!((rows[0].connect_us, rows[0].rtt_us), (Some(spread), None));
        let key = ("c".to_owned(), "aws r".to_owned());
        assert_eq!(counted(&rows)[&key].bytes_sent, 13);
    }

    #[test]
    fn a_workload_is_what_the_agent_calls_it() {
        for (record, expected) in [
            (
                json!({"workload": "a", "executable": "/x/b", "comm": "c"}),
                "a",
            ),
            (json!({"workload": "a.service", "comm": "c"}), "a"),
            (
                json!({"workload": null, "executable": "/x/b", "comm": "c"}),
                "b",
            ),
            (json!({"comm": "c"}), "c"),
            (json!({}), "unknown"),
        ] {
            assert_eq!(workload(&record), expected, "{record}");
        }
    }

    #[test]
    fn the_widest_table_fits_a_terminal_of_120_columns() {
        let spread = Some(Spread {
            median: 123_456,
            max: 29_999_000,
        });
        let row = Row {
            to: "cloudflare (front)".to_owned(),
            cloud: None,
            region: None,
            front: None,
            workload: "billing-export".to_owned(),
            sums: Sums {
                connections: 12_345,
                payload_bytes_egress: 999_900_000,
                payload_bytes_ingress: 999_900_000,
                wire_bytes_egress: 999_900_000,
                wire_bytes_ingress: 999_900_000,
            },
            connect_us: spread,
            rtt_us: spread,
            first_byte_us: spread,
            cost_estimate: Money::parse("12.345678"),
            unpriced_reason: None,
        };
        for line in lines(&[row]) {
            assert!(line.chars().count() <= 120, "{}: {line}", line.len());
        }
    }
}
