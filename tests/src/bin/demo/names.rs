//! By which names the records know the services, and whether those are the names that the clients asked for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::{places::SERVICES, table::aligned};

/// Connections that asked for one name, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    pub server_name: Option<String>,
    pub provider: Option<String>,
    pub service: Option<String>,
    pub api_family: Option<String>,
    pub path_kind: Option<String>,
    pub basis: Option<String>,
    pub confidence: Option<String>,
    /// What the provider keeps of the requests that were read. Programs are found within a second: those of before are not.
    pub api_states: BTreeSet<String>,
    pub connections: u64,
}

/// The last record of each flow over `device`.
pub fn last(records: &str, device: &str) -> Result<Vec<Value>> {
    let mut last = BTreeMap::<String, Value>::new();
    for line in records.lines() {
        let record: Value =
            serde_json::from_str(line).with_context(|| format!("record `{line}`"))?;
        if record["device"] == device {
            last.insert(record["flow_id"].to_string(), record);
        }
    }
    Ok(last.into_values().collect())
}

/// What the last records of all flows say, one a name.
pub fn named(last: &[Value]) -> Vec<Named> {
    let mut found = BTreeMap::<String, Named>::new();
    for record in last {
        let word = |field: &str| record[field].as_str().map(str::to_owned);
        let named = Named {
            server_name: word("server_name"),
            provider: word("provider"),
            service: word("service"),
            api_family: None,
            path_kind: word("path_kind"),
            basis: None,
            confidence: None,
            api_states: BTreeSet::new(),
            connections: 0,
        };
        let key = format!("{named:?}");
        let named = found.entry(key).or_insert(named);
        named.connections += 1;
        // A request that was read is the better evidence.
        if named.basis.is_none() || record["basis"] == "route" {
            named.basis = word("basis");
            named.api_family = word("api_family");
            named.confidence = word("confidence");
        }
        if !record["route"].is_null() {
            named.api_states.extend(word("api_state"));
        }
    }
    found.into_values().collect()
}

/// What differs from what the clients asked for.
pub fn differences(named: &[Named]) -> Vec<String> {
    let missing = SERVICES.iter().filter(|service| {
        let asked = |named: &&Named| named.server_name.as_deref() == Some(service.server_name);
        named.iter().filter(asked).count() != 1
    });
    let missing = missing.map(|service| {
        format!(
            "no record, or several kinds, name `{}`",
            service.server_name
        )
    });
    let is_other = |named: &&Named| {
        let asked = named.server_name.as_deref();
        !SERVICES
            .iter()
            .any(|service| asked == Some(service.server_name))
    };
    let others = named.iter().filter(is_other).map(|named| {
        format!(
            "{} connections to {:?}",
            named.connections, named.server_name
        )
    });
    missing.chain(others).collect()
}

pub fn lines(named: &[Named]) -> Vec<String> {
    let mut cells = vec![
        [
            "name in the hello",
            "provider",
            "service",
            "API",
            "requests",
            "known by",
            "conns",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let shown = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
    for row in named {
        cells.push(vec![
            shown(&row.server_name),
            shown(&row.provider),
            shown(&row.service),
            shown(&row.api_family),
            if row.api_states.is_empty() {
                "-".to_owned()
            } else {
                let states: Vec<&str> = row.api_states.iter().map(String::as_str).collect();
                states.join(", ")
            },
            format!("{}, {}", shown(&row.basis), shown(&row.confidence)),
            row.connections.to_string(),
        ]);
    }
    aligned(&cells, 6)
}
