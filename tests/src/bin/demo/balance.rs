//! The agent's accounts of the uplink: waits for them to rest and prints each as a sum. It adds nothing up itself that
//! the agent claims, and shows a balance that is not zero as it is.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use observer_tests::{Host, Observed, agent::Account, interrupt, quiesce};

use crate::{look::exact, table::aligned, world::UPLINK};

const QUIET: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(200);
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
        interrupt::sleep(POLL)?;
    }
    bail!("the agent's accounts of `{device}` did not come to rest")
}

/// A column for each direction: interface = flows + each remainder + balance; the balance is the last line.
pub fn lines(accounts: &[Account]) -> Vec<String> {
    let row = |name: &str, figure: &dyn Fn(&Account) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(accounts.iter().map(figure));
        cells
    };
    let mut rows = vec![
        row("", &|account| account.direction.clone()),
        row("bytes of the interface", &|account| {
            exact(account.interface_bytes)
        }),
        row("= in flows", &|account| exact(account.attributed_bytes)),
    ];
    let named: BTreeSet<&str> = accounts
        .iter()
        .flat_map(|account| &account.remainder_bytes)
        .filter(|(_, bytes)| **bytes != 0)
        .map(|(reason, _)| reason.as_str())
        .collect();
    for reason in named {
        rows.push(row(&format!("+ {reason}"), &|account| {
            exact(account.remainder(reason))
        }));
    }
    rows.push(row("+ balance", &|account| exact(account.balance_bytes)));
    aligned(&rows, 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn remainders_of_both_directions_have_lines_and_empty_ones_have_none() {
        let account = |direction: &str, reason: &str, balance_bytes| Account {
            device: "d".to_owned(),
            direction: direction.to_owned(),
            measure: "device".to_owned(),
            interface_bytes: 1_234,
            attributed_bytes: 1_200,
            remainder_bytes: BTreeMap::from([(reason.to_owned(), 34), ("late".to_owned(), 0)]),
            balance_bytes,
        };
        let lines = lines(&[
            account("egress", "non_ip", 0),
            account("ingress", "handshake", -7),
        ]);
        assert_eq!(
            lines,
            [
                "                        egress  ingress",
                "bytes of the interface   1,234    1,234",
                "= in flows               1,200    1,200",
                "+ handshake                  0       34",
                "+ non_ip                    34        0",
                "+ balance                    0       -7",
            ]
        );
    }
}
