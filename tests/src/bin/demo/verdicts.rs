//! What two of the shipped example contracts say of each service that was asked for, from the records. It judges nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::table::aligned;

/// The contracts of the demo, as files of the repository and by their ids.
pub const CONTRACTS: [(&str, &str); 2] = [
    (
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../observer/contracts/approved-ai-providers.yaml"
        ),
        "approved-ai-providers",
    ),
    (
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../observer/contracts/openai-microsoft-2026-04.yaml"
        ),
        "openai-microsoft-2026-04",
    ),
];
/// Of a line with a reason.
const LINE_CHARACTERS_MAX: usize = 118;

/// What one contract says of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    pub server_name: String,
    pub contract: String,
    /// Of the last records of its flows, each once.
    pub verdicts: BTreeSet<String>,
    pub reason: Option<String>,
}

/// What the last records of all flows say.
pub fn judged(last: &[Value]) -> Vec<Judged> {
    let mut found = BTreeMap::<(String, String), Judged>::new();
    for record in last {
        let name = record["server_name"].as_str().unwrap_or("unknown");
        for said in record["verdicts"].as_array().into_iter().flatten() {
            let text = |field: &str| said[field].as_str().map(str::to_owned);
            let contract = text("contract").unwrap_or_default();
            let key = (name.to_owned(), contract.clone());
            let judged = found.entry(key).or_insert_with(|| Judged {
                server_name: name.to_owned(),
                contract,
                verdicts: BTreeSet::new(),
                reason: None,
            });
            judged.verdicts.extend(text("verdict"));
            judged.reason = text("reason").or(judged.reason.take());
        }
    }
    found.into_values().collect()
}

/// A line for each name, and one for each reason that a person would ask for.
pub fn lines(judged: &[Judged]) -> Vec<String> {
    let mut heads = vec!["name in the hello".to_owned()];
    heads.extend(CONTRACTS.map(|(_, id)| id.to_owned()));
    let mut cells = vec![heads];
    let names: BTreeSet<&str> = judged.iter().map(|one| &*one.server_name).collect();
    for name in names {
        let mut row = vec![name.to_owned()];
        row.extend(CONTRACTS.map(|(_, id)| {
            let said = judged
                .iter()
                .find(|one| one.server_name == name && one.contract == id);
            said.map_or_else(
                || "-".to_owned(),
                |said| said.verdicts.iter().cloned().collect::<Vec<_>>().join("/"),
            )
        }));
        cells.push(row);
    }
    let mut lines = aligned(&cells, 3);
    let is_asked_for =
        |one: &&Judged| one.verdicts.contains("violation") || one.verdicts.contains("undetermined");
    for one in judged.iter().filter(is_asked_for) {
        let reason = one.reason.as_deref().unwrap_or_default();
        let line = format!("  {}: {reason}", one.server_name);
        lines.push(line.chars().take(LINE_CHARACTERS_MAX).collect());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::last;

    #[test]
    fn the_last_record_of_a_flow_counts() {
        let record = |verdict: &str| {
            json!({
                "flow_id": "a", "device": "d", "server_name": "api.example",
                "verdicts": [{"contract": CONTRACTS[0].1, "rule": "r", "verdict": verdict, "reason": "because"}],
            })
            .to_string()
        };
        let records = [record("undetermined"), record("violation")].join("\n");
        let judged = judged(&last(&records, "d").expect("records"));
        assert_eq!(judged.len(), 1);
        let lines = lines(&judged);
        assert_eq!(
            lines[1..],
            [
                "api.example        violation              -",
                "  api.example: because"
            ]
        );
    }
}
