//! Networks that no feed of the package has: special ranges, and providers with networks of their own. Each with who
//! says so; what nobody could be asked about is marked as not verified.

use anyhow::{Context as _, Result};
use observer_core::identify::address::{
    collect::Claim,
    contents::{Source, TagKind},
    prefix::Prefix,
};

use super::provenance::Origin;

struct Fact {
    /// Name and date of the document.
    source: (&'static str, &'static str),
    from: &'static str,
    verified: bool,
    note: &'static str,
    claim: Says,
    networks: &'static [&'static str],
}

/// What is said of the networks.
#[derive(Clone, Copy)]
enum Says {
    /// Not on the public internet, for this reason.
    Special(&'static str),
    /// A provider's own network, in no cloud: its name and the part of its network.
    Own(&'static str, &'static str),
    /// Google's own network: the part of it, and the service that answers there.
    Google(&'static str, &'static str),
}

pub fn add(origins: &mut Vec<Origin>, rows: &mut Vec<(Prefix, Claim)>) -> Result<()> {
    for fact in FACTS {
        let index = u32::try_from(origins.len()).context("number the sources")?;
        origins.push(origin(fact));
        for network in fact.networks {
            let prefix = network
                .parse::<Prefix>()
                .with_context(|| format!("take the fact of `{network}`"))?;
            rows.push((prefix, claim(index, fact.claim)));
        }
    }
    Ok(())
}

fn origin(fact: &Fact) -> Origin {
    let (name, date) = fact.source;
    Origin {
        source: Source {
            name: name.into(),
            version: String::new(),
            date: date.into(),
            licence: "facts".into(),
            verified: fact.verified,
            rows: 0,
        },
        from: fact.from,
        note: fact.note,
    }
}

fn claim(source: u32, says: Says) -> Claim {
    let network = |cloud: &str, network: &str| Claim {
        cloud: cloud.into(),
        network: network.into(),
        ..Claim::new(source, TagKind::Network)
    };
    match says {
        Says::Special(reason) => network("private", reason),
        Says::Own(provider, part) => Claim {
            provider: provider.into(),
            ..network("internet", part)
        },
        Says::Google(part, service) => Claim {
            provider: "google".into(),
            service: service.into(),
            kind: if service.is_empty() {
                TagKind::Network
            } else {
                TagKind::Service
            },
            ..network("gcp", part)
        },
    }
}

const fn special(
    rfc: (&'static str, &'static str),
    from: &'static str,
    reason: &'static str,
    networks: &'static [&'static str],
) -> Fact {
    Fact {
        source: rfc,
        from,
        verified: true,
        note: "special range: not a destination on the public internet",
        claim: Says::Special(reason),
        networks,
    }
}

macro_rules! rfc {
    ($number:literal, $date:literal, $reason:literal, $networks:expr) => {
        special(
            (concat!("RFC ", $number), $date),
            concat!("https://www.rfc-editor.org/rfc/rfc", $number),
            $reason,
            &$networks,
        )
    };
}

