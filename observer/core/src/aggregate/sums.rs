//! Byte sums in both measures and directions, and what the balance needs of one reading in one of each.

use observer_ebpf::abi::{HOMES, Home};
use serde::{Deserialize, Serialize};

use crate::model::{
    counters::Counters,
    kernel::{SlotTotals, UplinkIndex},
    names::{Direction, Measure},
};

/// Bytes by measure and direction; may be negative where it is a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    pub device: [i128; 2],
    pub wire: [i128; 2],
}

impl Bytes {
    pub fn get(&self, measure: Measure, direction: Direction) -> i128 {
        direction.of(match measure {
            Measure::Device => self.device,
            Measure::Wire => self.wire,
        })
    }

    pub fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    pub fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// Of each sum the part that is positive and at most `limit`.
    pub fn within(self, limit: Self) -> Self {
        self.zip(limit, |value, limit| value.clamp(0, limit.max(0)))
    }

    pub fn is_positive(&self) -> bool {
        self.device.iter().chain(&self.wire).any(|bytes| *bytes > 0)
    }

    fn zip(self, other: Self, combine: impl Fn(i128, i128) -> i128) -> Self {
        let pair = |a: [i128; 2], b: [i128; 2]| [combine(a[0], b[0]), combine(a[1], b[1])];
        Self {
            device: pair(self.device, other.device),
            wire: pair(self.wire, other.wire),
        }
    }
}

impl From<&Counters> for Bytes {
    fn from(counters: &Counters) -> Self {
        Self {
            device: counters.device_bytes.map(i128::from),
            wire: counters.wire_bytes.map(i128::from),
        }
    }
}

/// Cumulative bytes of one uplink in one direction and one measure, as read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// The interface's own counter.
    pub interface_counter: i128,
    /// The same, link-layer headers taken off.
    pub interface: i128,
    /// What the programs at the uplink saw.
    pub uplink: i128,
    /// The part of it that the socket hooks had counted (egress).
    pub hooked: i128,
    /// What each home holds; index is a [`Home`].
    pub homes: [i128; HOMES],
    /// Packets that the queue and the device discarded (egress).
    pub drops: i128,
}

impl Sums {
    pub fn home(&self, home: Home) -> i128 {
        self.homes.get(home as usize).copied().unwrap_or_default()
    }

    /// Everything that has a home.
    pub fn housed(&self) -> i128 {
        self.homes.iter().sum()
    }

    /// What the egress socket hooks counted.
    pub fn at_sockets(&self) -> i128 {
        [
            Home::Flow,
            Home::Handshake,
            Home::StorageFailed,
            Home::TableFull,
        ]
        .map(|home| self.home(home))
        .iter()
        .sum()
    }

    /// Whether a counter that only grows is lower than it was: the device or a map was made again. The queue's drops
    /// are left out: a queue may be replaced while the device stays.
    pub fn is_behind(&self, earlier: &Self) -> bool {
        self.interface_counter < earlier.interface_counter
            || self.uplink < earlier.uplink
            || self.housed() < earlier.housed()
    }

    pub fn minus(&self, earlier: &Self) -> Self {
        let mut homes = self.homes;
        homes
            .iter_mut()
            .zip(earlier.homes)
            .for_each(|(now, before)| *now -= before);
        Self {
            interface_counter: self.interface_counter - earlier.interface_counter,
            interface: self.interface - earlier.interface,
            uplink: self.uplink - earlier.uplink,
            hooked: self.hooked - earlier.hooked,
            homes,
            drops: self.drops - earlier.drops,
        }
    }
}

/// What each home of `uplink` holds in all slots together.
pub fn homes(
    slots: &[SlotTotals],
    uplink: UplinkIndex,
    measure: Measure,
    direction: Direction,
) -> [i128; HOMES] {
    let mut homes = [0; HOMES];
    for slot in slots.iter().filter(|slot| slot.uplink == Some(uplink)) {
        if let Some(home) = homes.get_mut(slot.home as usize) {
            *home += Bytes::from(&slot.counters).get(measure, direction);
        }
    }
    homes
}
