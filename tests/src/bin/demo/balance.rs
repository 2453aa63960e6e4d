//! The agent's accounts of the uplink: waits for them to rest and prints each as a sum. It adds nothing up itself that
//! the agent claims, and shows a balance that is not zero as it is.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use observer_tests::{Host, Observed, agent::Account, quiesce};

use crate::{table::aligned, world::UPLINK};

const QUIET: Duration = Duration::from_millis(400);
const POLL: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The accounts of `device` once nothing crosses it and two readings, more than a tick apart, are the same.
pub fn settled(observed: &Observed, host: &Host, device: &str) -> Result<Vec<Account>> {
    let start = Instant::now();
    let mut last = (Vec::new(), Instant::now());
    while start.elapsed() < TIMEOUT {
        quiesce(host, UPLINK, QUIET, TIMEOUT)?;
        let mut found = observed.coverage()?;
        found.retain(|account| account.device == device);
        found.sort_by(|a, b| a.direction.cmp(&b.direction));
        if found != last.0 {
            last = (found, Instant::now());
        } else if last.1.elapsed() > Duration::from_millis(1_100) && !found.is_empty() {
            return Ok(found);
        }
        std::thread::sleep(POLL);
    }
    bail!("the agent's accounts of `{device}` did not come to rest")
}

/// One line a direction: interface = flows + each remainder + balance.
pub fn lines(accounts: &[Account]) -> String {
    let mut text = String::new();
    for account in accounts {
        let mut rows = vec![
            vec![
                format!("{} bytes of the interface", account.direction),
                account.interface_bytes.to_string(),
            ],
            vec![
                "= in flows".to_owned(),
                account.attributed_bytes.to_string(),
            ],
        ];
        let named: BTreeMap<_, _> = account
            .remainder_bytes
            .iter()
            .filter(|(_, bytes)| **bytes != 0)
            .collect();
        for (reason, bytes) in named {
            rows.push(vec![format!("+ {reason}"), bytes.to_string()]);
        }
        rows.push(vec![
            "+ balance".to_owned(),
            account.balance_bytes.to_string(),
        ]);
        for line in aligned(&rows, 1).lines() {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    text
}
