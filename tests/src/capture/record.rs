//! What a capture or a pump has seen: totals of both directions, and the packets one by one up to a limit. It knows no
//! socket and no device.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::{
    classify::{self, Class},
    packet::{Direction, Packet},
};

/// Sums over packets. For everything but the frames, link headers are not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// As the device hands them over: a bundle is one.
    pub packets: u64,
    /// IP packets on a wire: a bundle is as many as it becomes.
    pub segments: u64,
    pub frame_bytes: u64,
    /// IP lengths, bundles with their headers once.
    pub device_bytes: u64,
    /// IP lengths of all segments.
    pub wire_bytes: u64,
    pub payload_bytes: u64,
    pub non_ip_packets: u64,
    /// Frames without IP, link header off.
    pub non_ip_bytes: u64,
    /// Bytes in IP frames that belong to neither link header nor IP packet; 0 on every device of the testbed.
    pub padding_bytes: u64,
}

impl Totals {
    pub fn add(&mut self, packet: &Packet) {
        self.packets += 1;
        self.frame_bytes += u64::from(packet.frame_bytes);
        self.device_bytes += u64::from(packet.device_bytes);
        self.wire_bytes += u64::from(packet.wire_bytes);
        self.payload_bytes += u64::from(packet.payload_bytes);
        if packet.ip_version == 0 {
            self.non_ip_packets += 1;
        } else {
            self.segments += u64::from(packet.segments);
        }
    }

    fn add_link(&mut self, packet: &Packet, link_header_bytes: u32) {
        let network = u64::from(packet.frame_bytes.saturating_sub(link_header_bytes));
        if packet.ip_version == 0 {
            self.non_ip_bytes += network;
        } else {
            self.padding_bytes += network.saturating_sub(u64::from(packet.device_bytes));
        }
    }
}

/// The account of one capture.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub sent: Totals,
    pub received: Totals,
    /// In the order captured, up to the capture's limit.
    pub packets: Vec<Packet>,
    /// In the totals, but beyond the limit for single packets.
    pub packets_not_kept: u64,
    /// Lost by the capture itself, by the kernel's count; the record is then worth nothing as a proof.
    pub packets_dropped: u64,
    limit: usize,
}

impl Record {
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Adds a packet captured where `link_header_bytes` precede the IP packet.
    pub(crate) fn add(&mut self, (packet, link_header_bytes): (Packet, u32)) {
        let totals = match packet.direction {
            Direction::Out => &mut self.sent,
            Direction::In => &mut self.received,
        };
        totals.add(&packet);
        totals.add_link(&packet, link_header_bytes);
        if self.packets.len() < self.limit {
            self.packets.push(packet);
        } else {
            self.packets_not_kept += 1;
        }
    }

    /// Sums the packets that satisfy `wanted`. Needs all packets: see [`Record::check_complete`].
    #[must_use]
    pub fn sum(&self, mut wanted: impl FnMut(&Packet) -> bool) -> Totals {
        let mut totals = Totals::default();
        self.packets
            .iter()
            .filter(|packet| wanted(packet))
            .for_each(|packet| totals.add(packet));
        totals
    }

    /// Sums by class; see [`Class`].
    #[must_use]
    pub fn breakdown(&self) -> BTreeMap<Class, Totals> {
        classify::breakdown(&self.packets)
    }

    /// Sums by class what goes in one direction; classes are still judged by both.
    #[must_use]
    pub fn breakdown_of(&self, direction: Direction) -> BTreeMap<Class, Totals> {
        let mut sums = BTreeMap::<Class, Totals>::new();
        for (packet, class) in self.packets.iter().zip(classify::classes(&self.packets)) {
            if packet.direction == direction {
                sums.entry(class).or_default().add(packet);
            }
        }
        sums
    }

    /// TCP payload that crossed in `direction`, each byte once; see [`classify::payload_bytes_once`].
    #[must_use]
    pub fn payload_bytes_once(&self, direction: Direction) -> u64 {
        classify::payload_bytes_once(&self.packets, direction)
    }

    /// Bytes that exist on the wire only because datagrams were fragmented.
    #[must_use]
    pub fn fragment_header_bytes(&self, direction: Direction) -> u64 {
        let of_direction = self
            .packets
            .iter()
            .filter(|packet| packet.direction == direction);
        of_direction
            .map(|packet| u64::from(packet.fragment_header_bytes()))
            .sum()
    }

    /// Refuses a record that lost packets, or that did not keep each one.
    pub fn check_complete(&self) -> Result<()> {
        ensure!(
            self.packets_dropped == 0,
            "the capture lost {} packets",
            self.packets_dropped
        );
        ensure!(
            self.packets_not_kept == 0,
            "the capture kept {} packets only as totals",
            self.packets_not_kept
        );
        Ok(())
    }
}
