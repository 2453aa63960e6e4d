//! The way that a flow's bytes take, from what is known of both ends. One pure function, in this order:
//!
//! 1. The remote address is the flow's own: `same_host`.
//! 2. The operator says so: the longest network that covers the remote address, or else the interface that the bytes leave by.
//! 3. The remote is a proxy that was told the target: `proxy`.
//! 4. A name of a private endpoint, or a cloud's service at a private address: `private_endpoint`.
//! 5. Another private address: `unknown`; whether it lies next door or behind a line is nobody's to guess.
//! 6. The same cloud: `inter_region` where both regions are known and differ. In one region `unknown`: an address does not
//!    say in which zone it is, and what stays in the region may still cross zones.
//! 7. Any other public address: `internet`.
//!
//! Lines that only the operator knows of (interconnects, gateways) are seen where they are declared.

use std::{collections::HashMap, net::IpAddr};

use super::{
    address::prefix::{Prefix, bits},
    combine::Combined,
};
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
    networks: HashMap<Prefix, SayingId>,
    /// Distinct lengths of the networks, the longest first.
    lengths: Vec<u8>,
    interfaces: HashMap<String, SayingId>,
}

impl Declared {
    /// Says something of the way to a network. Of two sayings for the same one the later holds.
    pub fn to_network(&mut self, network: Prefix, saying: &Saying) {
        let id = self.say(saying);
        self.networks.insert(network, id);
        let length = network.prefix_length();
        if let Err(at) = self.lengths.binary_search_by(|other| length.cmp(other)) {
            self.lengths.insert(at, length);
        }
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
        let to_network = |remote| {
            let bits = bits(remote);
            let network = |length: &u8| self.networks.get(&Prefix::around(bits, *length));
            self.lengths.iter().find_map(network)
        };
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

/// The way to the remote; `said` is what the operator says of it.
#[must_use]
pub fn path_kind(
    source: &SourcePlace,
    [local, remote]: [Option<IpAddr>; 2],
    to: &Combined,
    (declared, said): (&Declared, Option<SayingId>),
) -> PathKind {
    let identity = &to.identity;
    if remote.is_some() && local == remote {
        return PathKind::SameHost;
    }
    if let Some((Some(kind), _)) = declared.saying(said) {
        return *kind;
    }
    if to.is_proxy {
        return PathKind::Proxy;
    }
    let Some(remote) = remote else {
        return PathKind::Unknown;
    };
    let cloud = identity.cloud.as_deref();
    if is_private(remote) {
        let is_cloud =
            cloud.is_some_and(|cloud| !["private", "cluster", "internet"].contains(&cloud));
        return if to.is_private_endpoint || is_cloud {
            PathKind::PrivateEndpoint
        } else {
            PathKind::Unknown
        };
    }
    if cloud.is_none() && identity.front.is_none() {
        return PathKind::Unknown;
    }
    if cloud.is_none() || source.cloud.as_deref() != cloud {
        return PathKind::Internet;
    }
    match (source.region.as_deref(), identity.region.as_deref()) {
        (Some(from), Some(to)) if from != to && to != "global" => PathKind::InterRegion,
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
                "",
                PathKind::PrivateEndpoint,
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
                ..SourcePlace::default()
            };
            let mut fields = to.split(' ').map(|text| word(text).map(Into::into));
            let combined = Combined {
                identity: Identity {
                    cloud: fields.next().flatten(),
                    region: fields.next().flatten(),
                    front: fields.next().flatten(),
                    ..Identity::default()
                },
                is_private_endpoint: is == "endpoint",
                is_proxy: is == "proxy",
            };
            let ends = ["192.0.2.1", remote].map(|address| address.parse().ok());
            assert_eq!(
                path_kind(&source, ends, &combined, (&Declared::default(), None)),
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
        let remote = remote.parse().ok();
        let local = "192.0.2.1".parse().ok();
        let said = declared.find(remote, interface);
        let to = Combined {
            identity: Identity {
                cloud: Some("internet".into()),
                ..Identity::default()
            },
            ..Combined::default()
        };
        let kind = path_kind(
            &SourcePlace::default(),
            [local, remote],
            &to,
            (declared, said),
        );
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
