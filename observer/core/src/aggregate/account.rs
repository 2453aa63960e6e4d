//! One account: an uplink in one direction, carried from reading to reading.
//!
//! Of an interval's difference between socket and device, only what a queue or the device itself says it discarded is
//! named `dropped_after_hook`: at most `skb_bytes_max` for each packet that its drop counters rose by in this interval
//! or the one before (the counters are not read at the same moment). What was named and turns out in the next
//! interval to have waited in the queue is given back. The rest stays in the balance, unexplained.

use std::{collections::BTreeMap, sync::Arc};

use observer_ebpf::abi::Home;
use serde::{Deserialize, Serialize};

use super::{report::BalanceReport, sums::Sums};
use crate::model::names::{Direction, Measure, RemainderReason};

/// The account of one uplink in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    baseline: Sums,
    last: Sums,
    derived: Derived,
    /// Sums of [`Account::derived`] over earlier baselines.
    before: Derived,
    /// Interface bytes over earlier baselines.
    interface_before: i128,
    queue: Queue,
    baselines: u64,
}

/// Remainders that are differences, since the baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    pub no_socket: i128,
    pub not_attached: i128,
    /// Positive; the remainder is its negative.
    pub dropped: i128,
}

/// What the last interval left undecided about drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Queue {
    /// Bytes gone between socket and device that no drop explained.
    open: i128,
    /// Bytes that its drops could still explain.
    allowance: i128,
    /// Bytes it named dropped.
    named: i128,
}

impl Account {
    /// An account whose baseline is `sums`.
    pub fn begin(sums: Sums) -> Self {
        Self {
            baseline: sums,
            last: sums,
            baselines: 1,
            ..Self::default()
        }
    }

    /// Over all baselines: interface bytes and the remainders that are differences.
    #[must_use]
    pub fn running(&self) -> (i128, Derived) {
        let interface = self.interface_before + self.last.interface - self.baseline.interface;
        (interface, self.before.plus(self.derived))
    }

    /// Carries the account on by one reading.
    pub fn advance(
        &mut self,
        now: &Sums,
        attached: bool,
        skb_bytes_max: u32,
        direction: Direction,
    ) {
        if now.is_behind(&self.last) {
            self.begin_anew(now);
            return;
        }
        let step = now.minus(&self.last);
        self.last = *now;
        if !attached {
            self.derived.not_attached += step.interface - step.housed();
            self.queue = Queue::default();
            return;
        }
        match direction {
            Direction::Egress => self.name_drops(&step, skb_bytes_max),
            Direction::Ingress => self.derived.no_socket += step.uplink - step.housed(),
        }
    }

    /// The device or the kernel's totals were made again: what passed in between is known to nobody.
    fn begin_anew(&mut self, now: &Sums) {
        let (interface_before, before) = self.running();
        *self = Self {
            before,
            interface_before,
            baselines: self.baselines.saturating_add(1),
            ..Self::begin(*now)
        };
    }

    fn name_drops(&mut self, step: &Sums, skb_bytes_max: u32) {
        let gone = (step.at_sockets() - step.hooked) + (step.uplink - step.interface);
        let allowance = step.drops.max(0) * i128::from(skb_bytes_max);
        let candidate = gone + self.queue.open;
        let (named, open) = if candidate > 0 {
            let named = candidate.min(allowance + self.queue.allowance);
            (named, candidate - named)
        } else {
            let returned = candidate.max(-self.queue.named);
            (returned, candidate - returned)
        };
        self.derived.dropped += named;
        self.queue = Queue {
            open: open.clamp(gone.min(0), gone.max(0)),
            allowance: allowance.min(allowance + self.queue.allowance - named.max(0)),
            named: named.max(0),
        };
    }

    /// The account as of the last reading. `late` and `table_full` are what the records lack of the flows' bytes.
    pub fn report(
        &self,
        device: Arc<str>,
        direction: Direction,
        measure: Measure,
        late: i128,
        table_full: i128,
    ) -> BalanceReport {
        let since = self.last.minus(&self.baseline);
        let Derived {
            no_socket,
            not_attached,
            dropped,
        } = self.derived;
        let mut remainder_bytes = BTreeMap::from([
            (RemainderReason::Handshake, since.home(Home::Handshake)),
            (
                RemainderReason::ControlSocket,
                since.home(Home::ControlSocket),
            ),
            (RemainderReason::KernelSent, since.home(Home::KernelSent)),
            (RemainderReason::Forwarded, since.home(Home::Forwarded)),
            (
                RemainderReason::Encapsulation,
                since.home(Home::Encapsulation),
            ),
            (
                RemainderReason::FragmentHeaders,
                since.home(Home::FragmentHeaders),
            ),
            (RemainderReason::Raw, since.home(Home::Raw)),
            (
                RemainderReason::StorageFailed,
                since.home(Home::StorageFailed),
            ),
            (
                RemainderReason::TableFull,
                since.home(Home::TableFull) + table_full,
            ),
            (RemainderReason::Late, late),
            (RemainderReason::NonIp, since.home(Home::NonIp)),
            (RemainderReason::NotAttached, not_attached),
        ]);
        match direction {
            Direction::Egress => {
                remainder_bytes.insert(RemainderReason::DroppedAfterHook, -dropped)
            }
            Direction::Ingress => remainder_bytes.insert(RemainderReason::NoSocket, no_socket),
        };
        BalanceReport {
            device,
            direction,
            measure,
            interface_bytes: since.interface,
            attributed_bytes: since.home(Home::Flow) - late - table_full,
            remainder_bytes,
            balance_bytes: since.interface - since.housed() - no_socket - not_attached + dropped,
            baselines: self.baselines,
        }
    }
}

