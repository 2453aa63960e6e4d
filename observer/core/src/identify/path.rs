//! The way that a flow's bytes take, from what is known of both ends. One pure function, in this order:
//!
//! 1. The remote address is the flow's own, or the other end was met on this host: `same_host`.
//! 2. The operator says so: the longest network that covers the remote address, or else the next hop, the
//!    interface, the VLAN that the bytes leave by.
//! 3. The remote is a proxy that was told the target: `proxy`.
//! 4. A name of a private endpoint, or a cloud's service at a private address: `private_endpoint`.
//! 5. Another private address of no cloud, or of another one: `unknown`; whether it lies next door or behind a line is
//!    nobody's to guess.
//! 6. The same cloud: `inter_region` where both regions are known and differ. In one region `same_zone` or `inter_zone` where
//!    both zones are known, else `unknown`: an address alone does not say in which zone it is.
//! 7. Any other public address: `internet`.
//!
//! Lines that only the operator knows of (interconnects, gateways) are seen where they are declared.

mod longest;
mod pairs;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

pub use self::{
    longest::Longest,
    pairs::{PAIRS_MAX, Pairs},
};
use super::{address::prefix::Prefix, combine::Combined};
use crate::model::{
    identity::Word,
    names::{PathElement, PathKind},
    record::SourcePlace,
};

/// What the operator says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// As it follows from both ends where `None`.
    pub kind: Option<PathKind>,
    pub elements: Vec<PathElement>,
}

/// Index of a saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SayingId(usize);

/// All that the operator says of paths.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    sayings: Vec<(Option<PathKind>, Vec<Word>)>,
    networks: Longest<SayingId>,
    next_hops: HashMap<IpAddr, SayingId>,
    interfaces: HashMap<String, SayingId>,
    vlans: HashMap<u16, SayingId>,
}

/// By what a flow's bytes leave this host, as far as anything is said of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaving<'l> {
    pub next_hop: Option<IpAddr>,
    /// As `uplinks:` names it.
    pub interface: Option<&'l str>,
    pub vlan: Option<u16>,
}

/// What of [`Leaving`] decides anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    pub next_hops: bool,
    pub interfaces: bool,
    pub vlans: bool,
}

impl Declared {
    /// Says something of the way to a network. Of two sayings for the same one the later holds.
    pub fn to_network(&mut self, network: Prefix, saying: &Saying) {
        let id = self.say(saying);
        self.networks.insert(network, id);
    }

    /// Says something of the way by a next hop, where nothing is said of the network.
    pub fn by_next_hop(&mut self, next_hop: IpAddr, saying: &Saying) {
        let id = self.say(saying);
        self.next_hops.insert(next_hop, id);
    }

    /// Says something of the way by a VLAN, where nothing is said of anything else.
    pub fn by_vlan(&mut self, vlan: u16, saying: &Saying) {
        let id = self.say(saying);
        self.vlans.insert(vlan, id);
    }

    /// Says something of the way over an interface, where nothing is said of the network or the next hop.
    pub fn over_interface(&mut self, interface: &str, saying: &Saying) {
        let id = self.say(saying);
        self.interfaces.insert(interface.to_owned(), id);
    }

    fn say(&mut self, saying: &Saying) -> SayingId {
        let words = saying.elements.iter().map(|element| element.word().into());
        self.sayings.push((saying.kind, words.collect()));
        SayingId(self.sayings.len() - 1)
    }

    /// What is said of the way to an address.
    #[must_use]
    pub fn find(&self, remote: Option<IpAddr>, leaving: &Leaving<'_>) -> Option<SayingId> {
        let found = remote.and_then(|remote| self.networks.find(remote));
        let found = found.or_else(|| self.next_hops.get(&leaving.next_hop?));
        let found = found.or_else(|| self.interfaces.get(leaving.interface?));
        found.or_else(|| self.vlans.get(&leaving.vlan?)).copied()
    }

    /// What anything is said of.
    #[must_use]
    pub fn asks(&self) -> Asks {
        Asks {
            next_hops: !self.next_hops.is_empty(),
            interfaces: !self.interfaces.is_empty(),
            vlans: !self.vlans.is_empty(),
        }
    }

    /// What stands on the way, in the operator's words.
    #[must_use]
    pub fn elements(&self, id: Option<SayingId>) -> Vec<Word> {
        self.saying(id)
            .map_or_else(Vec::new, |(_, elements)| elements.clone())
    }

    fn saying(&self, id: Option<SayingId>) -> Option<&(Option<PathKind>, Vec<Word>)> {
        self.sayings.get(id?.0)
    }
}

/// Zones of networks, as the operator says.
pub type Zones = Longest<Arc<str>>;

/// What is known of both ends of a flow beside what it talks to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends<'e> {
    pub local: Option<IpAddr>,
    /// Beyond any translation on this host.
    pub remote: Option<IpAddr>,
    /// The other end is a socket of this host.
    pub is_here: bool,
    /// Of the remote.
    pub zone: Option<&'e str>,
}

/// The way to the remote; `said` is what the operator says of it.
#[must_use]
pub fn path_kind(
    source: &SourcePlace,
    ends: &Ends<'_>,
    to: &Combined,
    (declared, said): (&Declared, Option<SayingId>),
) -> PathKind {
    let identity = &to.identity;
    if ends.is_here || (ends.remote.is_some() && ends.local == ends.remote) {
        return PathKind::SameHost;
    }
    if let Some((Some(kind), _)) = declared.saying(said) {
        return *kind;
    }
    if to.is_proxy {
        return PathKind::Proxy;
    }
    let Some(remote) = ends.remote else {
        return PathKind::Unknown;
    };
    let cloud = identity.cloud.as_deref();
    let is_private = is_private(remote);
    if is_private {
        let is_cloud =
            cloud.is_some_and(|cloud| !["private", "cluster", "internet"].contains(&cloud));
        if to.is_private_endpoint || (is_cloud && identity.service.is_some()) {
            return PathKind::PrivateEndpoint;
        }
        if !is_cloud {
            return PathKind::Unknown;
        }
    } else if cloud.is_none() && identity.front.is_none() {
        return PathKind::Unknown;
    }
    if cloud.is_none() || source.cloud.as_deref() != cloud {
        return if is_private {
            PathKind::Unknown
        } else {
            PathKind::Internet
        };
    }
    match (source.region.as_deref(), identity.region.as_deref()) {
        (Some(from), Some(to)) if from == to => in_region(source.zone.as_deref(), ends.zone),
        (Some(_), Some(to)) if to != "global" => PathKind::InterRegion,
        (_, _) => PathKind::Unknown,
    }
}

fn in_region(from: Option<&str>, to: Option<&str>) -> PathKind {
    match (from, to) {
        (Some(from), Some(to)) if from == to => PathKind::SameZone,
        (Some(_), Some(_)) => PathKind::InterZone,
        (_, _) => PathKind::Unknown,
    }
}

/// Addresses that no provider routes over the internet (RFC 1918, RFC 4193, RFC 6598, RFC 3927, RFC 4291).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private()
                || address.is_link_local()
                || address.is_loopback()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests;
