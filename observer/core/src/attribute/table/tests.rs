//! Tables of readings and what the flow table makes of them.

use proptest::prelude::*;

use observer_ebpf::abi::flag::{CLOSED, CONNECT_FAILED, RELEASED, RESET_IN};

use super::*;
use crate::model::{
    counters::Counters,
    flow::Timing,
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
    let mut ends =
        |bytes, flags| match table.apply(&counted(socket(7), [bytes, 0], flags), &interval(1)) {
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

#[test]
fn a_time_comes_with_one_record() {
    let fresh = |table: &mut FlowTable, tick, bytes, timing| {
        let reading = FlowTotals {
            timing,
            ..counted(socket(1), [bytes, 0], 0)
        };
        match table.apply(&reading, &interval(tick)) {
            Applied::Changed(change) => Some(change.fresh),
            Applied::Unchanged | Applied::Refused => None,
        }
    };
    let none = Timing::default();
    let connected = Timing {
        connect_us: Some(40),
        ..none
    };
    let answered = Timing {
        first_byte_us: Some(900),
        ..connected
    };
    let mut table = table();
    assert_eq!(fresh(&mut table, 1, 10, none), Some(none));
    // Without a record the time waits for the next.
    assert_eq!(fresh(&mut table, 2, 10, connected), None);
    assert_eq!(fresh(&mut table, 3, 20, connected), Some(connected));
    assert_eq!(fresh(&mut table, 4, 30, connected), Some(none));
    let first_byte = Timing {
        first_byte_us: Some(900),
        ..none
    };
    assert_eq!(fresh(&mut table, 5, 40, answered), Some(first_byte));
    assert_eq!(fresh(&mut table, 6, 50, answered), Some(none));
}

/// What is known to have been sent goes first, as much of it as was; the rest is what it would have been, and nothing is twice.
#[test]
fn a_part_of_what_was_sent_is_a_reading_of_its_own() {
    let reading = |sent: u64| FlowTotals {
        counters: Counters {
            payload_bytes: [sent, 500],
            wire_bytes: [2 * sent, 900],
            packets: [sent / 10, 9],
            ..Counters::default()
        },
        ..counted(socket(7), [0, 0], 0)
    };
    let mut table = table();
    for (sent, wanted, until, expected) in [
        (100, 30, 1_000, 30),
        (100, 30, 1_000, 0),
        (300, 1_000, 1_000, 200),
        (300, 0, 1_000, 0),
        (400, 60, 1_000, 60),
        // Some of it lies before what was recorded, or all.
        (500, 60, 420, 20),
        (600, 60, 500, 0),
    ] {
        let before = table.recorded(&reading(sent)).0;
        let (part, taken) = table.with_sent(&reading(sent), wanted, until);
        assert_eq!(taken, expected, "{wanted} of {sent}");
        let more = part.counters.since(&before);
        let all = reading(sent).counters.since(&before);
        assert_eq!(more.payload_bytes, [taken, 0]);
        assert_eq!((more.wire_bytes, more.packets[1]), ([2 * taken, 0], 0));
        let _ = table.apply(&part, &interval(1));
        let rest = match table.apply(&reading(sent), &interval(1)) {
            Applied::Changed(change) => change.counters,
            Applied::Unchanged | Applied::Refused => Counters::default(),
        };
        assert_eq!(more.plus(&rest), all, "{wanted} of {sent}");
    }
}
