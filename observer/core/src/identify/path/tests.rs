//! The order in which a path is decided, and what the operator says of it.

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

/// `10.0.0.0/8 interconnect vpn`: network, next hop, interface or VLAN, kind or `-`, elements.
fn declared(rows: &[&str]) -> Declared {
    let mut declared = Declared::default();
    for row in rows {
        let mut words = row.split(' ');
        let place = words.next().expect("a place");
        let kind = words.next().and_then(PathKind::from_word);
        let elements = words.filter_map(PathElement::from_word).collect();
        let saying = Saying { kind, elements };
        if let Some(next_hop) = place.strip_prefix("via:") {
            declared.by_next_hop(next_hop.parse().expect("an address"), &saying);
        } else if let Ok(vlan) = place.parse::<u16>() {
            declared.by_vlan(vlan, &saying);
        } else if let Ok(network) = place.parse::<Prefix>() {
            declared.to_network(network, &saying);
        } else {
            declared.over_interface(place, &saying);
        }
    }
    declared
}

fn over(declared: &Declared, remote: &str, leaving: &Leaving<'_>) -> String {
    let ends = Ends {
        local: "192.0.2.1".parse().ok(),
        remote: remote.parse().ok(),
        ..Ends::default()
    };
    let said = declared.find(ends.remote, leaving);
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
        "via:192.0.2.254 - firewall",
        "100 - nat_gateway",
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
            let leaving = Leaving {
                interface,
                ..Leaving::default()
            };
            assert_eq!(over(&declared, remote, &leaving), expected, "{remote}");
        }
        for (next_hop, interface, vlan, expected) in [
            (
                Some("192.0.2.254"),
                Some("wg0"),
                Some(100),
                "internet firewall",
            ),
            (
                Some("192.0.2.253"),
                Some("wg0"),
                Some(100),
                "private_endpoint vpn",
            ),
            (None, Some("eth0"), Some(100), "internet nat_gateway"),
            (None, None, Some(101), "internet"),
        ] {
            let leaving = Leaving {
                next_hop: next_hop.and_then(|address| address.parse().ok()),
                interface,
                vlan,
            };
            assert_eq!(over(&declared, "2001:db8::1", &leaving), expected);
        }
    }
    let nothing = Leaving::default();
    assert_eq!(over(&Declared::default(), "10.20.9.9", &nothing), "unknown");
}