impl Derived {
    fn plus(self, other: Self) -> Self {
        Self {
            no_socket: self.no_socket + other.no_socket,
            not_attached: self.not_attached + other.not_attached,
            dropped: self.dropped + other.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKB_BYTES_MAX: u32 = 1000;

    /// Everything in flows and nothing lost: `sent` reached the socket hook, `seen` the uplink, `out` the device.
    fn egress(sent: i128, seen: i128, out: i128, drops: i128) -> Sums {
        let mut sums = Sums {
            interface_counter: out,
            interface: out,
            uplink: seen,
            hooked: seen,
            drops,
            ..Sums::default()
        };
        sums.homes[Home::Flow as usize] = sent;
        sums
    }

    fn reported(account: &Account, direction: Direction) -> (BalanceReport, i128) {
        let report = account.report("eth0".into(), direction, Measure::Device, 0, 0);
        let remainders: i128 = report.remainder_bytes.values().sum();
        let sum = report.attributed_bytes + remainders + report.balance_bytes;
        assert_eq!(report.interface_bytes, sum, "{report:?}");
        let balance_bytes = report.balance_bytes;
        (report, balance_bytes)
    }

    #[test]
    fn only_what_drops_bear_out_is_named_dropped() {
        // Readings after the baseline -> bytes named dropped, balance.
        let cases: [(&str, &[Sums], i128, i128); 8] = [
            ("nothing lost", &[egress(500, 500, 500, 0)], 0, 0),
            ("lost without a drop", &[egress(500, 500, 400, 0)], 0, -100),
            ("lost in the queue", &[egress(500, 500, 400, 1)], 100, 0),
            ("lost before the queue", &[egress(500, 400, 400, 1)], 100, 0),
            (
                "more than the drops can be",
                &[egress(5000, 5000, 500, 2)],
                2000,
                -2500,
            ),
            (
                "drop read one interval later",
                &[egress(500, 500, 400, 0), egress(500, 500, 400, 1)],
                100,
                0,
            ),
            (
                "an old loss is not explained by a new drop",
                &[
                    egress(500, 500, 400, 0),
                    egress(600, 600, 500, 0),
                    egress(700, 700, 540, 1),
                ],
                60,
                -100,
            ),
            (
                "what waited in the queue is given back",
                &[egress(500, 500, 300, 1), egress(500, 500, 400, 1)],
                100,
                0,
            ),
        ];
        for (name, readings, dropped, balance) in cases {
            let mut account = Account::begin(Sums::default());
            for reading in readings {
                account.advance(reading, true, SKB_BYTES_MAX, Direction::Egress);
            }
            let (report, left) = reported(&account, Direction::Egress);
            let named = report
                .remainder_bytes
                .get(&RemainderReason::DroppedAfterHook);
            assert_eq!((named, left), (Some(&-dropped), balance), "{name}");
        }
    }

    #[test]
    fn a_surplus_later_does_not_undo_old_drops() {
        let mut account = Account::begin(Sums::default());
        let readings = [
            egress(500, 500, 400, 1),
            egress(600, 600, 500, 1),
            egress(700, 700, 660, 1),
        ];
        for reading in &readings {
            account.advance(reading, true, SKB_BYTES_MAX, Direction::Egress);
        }
        let (_, left) = reported(&account, Direction::Egress);
        assert_eq!((account.derived.dropped, left), (100, 60));
    }

    #[test]
    fn received_without_a_socket_and_with_another_device_count() {
        let mut account = Account::begin(Sums::default());
        let mut sums = Sums {
            interface_counter: 1000,
            interface: 1000,
            uplink: 990,
            ..Sums::default()
        };
        sums.homes[Home::Flow as usize] = 700;
        sums.homes[Home::NonIp as usize] = 60;
        account.advance(&sums, true, SKB_BYTES_MAX, Direction::Ingress);
        let (report, balance) = reported(&account, Direction::Ingress);
        assert_eq!(
            report.remainder_bytes.get(&RemainderReason::NoSocket),
            Some(&230)
        );
        assert_eq!(balance, 10);
    }

    #[test]
    fn what_passes_a_missing_hook_is_named() {
        for direction in Direction::BOTH {
            let mut account = Account::begin(Sums::default());
            account.advance(&egress(500, 500, 500, 0), true, SKB_BYTES_MAX, direction);
            account.advance(&egress(500, 500, 900, 0), false, SKB_BYTES_MAX, direction);
            account.advance(&egress(700, 700, 1100, 0), true, SKB_BYTES_MAX, direction);
            let (report, balance) = reported(&account, direction);
            let not_attached = report.remainder_bytes.get(&RemainderReason::NotAttached);
            assert_eq!((not_attached, balance), (Some(&400), 0), "{direction:?}");
        }
    }

    #[test]
    fn a_device_made_again_begins_a_new_baseline() {
        let mut account = Account::begin(egress(900, 900, 900, 0));
        account.advance(
            &egress(1000, 1000, 990, 1),
            true,
            SKB_BYTES_MAX,
            Direction::Egress,
        );
        account.advance(
            &egress(1100, 1100, 80, 0),
            true,
            SKB_BYTES_MAX,
            Direction::Egress,
        );
        account.advance(
            &egress(1150, 1150, 130, 0),
            true,
            SKB_BYTES_MAX,
            Direction::Egress,
        );
        let (report, balance) = reported(&account, Direction::Egress);
        assert_eq!(
            (report.interface_bytes, balance, report.baselines),
            (50, 0, 2)
        );
        let (interface, derived) = account.running();
        assert_eq!((interface, derived.dropped), (140, 10));
    }
}
