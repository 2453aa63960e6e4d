//! What is exported at one moment: the kernel's totals under the words of their destinations, and the accounts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use observer_ebpf::abi::Home;

use super::{
    balance::{Balance, UplinkReading},
    credit::{DestinationKey, Unrecorded},
    report::BalanceReport,
    settled::Settled,
    sums::Bytes,
};
use crate::model::{
    counters::Counters,
    identity::{Identity, Word},
    kernel::{Losses, SlotTotals, UplinkIndex},
    names::{Direction, Measure, Outcome, RemainderReason},
};

/// All that the metrics of one agent say, as of one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub destinations: Vec<DestinationTotals>,
    pub flows_ended: Vec<FlowsEnded>,
    pub remainders: Vec<RemainderTotal>,
    pub interfaces: Vec<InterfaceTotal>,
    pub balances: Vec<BalanceReport>,
    pub losses: Losses,
}

/// The words a destination is exported by; `None` = not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationLabels {
    pub cloud: Option<Word>,
    pub region: Option<Word>,
    pub provider: Option<Word>,
    pub vendor: Option<Word>,
    pub service: Option<Word>,
}

impl From<&Identity> for DestinationLabels {
    fn from(identity: &Identity) -> Self {
        Self {
            cloud: identity.cloud.clone(),
            region: identity.region.clone(),
            provider: identity.provider.clone(),
            vendor: identity.vendor.clone(),
            service: identity.service.clone(),
        }
    }
}

/// Bytes of flows to one destination, by the kernel's totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationTotals {
    pub labels: DestinationLabels,
    pub counters: Counters,
}

/// Flows that got an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowsEnded {
    pub labels: DestinationLabels,
    pub outcome: Outcome,
    pub flows: u64,
}

/// Bytes that belong to no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainderTotal {
    /// `None` where the packets crossed no uplink; the bytes are then wire bytes.
    pub device: Option<Arc<str>>,
    pub direction: Direction,
    pub reason: RemainderReason,
    pub cloud: Option<Word>,
    /// In the device's measure. Of `dropped_after_hook` the amount, without its sign.
    pub bytes: u64,
}

/// An interface's own counter since the first baseline, link-layer headers taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceTotal {
    pub device: Arc<str>,
    pub direction: Direction,
    pub bytes: u64,
}

/// What has to be carried from one snapshot to the next.
#[derive(Debug, Default)]
pub struct Totals {
    flows_ended: HashMap<(u32, Outcome), u64>,
    settled: HashMap<RemainderKey, Settled>,
}

/// (uplink, direction, reason, cloud) of a remainder.
type RemainderKey = (
    Option<UplinkIndex>,
    Direction,
    RemainderReason,
    Option<Word>,
);

/// What a snapshot is made of.
pub struct Readings<'a> {
    pub slots: &'a [SlotTotals],
    pub uplinks: &'a [UplinkReading],
    pub unrecorded: &'a BTreeMap<DestinationKey, Unrecorded>,
    pub balance: &'a Balance,
    pub losses: Losses,
}

impl Totals {
    /// Counts a flow that got its outcome.
    pub fn flow_ended(&mut self, tag: u32, outcome: Outcome) {
        let flows = self.flows_ended.entry((tag, outcome)).or_default();
        *flows = flows.saturating_add(1);
    }

    /// The snapshot of one tick. `destination` says what is known of a tag set.
    pub fn snapshot(
        &mut self,
        readings: Readings<'_>,
        destination: impl Fn(u32) -> Arc<Identity>,
    ) -> Snapshot {
        let mut identities: HashMap<u32, Arc<Identity>> = HashMap::new();
        let mut identity =
            |tag| Arc::clone(identities.entry(tag).or_insert_with(|| destination(tag)));
        let both = |reading| Direction::BOTH.map(|direction| (reading, direction));
        let accounts = || readings.uplinks.iter().flat_map(both);
        Snapshot {
            destinations: destinations(readings.slots, &mut identity),
            flows_ended: self.flows_ended(&mut identity),
            remainders: self.remainders(&readings, &mut identity),
            interfaces: accounts()
                .filter_map(|(reading, direction)| interface(readings.balance, reading, direction))
                .collect(),
            balances: accounts()
                .filter_map(|(reading, direction)| {
                    readings
                        .balance
                        .report(reading, direction, readings.unrecorded)
                })
                .collect(),
            losses: readings.losses,
        }
    }

    fn flows_ended(&self, identity: &mut impl FnMut(u32) -> Arc<Identity>) -> Vec<FlowsEnded> {
        let mut ended: BTreeMap<(DestinationLabels, Outcome), u64> = BTreeMap::new();
        for ((tag, outcome), flows) in &self.flows_ended {
            let labels = DestinationLabels::from(&*identity(*tag));
            let sum = ended.entry((labels, *outcome)).or_default();
            *sum = sum.saturating_add(*flows);
        }
        ended
            .into_iter()
            .map(|((labels, outcome), flows)| FlowsEnded {
                labels,
                outcome,
                flows,
            })
            .collect()
    }

