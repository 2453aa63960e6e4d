//! The counters that the kernel keeps for each device, read from `/proc/net/dev`, and the rule that takes link headers
//! off them. It knows no packet.

use std::{
    fs,
    ops::Sub,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::host::Host;

/// What a device has counted so far, or the difference of two readings. Bytes include the link header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

impl Counters {
    /// Received bytes without the link header: IP packets and what is not IP. `link_header` is that of the device.
    #[must_use]
    pub fn rx_network_bytes(&self, link_header: u64) -> u64 {
        self.rx_bytes
            .saturating_sub(link_header.saturating_mul(self.rx_packets))
    }

    /// Sent bytes without the link header.
    #[must_use]
    pub fn tx_network_bytes(&self, link_header: u64) -> u64 {
        self.tx_bytes
            .saturating_sub(link_header.saturating_mul(self.tx_packets))
    }
}

impl Sub for Counters {
    type Output = Self;

    /// # Panics
    /// When a counter ran backwards, which a living device's never do.
    fn sub(self, before: Self) -> Self {
        let less = |now: u64, then: u64| {
            now.checked_sub(then)
                .expect("device counters never run backwards")
        };
        Self {
            rx_bytes: less(self.rx_bytes, before.rx_bytes),
            rx_packets: less(self.rx_packets, before.rx_packets),
            rx_dropped: less(self.rx_dropped, before.rx_dropped),
            tx_bytes: less(self.tx_bytes, before.tx_bytes),
            tx_packets: less(self.tx_packets, before.tx_packets),
            tx_dropped: less(self.tx_dropped, before.tx_dropped),
        }
    }
}

impl Host {
    /// Reads what `device` has counted so far.
    pub fn counters(&self, device: &str) -> Result<Counters> {
        let table = self
            .run(|| fs::read_to_string("/proc/thread-self/net/dev"))
            .context("cannot read net/dev")?;
        parse(&table, device)
            .with_context(|| format!("no device `{device}` in host `{}`", self.name()))
    }

    /// Bytes of link header that `device` includes in its counters for each packet: veth 14, tun and `lo` 0.
    pub fn link_header_bytes(&self, device: &str) -> Result<u64> {
        let kind = self.run(|| crate::offload::hardware_type(device));
        match kind
            .with_context(|| format!("cannot ask what `{device}` in host `{}` is", self.name()))?
        {
            libc::ARPHRD_ETHER => Ok(14),
            libc::ARPHRD_LOOPBACK | libc::ARPHRD_NONE => Ok(0),
            other => bail!(
                "device `{device}` has hardware type `{other}`, whose link header is not known here"
            ),
        }
    }
}

impl Host {
    /// As [`Host::link_header_bytes`], for the receive counter. A veth with GRO (or XDP) on receives through NAPI and
    /// counts after the link header was taken off: 0 there, and each segment by itself.
    pub fn rx_link_header_bytes(&self, device: &str) -> Result<u64> {
        let is_veth = self.run(|| crate::offload::driver(device)).as_deref() == Some("veth");
        if is_veth && self.features(device)?.iter().any(|name| name == "rx-gro") {
            return Ok(0);
        }
        self.link_header_bytes(device)
    }
}

/// Waits until nothing was counted on `device` for `quiet`, at most `timeout`; returns the last reading.
pub fn quiesce(host: &Host, device: &str, quiet: Duration, timeout: Duration) -> Result<Counters> {
    const POLL: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + timeout;
    let (mut last, mut since) = (host.counters(device)?, Instant::now());
    while since.elapsed() < quiet {
        if Instant::now() > deadline {
            bail!(
                "`{device}` in host `{}` still counts after {timeout:?}: {last:?}",
                host.name()
            );
        }
        std::thread::sleep(POLL);
        let now = host.counters(device)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

fn parse(table: &str, device: &str) -> Option<Counters> {
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))?;
    let columns: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let column = |index: usize| columns.get(index).copied();
    Some(Counters {
        rx_bytes: column(0)?,
        rx_packets: column(1)?,
        rx_dropped: column(3)?,
        tx_bytes: column(8)?,
        tx_packets: column(9)?,
        tx_dropped: column(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Inter-|   Receive |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast\
        |bytes packets errs drop fifo colls carrier compressed\n    lo:       0       0    0    0    0     0          0   \
        0        0       0    0    0    0     0       0          0\n  eth0:1234 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19\n";

    #[test]
    fn the_row_of_a_device_is_read_with_or_without_a_space_after_its_name() {
        let expected = Counters {
            rx_bytes: 1234,
            rx_packets: 5,
            rx_dropped: 7,
            tx_bytes: 12,
            tx_packets: 13,
            tx_dropped: 15,
        };
        assert_eq!(parse(TABLE, "eth0"), Some(expected));
        assert_eq!(parse(TABLE, "lo"), Some(Counters::default()));
        assert_eq!(parse(TABLE, "eth"), None);
    }
}
