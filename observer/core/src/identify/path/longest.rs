//! What is said of networks, found by address: the longest network that covers it counts, in whatever order they came.

use std::{collections::HashMap, net::IpAddr};

use crate::identify::address::prefix::{Prefix, bits};

/// Something said of networks.
#[derive(Clone, Debug)]
pub struct Longest<T> {
    networks: HashMap<Prefix, T>,
    /// Distinct lengths, the longest first.
    lengths: Vec<u8>,
}

impl<T> Default for Longest<T> {
    fn default() -> Self {
        Self {
            networks: HashMap::new(),
            lengths: Vec::new(),
        }
    }
}

impl<T> Longest<T> {
    /// Of two for the same network the later holds.
    pub fn insert(&mut self, network: Prefix, said: T) {
        self.networks.insert(network, said);
        let length = network.prefix_length();
        if let Err(at) = self.lengths.binary_search_by(|other| length.cmp(other)) {
            self.lengths.insert(at, length);
        }
    }

    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&T> {
        let bits = bits(address);
        let network = |length: &u8| self.networks.get(&Prefix::around(bits, *length));
        self.lengths.iter().find_map(network)
    }
}
