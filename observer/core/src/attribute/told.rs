//! Which times of a flow its records have told, in the seven bytes that a flow's state has left: a record that is written
//! for its bytes alone must not tell a time again.
//!
//! - The connect time is told once, with the first record that knows it.
//! - A round trip time is TCP's smoothed one: it is new where it is not the one that was told last.
//! - How an answer ended is told with the first record of the next one, and with the flow's end.
//! - A time to first byte belongs to a request: it is new where it is not the one that was told last. Of several requests
//!   between two records the last one is told, and two in a row that took the same microseconds are told once.

use crate::model::flow::{Answer, Timing};

/// Times told last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    known: u8,
    rtt: [u8; 3],
    first_byte: [u8; 3],
}

const CONNECT: u8 = 1;
const RTT: u8 = 2;
const FIRST_BYTE: u8 = 4;

impl Told {
    /// For a flow that an earlier agent has told of: what does not change by itself counts as told.
    pub const fn by_earlier(timing: &Timing) -> Self {
        let mut told = Self {
            known: CONNECT,
            rtt: [0; 3],
            first_byte: [0; 3],
        };
        if let Some(us) = timing.first_byte_us {
            told.known |= FIRST_BYTE;
            told.first_byte = mark(us);
        }
        told
    }

    /// What of `timing` is new, which is told from then on; at the flow's end the answer under way is over.
    pub fn fresh(&mut self, timing: &Timing, ends: bool) -> Timing {
        let Self {
            known,
            rtt,
            first_byte,
        } = self;
        let connect_us = timing.connect_us.filter(|_| *known & CONNECT == 0);
        if connect_us.is_some() {
            *known |= CONNECT;
        }
        let had_answer = *known & FIRST_BYTE != 0;
        let first_byte_us = changed(timing.first_byte_us, known, FIRST_BYTE, first_byte);
        let before = had_answer && first_byte_us.is_some();
        Timing {
            connect_us,
            rtt_us: changed(timing.rtt_us, known, RTT, rtt),
            min_rtt_us: None,
            first_byte_us,
            last_byte_us: timing.last_byte_us.filter(|_| ends),
            chunk_gap_us: timing.chunk_gap_us.filter(|_| ends),
            before: Answer {
                first_byte_us: None,
                ..if before {
                    timing.before
                } else {
                    Answer::default()
                }
            },
        }
    }
}

fn changed(us: Option<u32>, known: &mut u8, bit: u8, told: &mut [u8; 3]) -> Option<u32> {
    let mark = mark(us?);
    if *known & bit != 0 && *told == mark {
        return None;
    }
    *known |= bit;
    *told = mark;
    us
}

/// Tells times apart: below 2^24 microseconds (17 s) all, above all but those that differ by a rare pattern.
const fn mark(us: u32) -> [u8; 3] {
    let [high, a, b, c] = us.to_be_bytes();
    [a ^ high, b ^ high, c ^ high]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(connect_us: Option<u32>, rtt_us: Option<u32>, first_byte_us: Option<u32>) -> Timing {
        Timing {
            connect_us,
            rtt_us,
            min_rtt_us: None,
            first_byte_us,
            ..Timing::default()
        }
    }

    #[test]
    fn a_time_is_told_once() {
        let readings = [
            (timing(None, None, None), timing(None, None, None)),
            (
                timing(Some(0), Some(0), None),
                timing(Some(0), Some(0), None),
            ),
            // Bytes alone.
            (timing(Some(0), Some(0), None), timing(None, None, None)),
            (
                timing(Some(0), Some(7), Some(0)),
                timing(None, Some(7), Some(0)),
            ),
            (timing(Some(0), Some(7), Some(0)), timing(None, None, None)),
            // The next request, longer than three bytes hold.
            (
                timing(Some(0), Some(0), Some(20_000_000)),
                timing(None, Some(0), Some(20_000_000)),
            ),
            (
                timing(Some(0), Some(0), Some(20_000_000)),
                timing(None, None, None),
            ),
            (
                timing(Some(0), Some(0), Some(30_000_000)),
                timing(None, None, Some(30_000_000)),
            ),
        ];
        let mut told = Told::default();
        for (nth, (reading, fresh)) in readings.iter().enumerate() {
            assert_eq!(told.fresh(reading, false), *fresh, "reading {nth}");
        }
    }

    #[test]
    fn how_an_answer_ended_is_told_with_the_next_and_at_the_end() {
        let answer = |first, last, gap| Answer {
            first_byte_us: Some(first),
            last_byte_us: Some(last),
            chunk_gap_us: Some(gap),
        };
        let reading = |now: Answer, before| Timing {
            first_byte_us: now.first_byte_us,
            last_byte_us: now.last_byte_us,
            chunk_gap_us: now.chunk_gap_us,
            before,
            ..Timing::default()
        };
        let ended = |timing: Timing| {
            let both = [timing.before.last_byte_us, timing.last_byte_us];
            (both, [timing.before.chunk_gap_us, timing.chunk_gap_us])
        };
        let mut told = Told::default();
        let first = reading(answer(5, 9, 2), Answer::default());
        assert_eq!(ended(told.fresh(&first, false)), ([None; 2], [None; 2]));
        let later = reading(answer(5, 90, 3), Answer::default());
        assert_eq!(ended(told.fresh(&later, false)), ([None; 2], [None; 2]));
        let second = reading(answer(6, 7, 1), answer(5, 99, 4));
        let expected = ([Some(99), None], [Some(4), None]);
        assert_eq!(ended(told.fresh(&second, false)), expected);
        let expected = ([None, Some(7)], [None, Some(1)]);
        assert_eq!(ended(told.fresh(&second, true)), expected);
    }

    #[test]
    fn what_an_earlier_agent_told_is_not_told_again() {
        let reading = timing(Some(5), Some(6), Some(7));
        let mut told = Told::by_earlier(&reading);
        assert_eq!(told.fresh(&reading, false), timing(None, Some(6), None));
        let next = timing(Some(5), Some(6), Some(8));
        assert_eq!(told.fresh(&next, false), timing(None, None, Some(8)));
    }
}
