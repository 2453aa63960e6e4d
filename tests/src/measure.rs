//! One measurement: a capture and the counters of the same device over exactly the same packets. It knows no traffic
//! and no agent.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::{
    capture::{Capture, Limits, Record, View},
    counters::{Counters, quiesce},
    host::Host,
};

const QUIET: Duration = Duration::from_millis(40);
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 50;

/// A running measurement.
#[derive(Debug)]
pub struct Meter {
    host: Host,
    device: String,
    before: Counters,
    capture: Capture,
}

/// What was measured: counters (as a difference) and packets are of the same moments, to the packet.
#[derive(Debug)]
pub struct Reading {
    pub counters: Counters,
    pub record: Record,
    pub link_header_bytes: u64,
}

impl Meter {
    /// Waits for silence on `device`, then starts; no packet is in one account and not in the other.
    pub fn start(host: &Host, device: &str, view: View) -> Result<Self> {
        Self::start_with(host, device, view, Limits::default())
    }

    /// As [`Meter::start`] with other limits of the capture.
    pub fn start_with(host: &Host, device: &str, view: View, limits: Limits) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let before = quiesce(host, device, QUIET, TIMEOUT)?;
            let capture = Capture::start_with(host, device, view, limits)?;
            if host.counters(device)? == before {
                return Ok(Self {
                    host: host.clone(),
                    device: device.to_owned(),
                    before,
                    capture,
                });
            }
        }
        bail!("`{device}` was never silent long enough to start a capture")
    }

    /// Waits for silence, then ends both accounts at the same moment.
    pub fn finish(self) -> Result<Reading> {
        let link_header_bytes = self.host.link_header_bytes(&self.device)?;
        for _ in 0..ATTEMPTS {
            let counted = quiesce(&self.host, &self.device, QUIET, TIMEOUT)?;
            let (sent, received) = self.capture.flush()?;
            if self.host.counters(&self.device)? != counted {
                continue;
            }
            let mut record = self.capture.stop()?;
            if (record.sent, record.received) != (sent, received) {
                // A packet came while stopping. It is the last one kept: take it off again.
                let late =
                    record.sent.packets + record.received.packets - sent.packets - received.packets;
                record
                    .packets
                    .truncate(record.packets.len().saturating_sub(late as usize));
                (record.sent, record.received) = (sent, received);
            }
            return Ok(Reading {
                counters: counted - self.before,
                record,
                link_header_bytes,
            });
        }
        bail!(
            "`{}` was never silent long enough to end the measurement",
            self.device
        )
    }
}

impl Reading {
    /// The proof that capture and device agree: no packet lost, and both count the same frames, bytes and packets, in
    /// both directions. A device that merges what it receives (GRO) counts segments and shows bundles: there, the
    /// segments must agree.
    pub fn check_exact(&self) -> Result<()> {
        let Self {
            counters, record, ..
        } = self;
        ensure!(
            record.packets_dropped == 0,
            "the capture lost {} packets",
            record.packets_dropped
        );
        ensure!(
            counters.tx_dropped == 0,
            "the device dropped {} packets on their way out",
            counters.tx_dropped
        );
        let sent = (record.sent.frame_bytes, record.sent.packets);
        ensure!(
            sent == (counters.tx_bytes, counters.tx_packets),
            "sent: captured {sent:?}, counted {counters:?}"
        );
        let received = (record.received.frame_bytes, record.received.packets);
        let counted = (counters.rx_bytes, counters.rx_packets);
        let segments = self.received_as_segments();
        ensure!(
            received == counted || segments == counted,
            "received: captured {received:?}, as segments {segments:?}, counted {counted:?}"
        );
        ensure!(
            record.sent.padding_bytes + record.received.padding_bytes == 0,
            "frames are longer than their IP packets by {} and {} bytes",
            record.sent.padding_bytes,
            record.received.padding_bytes
        );
        Ok(())
    }

    /// Frame bytes and packets received if every bundle had come as its segments.
    #[must_use]
    pub fn received_as_segments(&self) -> (u64, u64) {
        let received = self.record.received;
        let packets = received.segments + received.non_ip_packets;
        (
            received.wire_bytes + received.non_ip_bytes + self.link_header_bytes * packets,
            packets,
        )
    }

    /// What the device sent by its own counter, link header off: IP and non-IP bytes.
    #[must_use]
    pub fn sent_network_bytes(&self) -> u64 {
        self.counters.tx_network_bytes(self.link_header_bytes)
    }

    /// What the device received by its own counter, link header off.
    #[must_use]
    pub fn received_network_bytes(&self) -> u64 {
        self.counters.rx_network_bytes(self.link_header_bytes)
    }
}
