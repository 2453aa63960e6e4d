//! What is exported at one moment: the sums over records, the remainders of the kernel's totals, and the accounts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use observer_ebpf::abi::{Home, UPLINKS_MAX};

use super::{
    balance::{Balance, LinkRule, UplinkReading},
    credit::{DestinationKey, Unrecorded},
    report::BalanceReport,
    series::SeriesSnapshot,
    settled::Settled,
    sums::Bytes,
};
use crate::model::{
    identity::{Identity, Word},
    kernel::{Losses, SlotTotals, UplinkIndex},
    names::{Direction, Measure, OTHER, RemainderReason, TypedWhere},
};

/// All that the metrics of one agent say, as of one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub series: SeriesSnapshot,
    pub remainders: Vec<RemainderTotal>,
    pub interfaces: Vec<InterfaceTotal>,
    pub balances: Vec<BalanceReport>,
    pub losses: Losses,
    /// Requests by what typed them, in the order of [`TypedWhere::ALL`].
    pub requests_typed: [u64; TypedWhere::ALL.len()],
}

/// Remainders that are exported with their cloud; further ones have `other` instead, of which there can be no more than
/// uplinks, directions and reasons.
const REMAINDERS_MAX: usize = 160;

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
    settled: HashMap<RemainderKey, Settled>,
    /// At most [`REMAINDERS_MAX`].
    exported: HashSet<RemainderKey>,
    /// Name and rules of each uplink at its last reading, at most [`UPLINKS_MAX`]: a tick that reads none of it has its
    /// remainders all the same.
    known: BTreeMap<UplinkIndex, Known>,
}

#[derive(Debug)]
struct Known {
    device: Arc<str>,
    /// By direction.
    rules: [LinkRule; 2],
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
    pub series: SeriesSnapshot,
}

impl Totals {
    /// The snapshot of one tick. `destination` says what is known of a tag set.
    pub fn snapshot(
        &mut self,
        readings: Readings<'_>,
        destination: impl Fn(u32) -> Arc<Identity>,
    ) -> Snapshot {
        self.know(readings.uplinks);
        let mut identities: HashMap<u32, Arc<Identity>> = HashMap::new();
        let mut identity =
            |tag| Arc::clone(identities.entry(tag).or_insert_with(|| destination(tag)));
        let both = |reading| Direction::BOTH.map(|direction| (reading, direction));
        let accounts = || readings.uplinks.iter().flat_map(both);
        Snapshot {
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
            series: readings.series,
            requests_typed: [0; TypedWhere::ALL.len()],
        }
    }

    fn know(&mut self, uplinks: &[UplinkReading]) {
        for reading in uplinks {
            let has_room = self.known.len() < UPLINKS_MAX as usize;
            if has_room || self.known.contains_key(&reading.index) {
                let known = Known {
                    device: Arc::clone(&reading.device),
                    rules: reading.rules,
                };
                self.known.insert(reading.index, known);
            }
        }
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
                &self.known,
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
                &self.known,
                key.uplink,
                cloud,
                RemainderReason::Late,
                bytes.late,
            );
            let reason = RemainderReason::TableFull;
            add(
                &mut wavering,
                &self.known,
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
            .map(|(key, bytes)| {
                let (uplink, direction, reason, cloud) = self.exported(key);
                RemainderTotal {
                    device: self.device(uplink),
                    direction,
                    reason,
                    cloud,
                    bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                }
            })
            .collect()
    }

    fn device(&self, uplink: Option<UplinkIndex>) -> Option<Arc<str>> {
        Some(Arc::clone(&self.known.get(&uplink?)?.device))
    }

    /// The key that a remainder is exported by: once given, it stays.
    fn exported(&mut self, key: RemainderKey) -> RemainderKey {
        if self.exported.contains(&key) {
            return key;
        }
        if self.exported.len() < REMAINDERS_MAX {
            self.exported.insert(key.clone());
            return key;
        }
        let (uplink, direction, reason, _) = key;
        (uplink, direction, reason, Some(OTHER.into()))
    }
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
    known: &BTreeMap<UplinkIndex, Known>,
    uplink: Option<UplinkIndex>,
    cloud: Option<&Word>,
    reason: RemainderReason,
    bytes: Bytes,
) {
    let known = uplink.and_then(|uplink| known.get(&uplink));
    for direction in Direction::BOTH {
        let measure = known.map_or(Measure::Wire, |known| direction.of(known.rules).measure);
        let sum = sums
            .entry((uplink, direction, reason, cloud.cloned()))
            .or_default();
        *sum += bytes.get(measure, direction);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aggregate::InterfaceCounters,
        model::{counters::Counters, kernel::UplinkTotals},
    };

    fn reading(index: u16) -> UplinkReading {
        let rule = LinkRule {
            measure: Measure::Device,
            link_header_bytes: 14,
            skb_bytes_max: 65_536,
        };
        UplinkReading {
            index: UplinkIndex(index),
            device: format!("eth{index}").into(),
            rules: [rule; 2],
            interface: InterfaceCounters::default(),
            totals: UplinkTotals::default(),
            attached: [true; 2],
        }
    }

    #[test]
    fn an_uplink_without_a_reading_keeps_name_and_measure() {
        let slots = [SlotTotals {
            uplink: Some(UplinkIndex(0)),
            home: Home::Forwarded,
            tag: 0,
            counters: Counters {
                device_bytes: [100, 0],
                wire_bytes: [140, 0],
                ..Counters::default()
            },
        }];
        let mut totals = Totals::default();
        let mut remainders = |uplinks: &[UplinkReading]| {
            let readings = Readings {
                slots: &slots,
                uplinks,
                unrecorded: &BTreeMap::new(),
                balance: &Balance::default(),
                losses: Losses::new(),
                series: SeriesSnapshot::default(),
            };
            totals.snapshot(readings, |_| Arc::default()).remainders
        };
        let read = remainders(&[reading(0)]);
        assert_eq!(read[0].device.as_deref(), Some("eth0"));
        assert_eq!(read[0].bytes, 100);
        assert_eq!(remainders(&[]), read);
    }

    #[test]
    fn known_uplinks_are_bounded() {
        let mut totals = Totals::default();
        let readings: Vec<_> = (0..20).map(reading).collect();
        totals.know(&readings);
        assert_eq!(totals.known.len(), UPLINKS_MAX as usize);
    }

    #[test]
    fn clouds_of_remainders_are_bounded_and_keep_their_name() {
        let mut totals = Totals::default();
        let key = |nth: usize| {
            let cloud = Word::from(format!("cloud-{nth}"));
            let reason = RemainderReason::Handshake;
            (None, Direction::Egress, reason, Some(cloud))
        };
        for round in 0..2 {
            for nth in 0..REMAINDERS_MAX + 20 {
                let (.., cloud) = totals.exported(key(nth));
                let is_other = cloud.as_deref() == Some(OTHER);
                assert_eq!(is_other, nth >= REMAINDERS_MAX, "{round}: {nth}");
            }
        }
        assert_eq!(totals.exported.len(), REMAINDERS_MAX);
    }
}
