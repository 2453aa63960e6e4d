//! Flows that never leave the host: where both ends are sockets of it, each is met from its own side in the same tick.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    mem,
};

use crate::model::{flow::Endpoint, names::Protocol};

/// Flows of one tick that are kept in mind; what finds no room is counted.
pub const PAIRS_MAX: usize = 262_144;

/// The flows of this tick and of the one before that cross no uplink, by a hash of both ends: on a host that is full
/// of them two have the same one by chance once in 2^28 ticks.
#[derive(Debug, Default)]
pub struct Pairs {
    hasher: RandomState,
    now: HashSet<u64>,
    before: HashSet<u64>,
    refused: u64,
}

impl Pairs {
    /// A flow from `local` to `remote` was met.
    pub fn add(&mut self, protocol: Protocol, local: Endpoint, remote: Endpoint) {
        if self.now.len() >= PAIRS_MAX {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        self.now
            .insert(self.hasher.hash_one((protocol, local, remote)));
    }

    /// Whether the flow from `local` to `remote` was met from its other side.
    #[must_use]
    pub fn has_other_side(&self, protocol: Protocol, local: Endpoint, remote: Endpoint) -> bool {
        if self.now.is_empty() && self.before.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one((protocol, remote, local));
        self.now.contains(&hash) || self.before.contains(&hash)
    }

    /// Ends a tick.
    pub fn end_tick(&mut self) {
        self.before = mem::take(&mut self.now);
    }

    /// Flows that found no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Endpoint {
        let (address, port) = text.rsplit_once(':').expect("an address and a port");
        Endpoint {
            address: address.parse().expect("an address"),
            port: port.parse().expect("a port"),
        }
    }

    #[test]
    fn a_flow_is_known_by_its_other_side_alone_for_two_ticks() {
        let (a, b) = (end("10.0.0.1:40000"), end("10.0.0.2:80"));
        let mut pairs = Pairs::default();
        assert!(!pairs.has_other_side(Protocol::Tcp, a, b));
        pairs.add(Protocol::Tcp, b, a);
        for expected in [true, true, false] {
            assert_eq!(pairs.has_other_side(Protocol::Tcp, a, b), expected);
            assert!(!pairs.has_other_side(Protocol::Tcp, b, a), "itself");
            assert!(!pairs.has_other_side(Protocol::Udp, a, b), "protocol");
            let other = end("10.0.0.1:40001");
            assert!(!pairs.has_other_side(Protocol::Tcp, other, b), "port");
            pairs.end_tick();
        }
    }
}
