//! The table of flows: records added up by where they went and which process made them. It knows no agent and no host.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

const HEAD: [&str; 10] = [
    "to",
    "process",
    "flows",
    "payload out",
    "payload in",
    "wire out",
    "wire in",
    "connect ms",
    "rtt ms",
    "first byte ms",
];

const COUNTERS: [&str; 4] = [
    "payload_bytes_egress",
    "payload_bytes_ingress",
    "wire_bytes_egress",
    "wire_bytes_ingress",
];

const TIMES: [&str; 3] = ["connect_us", "rtt_us", "first_byte_us"];

#[derive(Default)]
struct Row {
    /// The latest timings of each flow.
    flows: BTreeMap<String, [Option<u64>; 3]>,
    bytes: [u64; 4],
}

/// One row a place and process, of the records that crossed `device`; a sum at the end.
pub fn flows(records: &str, device: &str) -> Result<String> {
    let mut rows = BTreeMap::<(String, String), Row>::new();
    for line in records.lines() {
        let record: Value =
            serde_json::from_str(line).with_context(|| format!("record `{line}`"))?;
        if record["device"] != device {
            continue;
        }
        let row = rows
            .entry((place(&record), word(&record["comm"]).to_owned()))
            .or_default();
        for (sum, field) in row.bytes.iter_mut().zip(COUNTERS) {
            *sum += record[field].as_u64().unwrap_or(0);
        }
        let times = row.flows.entry(record["flow_id"].to_string()).or_default();
        for (time, field) in times.iter_mut().zip(TIMES) {
            *time = record[field].as_u64().or(*time);
        }
    }
    let mut cells = vec![HEAD.map(str::to_owned).to_vec()];
    let mut sum = ("", 0, [0; 4]);
    for ((place, process), row) in &rows {
        sum.1 += row.flows.len();
        let mut line = vec![place.clone(), process.clone(), row.flows.len().to_string()];
        for (total, bytes) in sum.2.iter_mut().zip(row.bytes) {
            *total += bytes;
            line.push(bytes.to_string());
        }
        for index in 0..TIMES.len() {
            line.push(milliseconds(
                row.flows
                    .values()
                    .filter_map(|times| times[index])
                    .collect(),
            ));
        }
        cells.push(line);
    }
    let mut line = vec!["all".to_owned(), sum.0.to_owned(), sum.1.to_string()];
    line.extend(sum.2.map(|bytes| bytes.to_string()));
    line.extend(std::iter::repeat_n(String::new(), TIMES.len()));
    cells.push(line);
    Ok(aligned(&cells, 2))
}

/// Columns of equal width: the first `left` of them to the left, the others to the right.
pub fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(index, (cell, width))| {
                if index < left {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Cloud and region; a front stands for itself.
fn place(record: &Value) -> String {
    match (record["front"].as_str(), record["region"].as_str()) {
        (Some(front), _) => format!("{front} (front)"),
        (None, Some(region)) => format!("{} {region}", word(&record["cloud"])),
        (None, None) => word(&record["cloud"]).to_owned(),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

/// The median; a dash where no flow has one.
fn milliseconds(mut times_us: Vec<u64>) -> String {
    times_us.sort_unstable();
    times_us.get(times_us.len() / 2).map_or_else(
        || "-".to_owned(),
        |time_us| format!("{:.3}", *time_us as f64 / 1e3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_flow_are_one_row_and_other_devices_are_left_out() {
        let record = |flow: &str, device: &str, bytes: u64, connect: &str| {
            format!(
                r#"{{"flow_id":"{flow}","device":"{device}","cloud":"aws","region":"r","comm":"c","payload_bytes_egress":{bytes},"connect_us":{connect}}}"#
            )
        };
        let records = [
            record("a", "d", 5, "1500"),
            record("a", "d", 7, "null"),
            record("b", "d", 1, "500"),
            record("c", "other", 100, "1"),
        ]
        .join("\n");
        let text = flows(&records, "d").expect("the records can be read");
        let row: Vec<&str> = text
            .lines()
            .nth(1)
            .expect("a row")
            .split_whitespace()
            .collect();
        assert_eq!(
            row,
            ["aws", "r", "c", "2", "13", "0", "0", "0", "1.500", "-", "-"]
        );
    }
}
