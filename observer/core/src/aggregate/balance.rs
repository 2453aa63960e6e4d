//! Whether everything adds up to what each device counted: the accounts of all uplinks, kept over restarts.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    account::Account,
    credit::{DestinationKey, Unrecorded},
    report::BalanceReport,
    sums::{Sums, homes},
};
use crate::model::{
    kernel::{SlotTotals, UplinkIndex, UplinkTotals},
    names::{Direction, Measure},
};

/// One uplink as read at one moment.
#[derive(Clone, Debug)]
pub struct UplinkReading {
    pub index: UplinkIndex,
    pub device: Arc<str>,
    /// By direction.
    pub rules: [LinkRule; 2],
    pub interface: InterfaceCounters,
    pub totals: UplinkTotals,
    /// Whether every hook of a direction has been in place since the last reading.
    pub attached: [bool; 2],
}

/// How one direction of a device counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRule {
    pub measure: Measure,
    /// Link-layer header in the interface's byte counter: bytes for each packet of its packet counter.
    pub link_header_bytes: u32,
    /// Largest packet the stack hands to the device (`gso_max_size`).
    pub skb_bytes_max: u32,
}

/// The interface's own counters, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    pub bytes: [u64; 2],
    pub packets: [u64; 2],
    /// Packets discarded on the way out: the queue's `dropped` and the device's `tx_dropped` together.
    pub tx_drops: u64,
}

/// All accounts.
#[derive(Debug, Default)]
pub struct Balance {
    uplinks: BTreeMap<UplinkIndex, BalanceState>,
}

/// Both accounts of one uplink; kept while no agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceState {
    pub uplink: u16,
    pub device: String,
    /// By direction.
    pub accounts: [Account; 2],
}

impl Balance {
    /// Goes on where the earlier [`Balance::states`] were taken.
    #[must_use]
    pub fn resume(states: &[BalanceState]) -> Self {
        let uplinks = states
            .iter()
            .map(|state| (UplinkIndex(state.uplink), state.clone()));
        Self {
            uplinks: uplinks.collect(),
        }
    }

    /// What [`Balance::resume`] needs.
    #[must_use]
    pub fn states(&self) -> Vec<BalanceState> {
        self.uplinks.values().cloned().collect()
    }

    /// Carries both accounts of one uplink on by one reading. The first reading of a device is its baseline.
    pub fn advance(&mut self, reading: &UplinkReading, slots: &[SlotTotals]) {
        let sums = Direction::BOTH.map(|direction| reading.sums(slots, direction));
        match self.uplinks.get_mut(&reading.index) {
            Some(state) if *state.device == *reading.device => {
                for direction in Direction::BOTH {
                    let skb_bytes_max = direction.of(reading.rules).skb_bytes_max;
                    let attached = direction.of(reading.attached);
                    let account = direction.of(state.accounts.each_mut());
                    account.advance(&direction.of(sums), attached, skb_bytes_max, direction);
                }
            }
            Some(_) | None => {
                let state = BalanceState {
                    uplink: reading.index.0,
                    device: reading.device.to_string(),
                    accounts: sums.map(Account::begin),
                };
                self.uplinks.insert(reading.index, state);
            }
        }
    }

    /// The account of one uplink in one direction; `None` before its first [`Balance::advance`].
    #[must_use]
    pub fn account(&self, uplink: UplinkIndex, direction: Direction) -> Option<&Account> {
        self.uplinks
            .get(&uplink)
            .map(|state| direction.of(state.accounts.each_ref()))
    }

    /// The account of one uplink in one direction as a report, with what the records lack by destination.
    #[must_use]
    pub fn report(
        &self,
        reading: &UplinkReading,
        direction: Direction,
        unrecorded: &BTreeMap<DestinationKey, Unrecorded>,
    ) -> Option<BalanceReport> {
        let measure = direction.of(reading.rules).measure;
        let (mut late, mut table_full) = (0, 0);
        for (_, bytes) in unrecorded
            .iter()
            .filter(|(key, _)| key.uplink == Some(reading.index))
        {
            late += bytes.late.get(measure, direction);
            table_full += bytes.table_full.get(measure, direction);
        }
        let account = self.account(reading.index, direction)?;
        Some(account.report(
            Arc::clone(&reading.device),
            direction,
            measure,
            late,
            table_full,
        ))
    }
}

impl UplinkReading {
    fn sums(&self, slots: &[SlotTotals], direction: Direction) -> Sums {
        let rule = direction.of(self.rules);
        let link_headers =
            i128::from(direction.of(self.interface.packets)) * i128::from(rule.link_header_bytes);
        let (uplink, hooked) = match rule.measure {
            Measure::Device => (self.totals.device_bytes, self.totals.hooked_device_bytes),
            Measure::Wire => (self.totals.wire_bytes, self.totals.hooked_wire_bytes),
        };
        Sums {
            interface_counter: direction.of(self.interface.bytes).into(),
            interface: i128::from(direction.of(self.interface.bytes)) - link_headers,
            uplink: direction.of(uplink).into(),
            hooked: hooked.into(),
            homes: homes(slots, self.index, rule.measure, direction),
            drops: self.interface.tx_drops.into(),
        }
    }
}
