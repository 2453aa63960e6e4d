//! What the records have said so far, by uplink and destination, held against the kernel's totals of the same.

use std::collections::{BTreeMap, HashMap};

use observer_ebpf::abi::Home;
use serde::{Deserialize, Serialize};

use super::sums::Bytes;
use crate::model::{
    counters::Counters,
    kernel::{SlotTotals, UplinkIndex},
};

/// What the kernel's totals are kept by, besides the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    pub uplink: Option<UplinkIndex>,
    pub tag: u32,
}

/// Bytes that the kernel has counted in flows and no record has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unrecorded {
    /// Not read yet, or their last report was lost. Negative where a flow's last packet took another uplink than
    /// those before it: the same bytes are then missing there.
    pub late: Bytes,
    /// Of flows that found no room in the agent's table. Up to the bytes that refused flows were seen to have.
    pub table_full: Bytes,
}

/// Sums over all records ever written, kept over restarts by [`CreditState`].
#[derive(Debug, Default)]
pub struct Credit {
    recorded: HashMap<DestinationKey, Counters>,
    refused: HashMap<DestinationKey, Counters>,
}

/// [`Credit`] for keeping while no agent runs: (uplink, tag set, sums).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditState {
    recorded: Vec<(Option<u16>, u32, Bytes64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bytes64 {
    device: [u64; 2],
    wire: [u64; 2],
}

impl Credit {
    /// Goes on where `state` was taken.
    #[must_use]
    pub fn resume(state: &CreditState) -> Self {
        let recorded = state.recorded.iter().map(|(uplink, tag, bytes)| {
            let Bytes64 { device, wire } = *bytes;
            let counters = Counters {
                device_bytes: device,
                wire_bytes: wire,
                ..Counters::default()
            };
            (
                DestinationKey {
                    uplink: uplink.map(UplinkIndex),
                    tag: *tag,
                },
                counters,
            )
        });
        Self {
            recorded: recorded.collect(),
            refused: HashMap::new(),
        }
    }

    /// What [`Credit::resume`] needs.
    #[must_use]
    pub fn state(&self) -> CreditState {
        let mut recorded: Vec<_> = self
            .recorded
            .iter()
            .map(|(key, counters)| {
                let bytes = Bytes64 {
                    device: counters.device_bytes,
                    wire: counters.wire_bytes,
                };
                (key.uplink.map(|uplink| uplink.0), key.tag, bytes)
            })
            .collect();
        recorded.sort_unstable_by_key(|(uplink, tag, _)| (*uplink, *tag));
        CreditState { recorded }
    }

    /// Counts a record. Each direction belongs to the uplink of the flow's last packet in it.
    pub fn record(&mut self, uplinks: [Option<UplinkIndex>; 2], tag: u32, counters: &Counters) {
        add(&mut self.recorded, uplinks, tag, counters);
    }

    /// Notes the totals of a flow that found no room.
    pub fn refuse(&mut self, uplinks: [Option<UplinkIndex>; 2], tag: u32, totals: &Counters) {
        add(&mut self.refused, uplinks, tag, totals);
    }

    /// What the kernel's totals have and the records have not, by destination.
    pub fn unrecorded(&mut self, slots: &[SlotTotals]) -> BTreeMap<DestinationKey, Unrecorded> {
        let mut missing: BTreeMap<DestinationKey, Bytes> = BTreeMap::new();
        for slot in slots.iter().filter(|slot| slot.home == Home::Flow) {
            let bytes = missing
                .entry(DestinationKey {
                    uplink: slot.uplink,
                    tag: slot.tag,
                })
                .or_default();
            *bytes = bytes.plus((&slot.counters).into());
        }
        for (key, counters) in &self.recorded {
            let bytes = missing.entry(*key).or_default();
            *bytes = bytes.minus(counters.into());
        }
        self.refused
            .retain(|key, _| missing.get(key).is_some_and(Bytes::is_positive));
        missing
            .into_iter()
            .map(|(key, missing)| {
                let refused = self.refused.get(&key).map(Bytes::from).unwrap_or_default();
                let table_full = missing.within(refused);
                (
                    key,
                    Unrecorded {
                        late: missing.minus(table_full),
                        table_full,
                    },
                )
            })
            .collect()
    }
}

fn add(
    sums: &mut HashMap<DestinationKey, Counters>,
    uplinks: [Option<UplinkIndex>; 2],
    tag: u32,
    counters: &Counters,
) {
    let [egress, ingress] = uplinks;
    if egress == ingress {
        let sum = sums
            .entry(DestinationKey {
                uplink: egress,
                tag,
            })
            .or_default();
        *sum = sum.plus(counters);
        return;
    }
    for (uplink, keep) in [(egress, [1, 0]), (ingress, [0, 1])] {
        let half = |pair: [u64; 2]| [pair[0] * keep[0], pair[1] * keep[1]];
        let counters = Counters {
            device_bytes: half(counters.device_bytes),
            wire_bytes: half(counters.wire_bytes),
            ..Counters::default()
        };
        let sum = sums.entry(DestinationKey { uplink, tag }).or_default();
        *sum = sum.plus(&counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLINK: Option<UplinkIndex> = Some(UplinkIndex(0));

    fn counters(egress: u64, ingress: u64) -> Counters {
        let bytes = [egress, ingress];
        Counters {
            device_bytes: bytes,
            wire_bytes: bytes,
            ..Counters::default()
        }
    }

    fn slot(uplink: Option<UplinkIndex>, tag: u32, bytes: u64) -> SlotTotals {
        SlotTotals {
            uplink,
            home: Home::Flow,
            tag,
            counters: counters(bytes, bytes),
        }
    }

    fn missing(credit: &mut Credit, slots: &[SlotTotals], tag: u32) -> (i128, i128) {
        let unrecorded = credit.unrecorded(slots);
        let found = unrecorded.get(&DestinationKey {
            uplink: UPLINK,
            tag,
        });
        found.map_or((0, 0), |bytes| {
            (bytes.late.wire[0], bytes.table_full.wire[0])
        })
    }

    #[test]
    fn late_is_what_no_record_has() {
        let mut credit = Credit::default();
        let slots = [slot(UPLINK, 1, 100), slot(UPLINK, 2, 50), slot(None, 1, 7)];
        credit.record([UPLINK, UPLINK], 1, &counters(60, 60));
        credit.record([UPLINK, None], 2, &counters(50, 9));
        assert_eq!(missing(&mut credit, &slots, 1), (40, 0));
        assert_eq!(missing(&mut credit, &slots, 2), (0, 0));
        let again = Credit::resume(&credit.state()).unrecorded(&slots);
        assert_eq!(again, credit.unrecorded(&slots));
        let elsewhere = again.get(&DestinationKey {
            uplink: None,
            tag: 2,
        });
        assert_eq!(elsewhere.map(|bytes| bytes.late.wire), Some([0, -9]));
    }

    #[test]
    fn refused_flows_are_named_up_to_what_they_had() {
        let mut credit = Credit::default();
        let slots = [slot(UPLINK, 1, 100)];
        credit.refuse([UPLINK, UPLINK], 1, &counters(70, 0));
        assert_eq!(missing(&mut credit, &slots, 1), (30, 70));
        // Taken up after all; what is late from then on is late.
        credit.record([UPLINK, UPLINK], 1, &counters(100, 100));
        assert_eq!(missing(&mut credit, &slots, 1), (0, 0));
        assert_eq!(missing(&mut credit, &[slot(UPLINK, 1, 120)], 1), (20, 0));
    }
}
