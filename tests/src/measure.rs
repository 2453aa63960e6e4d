//! One measurement: captures and the counters of the same devices over exactly the same packets. It knows no traffic
//! and no agent.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::{
    capture::{Capture, Limits, Record, Totals, View},
    counters::{Counters, quiesce},
    host::Host,
};

const QUIET: Duration = Duration::from_millis(40);
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 50;

/// A running measurement of one device.
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
    /// Included in the counters for each packet sent: 14 on a veth, but 0 where its peer receives through NAPI (GRO or
    /// XDP), because a veth's sent bytes are then counted by the peer, after the header was taken off. The peer lives
    /// in another namespace and cannot be asked: the capture decides between the two.
    pub link_header_bytes: u64,
    /// Included in the counters for each packet received; see [`Host::rx_link_header_bytes`].
    pub rx_link_header_bytes: u64,
}

impl Meter {
    /// Waits for silence on `device`, then starts; no packet is in one account and not in the other.
    pub fn start(host: &Host, device: &str, view: View) -> Result<Self> {
        Self::start_with(host, device, view, Limits::default())
    }

    /// As [`Meter::start`] with other limits of the capture.
    pub fn start_with(host: &Host, device: &str, view: View, limits: Limits) -> Result<Self> {
        let [meter] = Self::start_together([(host, device, view)], limits)?;
        Ok(meter)
    }

    /// Starts several measurements in one silence of all their devices, so that their accounts can be compared: a
    /// late multicast report is in all of them or in none. They must be ended by [`Meter::finish_together`].
    pub fn start_together<const N: usize>(
        points: [(&Host, &str, View); N],
        limits: Limits,
    ) -> Result<[Self; N]> {
        for _ in 0..ATTEMPTS {
            let before = silence(&points.map(|(host, device, _)| (host, device)))?;
            let meters = points
                .iter()
                .zip(&before)
                .map(|((host, device, view), before)| {
                    let capture = Capture::start_with(host, device, *view, limits)?;
                    let (host, device) = ((*host).clone(), (*device).to_owned());
                    Ok(Self {
                        host,
                        device,
                        before: *before,
                        capture,
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            let is_silent =
                meters
                    .iter()
                    .zip(&before)
                    .try_fold(true, |silent, (meter, before)| {
                        Ok::<_, anyhow::Error>(silent && meter.counters()? == *before)
                    })?;
            if is_silent && let Ok(meters) = meters.try_into() {
                return Ok(meters);
            }
        }
        bail!("the devices were never silent long enough to start a capture")
    }

    /// Waits for silence, then ends both accounts at the same moment.
    pub fn finish(self) -> Result<Reading> {
        let [reading] = Self::finish_together([self])?;
        Ok(reading)
    }

    /// Ends several measurements in one silence of all their devices.
    pub fn finish_together<const N: usize>(meters: [Self; N]) -> Result<[Reading; N]> {
        for _ in 0..ATTEMPTS {
            let counted = silence(
                &meters
                    .each_ref()
                    .map(|meter| (&meter.host, meter.device.as_str())),
            )?;
            let mut totals = Vec::with_capacity(N);
            let mut is_silent = true;
            for meter in &meters {
                totals.push(meter.capture.flush()?);
            }
            for (meter, counted) in meters.iter().zip(&counted) {
                is_silent &= meter.counters()? == *counted;
            }
            if !is_silent {
                continue;
            }
            let ends = meters.into_iter().zip(counted).zip(totals);
            let readings = ends
                .map(|((meter, counted), totals)| meter.end(counted, totals))
                .collect::<Result<Vec<_>>>()?;
            return Ok(readings.try_into().expect("one reading for each meter"));
        }
        bail!("the devices were never silent long enough to end the measurement")
    }

    fn counters(&self) -> Result<Counters> {
        self.host.counters(&self.device)
    }

    /// Stops the capture; what came after `totals` were read is taken off again.
    fn end(self, counted: Counters, (sent, received): (Totals, Totals)) -> Result<Reading> {
        let mut link_header_bytes = self.host.link_header_bytes(&self.device)?;
        let rx_link_header_bytes = self.host.rx_link_header_bytes(&self.device)?;
        let mut record = self.capture.stop()?;
        let seen = |sent: Totals, received: Totals| sent.packets + received.packets;
        let late = seen(record.sent, record.received) - seen(sent, received);
        // Packets beyond the limit were not kept: of the late ones, those are not in the list.
        let late_kept = late.saturating_sub(record.packets_not_kept);
        record.packets_not_kept = record.packets_not_kept.saturating_sub(late);
        record
            .packets
            .truncate(record.packets.len().saturating_sub(late_kept as usize));
        (record.sent, record.received) = (sent, received);
        let counters = counted - self.before;
        if counters.tx_bytes + link_header_bytes * sent.packets == sent.frame_bytes {
            link_header_bytes = 0;
        }
        Ok(Reading {
            counters,
            record,
            link_header_bytes,
            rx_link_header_bytes,
        })
    }
}

/// Waits until all devices are silent together; returns what each has counted.
fn silence<const N: usize>(points: &[(&Host, &str); N]) -> Result<Vec<Counters>> {
    let read = || {
        points
            .iter()
            .map(|(host, device)| host.counters(device))
            .collect::<Result<Vec<_>>>()
    };
    for _ in 0..ATTEMPTS {
        for (host, device) in points {
            quiesce(host, device, QUIET, TIMEOUT)?;
        }
        let now = read()?;
        std::thread::sleep(QUIET);
        if read()? == now {
            return Ok(now);
        }
    }
    bail!("the devices were never silent together")
}

impl Reading {
    /// The proof that capture and device agree: no packet lost, and both count the same bytes and packets, in both
    /// directions. A device that merges what it receives (GRO) counts segments and shows bundles: there, the segments
    /// must agree.
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
        let padding = record.sent.padding_bytes + record.received.padding_bytes;
        ensure!(
            padding == 0,
            "frames are {padding} bytes longer than their IP packets"
        );
        let sent = (
            record.sent.device_bytes + record.sent.non_ip_bytes,
            record.sent.packets,
        );
        let counted = (self.sent_network_bytes(), counters.tx_packets);
        ensure!(
            sent == counted,
            "sent: captured {sent:?}, counted {counted:?} without link headers"
        );
        let received = &record.received;
        let bundles = (
            received.device_bytes + received.non_ip_bytes,
            received.packets,
        );
        let segments = self.received_as_segments();
        let counted = (self.received_network_bytes(), counters.rx_packets);
        ensure!(
            bundles == counted || segments == counted,
            "received: captured {bundles:?}, as segments {segments:?}, counted {counted:?} without link headers"
        );
        Ok(())
    }

    /// Bytes, link headers off, and packets received if every bundle had come as its segments.
    #[must_use]
    pub fn received_as_segments(&self) -> (u64, u64) {
        let received = &self.record.received;
        (
            received.wire_bytes + received.non_ip_bytes,
            received.segments + received.non_ip_packets,
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
        self.counters.rx_network_bytes(self.rx_link_header_bytes)
    }
}
