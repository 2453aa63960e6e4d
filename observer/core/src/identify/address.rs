//! The address table: whose network an address is in, by longest prefix, with every claim that covers it. Holds the
//! table that is embedded in the product and reads others of the same form. Knows no feed, no file and no host name.

pub mod collect;
pub mod contents;
pub mod diff;
pub mod format;
pub mod numbers;
pub use crate::model::prefix;
mod resolve;
mod sets;
#[cfg(test)]
mod test_tables;

use std::{iter, net::IpAddr};

use sha2::{Digest as _, Sha256};

use self::{
    contents::{Contents, Source, TagKind, TagRow, WordIndex},
    format::FormatError,
    prefix::{Prefix, bits},
    sets::{Level, SetMaker, count},
};
use crate::model::identity::{Identity, Word};

/// The file that `cargo xtask catalog` builds; docs/catalogue.md says what is in it.
pub const EMBEDDED: &[u8] = include_bytes!("../../data/addresses.bin");

/// A distinct set of claims, the longest network's first: the value of the kernel's table. Dense from 1; 0 is for
/// addresses that no network covers. Ids are those of one file: another file numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagSetId(u32);

impl TagSetId {
    /// `None` for 0, the kernel's word for "no network covers it".
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            observer_ebpf::abi::TAG_NONE => None,
            _ => Some(Self(number)),
        }
    }

    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// One claim about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'t> {
    pub source: &'t Source,
    pub kind: TagKind,
    /// Whose network it is.
    pub cloud: Option<&'t str>,
    /// The CDN or proxy that answers there.
    pub front: Option<&'t str>,
    /// Who sells what answers there.
    pub provider: Option<&'t str>,
    pub region: Option<&'t str>,
    /// ISO 3166-1 or -2, lower case.
    pub geography: Option<&'t str>,
    pub service: Option<&'t str>,
    /// Part of the provider's network, or the reason why a range is special.
    pub network: Option<&'t str>,
}

impl<'t> Tag<'t> {
    /// Whose network it is; a front's, where that is all the claim says.
    fn owner(&self) -> Option<&'t str> {
        self.cloud.or(self.front)
    }
}

/// A network that covers an address, and what is claimed of it.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    pub prefix: Prefix,
    own: u32,
}

/// One network in memory: 32 bytes.
#[derive(Clone, Copy)]
struct Row {
    prefix: Prefix,
    /// Index of what it carries by itself.
    own: u32,
    set: TagSetId,
    /// Row of the next shorter network that covers it.
    parent: Option<RowIndex>,
}

const _: () = assert!(size_of::<Row>() == 32);

/// Index into the rows plus one, so that an `Option` of it takes no room of its own.
type RowIndex = std::num::NonZeroU32;

pub struct AddressTable {
    date: String,
    sha256: String,
    sources: Vec<Source>,
    words: Vec<Word>,
    tags: Vec<TagRow>,
    own: Vec<Box<[u32]>>,
    rows: Vec<Row>,
    /// What set id n carries lies at `ends[n - 1]..ends[n]`.
    ends: Vec<u32>,
    levels: Vec<Level>,
}

impl AddressTable {
    /// The table the product is built with.
    pub fn embedded() -> Result<Self, FormatError> {
        Self::from_bytes(EMBEDDED)
    }

    pub fn from_bytes(file: &[u8]) -> Result<Self, FormatError> {
        let contents = format::decode(file)?;
        Ok(Self::new(contents, format::hex(&Sha256::digest(file))))
    }

    /// A table that is in no file; its hash is that of the body that a file of it would have.
    #[must_use]
    pub fn from_contents(contents: Contents) -> Self {
        let sha256 = format::body_sha256(&contents);
        Self::new(contents, sha256)
    }

    fn new(contents: Contents, sha256: String) -> Self {
        let mut sets = SetMaker::new(&contents.sets);
        let mut rows: Vec<Row> = Vec::with_capacity(contents.prefixes.len());
        for (prefix, own) in contents.prefixes {
            // Sorted by address, so what covers this network covers the row before it, or is that row.
            let mut parent = RowIndex::new(count(rows.len()));
            while let Some(row) = parent
                .map(|index| rows[at(index)])
                .filter(|row| !row.prefix.covers(prefix.bits()))
            {
                parent = row.parent;
            }
            let shorter = parent.map(|index| rows[at(index)].set);
            rows.push(Row {
                prefix,
                own,
                set: sets.set(own, shorter),
                parent,
            });
        }
        let (ends, levels) = sets.finish();
        Self {
            date: contents.date,
            sha256,
            sources: contents.sources,
            words: contents.words.into_iter().map(Word::from).collect(),
            tags: contents.tags,
            own: contents
                .sets
                .into_iter()
                .map(Vec::into_boxed_slice)
                .collect(),
            rows,
            ends,
            levels,
        }
    }

