//! What an address file says, as plain data: where each claim comes from, the claims, and the networks they are made
//! about. Knows neither the file's bytes nor what follows from the claims.

use super::prefix::Prefix;

/// Index of a word in [`Contents::words`], plus one; 0 = none.
pub type WordIndex = u32;

/// Everything in one address file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Date of the feed that gives most rows, `YYYY-MM-DD`: how old the table is.
    pub date: String,
    pub sources: Vec<Source>,
    pub words: Vec<String>,
    pub tags: Vec<TagRow>,
    /// Sets of indices into `tags`, ascending; what one network carries by itself.
    pub sets: Vec<Vec<u32>>,
    /// Ascending, without duplicates, each with its index into `sets`.
    pub prefixes: Vec<(Prefix, u32)>,
}

/// Who says so, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    /// The source's own version; empty where it has none.
    pub version: String,
    /// Date of the content, `YYYY-MM-DD`.
    pub date: String,
    pub licence: String,
    /// Somebody held the rows against the party that publishes them.
    pub verified: bool,
    /// Rows taken from it.
    pub rows: u32,
}

/// How much a claim says of the machine behind an address; the later variant is the more specific one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TagKind {
    /// The address is the network's: everything a provider announces.
    Network = 0,
    /// The address is given to machines that customers rent.
    Compute = 1,
    /// The address belongs to one service.
    Service = 2,
}

impl TagKind {
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Network),
            1 => Some(Self::Compute),
            2 => Some(Self::Service),
            _ => None,
        }
    }
}

/// One claim of one source, its words by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagRow {
    /// Index into [`Contents::sources`].
    pub source: u32,
    pub kind: TagKind,
    pub cloud: WordIndex,
    pub front: WordIndex,
    pub provider: WordIndex,
    pub region: WordIndex,
    pub geography: WordIndex,
    pub service: WordIndex,
    pub network: WordIndex,
}

impl TagRow {
    /// In the order in which the file has them.
    #[must_use]
    pub fn words(&self) -> [WordIndex; 7] {
        [
            self.cloud,
            self.front,
            self.provider,
            self.region,
            self.geography,
            self.service,
            self.network,
        ]
    }

    #[must_use]
    pub fn from_words(source: u32, kind: TagKind, words: [WordIndex; 7]) -> Self {
        let [cloud, front, provider, region, geography, service, network] = words;
        Self {
            source,
            kind,
            cloud,
            front,
            provider,
            region,
            geography,
            service,
            network,
        }
    }
}
