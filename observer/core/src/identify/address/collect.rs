//! Makes [`Contents`] out of rows in any order: the same rows give the same contents, byte for byte. Refuses to know
//! where rows come from or what their words mean.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use super::{
    contents::{Contents, Source, TagKind, TagRow},
    prefix::Prefix,
};

/// One claim as a feed gives it, in the product's words. An empty word is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// Index into the sources handed over with the rows.
    pub source: u32,
    pub kind: TagKind,
    pub cloud: String,
    pub front: String,
    pub provider: String,
    pub region: String,
    pub geography: String,
    pub service: String,
    pub network: String,
}

impl Claim {
    /// A claim that says nothing yet.
    #[must_use]
    pub fn new(source: u32, kind: TagKind) -> Self {
        Self {
            source,
            kind,
            cloud: String::new(),
            front: String::new(),
            provider: String::new(),
            region: String::new(),
            geography: String::new(),
            service: String::new(),
            network: String::new(),
        }
    }

    fn words(&self) -> [&str; 7] {
        [
            &self.cloud,
            &self.front,
            &self.provider,
            &self.region,
            &self.geography,
            &self.service,
            &self.network,
        ]
    }
}

/// Counts the rows of each source, drops repeated ones, numbers words, claims and sets in the order of their content.
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the rows are of no use afterwards"
)]
pub fn collect(date: &str, mut sources: Vec<Source>, rows: Vec<(Prefix, Claim)>) -> Contents {
    for (_, claim) in &rows {
        if let Some(source) = sources.get_mut(claim.source as usize) {
            source.rows = source.rows.saturating_add(1);
        }
    }
    // Rows repeat few claims: those are told apart by hash, and compared only to be put in order.
    let (found, claims) = distinct(rows.iter().map(|(_, claim)| claim));
    let words: BTreeSet<&str> = claims
        .iter()
        .flat_map(|claim| claim.words())
        .filter(|word| !word.is_empty())
        .collect();
    let word_index: HashMap<&str, u32> = words.iter().copied().zip(1..).collect();
    let mut own: Vec<(Prefix, u32)> = rows.iter().map(|(prefix, _)| *prefix).zip(found).collect();
    own.sort_unstable();
    own.dedup();
    let networks = own.chunk_by(|a, b| a.0 == b.0);
    let networks: Vec<(Prefix, Vec<u32>)> = networks
        .filter_map(|rows| {
            let (prefix, _) = rows.first()?;
            Some((*prefix, rows.iter().map(|(_, claim)| *claim).collect()))
        })
        .collect();
    let (found, sets) = distinct(networks.iter().map(|(_, set)| set));
    let tag = |claim: &&Claim| {
        let index = |word: &str| word_index.get(word).copied().unwrap_or(0);
        TagRow::from_words(claim.source, claim.kind, claim.words().map(index))
    };
    Contents {
        date: date.into(),
        sources,
        tags: claims.iter().map(tag).collect(),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        sets: sets.into_iter().cloned().collect(),
        prefixes: networks
            .iter()
            .map(|(prefix, _)| *prefix)
            .zip(found)
            .collect(),
    }
}

/// The distinct items in order, and the index of each item among them.
fn distinct<'i, T: Ord + Hash>(items: impl Iterator<Item = &'i T>) -> (Vec<u32>, Vec<&'i T>) {
    let mut met: HashMap<&T, usize> = HashMap::new();
    let mut all: Vec<&T> = Vec::new();
    let found: Vec<usize> = items
        .map(|item| {
            *met.entry(item).or_insert_with(|| {
                all.push(item);
                all.len() - 1
            })
        })
        .collect();
    let mut order: Vec<(&T, usize)> = all.into_iter().zip(0..).collect();
    order.sort_unstable();
    let mut index = vec![0; order.len()];
    for ((_, met), at) in order.iter().zip(0..) {
        index[*met] = at;
    }
    let sorted = order.into_iter().map(|(item, _)| item).collect();
    (found.into_iter().map(|met| index[met]).collect(), sorted)
}

impl Contents {
    /// Every row, as it was collected: [`collect`] makes the same contents of them.
    #[must_use]
    pub fn rows(&self) -> Vec<(Prefix, Claim)> {
        let word = |index: u32| {
            let at = (index as usize).checked_sub(1);
            let word = at.and_then(|at| self.words.get(at));
            word.cloned().unwrap_or_default()
        };
        let claim = |tag: &TagRow| {
            let [cloud, front, provider, region, geography, service, network] =
                tag.words().map(word);
            Claim {
                source: tag.source,
                kind: tag.kind,
                cloud,
                front,
                provider,
                region,
                geography,
                service,
                network,
            }
        };
        let claims: Vec<Claim> = self.tags.iter().map(claim).collect();
        let mut rows = Vec::new();
        for (prefix, set) in &self.prefixes {
            let tags = self.sets.get(*set as usize);
            let found = tags.into_iter().flatten();
            let found = found.filter_map(|tag| claims.get(*tag as usize));
            rows.extend(found.map(|claim| (*prefix, claim.clone())));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(network: &str, service: &str) -> (Prefix, Claim) {
        let mut claim = Claim::new(0, TagKind::Service);
        claim.cloud = "aws".into();
        claim.service = service.into();
        (
            network.parse().expect("the test's networks are networks"),
            claim,
        )
    }

    #[test]
    fn order_and_repetition_of_rows_change_nothing() {
        let source = Source {
            name: "feed".into(),
            version: String::new(),
            date: "2026-10-26".into(),
            licence: String::new(),
            verified: true,
            rows: 0,
        };
        let rows = vec![
            row("10.0.0.0/8", "s3"),
            row("10.0.0.0/8", "ec2"),
            row("11.0.0.0/8", "s3"),
        ];
        let contents = collect("2026-10-26", vec![source.clone()], rows.clone());
        assert_eq!(contents.words, ["aws", "ec2", "s3"]);
        assert_eq!(contents.sets, [vec![0, 1], vec![1]]);
        assert_eq!(contents.sources[0].rows, 3);
        let turned = collect("2026-10-26", vec![source], rows.into_iter().rev().collect());
        assert_eq!(turned, contents);
    }
}
