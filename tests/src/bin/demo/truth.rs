//! What the clients themselves counted, on their own side of TLS's records, and the comparison of it with the agent's
//! records. It asks no agent.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Workload and label of the place: what a row of tables is about.
pub type Key = (String, String);

/// What one task's connections carried, as the process that wrote and read it saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    pub connections: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// Counters of one task, added to while it runs.
#[derive(Debug, Default)]
pub struct Counting {
    connections: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Counting {
    pub fn truth(&self) -> Truth {
        Truth {
            connections: self.connections.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
        }
    }
}

/// A TCP stream that counts what is written to it and read from it.
pub struct Metered {
    stream: TcpStream,
    counting: Arc<Counting>,
}

impl Metered {
    pub fn new(stream: TcpStream, counting: Arc<Counting>) -> Self {
        counting.connections.fetch_add(1, Ordering::Relaxed);
        Self { stream, counting }
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.counting
            .bytes_received
            .fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

impl Write for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.stream.write(bytes)?;
        self.counting
            .bytes_sent
            .fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Puts a workload's counts where [`read`] finds them, the place's label with each. They are whole at any moment.
pub fn write(folder: &Path, workload: &str, counts: &[(String, Truth)]) -> Result<()> {
    let path = file(folder, workload);
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(counts)?)
        .and_then(|()| fs::rename(&new, &path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// What the workloads have counted so far.
pub fn read(folder: &Path, workloads: &[&str]) -> Result<BTreeMap<Key, Truth>> {
    let mut found = BTreeMap::new();
    for workload in workloads {
        let path = file(folder, workload);
        // It has not begun.
        let Ok(text) = fs::read(&path) else {
            continue;
        };
        let counts: Vec<(String, Truth)> = serde_json::from_slice(&text)
            .with_context(|| format!("counts in `{}`", path.display()))?;
        for (place, truth) in counts {
            found.insert(((*workload).to_owned(), place), truth);
        }
    }
    Ok(found)
}

/// Each difference in a line; none where records and clients agree.
pub fn differences(truth: &BTreeMap<Key, Truth>, records: &BTreeMap<Key, Truth>) -> Vec<String> {
    let mut keys: Vec<&Key> = truth.keys().chain(records.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut lines = Vec::new();
    for key in keys {
        let [clients, records] =
            [truth, records].map(|side| side.get(key).copied().unwrap_or_default());
        for (what, client, record) in [
            ("connections", clients.connections, records.connections),
            ("bytes sent", clients.bytes_sent, records.bytes_sent),
            (
                "bytes received",
                clients.bytes_received,
                records.bytes_received,
            ),
        ] {
            if client != record {
                lines.push(format!(
                    "`{}` to `{}`: {what}: the client counted {client}, records have {record}",
                    key.0, key.1
                ));
            }
        }
    }
    lines
}

fn file(folder: &Path, workload: &str) -> PathBuf {
    folder.join(format!("{workload}.counts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rows: &[(&str, u64, u64, u64)]) -> BTreeMap<Key, Truth> {
        let row = |(name, connections, bytes_sent, bytes_received): &(&str, u64, u64, u64)| {
            let truth = Truth {
                connections: *connections,
                bytes_sent: *bytes_sent,
                bytes_received: *bytes_received,
            };
            (((*name).to_owned(), "aws".to_owned()), truth)
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn every_difference_is_named() {
        for (truth, records, expected) in [
            (side(&[("a", 1, 2, 3)]), side(&[("a", 1, 2, 3)]), vec![]),
            (
                side(&[("a", 1, 2, 3)]),
                side(&[("a", 1, 1, 4)]),
                vec![
                    "`a` to `aws`: bytes sent: the client counted 2, records have 1",
                    "`a` to `aws`: bytes received: the client counted 3, records have 4",
                ],
            ),
            (
                side(&[]),
                side(&[("b", 1, 0, 0)]),
                vec!["`b` to `aws`: connections: the client counted 0, records have 1"],
            ),
            (
                side(&[("a", 1, 0, 0)]),
                side(&[]),
                vec!["`a` to `aws`: connections: the client counted 1, records have 0"],
            ),
        ] {
            assert_eq!(differences(&truth, &records), expected);
        }
    }
}
