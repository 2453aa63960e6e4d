//! What went wrong around the agent: counted, told once, and whether it still costs something. Reads no kernel state; the
//! tick brings what was found.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::model::{
    names::{Fault, Mending},
    time::Moment,
};

use crate::probe::health::Finding;

/// A wall clock that moved by this much against the monotonic one was set; time services slew it by 0.5 ms a second at
/// the most (adjtimex(2)).
const STEP_NS: u64 = 500_000_000;

#[derive(Debug, Default)]
pub struct Faults {
    counts: BTreeMap<(Fault, Mending), u64>,
    /// By fault and object; there are as many objects as programs, uplinks and files of ours.
    degraded: BTreeSet<(Fault, String)>,
    /// Wall clock less monotonic clock.
    clock_offset_ns: Option<i64>,
}

impl Faults {
    /// Takes in what one look found. A fault that lasts counts once.
    pub fn note(&mut self, findings: Vec<Finding>) {
        let mut degraded = BTreeSet::new();
        for Finding {
            fault,
            object,
            mended,
        } in findings
        {
            match mended {
                Ok(()) => {
                    self.count(fault, Mending::Repaired);
                    eprintln!("observer: {object}: {}; repaired", told(fault));
                }
                Err(error) => {
                    let key = (fault, object);
                    if !self.degraded.contains(&key) && !degraded.contains(&key) {
                        self.count(fault, Mending::Degraded);
                        eprintln!(
                            "observer: {}: {}; goes on without: {error:#}",
                            key.1,
                            told(fault)
                        );
                    }
                    degraded.insert(key);
                }
            }
        }
        self.degraded = degraded;
    }

    /// Sees a step of the wall clock since the last call. Records of this interval end by the new time; none ends before
    /// it starts.
    pub fn watch_clock(&mut self, now: Moment) -> Option<Finding> {
        let monotonic_ns = i64::try_from(now.monotonic_ns).unwrap_or(i64::MAX);
        let offset_ns = now.unix_ns.saturating_sub(monotonic_ns);
        let before_ns = self.clock_offset_ns.replace(offset_ns)?;
        let step_ns = offset_ns.saturating_sub(before_ns);
        (step_ns.unsigned_abs() >= STEP_NS).then(|| Finding {
            fault: Fault::ClockStep,
            object: format!("wall clock, by {} ms", step_ns / 1_000_000),
            mended: Ok(()),
        })
    }

    /// How often each happened, by how it ended.
    pub fn counts(&self) -> Vec<(Fault, Mending, u64)> {
        let counts = self.counts.iter();
        counts
            .map(|((fault, mending), count)| (*fault, *mending, *count))
            .collect()
    }

    /// What the agent goes on without at the moment.
    pub fn degraded(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.degraded.iter().map(|(fault, _)| *fault).collect();
        faults.dedup();
        faults
    }

    fn count(&mut self, fault: Fault, mending: Mending) {
        *self.counts.entry((fault, mending)).or_default() += 1;
    }
}

const fn told(fault: Fault) -> &'static str {
    match fault {
        Fault::HookDetached | Fault::UplinkDetached => "was taken away",
        Fault::CgroupMoved => "is not mounted there any more",
        Fault::PinsGone => "are gone",
        Fault::RingStalled => "the ring stands still",
        Fault::ClockStep => "was set",
        Fault::ReadFailed => "could not be read to its end",
    }
}

/// Whether a reading came to its end, and what to say where it did not.
pub fn not_read<T>(what: &str, read: anyhow::Result<T>) -> (bool, Option<Finding>) {
    let finding = |error| Finding {
        fault: Fault::ReadFailed,
        object: what.to_owned(),
        mended: Err(error),
    };
    (read.is_ok(), read.err().map(finding))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn finding(fault: Fault, mended: bool) -> Finding {
        Finding {
            fault,
            object: String::new(),
            mended: if mended { Ok(()) } else { Err(anyhow!("no")) },
        }
    }

    #[test]
    fn a_lasting_fault_counts_once() {
        let mut faults = Faults::default();
        let broken = || {
            vec![
                finding(Fault::PinsGone, false),
                finding(Fault::PinsGone, false),
            ]
        };
        faults.note(broken());
        faults.note(broken());
        assert_eq!(faults.counts(), [(Fault::PinsGone, Mending::Degraded, 1)]);
        assert_eq!(faults.degraded(), [Fault::PinsGone]);
        faults.note(vec![finding(Fault::PinsGone, true)]);
        assert_eq!(faults.degraded(), []);
        faults.note(broken());
        let expected = [
            (Fault::PinsGone, Mending::Repaired, 1),
            (Fault::PinsGone, Mending::Degraded, 2),
        ];
        assert_eq!(faults.counts(), expected);
    }

    #[test]
    fn steps_are_seen_and_slewing_is_none() {
        const SECOND: i64 = 1_000_000_000;
        let cases = [
            (0, false),
            (2_500_000, false),
            (SECOND, true),
            (SECOND, false),
            (-3_600 * SECOND, true),
            (-3_600 * SECOND + 499_999_999, false),
        ];
        let mut faults = Faults::default();
        for (tick, (offset_ns, stepped)) in cases.into_iter().enumerate() {
            let monotonic_ns = 5_000_000_000 * (tick as u64 + 1);
            let unix_ns = 1_700_000_000 * SECOND + monotonic_ns.cast_signed() + offset_ns;
            let found = faults.watch_clock(Moment {
                unix_ns,
                monotonic_ns,
            });
            assert_eq!(found.is_some(), stepped, "tick {tick}");
        }
    }
}
