//! The table of live flows: per flow the totals last recorded, and nothing that a record can be made without.

use std::collections::{HashMap, VecDeque};

use observer_ebpf::abi::flag;

use super::{
    flow_id::flow_id,
    state::{Change, FlowState, Interval},
    tail::Tails,
};
use crate::model::{
    flow::{FlowFlags, FlowKey, FlowTotals, RemoteKey},
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

    /// Ends a tick: forgets what cannot change any more. `remotes_read` says whether the table of UDP remotes was
    /// handed over whole: what two such passes did not have is gone.
    pub fn end_tick(&mut self, tick: u32, remotes_read: bool) {
        self.forget_finals(tick);
        if remotes_read {
            let pass = self.remote_passes;
            self.remotes
                .retain(|_, state| state.seen_pass.saturating_add(1) >= pass);
            self.remote_passes = pass.saturating_add(1);
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
        let known = find(&mut self.sockets, &mut self.remotes, &reading.key).is_some();
        if !known && self.sockets.len() + self.remotes.len() >= self.flows_max {
            self.counts.refused += 1;
            return Applied::Refused;
        }
        let id = flow_id(&self.boot_id, reading);
        let tail = self.tails.take(&id);
        self.counts.tails_incomplete += u64::from(tail.as_ref().is_some_and(|tail| !tail.whole));
        let start = self.start(reading).unwrap_or(interval.start);
        let mut state = FlowState::new(id, reading, start, tail.as_ref());
        let change = state.advance(reading, flags, interval);
        state.changed_tick = interval.tick;
        state.seen_pass = self.remote_passes;
        match &reading.key {
            FlowKey::Socket(cookie) => {
                self.sockets.insert(*cookie, state);
                if flags.is_final(reading.protocol) {
                    self.finals.push_back(Final {
                        since: interval.tick,
                        cookie: *cookie,
                        start_ns: reading.start_ns,
                    });
                }
            }
            FlowKey::Remote(key) => {
                self.remotes.insert(*key, state);
            }
        }
        change.map_or(Applied::Unchanged, Applied::Changed)
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
mod tests {
    use proptest::prelude::*;

    use observer_ebpf::abi::flag::{CLOSED, CONNECT_FAILED, RELEASED, RESET_IN};

    use super::*;
    use crate::model::{
        counters::Counters,
        names::RecordKind,
        sample::{counted, remote, socket},
    };

    fn interval(tick: u32) -> Interval {
        let at = |tick: u32| UnixUs(i64::from(tick) * 5_000_000);
        Interval {
            start: at(tick - 1),
            end: at(tick),
            tick,
        }
    }

    fn table() -> FlowTable {
        FlowTable::new("boot", 0, 4)
    }

    /// Sequence, kind, outcome and egress bytes of a change.
    fn told(applied: Applied) -> Option<(u64, RecordKind, Outcome, u64)> {
        match applied {
            Applied::Changed(change) => Some((
                change.sequence,
                change.kind,
                change.outcome,
                change.counters.wire_bytes[0],
            )),
            Applied::Unchanged | Applied::Refused => None,
        }
    }

    #[test]
    fn readings_become_differences() {
        use Outcome::{Closed, Open, Refused, Reset};
        use RecordKind::{Closed as Ended, Interval as Goes};
        let cases: [&[(u64, u32, Option<(u64, RecordKind, Outcome, u64)>)]; 5] = [
            // Nothing counted, nothing told.
            &[(0, 0, None), (0, RELEASED | CLOSED, None)],
            &[
                (10, 0, Some((1, Goes, Open, 10))),
                (10, 0, None),
                (25, 0, Some((2, Goes, Open, 15))),
            ],
            // A reading that was overtaken, then the end, told once, and bytes behind it.
            &[
                (50, 0, Some((1, Goes, Open, 50))),
                (40, 0, None),
                (50, CLOSED, Some((2, Ended, Closed, 0))),
                (40, RELEASED, None),
                (54, CLOSED | RELEASED, Some((3, Ended, Closed, 4))),
                (54, CLOSED | RELEASED | RESET_IN, Some((4, Ended, Reset, 0))),
            ],
            // A connection attempt is told of even if nothing was sent.
            &[(
                0,
                CLOSED | CONNECT_FAILED | RESET_IN,
                Some((1, Ended, Refused, 0)),
            )],
            &[
                (0, CONNECT_FAILED | RESET_IN, Some((1, Ended, Refused, 0))),
                (0, CLOSED, None),
            ],
        ];
        for (index, readings) in cases.into_iter().enumerate() {
            let mut table = table();
            for (bytes, flags, expected) in readings {
                let reading = counted(socket(7), [*bytes, 0], *flags);
                assert_eq!(
                    told(table.apply(&reading, &interval(1))),
                    *expected,
                    "case {index}"
                );
            }
        }
    }

    #[test]
    fn an_end_is_counted_once() {
        let mut table = table();
        let mut ends = |bytes, flags| match table
            .apply(&counted(socket(7), [bytes, 0], flags), &interval(1))
        {
            Applied::Changed(change) => change.ends,
            Applied::Unchanged | Applied::Refused => false,
        };
        assert!(!ends(1, 0));
        assert!(ends(1, RELEASED));
        assert!(!ends(9, RELEASED | CLOSED));
    }

    #[test]
    fn final_flows_are_forgotten_and_others_stay() {
        let mut table = table();
        let is_known = |table: &FlowTable, cookie| table.sockets.contains_key(&cookie);
        for (cookie, flags) in [(1, 0), (2, RELEASED), (3, CLOSED), (4, CLOSED | RELEASED)] {
            table.apply(&counted(socket(cookie), [9, 0], flags), &interval(1));
        }
        table.end_tick(2, true);
        assert!(is_known(&table, 4));
        table.apply(
            &counted(socket(4), [10, 0], CLOSED | RELEASED),
            &interval(3),
        );
        table.end_tick(3, true);
        assert!(is_known(&table, 4), "it changed in this tick");
        // Final without a word of it in any record.
        assert_eq!(
            told(table.apply(&counted(socket(3), [9, 0], RELEASED), &interval(3))),
            None
        );
        table.end_tick(5, true);
        assert_eq!(
            [1, 2, 3, 4].map(|cookie| is_known(&table, cookie)),
            [true, true, false, false]
        );
        table.end_tick(SWEEP_TICKS * 6, true);
        assert_eq!([1, 2].map(|cookie| is_known(&table, cookie)), [true, false]);
    }

    #[test]
    fn a_full_table_refuses_and_takes_up_later_with_everything() {
        let mut table = table();
        for cookie in 1..=4 {
            table.apply(
                &counted(socket(cookie), [9, 0], RELEASED | CLOSED),
                &interval(1),
            );
        }
        assert_eq!(
            table.apply(&counted(socket(5), [70, 0], 0), &interval(1)),
            Applied::Refused
        );
        assert_eq!(
            table.counts(),
            TableCounts {
                flows: 4,
                refused: 1,
                ..TableCounts::default()
            }
        );
        table.end_tick(3, true);
        let late = table.apply(&counted(socket(5), [80, 0], 0), &interval(4));
        assert_eq!(told(late).unwrap().3, 80);
    }

    #[test]
    fn a_flow_counted_anew_is_another_flow() {
        let mut table = table();
        let id = |applied| match applied {
            Applied::Changed(change) => Some(change.flow_id),
            Applied::Unchanged | Applied::Refused => None,
        };
        let again = FlowTotals {
            start_ns: 2_000,
            ..socket(7)
        };
        let first = id(table.apply(&counted(socket(7), [50, 0], 0), &interval(1)));
        let second = table.apply(&counted(again, [30, 0], 0), &interval(2));
        assert_eq!(
            told(second).unwrap(),
            (1, RecordKind::Interval, Outcome::Open, 30)
        );
        assert_ne!(id(second), first);
        let overtaken = table.apply(&counted(socket(7), [60, 0], 0), &interval(2));
        assert_eq!((overtaken, table.counts().stale), (Applied::Unchanged, 1));
    }

    #[test]
    fn remotes_end_with_their_socket_or_when_idle() {
        let mut table = table();
        let of_open = counted(remote(8, 1), [5, 5], 0);
        let of_released = counted(remote(7, 1), [6, 6], 0);
        table.apply(&of_open, &interval(1));
        table.apply(&counted(socket(7), [1, 0], RELEASED), &interval(1));
        let (sequence, kind, outcome, _) = told(table.apply(&of_released, &interval(1))).unwrap();
        assert_eq!(
            (sequence, kind, outcome),
            (1, RecordKind::Closed, Outcome::Closed)
        );
        let ended: Vec<_> = table.remotes_ended().map(|key| key.cookie).collect();
        assert_eq!(ended, [7]);
        for tick in 2..=REMOTE_IDLE_TICKS {
            assert_eq!(
                told(table.apply(&of_open, &interval(tick))),
                None,
                "tick {tick}"
            );
            table.end_tick(tick, true);
        }
        let idle = table.apply(&of_open, &interval(REMOTE_IDLE_TICKS + 1));
        assert_eq!(
            told(idle),
            Some((2, RecordKind::Closed, Outcome::Closed, 0))
        );
        assert_eq!(table.remotes.len(), 1, "the other was in no pass");
    }

    #[test]
    fn an_idle_remote_does_not_take_its_socket_with_it() {
        let mut table = table();
        let (socket, remote) = (
            counted(socket(8), [9, 0], 0),
            counted(remote(8, 1), [5, 5], 0),
        );
        for tick in 1..=REMOTE_IDLE_TICKS + FINAL_TICKS + 1 {
            table.apply(&socket, &interval(tick));
            table.apply(&remote, &interval(tick));
            table.end_tick(tick, true);
        }
        assert!(
            table.sockets.contains_key(&8),
            "it would be told again from its start"
        );
    }

    #[test]
    fn remotes_not_read_are_not_gone() {
        let mut table = table();
        table.apply(&counted(remote(8, 1), [5, 5], 0), &interval(1));
        for tick in 1..9 {
            table.end_tick(tick, false);
        }
        assert_eq!(table.counts().flows, 1);
        for tick in 9..12 {
            table.end_tick(tick, true);
        }
        assert_eq!(table.counts().flows, 0);
    }

    #[test]
    fn intervals_follow_each_other() {
        let mut table = table();
        let mut start =
            |bytes, interval| match table.apply(&counted(socket(7), [bytes, 0], 0), &interval) {
                Applied::Changed(change) => change.interval_start,
                Applied::Unchanged | Applied::Refused => panic!("unchanged"),
            };
        let between = Interval {
            end: UnixUs(6_000_000),
            ..interval(2)
        };
        // The flow's own start, the tick before, an event's time, and after a long pause the tick before.
        assert_eq!(start(1, interval(1)), UnixUs(1));
        assert_eq!(start(2, between), UnixUs(5_000_000));
        assert_eq!(start(3, interval(2)), UnixUs(6_000_000));
        assert_eq!(start(4, interval(9)), UnixUs(40_000_000));
    }

    proptest! {
        /// Two CPUs may read one flow at once: any field of a reading may be behind, in any order.
        #[test]
        fn differences_add_up_to_the_highest_of_each_field(
            readings in prop::collection::vec([0..100_u64, 0..100, 0..100, 0..100], 1..20),
        ) {
            let (mut table, mut sum, mut highest) = (table(), Counters::default(), Counters::default());
            for [device, wire, payload, retransmitted_wire_bytes] in readings {
                let counters = Counters {
                    device_bytes: [device, 0],
                    wire_bytes: [0, wire],
                    payload_bytes: [payload, payload],
                    packets: [0, 0],
                    retransmitted_wire_bytes,
                };
                let reading = FlowTotals { counters, ..socket(7) };
                highest = highest.highest(&counters);
                if let Applied::Changed(change) = table.apply(&reading, &interval(1)) {
                    sum = sum.plus(&change.counters);
                    prop_assert_eq!(change.totals, sum);
                }
                prop_assert_eq!(sum, highest);
            }
        }
    }
}
