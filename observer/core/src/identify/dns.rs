//! Names by the addresses that DNS gave for them, per network namespace, as long as the answers hold. Reads no message.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::combine::Resolved;
use crate::model::{churn::clear_marks, signal::DnsAnswer};

/// Pairs of namespace and address that are kept; what finds no room is counted.
pub const ADDRESSES_MAX: usize = 32_768;
/// Names of one address that are kept; the one that is answered next takes the place of the oldest.
pub const NAMES_MAX: usize = 16;
/// How long after its time to live an answer still explains a new connection: programs connect some time after they asked,
/// and many answers have no time to live at all.
pub const GRACE_NS: u64 = 10_000_000_000;
/// How long after a connection began an answer may come that explains it.
pub const LATE_NS: u64 = 10_000_000_000;
/// Ticks between two looks for what is over.
const SWEEP_TICKS: u32 = 12;

/// All answers that hold.
#[derive(Debug, Default)]
pub struct DnsTable {
    addresses: HashMap<Key, Vec<Held>>,
    refused: u64,
    ticks: u32,
}

/// Cookie of the namespace, and the address.
type Key = (u64, IpAddr);

#[derive(Clone, Debug)]
struct Held {
    resolved: Arc<Resolved>,
    since_ns: u64,
    until_ns: u64,
}

impl DnsTable {
    /// Takes in one answer that arrived at `at_ns`.
    pub fn take(&mut self, netns_cookie: u64, answer: &DnsAnswer, at_ns: u64) {
        let resolved = Arc::new(Resolved {
            name: answer.question.clone(),
            aliases: answer.aliases.clone(),
        });
        for (address, ttl_s) in &answer.addresses {
            let key = (netns_cookie, *address);
            if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&key) {
                self.refused = self.refused.saturating_add(1);
                continue;
            }
            let until_ns = at_ns
                .saturating_add(u64::from(*ttl_s).saturating_mul(1_000_000_000))
                .saturating_add(GRACE_NS);
            hold(
                self.addresses.entry(key).or_default(),
                &resolved,
                at_ns,
                until_ns,
            );
        }
    }

    /// Names whose answers explain a connection to the address that began at `start_ns`, the newest first.
    #[must_use]
    pub fn names(&self, netns_cookie: u64, address: IpAddr, start_ns: u64) -> Vec<Resolved> {
        let Some(held) = self.addresses.get(&(netns_cookie, address)) else {
            return Vec::new();
        };
        let explains = |held: &&Held| {
            held.until_ns >= start_ns && held.since_ns <= start_ns.saturating_add(LATE_NS)
        };
        let mut found: Vec<&Held> = held.iter().filter(explains).collect();
        found.sort_by_key(|held| std::cmp::Reverse(held.since_ns));
        found
            .into_iter()
            .map(|held| (*held.resolved).clone())
            .collect()
    }

    /// Ends a tick: forgets what is over.
    pub fn end_tick(&mut self, now_ns: u64) {
        self.ticks = self.ticks.wrapping_add(1);
        if !self.ticks.is_multiple_of(SWEEP_TICKS) {
            return;
        }
        self.addresses.retain(|_, held| {
            held.retain(|held| held.until_ns >= now_ns);
            !held.is_empty()
        });
        clear_marks(&mut self.addresses);
    }

    /// Answers' addresses that found no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

/// The same name again lasts longer.
fn hold(held: &mut Vec<Held>, resolved: &Arc<Resolved>, at_ns: u64, until_ns: u64) {
    if let Some(known) = held
        .iter_mut()
        .find(|known| known.resolved.name == resolved.name)
    {
        known.resolved = Arc::clone(resolved);
        // Where it was over in between, an older connection has nothing to do with it.
        if known.until_ns < at_ns {
            known.since_ns = at_ns;
        }
        known.until_ns = known.until_ns.max(until_ns);
        return;
    }
    if held.len() >= NAMES_MAX {
        let oldest = (0..held.len()).min_by_key(|at| held.get(*at).map(|held| held.until_ns));
        if let Some(oldest) = oldest {
            held.swap_remove(oldest);
        }
    }
    held.push(Held {
        resolved: Arc::clone(resolved),
        since_ns: at_ns,
        until_ns,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host_name::HostName;

    const SECOND: u64 = 1_000_000_000;

    fn name(text: &str) -> HostName {
        HostName::from_wire(text.as_bytes()).expect("a name")
    }

    fn address(last: u16) -> IpAddr {
        std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
    }

    fn answer(text: &str, last: u16, ttl_s: u32) -> DnsAnswer {
        DnsAnswer {
            question: name(text),
            addresses: vec![(address(last), ttl_s)],
            aliases: Vec::new(),
            ech_public_names: Vec::new(),
            cut: false,
        }
    }

    fn found(table: &DnsTable, netns: u64, last: u16, start_s: u64) -> String {
        let names = table.names(netns, address(last), start_s * SECOND);
        let names: Vec<&str> = names.iter().map(|found| found.name.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn an_answer_holds_in_its_namespace_and_time() {
        let mut table = DnsTable::default();
        table.take(1, &answer("a.example", 1, 30), 100 * SECOND);
        table.take(1, &answer("b.example", 1, 5), 120 * SECOND);
        table.take(2, &answer("c.example", 1, 30), 100 * SECOND);
        // namespace, address, start: names
        for (netns, last, start_s, expected) in [
            (1, 1, 100, "a.example"),
            // Before the answer, but not long.
            (1, 1, 91, "a.example"),
            (1, 1, 89, ""),
            (1, 1, 121, "b.example a.example"),
            // The shorter one is over.
            (1, 1, 138, "a.example"),
            (1, 1, 141, ""),
            (2, 1, 100, "c.example"),
            (3, 1, 100, ""),
            (1, 2, 100, ""),
        ] {
            assert_eq!(
                found(&table, netns, last, start_s),
                expected,
                "{netns} {last} {start_s}"
            );
        }
    }

    #[test]
    fn the_same_name_again_lasts_longer() {
        let mut table = DnsTable::default();
        table.take(1, &answer("a.example", 1, 30), 100 * SECOND);
        table.take(1, &answer("a.example", 1, 30), 120 * SECOND);
        assert_eq!(found(&table, 1, 1, 155), "a.example");
        assert_eq!(found(&table, 1, 1, 95), "a.example");
        // Over, and answered anew: what began in between is not explained.
        table.take(1, &answer("a.example", 1, 30), 500 * SECOND);
        assert_eq!(found(&table, 1, 1, 300), "");
        assert_eq!(found(&table, 1, 1, 500), "a.example");
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let mut table = DnsTable::default();
        for nth in 0..40_u16 {
            let name = format!("n{nth}.example");
            table.take(1, &answer(&name, 1, u32::from(nth)), SECOND);
        }
        assert_eq!(
            table.names(1, address(1), SECOND).len(),
            NAMES_MAX,
            "the longest-lived stay"
        );
        let mut many = answer("m.example", 1, 60);
        for last in 0..u16::MAX {
            many.addresses = vec![(address(last), 60)];
            table.take(1, &many, SECOND);
        }
        assert_eq!(table.addresses.len(), ADDRESSES_MAX);
        assert_eq!(
            table.refused(),
            u64::from(u16::MAX) - u64::try_from(ADDRESSES_MAX).expect("a small number")
        );
        for _ in 0..SWEEP_TICKS {
            table.end_tick(1_000 * SECOND);
        }
        assert!(table.addresses.is_empty());
    }
}
