//! The way that a flow's bytes take, from what is known of both ends. One pure function, in this order:
//!
//! 1. The remote address is the flow's own, or the other end was met on this host: `same_host`.
//! 2. The operator says so: the longest network that covers the remote address, or else the interface that the bytes leave by.
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
    interfaces: HashMap<String, SayingId>,
}

impl Declared {
    /// Says something of the way to a network. Of two sayings for the same one the later holds.
    pub fn to_network(&mut self, network: Prefix, saying: &Saying) {
        let id = self.say(saying);
        self.networks.insert(network, id);
    }

    /// Says something of the way over an interface, where nothing is said of the network.
    pub fn over_interface(&mut self, interface: &str, saying: &Saying) {
        let id = self.say(saying);
        self.interfaces.insert(interface.to_owned(), id);
    }

    fn say(&mut self, saying: &Saying) -> SayingId {
        let words = saying.elements.iter().map(|element| element.word().into());
        self.sayings.push((saying.kind, words.collect()));
        SayingId(self.sayings.len() - 1)
    }

    /// What is said of the way to an address over an interface.
    #[must_use]
    pub fn find(&self, remote: Option<IpAddr>, interface: Option<&str>) -> Option<SayingId> {
        let to_network = |remote| self.networks.find(remote);
        let over = || self.interfaces.get(interface?);
        remote.and_then(to_network).or_else(over).copied()
    }

    /// Whether anything is said of interfaces.
    #[must_use]
    pub fn asks_interfaces(&self) -> bool {
        !self.interfaces.is_empty()
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
mod tests {
    use super::*;
    use crate::model::identity::Identity;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn the_order_is_as_stated() {
        // source cloud and region, remote, its cloud, region and front, what it is: path
        for (source, remote, to, is, expected) in [
            (
                "aws us-east-1",
                "192.0.2.1",
                "aws us-east-1 -",
                "",
                PathKind::SameHost,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "private - -",
                "proxy",
                PathKind::Proxy,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "aws us-east-1 -",
                "endpoint",
                PathKind::PrivateEndpoint,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "aws us-east-1 -",
                "service",
                PathKind::PrivateEndpoint,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "aws us-east-1 -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1 use1-az1",
                "10.0.0.9",
                "aws us-east-1 -",
                "in use1-az1",
                PathKind::SameZone,
            ),
            (
                "aws us-east-1 use1-az1",
                "198.51.100.1",
                "aws us-east-1 -",
                "in use1-az2",
                PathKind::InterZone,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "aws us-east-1 -",
                "in use1-az2",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1 use1-az1",
                "10.0.0.9",
                "aws us-west-2 -",
                "in usw2-az1",
                PathKind::InterRegion,
            ),
            (
                "aws us-east-1 use1-az1",
                "10.0.0.9",
                "azure eastus -",
                "in 1",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "private - -",
                "here",
                PathKind::SameHost,
            ),
            (
                "aws us-east-1",
                "fd00::1",
                "private - -",
                "endpoint",
                PathKind::PrivateEndpoint,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "private - -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "100.64.0.1",
                "private - -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "aws us-east-1 -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "aws us-west-2 -",
                "",
                PathKind::InterRegion,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "aws global -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws -",
                "198.51.100.1",
                "aws us-west-2 -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "azure eastus -",
                "",
                PathKind::Internet,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "internet - -",
                "",
                PathKind::Internet,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "- - cloudflare",
                "",
                PathKind::Internet,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "- - -",
                "",
                PathKind::Unknown,
            ),
            (
                "- -",
                "198.51.100.1",
                "aws us-east-1 -",
                "",
                PathKind::Internet,
            ),
        ] {
            let word = |text: &str| (text != "-").then(|| text.to_owned());
            let mut from = source.split(' ').map(word);
            let source = SourcePlace {
                cloud: from.next().flatten(),
                region: from.next().flatten(),
                zone: from.next().flatten(),
                ..SourcePlace::default()
            };
            let mut fields = to.split(' ').map(|text| word(text).map(Into::into));
            let combined = Combined {
                identity: Identity {
                    cloud: fields.next().flatten(),
                    region: fields.next().flatten(),
                    front: fields.next().flatten(),
                    service: (is == "service").then(|| "s3".into()),
                    ..Identity::default()
                },
                is_private_endpoint: is == "endpoint",
                is_proxy: is == "proxy",
            };
            let ends = Ends {
                local: "192.0.2.1".parse().ok(),
                remote: remote.parse().ok(),
                is_here: is == "here",
                zone: is.strip_prefix("in "),
            };
            assert_eq!(
                path_kind(&source, &ends, &combined, (&Declared::default(), None)),
                expected,
                "{source:?} {remote} {to}"
            );
        }
    }

    /// `10.0.0.0/8 interconnect vpn`: network or interface, kind or `-`, elements.
    fn declared(rows: &[&str]) -> Declared {
        let mut declared = Declared::default();
        for row in rows {
            let mut words = row.split(' ');
            let place = words.next().expect("a place");
            let kind = words.next().and_then(PathKind::from_word);
            let elements = words.filter_map(PathElement::from_word).collect();
            let saying = Saying { kind, elements };
            match place.parse() {
                Ok(network) => declared.to_network(network, &saying),
                Err(_) => declared.over_interface(place, &saying),
            }
        }
        declared
    }

    fn over(declared: &Declared, remote: &str, interface: Option<&str>) -> String {
        let ends = Ends {
            local: "192.0.2.1".parse().ok(),
            remote: remote.parse().ok(),
            ..Ends::default()
        };
        let said = declared.find(ends.remote, interface);
        let to = Combined {
            identity: Identity {
                cloud: Some("internet".into()),
                ..Identity::default()
            },
            ..Combined::default()
        };
        let kind = path_kind(&SourcePlace::default(), &ends, &to, (declared, said));
        let mut words = vec![kind.word().to_owned()];
        let elements = declared.elements(said);
        words.extend(elements.iter().map(ToString::to_string));
        words.join(" ")
    }

    #[test]
    fn the_operators_word_holds() {
        let all = [
            "10.0.0.0/8 peering",
            "10.20.0.0/16 interconnect transit_gateway vpn",
            "0.0.0.0/0 - nat_gateway",
            "fd00::/8 peering",
            "wg0 private_endpoint vpn",
        ];
        let turned: Vec<&str> = all.iter().rev().copied().collect();
        for declared in [declared(&all), declared(&turned)] {
            for (remote, interface, expected) in [
                ("10.1.0.1", None, "peering"),
                ("10.20.9.9", Some("wg0"), "interconnect transit_gateway vpn"),
                ("198.51.100.1", Some("wg0"), "internet nat_gateway"),
                ("fd00::1", None, "peering"),
                ("2001:db8::1", Some("wg0"), "private_endpoint vpn"),
                ("2001:db8::1", Some("eth0"), "internet"),
                ("192.0.2.1", None, "same_host nat_gateway"),
            ] {
                assert_eq!(over(&declared, remote, interface), expected, "{remote}");
            }
        }
        assert_eq!(over(&Declared::default(), "10.20.9.9", None), "unknown");
    }
}
