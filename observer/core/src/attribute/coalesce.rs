//! Several readings of one flow in one hand-over become one, so that a flow gives one record an interval.

use std::{cmp::Ordering, collections::HashMap};

use crate::model::flow::{FlowKey, FlowTotals};

/// Readings by key, in the order in which each key came first.
#[derive(Debug, Default)]
pub struct Batch {
    keys: Vec<Option<Held>>,
    places: HashMap<FlowKey, usize>,
}

/// What a batch has of one key. A socket that connects again begins another flow under the same key; the flow before
/// it has to be applied first, because the table keeps one flow a key.
#[derive(Debug)]
struct Held {
    /// In the order of their starts.
    older: Vec<FlowTotals>,
    newest: FlowTotals,
}

impl Batch {
    /// All `readings`, those of one flow merged.
    pub fn new(readings: impl IntoIterator<Item = FlowTotals>) -> Self {
        let mut batch = Self::default();
        for reading in readings {
            batch.add(reading);
        }
        batch
    }

    /// `reading` together with what the batch has of the same flow, behind what it has of flows that had the key
    /// before; all that leaves the batch. A flow that has the key after it stays.
    pub fn complete(&mut self, reading: FlowTotals) -> impl Iterator<Item = FlowTotals> + use<> {
        let held = self
            .places
            .get(&reading.key)
            .and_then(|place| self.keys.get_mut(*place))
            .and_then(|held| held.take_if(|held| held.newest.start_ns <= reading.start_ns));
        let (older, before, reading) = match held {
            None => (Vec::new(), None, reading),
            Some(Held { older, newest }) if newest.start_ns == reading.start_ns => {
                (older, None, reading.merged(newest))
            }
            Some(Held { older, newest }) => (older, Some(newest), reading),
        };
        older.into_iter().chain(before).chain([reading])
    }

    /// What no call of [`Batch::complete`] took.
    pub fn rest(self) -> impl Iterator<Item = FlowTotals> {
        let all = |held: Held| held.older.into_iter().chain([held.newest]);
        self.keys.into_iter().flatten().flat_map(all)
    }

    #[expect(
        clippy::large_types_passed_by_value,
        reason = "the reading moves into the batch"
    )]
    fn add(&mut self, reading: FlowTotals) {
        let next = self.keys.len();
        let place = *self.places.entry(reading.key).or_insert(next);
        match self.keys.get_mut(place).and_then(Option::as_mut) {
            Some(held) => held.add(reading),
            None => self.keys.push(Some(Held {
                older: Vec::new(),
                newest: reading,
            })),
        }
    }
}

impl Held {
    #[expect(
        clippy::large_types_passed_by_value,
        reason = "the reading moves into the batch"
    )]
    fn add(&mut self, reading: FlowTotals) {
        match reading.start_ns.cmp(&self.newest.start_ns) {
            Ordering::Equal => self.newest = self.newest.merged(reading),
            Ordering::Greater => {
                self.older.push(self.newest);
                self.newest = reading;
            }
            Ordering::Less => {
                let at = self
                    .older
                    .partition_point(|flow| flow.start_ns < reading.start_ns);
                match self.older.get_mut(at) {
                    Some(flow) if flow.start_ns == reading.start_ns => *flow = flow.merged(reading),
                    Some(_) | None => self.older.insert(at, reading),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{counters::Counters, sample::socket};

    fn reading(cookie: u64, start_ns: u64, bytes: u64, flags: u32) -> FlowTotals {
        let mut flow = FlowTotals {
            start_ns,
            ..socket(cookie)
        };
        flow.counters = Counters {
            wire_bytes: [bytes, 0],
            ..Counters::default()
        };
        flow.flags.0 = flags;
        flow
    }

    #[test]
    fn readings_of_one_flow_become_one_in_any_order() {
        let readings = [
            reading(1, 9, 30, 1),
            reading(2, 9, 5, 0),
            reading(1, 9, 20, 2),
        ];
        let merged: Vec<_> = Batch::new(readings).rest().collect();
        assert_eq!(merged, [reading(1, 9, 30, 3), reading(2, 9, 5, 0)]);
    }

    #[expect(
        clippy::large_types_passed_by_value,
        reason = "the reading moves into the batch"
    )]
    fn completed(batch: &mut Batch, reading: FlowTotals) -> Vec<FlowTotals> {
        batch.complete(reading).collect()
    }

    #[test]
    fn a_batch_completes_a_reading_once() {
        let mut batch = Batch::new([reading(1, 9, 30, 1), reading(2, 9, 5, 0)]);
        assert_eq!(
            completed(&mut batch, reading(1, 9, 20, 2)),
            [reading(1, 9, 30, 3)]
        );
        assert_eq!(
            completed(&mut batch, reading(1, 9, 20, 2)),
            [reading(1, 9, 20, 2)]
        );
        assert_eq!(
            completed(&mut batch, reading(2, 8, 1, 0)),
            [reading(2, 8, 1, 0)]
        );
        assert_eq!(batch.rest().collect::<Vec<_>>(), [reading(2, 9, 5, 0)]);
    }

    #[test]
    fn flows_counted_anew_follow_those_before_them() {
        let readings = || {
            [
                reading(1, 9, 30, 0),
                reading(1, 11, 2, 0),
                reading(1, 11, 4, 0),
                reading(1, 10, 1, 0),
                reading(1, 9, 31, 0),
            ]
        };
        let in_order = [
            reading(1, 9, 31, 0),
            reading(1, 10, 1, 0),
            reading(1, 11, 4, 0),
        ];
        assert_eq!(Batch::new(readings()).rest().collect::<Vec<_>>(), in_order);
        let mut batch = Batch::new(readings());
        let flows = completed(&mut batch, reading(1, 12, 7, 0));
        assert_eq!(flows[..3], in_order);
        assert_eq!(flows[3..], [reading(1, 12, 7, 0)]);
        assert_eq!(batch.rest().count(), 0);
    }
}
