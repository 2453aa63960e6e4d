//! What is kept of one live flow, and how one more reading of it becomes a change.

use crate::{
    attribute::{tail::RecordTail, told::Told},
    model::{
        counters::Counters,
        flow::{FlowFlags, FlowId, FlowTotals, Timing},
        names::{Outcome, RecordKind},
        time::UnixUs,
    },
};

/// When a batch of readings was taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    /// Every flow that had changed before was handed over by then.
    pub start: UnixUs,
    pub end: UnixUs,
    /// Number of the tick that the readings belong to.
    pub tick: u32,
}

/// What happened to a flow since its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub flow_id: FlowId,
    pub sequence: u64,
    pub kind: RecordKind,
    pub outcome: Outcome,
    /// The flow had no outcome before.
    pub ends: bool,
    pub interval_start: UnixUs,
    /// Since the last record.
    pub counters: Counters,
    /// Since the flow's start.
    pub totals: Counters,
    /// Times that no earlier record of the flow had; `min_rtt_us` is left out.
    pub fresh: Timing,
}

/// State of one live flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowState {
    /// Totals up to the last record.
    recorded: Counters,
    id: FlowId,
    pub start_ns: u64,
    recorded_until: UnixUs,
    sequence: u32,
    pub flags: FlowFlags,
    /// Tick of the last record.
    pub changed_tick: u32,
    /// Number of the last pass over the UDP remotes that had it.
    pub seen_pass: u32,
    pub outcome: Outcome,
    told: Told,
}

/// With the key and the hash table's own overhead a flow stays within 200 bytes.
const _: () = assert!(size_of::<FlowState>() <= 128);

impl FlowState {
    /// A flow that has no record yet, or none but those that `tail` tells of.
    pub fn new(id: FlowId, reading: &FlowTotals, start: UnixUs, tail: Option<&RecordTail>) -> Self {
        Self {
            recorded: tail.map_or_else(Counters::default, |tail| tail.baseline(&reading.counters)),
            id,
            start_ns: reading.start_ns,
            recorded_until: tail.map_or(start, |tail| tail.interval_end),
            sequence: tail.map_or(0, |tail| tail.sequence),
            flags: FlowFlags::default(),
            changed_tick: 0,
            seen_pass: 0,
            outcome: tail.map_or(Outcome::Open, |tail| tail.outcome),
            told: tail.map_or_else(Told::default, |_| Told::by_earlier(&reading.timing)),
        }
    }

    /// What `reading` adds to the records so far; `None` where it adds nothing. A field that is behind adds 0.
    pub fn advance(
        &mut self,
        reading: &FlowTotals,
        flags: FlowFlags,
        interval: &Interval,
    ) -> Option<Change> {
        let fresh = self.changed_tick == 0;
        self.flags = FlowFlags(self.flags.0 | flags.0);
        let counters = reading.counters.since(&self.recorded);
        // An outcome once told is not taken back: a remote that was idle before a restart has no flag that says so.
        let outcome = match self.flags.outcome() {
            Outcome::Open => self.outcome,
            ended => ended,
        };
        if counters.is_zero() && outcome == self.outcome {
            return None;
        }
        let interval_start = if fresh {
            self.recorded_until
        } else {
            self.recorded_until.max(interval.start)
        };
        let ends = self.outcome == Outcome::Open && outcome != Outcome::Open;
        self.recorded = self.recorded.highest(&reading.counters);
        self.recorded_until = interval.end;
        self.sequence = self.sequence.saturating_add(1);
        self.changed_tick = interval.tick;
        self.outcome = outcome;
        Some(Change {
            flow_id: self.id,
            sequence: self.sequence.into(),
            kind: match outcome {
                Outcome::Open => RecordKind::Interval,
                Outcome::Closed
                | Outcome::Reset
                | Outcome::Refused
                | Outcome::Timeout
                | Outcome::Unreachable => RecordKind::Closed,
            },
            outcome,
            ends,
            interval_start: interval_start.min(interval.end),
            counters,
            totals: self.recorded,
            fresh: self.told.fresh(&reading.timing, ends),
        })
    }

    /// A record that adds nothing to the counters.
    pub fn beside(&mut self, interval: &Interval) -> Change {
        self.sequence = self.sequence.saturating_add(1);
        Change {
            flow_id: self.id,
            sequence: self.sequence.into(),
            kind: RecordKind::Interval,
            outcome: self.outcome,
            ends: false,
            interval_start: self.recorded_until.min(interval.end),
            counters: Counters::default(),
            totals: self.recorded,
            fresh: Timing::default(),
        }
    }

    /// Totals up to the last record.
    pub const fn recorded(&self) -> &Counters {
        &self.recorded
    }

    /// Whether `reading` is behind what was recorded, in a field at least.
    pub fn is_ahead_of(&self, reading: &FlowTotals) -> bool {
        reading.counters.any_below(&self.recorded)
    }
}