const FACTS: &[Fact] = &[
    rfc!(
        "919",
        "1984-10-01",
        "limited-broadcast",
        ["255.255.255.255/32"]
    ),
    rfc!("1112", "1989-08-01", "reserved", ["240.0.0.0/4"]),
    rfc!("1122", "1989-10-01", "this-network", ["0.0.0.0/8"]),
    rfc!("1122", "1989-10-01", "loopback", ["127.0.0.0/8"]),
    rfc!(
        "1918",
        "1996-02-01",
        "private-use",
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    ),
    rfc!("2544", "1999-03-01", "benchmarking", ["198.18.0.0/15"]),
    rfc!("3849", "2004-07-01", "documentation", ["2001:db8::/32"]),
    rfc!("3879", "2004-09-01", "site-local", ["fec0::/10"]),
    rfc!("3927", "2005-05-01", "link-local", ["169.254.0.0/16"]),
    rfc!("4193", "2005-10-01", "unique-local", ["fc00::/7"]),
    rfc!("4291", "2006-02-01", "unspecified", ["::/128"]),
    rfc!("4291", "2006-02-01", "loopback", ["::1/128"]),
    rfc!("4291", "2006-02-01", "link-local", ["fe80::/10"]),
    rfc!("4291", "2006-02-01", "multicast", ["ff00::/8"]),
    rfc!("5180", "2008-05-01", "benchmarking", ["2001:2::/48"]),
    rfc!(
        "5737",
        "2010-01-01",
        "documentation",
        ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]
    ),
    rfc!("5771", "2010-03-01", "multicast", ["224.0.0.0/4"]),
    rfc!(
        "6598",
        "2012-04-01",
        "shared-address-space",
        ["100.64.0.0/10"]
    ),
    rfc!("6666", "2012-08-01", "discard-only", ["100::/64"]),
    rfc!(
        "6890",
        "2013-04-01",
        "protocol-assignments",
        ["192.0.0.0/24"]
    ),
    rfc!("9637", "2024-08-01", "documentation", ["3fff::/20"]),
    Fact {
        source: ("Anthropic API addresses", "2026-11-23"),
        from: "https://platform.claude.com/docs/en/api/ip-addresses",
        verified: true,
        note: "where clients connect to",
        claim: Says::Own("anthropic", "anthropic-inbound"),
        networks: &["160.79.104.0/23", "2607:6bc0::/48"],
    },
    Fact {
        source: ("Anthropic API addresses", "2026-11-23"),
        from: "https://platform.claude.com/docs/en/api/ip-addresses",
        verified: true,
        note: "where Anthropic connects from",
        claim: Says::Own("anthropic", "anthropic-outbound"),
        networks: &["160.79.104.0/21"],
    },
    Fact {
        source: ("Anthropic API addresses, one translation", "2026-11-23"),
        from: "https://platform.claude.com/docs/en/api/ip-addresses",
        verified: false,
        note: "where clients connect to; only the Russian variant of the page says so",
        claim: Says::Own("anthropic", "anthropic-inbound"),
        networks: &["153.61.224.0/22"],
    },
    Fact {
        source: ("Anthropic API addresses, one translation", "2026-11-23"),
        from: "https://platform.claude.com/docs/en/api/ip-addresses",
        verified: false,
        note: "where Anthropic connects from; only the Russian variant of the page says so",
        claim: Says::Own("anthropic", "anthropic-outbound"),
        networks: &["153.61.208.0/20"],
    },
    Fact {
        source: ("Google restricted VIP", "2026-11-23"),
        from: "https://cloud.google.com/vpc-service-controls/docs/private-connectivity",
        verified: true,
        note: "restricted.googleapis.com, reached from inside Google Cloud networks only",
        claim: Says::Google("google-restricted-vip", "google-apis"),
        networks: &["199.36.153.4/30", "2600:2d00:2:1000::/64"],
    },
    Fact {
        source: ("Google private VIP", "2026-11-23"),
        from: "https://cloud.google.com/vpc/docs/configure-private-google-access-hybrid",
        verified: false,
        note: "private.googleapis.com, reached from inside Google Cloud networks only; recalled",
        claim: Says::Google("google-private-vip", "google-apis"),
        networks: &["199.36.153.8/30"],
    },
    Fact {
        source: ("Google networks", "2026-11-23"),
        from: "https://www.gstatic.com/ipranges/goog.json",
        verified: false,
        note: "Google's own services, its APIs among them; recalled, not held against the feed, not complete",
        claim: Says::Google("google", ""),
        networks: &[
            "64.233.160.0/19",
            "72.14.192.0/18",
            "74.125.0.0/16",
            "108.177.0.0/17",
            "142.250.0.0/15",
            "172.217.0.0/16",
            "172.253.0.0/16",
            "173.194.0.0/16",
            "192.178.0.0/15",
            "209.85.128.0/17",
            "216.58.192.0/19",
            "216.239.32.0/19",
            "2001:4860::/32",
            "2404:6800::/32",
            "2607:f8b0::/32",
            "2800:3f0::/32",
            "2a00:1450::/32",
            "2c0f:fb50::/32",
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_a_network_said_once() {
        let (mut origins, mut rows) = (Vec::new(), Vec::new());
        add(&mut origins, &mut rows).expect("facts are networks");
        assert_eq!(origins.len(), FACTS.len());
        let mut networks: Vec<Prefix> = rows.iter().map(|(prefix, _)| *prefix).collect();
        networks.sort_unstable();
        let said = networks.len();
        networks.dedup();
        assert_eq!(networks.len(), said);
    }
}
