//! Whether the agent lives and whether its figures are whole, for whoever starts it and watches it. The moment is an
//! argument.

use std::time::Duration;

use tokio::time::Instant;

/// Ticks that may be missed before the agent counts as stuck.
pub const TICKS_MISSED_MAX: u32 = 3;

/// What the agent found when it started.
#[derive(Clone, Copy, Debug)]
pub struct Readiness {
    /// Length of an interval.
    pub tick: Duration,
    /// Its programs are at the true cgroup root: they see every socket of the host.
    pub is_true_root: bool,
    pub has_catalogue: bool,
}

/// What is known so far.
#[derive(Debug)]
pub struct Watch {
    /// `None` until the agent has started.
    pub readiness: Option<Readiness>,
    pub last_tick: Option<Instant>,
}

impl Watch {
    /// Nothing is known yet.
    pub const fn new() -> Self {
        Self {
            readiness: None,
            last_tick: None,
        }
    }

    /// Why the agent counts as stuck; `None` where it lives.
    pub fn stuck(&self, now: Instant) -> Option<String> {
        let tick = self.readiness?.tick;
        let since = now.saturating_duration_since(self.last_tick?);
        (since > tick * TICKS_MISSED_MAX).then(|| {
            format!(
                "the last tick was {:.1} s ago, more than {TICKS_MISSED_MAX} ticks of {:.1} s",
                since.as_secs_f64(),
                tick.as_secs_f64()
            )
        })
    }

    /// Why the agent is not ready, one line a reason.
    pub fn missing(&self, now: Instant) -> Vec<String> {
        let mut missing = Vec::new();
        match self.readiness {
            None => missing.push("the kernel programs are not attached yet".to_owned()),
            Some(readiness) => {
                if !readiness.is_true_root {
                    missing.push("attached below the true cgroup root: other sockets are not seen; see `observer doctor`".to_owned());
                }
                if !readiness.has_catalogue {
                    missing.push("no catalogue is loaded".to_owned());
                }
            }
        }
        if self.last_tick.is_none() {
            missing.push("the first tick is not over".to_owned());
        }
        missing.extend(self.stuck(now));
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Readiness = Readiness {
        tick: Duration::from_secs(5),
        is_true_root: true,
        has_catalogue: true,
    };

    #[test]
    fn each_thing_that_is_missing_is_a_line() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let readiness = |is_true_root, has_catalogue| {
            Some(Readiness {
                is_true_root,
                has_catalogue,
                ..READY
            })
        };
        // What is known, seconds since the last tick -> stuck, reasons.
        let cases = [
            (None, None, false, 2),
            (readiness(true, true), None, false, 1),
            (readiness(true, true), Some(15), false, 0),
            (readiness(true, true), Some(16), true, 1),
            (readiness(false, true), Some(1), false, 1),
            (readiness(false, false), Some(1), false, 2),
        ];
        for (nth, (readiness, since, stuck, reasons)) in cases.into_iter().enumerate() {
            let watch = Watch {
                readiness,
                last_tick: since.map(|_| start),
            };
            let now = later(since.unwrap_or(100));
            assert_eq!(watch.stuck(now).is_some(), stuck, "case {nth}");
            assert_eq!(watch.missing(now).len(), reasons, "case {nth}");
        }
    }
}
