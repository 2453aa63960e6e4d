//! Several readings of one flow in one hand-over become one, so that a flow gives one record an interval.

use std::collections::HashMap;

use crate::model::flow::{FlowKey, FlowTotals};

/// Readings by flow, in the order in which each flow came first.
#[derive(Debug, Default)]
pub struct Batch {
    flows: Vec<Option<FlowTotals>>,
    places: HashMap<FlowKey, usize>,
}

impl Batch {
    /// All `readings`, those of one flow merged. What was counted anew under the same key (another start) is another
    /// flow and stands apart.
    pub fn new(readings: impl IntoIterator<Item = FlowTotals>) -> Self {
        let mut batch = Self::default();
        for reading in readings {
            batch.add(reading);
        }
        batch
    }

    /// `reading` together with what the batch has of the same flow, which leaves the batch.
    #[must_use]
    pub fn complete(&mut self, reading: FlowTotals) -> FlowTotals {
        let place = self
            .places
            .get(&reading.key)
            .and_then(|place| self.flows.get_mut(*place));
        match place {
            Some(held) => match held.take_if(|held| held.start_ns == reading.start_ns) {
                Some(held) => reading.merged(held),
                None => reading,
            },
            None => reading,
        }
    }

    /// What no call of [`Batch::complete`] took.
    pub fn rest(self) -> impl Iterator<Item = FlowTotals> {
        self.flows.into_iter().flatten()
    }

    #[expect(
        clippy::large_types_passed_by_value,
        reason = "the reading moves into the batch"
    )]
    fn add(&mut self, reading: FlowTotals) {
        let next = self.flows.len();
        let place = *self.places.entry(reading.key).or_insert(next);
        match self.flows.get_mut(place) {
            Some(Some(held)) if held.start_ns == reading.start_ns => *held = held.merged(reading),
            Some(Some(_) | None) | None => {
                self.places.insert(reading.key, next);
                self.flows.push(Some(reading));
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

    #[test]
    fn a_batch_completes_a_reading_once() {
        let mut batch = Batch::new([reading(1, 9, 30, 1), reading(2, 9, 5, 0)]);
        assert_eq!(batch.complete(reading(1, 9, 20, 2)), reading(1, 9, 30, 3));
        assert_eq!(batch.complete(reading(1, 9, 20, 2)), reading(1, 9, 20, 2));
        assert_eq!(batch.complete(reading(2, 8, 1, 0)), reading(2, 8, 1, 0));
        assert_eq!(batch.rest().collect::<Vec<_>>(), [reading(2, 9, 5, 0)]);
    }

    #[test]
    fn flows_counted_anew_stand_apart() {
        let batch = Batch::new([
            reading(1, 9, 30, 0),
            reading(1, 10, 2, 0),
            reading(1, 10, 4, 0),
        ]);
        let flows: Vec<_> = batch.rest().collect();
        assert_eq!(flows, [reading(1, 9, 30, 0), reading(1, 10, 4, 0)]);
    }
}
