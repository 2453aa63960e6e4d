//! The table of live flows: per flow the totals last recorded, and nothing that a record can be made without.

use std::collections::{HashMap, VecDeque};

use observer_ebpf::abi::flag;

use super::{
    flow_id::flow_id,
    state::{Change, FlowState, Interval},
    tail::Tails,
};
use crate::model::{
    churn::clear_marks,
    counters::Counters,
    flow::{FlowFlags, FlowKey, FlowTotals, RemoteKey, Timing},
    names::Outcome,
    time::UnixUs,
};

/// Flows the agent follows at the same time. What does not fit is refused and counted; its bytes stay in the kernel's
/// totals, and the flow is taken up with all of them once there is room.
pub const FLOWS_MAX: usize = 262_144;
/// Ticks without change after which a final flow is forgotten.
const FINAL_TICKS: u32 = 2;
/// Ticks without change after which a flow with an outcome is forgotten although the kernel never said it was final:
/// an MPTCP subflow has no release, and an event can be lost. Half an hour of the default tick, longer than an orphan
/// retransmits.
const ENDED_IDLE_TICKS: u32 = 360;
/// How often the whole table is looked through for them, ticks.
const SWEEP_TICKS: u32 = 64;
/// Ticks without change after which a remote of an unconnected UDP socket counts as closed, so that the kernel's
/// bounded table can be cleared of it: one minute of the default tick.
const REMOTE_IDLE_TICKS: u32 = 12;

/// What one reading came to.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would be an allocation a record"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// There is something to record.
    Changed(Change),
    Unchanged,
    /// The table is full and does not know the flow.
    Refused,
}

/// What the table holds and what it met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Flows in the table now.
    pub flows: usize,
    /// Hand-overs of flows that found no room.
    pub refused: u64,
    /// Readings behind one already taken, in a field at least. Nothing is lost by them: counters only grow, and the
    /// table keeps the highest.
    pub stale: u64,
    /// Flows continued from an output whose first records were missing.
    pub tails_incomplete: u64,
}

/// A socket's flow that is final.
#[derive(Clone, Copy, Debug)]
struct Final {
    /// Tick to count from.
    since: u32,
    cookie: u64,
    start_ns: u64,
}

/// All live flows of one boot.
#[derive(Debug)]
pub struct FlowTable {
    boot_id: String,
    /// Moment of the zero of CLOCK_MONOTONIC, since 1970.
    boot_unix_ns: i64,
    flows_max: usize,
    sockets: HashMap<u64, FlowState>,
    remotes: HashMap<RemoteKey, FlowState>,
    finals: VecDeque<Final>,
    remote_passes: u32,
    tails: Tails,
    counts: TableCounts,
}