    /// Date of the newest feed in it, `YYYY-MM-DD`.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// SHA-256 of the whole file, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What records carry: the date and the first 12 digits of the hash.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{}+{}", self.date, &self.sha256[..12])
    }

    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Tag set of the longest network that covers the address: what the kernel finds.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<TagSetId> {
        self.find(bits(address)).map(|row| row.set)
    }

    /// Every network that covers the address, the longest first.
    pub fn matches(&self, address: IpAddr) -> impl Iterator<Item = Match> + '_ {
        iter::successors(self.find(bits(address)), |row| self.row(row.parent)).map(|row| Match {
            prefix: row.prefix,
            own: row.own,
        })
    }

    /// What is claimed of this network itself.
    pub fn match_tags(&self, found: Match) -> impl Iterator<Item = Tag<'_>> {
        self.own[found.own as usize]
            .iter()
            .map(|tag| self.tag(*tag))
    }

    /// Every claim of the set, those of longer networks first; empty for an id that is not of this table.
    pub fn tag_set(&self, set: TagSetId) -> impl Iterator<Item = Tag<'_>> {
        self.set_levels(set).iter().map(|level| self.tag(level.tag))
    }

    /// Every claim of the table, each once.
    pub fn claims(&self) -> impl Iterator<Item = Tag<'_>> {
        (0..self.tags.len()).filter_map(|tag| Some(self.tag(u32::try_from(tag).ok()?)))
    }

    /// Number of tag sets; ids are 1 to this.
    #[must_use]
    pub fn tag_sets(&self) -> u32 {
        u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
    }

    /// What follows from the tag set by the stated precedence. Evidence names claims, not networks: see
    /// [`address_identity`](Self::address_identity).
    #[must_use]
    pub fn identity(&self, set: TagSetId) -> Identity {
        let evidence = resolve::claims_in_words(self.tag_set(set));
        resolve::identity(self.leveled(set), evidence)
    }

    /// What is known of an address: the identity of its tag set with the covering networks as evidence, or `internet`.
    #[must_use]
    pub fn address_identity(&self, address: IpAddr) -> Identity {
        match self.lookup(address) {
            Some(set) => {
                resolve::identity(self.leveled(set), resolve::networks_in_words(self, address))
            }
            None => resolve::uncovered(&self.date),
        }
    }

    /// Identity where the kernel found no network.
    #[must_use]
    pub fn uncovered(&self) -> Identity {
        resolve::uncovered(&self.date)
    }

    /// Every network with the tag set of an address in it that no longer network covers: the kernel's table, whose
    /// lookup gives the longest network's value alone.
    pub fn prefixes(&self) -> impl ExactSizeIterator<Item = (Prefix, TagSetId)> + '_ {
        self.rows.iter().map(|row| (row.prefix, row.set))
    }

    /// Bytes held in memory, without what the allocator adds.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        size_of_val(&*self.rows)
            + size_of_val(&*self.ends)
            + size_of_val(&*self.levels)
            + size_of_val(&*self.tags)
            + size_of_val(&*self.own)
            + self
                .own
                .iter()
                .map(|set| size_of_val(&**set))
                .sum::<usize>()
            + size_of_val(&*self.words)
            + self.words.iter().map(|word| word.len()).sum::<usize>()
    }

    fn leveled(&self, set: TagSetId) -> impl Iterator<Item = (u32, Tag<'_>)> {
        self.set_levels(set)
            .iter()
            .map(|level| (level.depth, self.tag(level.tag)))
    }

    fn set_levels(&self, set: TagSetId) -> &[Level] {
        let bounds = (set.0 as usize)
            .checked_sub(1)
            .and_then(|before| self.ends.get(before..before + 2));
        bounds.map_or(&[], |ends| &self.levels[ends[0] as usize..ends[1] as usize])
    }

    fn tag(&self, index: u32) -> Tag<'_> {
        let row = &self.tags[index as usize];
        Tag {
            source: &self.sources[row.source as usize],
            kind: row.kind,
            cloud: self.word(row.cloud),
            front: self.word(row.front),
            provider: self.word(row.provider),
            region: self.word(row.region),
            geography: self.word(row.geography),
            service: self.word(row.service),
            network: self.word(row.network),
        }
    }

    fn word(&self, index: WordIndex) -> Option<&str> {
        (index as usize)
            .checked_sub(1)
            .map(|at| self.words[at].as_str())
    }

    fn row(&self, index: Option<RowIndex>) -> Option<&Row> {
        index.map(|index| &self.rows[at(index)])
    }

    /// The longest network that covers the address: the last row at or before it, or one of the rows that cover that.
    fn find(&self, bits: u128) -> Option<&Row> {
        let after = self.rows.partition_point(|row| row.prefix.bits() <= bits);
        let last = after.checked_sub(1).map(|at| &self.rows[at]);
        iter::successors(last, |row| self.row(row.parent)).find(|row| row.prefix.covers(bits))
    }
}

fn at(index: RowIndex) -> usize {
    index.get() as usize - 1
}

#[cfg(test)]
mod tests;