    fn remainders(
        &mut self,
        readings: &Readings<'_>,
        identity: &mut impl FnMut(u32) -> Arc<Identity>,
    ) -> Vec<RemainderTotal> {
        let mut sums: BTreeMap<RemainderKey, i128> = BTreeMap::new();
        for slot in readings.slots {
            let Some(reason) = reason(slot.home) else {
                continue;
            };
            let bytes = Bytes::from(&slot.counters);
            add(
                &mut sums,
                readings,
                slot.uplink,
                identity(slot.tag).cloud.as_ref(),
                reason,
                bytes,
            );
        }
        let mut wavering: BTreeMap<RemainderKey, i128> = BTreeMap::new();
        for (key, bytes) in readings.unrecorded {
            let identity = identity(key.tag);
            let cloud = identity.cloud.as_ref();
            add(
                &mut wavering,
                readings,
                key.uplink,
                cloud,
                RemainderReason::Late,
                bytes.late,
            );
            let reason = RemainderReason::TableFull;
            add(
                &mut wavering,
                readings,
                key.uplink,
                cloud,
                reason,
                bytes.table_full,
            );
        }
        for reading in readings.uplinks {
            for direction in Direction::BOTH {
                let Some(account) = readings.balance.account(reading.index, direction) else {
                    continue;
                };
                let (_, derived) = account.running();
                for (reason, bytes) in [
                    (RemainderReason::NoSocket, derived.no_socket),
                    (RemainderReason::NotAttached, derived.not_attached),
                    (RemainderReason::DroppedAfterHook, derived.dropped),
                ] {
                    wavering.insert((Some(reading.index), direction, reason, None), bytes);
                }
            }
        }
        for (key, bytes) in wavering {
            let settled = self.settled.entry(key.clone()).or_default().observe(bytes);
            *sums.entry(key).or_default() += i128::from(settled);
        }
        sums.into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(
                |((uplink, direction, reason, cloud), bytes)| RemainderTotal {
                    device: device(readings.uplinks, uplink),
                    direction,
                    reason,
                    cloud,
                    bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                },
            )
            .collect()
    }
}

fn destinations(
    slots: &[SlotTotals],
    identity: &mut impl FnMut(u32) -> Arc<Identity>,
) -> Vec<DestinationTotals> {
    let mut sums: BTreeMap<DestinationLabels, Counters> = BTreeMap::new();
    for slot in slots.iter().filter(|slot| slot.home == Home::Flow) {
        let sum = sums
            .entry(DestinationLabels::from(&*identity(slot.tag)))
            .or_default();
        *sum = sum.plus(&slot.counters);
    }
    sums.into_iter()
        .map(|(labels, counters)| DestinationTotals { labels, counters })
        .collect()
}

fn interface(
    balance: &Balance,
    reading: &UplinkReading,
    direction: Direction,
) -> Option<InterfaceTotal> {
    let (bytes, _) = balance.account(reading.index, direction)?.running();
    Some(InterfaceTotal {
        device: Arc::clone(&reading.device),
        direction,
        bytes: u64::try_from(bytes.max(0)).unwrap_or(u64::MAX),
    })
}

/// Adds `bytes` in the measure of the uplink, wire bytes where there is none.
fn add(
    sums: &mut BTreeMap<RemainderKey, i128>,
    readings: &Readings<'_>,
    uplink: Option<UplinkIndex>,
    cloud: Option<&Word>,
    reason: RemainderReason,
    bytes: Bytes,
) {
    let reading = readings
        .uplinks
        .iter()
        .find(|reading| Some(reading.index) == uplink);
    for direction in Direction::BOTH {
        let measure = reading.map_or(Measure::Wire, |reading| direction.of(reading.rules).measure);
        let sum = sums
            .entry((uplink, direction, reason, cloud.cloned()))
            .or_default();
        *sum += bytes.get(measure, direction);
    }
}

fn device(uplinks: &[UplinkReading], uplink: Option<UplinkIndex>) -> Option<Arc<str>> {
    let reading = uplinks
        .iter()
        .find(|reading| Some(reading.index) == uplink)?;
    Some(Arc::clone(&reading.device))
}

/// The reason that a home's bytes are a remainder for; `None` for flows.
const fn reason(home: Home) -> Option<RemainderReason> {
    match home {
        Home::Flow => None,
        Home::Handshake => Some(RemainderReason::Handshake),
        Home::StorageFailed => Some(RemainderReason::StorageFailed),
        Home::TableFull => Some(RemainderReason::TableFull),
        Home::ControlSocket => Some(RemainderReason::ControlSocket),
        Home::KernelSent => Some(RemainderReason::KernelSent),
        Home::Forwarded => Some(RemainderReason::Forwarded),
        Home::Encapsulation => Some(RemainderReason::Encapsulation),
        Home::FragmentHeaders => Some(RemainderReason::FragmentHeaders),
        Home::Raw => Some(RemainderReason::Raw),
        Home::NonIp => Some(RemainderReason::NonIp),
    }
}