impl FlowTable {
    /// An empty table. `boot_unix_ns` turns a flow's monotonic start into a time; it is fixed so that all records of
    /// a flow agree.
    #[must_use]
    pub fn new(boot_id: &str, boot_unix_ns: i64, flows_max: usize) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            boot_unix_ns,
            flows_max,
            sockets: HashMap::new(),
            remotes: HashMap::new(),
            finals: VecDeque::new(),
            remote_passes: 0,
            tails: Tails::default(),
            counts: TableCounts::default(),
        }
    }

    /// Continues flows where an earlier output left them.
    pub fn resume(&mut self, tails: Tails) {
        self.tails = tails;
    }

    /// What happened since the flow's last record, by one reading of its totals. `interval.tick` counts from 1.
    pub fn apply(&mut self, reading: &FlowTotals, interval: &Interval) -> Applied {
        let released = self.is_released(&reading.key);
        match find(&mut self.sockets, &mut self.remotes, &reading.key) {
            Some(state) if state.start_ns == reading.start_ns => {
                self.counts.stale += u64::from(state.is_ahead_of(reading));
                let was_final = state.flags.is_final(reading.protocol);
                let flags = reading_flags(
                    reading,
                    released || is_idle_remote(reading, state, interval),
                );
                let change = state.advance(reading, flags, interval);
                state.seen_pass = self.remote_passes;
                let is_final = state.flags.is_final(reading.protocol);
                if let (FlowKey::Socket(cookie), false, true) = (&reading.key, was_final, is_final)
                {
                    self.finals.push_back(Final {
                        since: interval.tick,
                        cookie: *cookie,
                        start_ns: reading.start_ns,
                    });
                }
                change.map_or(Applied::Unchanged, Applied::Changed)
            }
            Some(state) if state.start_ns > reading.start_ns => {
                self.counts.stale += 1;
                Applied::Unchanged
            }
            Some(_) | None => self.admit(reading, reading_flags(reading, released), interval),
        }
    }

    /// The reading that would have been taken when `payload` bytes had been sent and received, between the last one and this
    /// one; and whether that moment is behind the last one.
    #[must_use]
    pub fn at_payload(&self, reading: &FlowTotals, payload: [u64; 2]) -> (FlowTotals, bool) {
        let (recorded, flags) = self.recorded(reading);
        let is_late = payload[0] < recorded.payload_bytes[0];
        (part(reading, &recorded, flags, payload), is_late)
    }

    /// The reading that would have been taken when `sent_bytes` more of payload had been sent, none of it behind `until`, and nothing
    /// received; and how many of them this one has.
    #[must_use]
    pub fn with_sent(
        &self,
        reading: &FlowTotals,
        sent_bytes: u64,
        until: u64,
    ) -> (FlowTotals, u64) {
        let (recorded, flags) = self.recorded(reading);
        let [sent, received] = recorded.payload_bytes;
        let end = reading.counters.payload_bytes[0].min(until);
        let taken = sent_bytes.min(end.saturating_sub(sent));
        let payload = [sent.saturating_add(taken), received];
        (part(reading, &recorded, flags, payload), taken)
    }

    /// What the records so far have of a flow.
    fn recorded(&self, reading: &FlowTotals) -> (Counters, FlowFlags) {
        let state = match &reading.key {
            FlowKey::Socket(cookie) => self.sockets.get(cookie),
            FlowKey::Remote(key) => self.remotes.get(key),
        };
        let state = state.filter(|state| state.start_ns == reading.start_ns);
        state.map_or_else(Default::default, |state| (*state.recorded(), state.flags))
    }

    /// A record of the flow that adds nothing to its counters, before `reading` is applied; `None` where the table is full and
    /// does not know it.
    pub fn beside(&mut self, reading: &FlowTotals, interval: &Interval) -> Option<Change> {
        let known = find(&mut self.sockets, &mut self.remotes, &reading.key);
        if let Some(state) = known.filter(|state| state.start_ns >= reading.start_ns) {
            return Some(state.beside(interval));
        }
        let mut state = self.take_up(reading, interval)?;
        let change = state.beside(interval);
        self.insert(&reading.key, state);
        Some(change)
    }

    /// Whether the flow is in the table.
    #[must_use]
    pub fn follows(&self, key: &FlowKey) -> bool {
        match key {
            FlowKey::Socket(cookie) => self.sockets.contains_key(cookie),
            FlowKey::Remote(remote) => self.remotes.contains_key(remote),
        }
    }

    /// Ends a tick: forgets what cannot change any more. `remotes_read` says whether the table of UDP remotes was
    /// handed over whole: what two such passes did not have is gone.
    pub fn end_tick(&mut self, tick: u32, remotes_read: bool) {
        self.forget_finals(tick);
        clear_marks(&mut self.sockets);
        if remotes_read {
            let pass = self.remote_passes;
            self.remotes
                .retain(|_, state| state.seen_pass.saturating_add(1) >= pass);
            self.remote_passes = pass.saturating_add(1);
            clear_marks(&mut self.remotes);
        }
        if tick.is_multiple_of(SWEEP_TICKS) {
            self.sockets.retain(|_, state| {
                state.outcome == Outcome::Open
                    || state.changed_tick.saturating_add(ENDED_IDLE_TICKS) > tick
            });
        }
        if tick == ENDED_IDLE_TICKS {
            self.tails.drop_ended();
        }
    }

    /// Remotes of UDP sockets that count as closed: the kernel's table can be cleared of them. A reading taken while
    /// clearing may be applied; it gives a further `closed` record.
    pub fn remotes_ended(&self) -> impl Iterator<Item = &RemoteKey> {
        self.remotes
            .iter()
            .filter(|(_, state)| state.outcome != Outcome::Open)
            .map(|(key, _)| key)
    }

    /// Gauges and counters of the table itself.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        TableCounts {
            flows: self.sockets.len() + self.remotes.len(),
            ..self.counts
        }
    }

    /// When the flow of `reading` started; `None` where the kernel half has no start.
    #[must_use]
    pub fn start(&self, reading: &FlowTotals) -> Option<UnixUs> {
        let start_ns = i64::try_from(reading.start_ns)
            .ok()
            .filter(|start_ns| *start_ns != 0)?;
        self.boot_unix_ns.checked_add(start_ns).map(UnixUs::from_ns)
    }

    /// Takes up a flow that the table does not know, or knows by an earlier start only.
    fn admit(&mut self, reading: &FlowTotals, flags: FlowFlags, interval: &Interval) -> Applied {
        if reading.counters.is_zero() && !flags.has(flag::CONNECT_FAILED) {
            return Applied::Unchanged;
        }
        let Some(mut state) = self.take_up(reading, interval) else {
            self.counts.refused += 1;
            return Applied::Refused;
        };
        let change = state.advance(reading, flags, interval);
        state.changed_tick = interval.tick;
        state.seen_pass = self.remote_passes;
        self.insert(&reading.key, state);
        if let FlowKey::Socket(cookie) = &reading.key
            && flags.is_final(reading.protocol)
        {
            self.finals.push_back(Final {
                since: interval.tick,
                cookie: *cookie,
                start_ns: reading.start_ns,
            });
        }
        change.map_or(Applied::Unchanged, Applied::Changed)
    }

    /// What is kept of a flow from now on; `None` where there is no room.
    fn take_up(&mut self, reading: &FlowTotals, interval: &Interval) -> Option<FlowState> {
        let known = find(&mut self.sockets, &mut self.remotes, &reading.key).is_some();
        if !known && self.sockets.len() + self.remotes.len() >= self.flows_max {
            return None;
        }
        let id = flow_id(&self.boot_id, reading);
        let tail = self.tails.take(&id);
        self.counts.tails_incomplete += u64::from(tail.as_ref().is_some_and(|tail| !tail.whole));
        let start = self.start(reading).unwrap_or(interval.start);
        Some(FlowState::new(id, reading, start, tail.as_ref()))
    }

    fn insert(&mut self, key: &FlowKey, state: FlowState) {
        match key {
            FlowKey::Socket(cookie) => {
                self.sockets.insert(*cookie, state);
            }
            FlowKey::Remote(key) => {
                self.remotes.insert(*key, state);
            }
        }
    }

    fn forget_finals(&mut self, tick: u32) {
        while let Some(ended) = self.finals.front().copied() {
            if ended.since.saturating_add(FINAL_TICKS) > tick {
                return;
            }
            self.finals.pop_front();
            let state = self.sockets.get(&ended.cookie);
            match state.filter(|state| state.start_ns == ended.start_ns) {
                Some(state) if state.changed_tick > ended.since => {
                    let since = state.changed_tick;
                    self.finals.push_back(Final { since, ..ended });
                }
                Some(_) => {
                    self.sockets.remove(&ended.cookie);
                }
                None => {}
            }
        }
    }

    /// A remote has no end of its own: it ends with its socket.
    fn is_released(&self, key: &FlowKey) -> bool {
        match key {
            FlowKey::Socket(_) => false,
            FlowKey::Remote(key) => self
                .sockets
                .get(&key.cookie)
                .is_some_and(|socket| socket.flags.has(flag::RELEASED)),
        }
    }
}

/// A reading between the last one and `reading`, which says nothing but counts.
fn part(
    reading: &FlowTotals,
    recorded: &Counters,
    flags: FlowFlags,
    payload: [u64; 2],
) -> FlowTotals {
    FlowTotals {
        counters: reading.counters.at_payload(recorded, payload),
        flags,
        timing: Timing::default(),
        ..*reading
    }
}

fn find<'a>(
    sockets: &'a mut HashMap<u64, FlowState>,
    remotes: &'a mut HashMap<RemoteKey, FlowState>,
    key: &FlowKey,
) -> Option<&'a mut FlowState> {
    match key {
        FlowKey::Socket(cookie) => sockets.get_mut(cookie),
        FlowKey::Remote(key) => remotes.get_mut(key),
    }
}

fn reading_flags(reading: &FlowTotals, released: bool) -> FlowFlags {
    FlowFlags(reading.flags.0 | if released { flag::RELEASED } else { 0 })
}

fn is_idle_remote(reading: &FlowTotals, state: &FlowState, interval: &Interval) -> bool {
    matches!(reading.key, FlowKey::Remote(_))
        && interval.tick.saturating_sub(state.changed_tick) >= REMOTE_IDLE_TICKS
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
