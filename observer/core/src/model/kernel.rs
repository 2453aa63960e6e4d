//! The kernel's own totals, beside the flows: by destination, by uplink, and what it lost.

use std::{collections::BTreeMap, sync::Arc};

use observer_ebpf::abi::{self, Home};

use super::{counters::Counters, names::LossPlace};

/// One total the kernel keeps by uplink, home and destination; cumulative since the map was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotTotals {
    /// `None` where the packets crossed no uplink.
    pub uplink: Option<UplinkIndex>,
    pub home: Home,
    /// Tag set of the remote address.
    pub tag: u32,
    pub counters: Counters,
}

/// Row of an uplink in the kernel's maps, below [`abi::UPLINKS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UplinkIndex(pub u16);

/// What the programs at one uplink counted; cumulative since the map was made. Bytes, link-layer header taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkTotals {
    pub device_bytes: [u64; 2],
    pub wire_bytes: [u64; 2],
    /// Frames handed over (a bundle is one).
    pub frames: [u64; 2],
    /// Egress: packets that the socket hook had counted.
    pub hooked_device_bytes: u64,
    /// The same with every segment's headers.
    pub hooked_wire_bytes: u64,
}

impl From<abi::UplinkTotals> for UplinkTotals {
    fn from(totals: abi::UplinkTotals) -> Self {
        let abi::UplinkTotals {
            device_bytes,
            bundled_bytes,
            frames,
            hooked_device_bytes,
            hooked_bundled_bytes,
        } = totals;
        let [egress, ingress] = device_bytes;
        let [egress_bundled, ingress_bundled] = bundled_bytes;
        Self {
            device_bytes,
            wire_bytes: [
                egress.wrapping_add(egress_bundled),
                ingress.wrapping_add(ingress_bundled),
            ],
            frames,
            hooked_device_bytes,
            hooked_wire_bytes: hooked_device_bytes.wrapping_add(hooked_bundled_bytes),
        }
    }
}

/// What was lost so far, by place; a place that is not a key was not read.
pub type Losses = BTreeMap<LossPlace, u64>;

/// CPU time of one kernel program.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramRunTime {
    pub program: Arc<str>,
    pub run_seconds: f64,
}

/// The number of a [`Home`] in the ABI, read back.
#[must_use]
pub const fn home_from_number(number: u8) -> Option<Home> {
    const HOMES: [Home; abi::HOMES] = [
        Home::Flow,
        Home::Handshake,
        Home::StorageFailed,
        Home::TableFull,
        Home::ControlSocket,
        Home::KernelSent,
        Home::Forwarded,
        Home::Encapsulation,
        Home::FragmentHeaders,
        Home::Raw,
        Home::NonIp,
    ];
    if (number as usize) < HOMES.len() {
        Some(HOMES[number as usize])
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_read_back_by_number() {
        for number in 0..=u8::MAX {
            match home_from_number(number) {
                Some(home) => assert_eq!(home as u8, number),
                None => assert!(usize::from(number) >= abi::HOMES, "{number}"),
            }
        }
    }
}
