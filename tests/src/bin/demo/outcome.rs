//! What a run came to: rows, accounts, the clients' own counts; as text for people and as JSON for scripts. It runs
//! nothing.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Result, bail};
use observer_tests::agent::Account;
use serde::Serialize;
use serde_json::json;

use crate::{
    balance,
    look::{Paint, exact},
    names::{self, Named},
    table::{self, Row},
    tasks::TASKS,
    truth::{Key, Truth, differences},
    verdicts::{self, Judged},
};

pub struct Outcome {
    pub rows: Vec<Row>,
    pub named: Vec<Named>,
    pub judged: Vec<Judged>,
    pub accounts: Vec<Account>,
    clients: Truth,
    differences: Vec<String>,
    pub catalog_version: String,
}

/// Where a served run can be looked at.
#[derive(Debug, Default, Serialize)]
pub struct Links(pub Vec<(&'static str, String)>);

impl Outcome {
    pub fn new(
        rows: Vec<Row>,
        (named, judged): (Vec<Named>, Vec<Judged>),
        accounts: Vec<Account>,
        truth: &BTreeMap<Key, Truth>,
        catalog_version: String,
    ) -> Self {
        let clients = truth.values().fold(Truth::default(), |sum, truth| Truth {
            connections: sum.connections + truth.connections,
            bytes_sent: sum.bytes_sent + truth.bytes_sent,
            bytes_received: sum.bytes_received + truth.bytes_received,
        });
        let mut differences = differences(truth, &table::counted(&rows));
        differences.extend(names::differences(&named));
        Self {
            rows,
            named,
            judged,
            accounts,
            clients,
            differences,
            catalog_version,
        }
    }

    /// Fails where records and clients differ, or an account does not close.
    pub fn check(&self) -> Result<()> {
        if !self.differences.is_empty() {
            bail!(
                "records and clients differ: {}",
                self.differences.join("; ")
            );
        }
        for account in &self.accounts {
            if account.balance_bytes != 0 {
                bail!(
                    "the balance of `{}`, {}, is {} bytes",
                    account.device,
                    account.direction,
                    account.balance_bytes
                );
            }
        }
        Ok(())
    }

    pub fn to_json(&self, links: &Links) -> Result<String> {
        let accounts: Vec<_> = self
            .accounts
            .iter()
            .map(|account| {
                json!({
                    "device": account.device,
                    "direction": account.direction,
                    "measure": account.measure,
                    "interface_bytes": account.interface_bytes,
                    "attributed_bytes": account.attributed_bytes,
                    "remainder_bytes": account.remainder_bytes,
                    "balance_bytes": account.balance_bytes,
                })
            })
            .collect();
        let links: BTreeMap<_, _> = links.0.iter().map(|(name, link)| (name, link)).collect();
        Ok(serde_json::to_string_pretty(&json!({
            "catalog_version": self.catalog_version,
            "rows": self.rows,
            "named": self.named,
            "judged": self.judged,
            "total": table::total(&self.rows),
            "accounts": accounts,
            "clients": self.clients,
            "differences": self.differences,
            "links": links,
        }))?)
    }

    pub fn to_text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line(&paint.strong("What ran, between namespaces of this machine; nothing left it"));
        for task in &TASKS {
            line(&format!("  {:<15} {}", task.workload, task.what));
        }
        line("");
        line(&paint.strong("Where it went, from the agent's records"));
        let lines = table::lines(&self.rows);
        for (index, row) in lines.iter().enumerate() {
            let is_total = index + 1 == lines.len();
            line(&if is_total {
                paint.strong(row)
            } else {
                row.clone()
            });
        }
        line("");
        line(&paint.strong("How each service was named, by what its clients asked for"));
        for row in names::lines(&self.named) {
            line(&row);
        }
        line("");
        line(
            &paint.strong(
                "Was it allowed? What two of the example contracts say; nothing is blocked",
            ),
        );
        for row in verdicts::lines(&self.judged) {
            line(&row);
        }
        line("");
        line(&paint.strong("Do the bytes add up? The uplink's own counters against the agent's"));
        let balanced = self
            .accounts
            .iter()
            .all(|account| account.balance_bytes == 0);
        let lines = balance::lines(&self.accounts);
        for (index, row) in lines.iter().enumerate() {
            line(&match (index + 1 == lines.len(), balanced) {
                (true, true) => paint.good(row),
                (true, false) => paint.bad(row),
                (false, _) => row.clone(),
            });
        }
        line("");
        line(&paint.strong("Do the records say what the clients know? Bytes of TLS records, as each client wrote and read them"));
        self.clients_lines(&mut text, paint);
        text
    }

    fn clients_lines(&self, text: &mut String, paint: Paint) {
        let total = table::total(&self.rows);
        let rows = [
            ["", "connections", "sent", "received"]
                .map(str::to_owned)
                .to_vec(),
            vec![
                "clients".to_owned(),
                exact(self.clients.connections),
                exact(self.clients.bytes_sent),
                exact(self.clients.bytes_received),
            ],
            vec![
                "records".to_owned(),
                exact(total.connections),
                exact(total.payload_bytes_egress),
                exact(total.payload_bytes_ingress),
            ],
        ];
        for row in table::aligned(&rows, 1) {
            let _ = writeln!(text, "{row}");
        }
        let verdict = if self.differences.is_empty() {
            paint.good(&format!("equal, in each of {} rows", self.rows.len()))
        } else {
            paint.bad(&self.differences.join("\n"))
        };
        let _ = writeln!(text, "{verdict}");
    }
}

impl Links {
    pub fn to_text(&self, paint: Paint) -> String {
        let mut text = format!("\n{}\n", paint.strong("Look at it until Ctrl-C"));
        for (name, link) in &self.0 {
            let _ = writeln!(text, "  {name:<15} {link}");
        }
        text
    }
}
