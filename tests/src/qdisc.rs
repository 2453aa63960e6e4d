//! Rate limits by a token bucket filter on a device, and what it dropped, in its own words. It knows no capture.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::host::Host;

/// A token bucket filter. A packet that finds `limit_bytes` queued is dropped.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    pub rate_bits_per_second: u64,
    /// At least one MTU; bundles larger than it are cut into segments by the filter itself.
    pub burst_bytes: u32,
    /// Queue length; with a small one TCP loses packets.
    pub limit_bytes: u32,
}

/// What a queueing discipline has counted. Bytes include the link header; dropped packets are not in `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct QueueCounters {
    pub bytes: u64,
    pub packets: u64,
    #[serde(rename = "drops")]
    pub dropped_packets: u64,
    #[serde(rename = "backlog", default)]
    pub queued_bytes: u64,
}

impl Host {
    /// Limits what `device` sends.
    pub fn limit_rate(&self, device: &str, bucket: TokenBucket) -> Result<()> {
        let TokenBucket {
            rate_bits_per_second,
            burst_bytes,
            limit_bytes,
        } = bucket;
        let text = format!(
            "qdisc replace dev {device} root tbf rate {rate_bits_per_second}bit burst {burst_bytes}b limit {limit_bytes}b"
        );
        let mut command = Command::new("tc");
        command.args(text.split(' '));
        self.tool(command, None).map(drop)
    }

    /// Reads the root queueing discipline of `device`.
    pub fn queue_counters(&self, device: &str) -> Result<QueueCounters> {
        let mut command = Command::new("tc");
        command.args(["-s", "-j", "qdisc", "show", "dev", device, "root"]);
        let text = self.tool(command, None)?;
        root_counters(&text)
            .with_context(|| format!("no root queue of `{device}` in `{}`", text.trim()))
    }
}

fn root_counters(json: &str) -> Option<QueueCounters> {
    serde_json::from_str::<Vec<QueueCounters>>(json)
        .ok()?
        .into_iter()
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_root_queue_are_read_from_tc() {
        let json = r#"[{"kind":"tbf","handle":"8001:","root":true,"options":{"rate":1250000,"burst":1600},
            "bytes":421,"packets":5,"drops":2,"overlimits":0,"requeues":0,"backlog":7,"qlen":1}]"#;
        let expected = QueueCounters {
            bytes: 421,
            packets: 5,
            dropped_packets: 2,
            queued_bytes: 7,
        };
        assert_eq!(root_counters(json), Some(expected));
        assert_eq!(root_counters("[]"), None);
    }
}
