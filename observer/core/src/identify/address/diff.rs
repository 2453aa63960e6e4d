//! What one table says of networks that another does not: prefix by prefix, claims in words without who says so. Two tables
//! that differ in nothing but the dates of their sources do not differ here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{collect::Claim, contents::Contents, prefix::Prefix};

/// How a network differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Gained,
    Lost,
    Changed,
}

/// One network that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub network: String,
    pub change: Change,
    /// Whose network it is, by the newer table where it has the network: cloud, else front, else provider.
    pub owner: String,
    /// Claims of the older table, ascending.
    pub before: Vec<String>,
    pub after: Vec<String>,
}

/// Networks whose claims differ, by address.
#[must_use]
pub fn diff(older: &Contents, newer: &Contents) -> Vec<Difference> {
    let (older, newer) = (by_network(older), by_network(newer));
    let all: BTreeSet<Prefix> = older.keys().chain(newer.keys()).copied().collect();
    let none = BTreeSet::new();
    all.into_iter()
        .filter_map(|prefix| {
            let before = older.get(&prefix).unwrap_or(&none);
            let after = newer.get(&prefix).unwrap_or(&none);
            let change = match (before.is_empty(), after.is_empty()) {
                _ if before == after => return None,
                (true, _) => Change::Gained,
                (_, true) => Change::Lost,
                (false, false) => Change::Changed,
            };
            let owners = after.iter().chain(before).map(|(owner, _)| owner.as_str());
            let owner = owners.filter(|owner| !owner.is_empty()).take(1);
            let words = |claims: &BTreeSet<(String, String)>| {
                claims.iter().map(|(_, words)| words.clone()).collect()
            };
            Some(Difference {
                network: prefix.to_string(),
                change,
                owner: owner.collect(),
                before: words(before),
                after: words(after),
            })
        })
        .collect()
}

/// Owner and claim in words, by network.
fn by_network(contents: &Contents) -> BTreeMap<Prefix, BTreeSet<(String, String)>> {
    let mut networks: BTreeMap<Prefix, BTreeSet<_>> = BTreeMap::new();
    for (prefix, claim) in contents.rows() {
        networks.entry(prefix).or_default().insert(in_words(&claim));
    }
    networks
}

fn in_words(claim: &Claim) -> (String, String) {
    let owner = [&claim.cloud, &claim.front, &claim.provider]
        .into_iter()
        .find(|word| !word.is_empty());
    let words = [
        &claim.cloud,
        &claim.front,
        &claim.provider,
        &claim.region,
        &claim.geography,
        &claim.network,
        &claim.service,
    ];
    let words: Vec<&str> = words
        .into_iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    (owner.cloned().unwrap_or_default(), words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::address::test_tables::table;

    #[test]
    fn what_differs_is_named_and_what_only_has_another_date_is_not() {
        let older = table(&[
            ("10.0.0.0/8", "aws us-east-1 -"),
            ("10.1.0.0/16", "aws us-east-1 s3"),
            ("11.0.0.0/8", "azure eastus -"),
        ]);
        let mut newer = table(&[
            ("10.0.0.0/8", "aws us-east-1 -"),
            ("10.1.0.0/16", "aws us-west-2 s3"),
            ("12.0.0.0/8", "gcp us-west1 -"),
        ]);
        for source in &mut newer.sources {
            source.date = "2027-01-01".into();
        }
        let found: Vec<String> = diff(&older, &newer)
            .iter()
            .map(|d| {
                let sides = [d.before.join(","), d.after.join(",")];
                format!(
                    "{} {:?} {}: {}",
                    d.network,
                    d.change,
                    d.owner,
                    sides.join(" -> ")
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "10.1.0.0/16 Changed aws: aws us-east-1 s3 -> aws us-west-2 s3",
                "11.0.0.0/8 Lost azure: azure eastus -> ",
                "12.0.0.0/8 Gained gcp:  -> gcp us-west1",
            ]
        );
        assert_eq!(diff(&older, &older), []);
    }
}
