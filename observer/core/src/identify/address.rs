//! The address table: whose network an address is in, by longest prefix, with every claim that covers it. Holds the
//! table that is embedded in the product and reads others of the same form. Knows no feed, no file and no host name.

pub mod collect;
pub mod contents;
pub mod format;
pub mod prefix;
mod resolve;
#[cfg(test)]
mod test_tables;

use std::{collections::HashMap, iter, net::IpAddr};

use sha2::{Digest as _, Sha256};

use self::{
    contents::{Contents, Source, TagKind, TagRow, WordIndex},
    format::FormatError,
    prefix::{Prefix, bits},
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

/// Index into the rows plus one, so that an `Option` of it takes no room of its own.
type RowIndex = std::num::NonZeroU32;

/// A claim of a tag set: how many distinct network lengths are longer, and which tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Level {
    depth: u32,
    tag: u32,
}

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
        let SetMaker { ends, levels, .. } = sets;
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

/// Lists come out of a file of less than 2^32 bytes.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn at(index: RowIndex) -> usize {
    index.get() as usize - 1
}

/// Numbers the distinct sets of claims in the order in which networks need them.
struct SetMaker<'c> {
    own: &'c [Vec<u32>],
    ids: HashMap<Vec<Level>, TagSetId>,
    /// By what a network carries and the set of what covers it: most networks repeat a pair.
    seen: HashMap<(u32, Option<TagSetId>), TagSetId>,
    ends: Vec<u32>,
    levels: Vec<Level>,
}

impl<'c> SetMaker<'c> {
    fn new(own: &'c [Vec<u32>]) -> Self {
        Self {
            own,
            ids: HashMap::new(),
            seen: HashMap::new(),
            ends: vec![0],
            levels: Vec::new(),
        }
    }

    fn set(&mut self, own: u32, shorter: Option<TagSetId>) -> TagSetId {
        if let Some(id) = self.seen.get(&(own, shorter)) {
            return *id;
        }
        let claims = self.claims(own, shorter);
        let id = match self.ids.get(&claims) {
            Some(id) => *id,
            None => {
                let id = TagSetId(count(self.ends.len()));
                self.levels.extend(&claims);
                self.ends.push(count(self.levels.len()));
                self.ids.insert(claims, id);
                id
            }
        };
        self.seen.insert((own, shorter), id);
        id
    }

    /// A claim counts with the longest network that makes it; networks that add nothing make no level.
    fn claims(&self, own: u32, shorter: Option<TagSetId>) -> Vec<Level> {
        let own = &self.own[own as usize];
        let mut claims: Vec<Level> = own
            .iter()
            .map(|tag| Level {
                depth: 0,
                tag: *tag,
            })
            .collect();
        let bounds = shorter.map_or(0..0, |id| {
            self.ends[id.0 as usize - 1] as usize..self.ends[id.0 as usize] as usize
        });
        let mut before = None;
        let mut depth = 0;
        for level in self.levels[bounds]
            .iter()
            .filter(|level| own.binary_search(&level.tag).is_err())
        {
            if before != Some(level.depth) {
                before = Some(level.depth);
                depth += 1;
            }
            claims.push(Level {
                depth,
                tag: level.tag,
            });
        }
        claims
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use test_tables::{contents, table};

    fn of(contents: &Contents) -> AddressTable {
        AddressTable::from_bytes(&format::encode(contents)).expect("what was encoded is whole")
    }

    fn embedded() -> AddressTable {
        AddressTable::embedded().expect("the embedded table is whole")
    }

    fn address(bits: u128) -> IpAddr {
        Ipv6Addr::from_bits(bits).into()
    }

    /// The tags of every network that covers the address, each with its longest network, by looking at them all.
    fn naive(contents: &Contents, bits: u128) -> Vec<(u8, u32)> {
        let mut found: Vec<(u8, u32)> = Vec::new();
        for (prefix, set) in contents
            .prefixes
            .iter()
            .rev()
            .filter(|(prefix, _)| prefix.covers(bits))
        {
            for tag in &contents.sets[*set as usize] {
                if !found.iter().any(|(_, other)| other == tag) {
                    found.push((prefix.prefix_length(), *tag));
                }
            }
        }
        found
    }

    /// The value of the kernel's trie: that of the longest network that covers the address.
    fn kernel(table: &AddressTable, bits: u128) -> Option<TagSetId> {
        let covering = table.prefixes().filter(|(prefix, _)| prefix.covers(bits));
        covering
            .max_by_key(|(prefix, _)| prefix.prefix_length())
            .map(|(_, set)| set)
    }

    fn check(contents: &Contents, table: &AddressTable, bits: u128) -> Result<(), TestCaseError> {
        let expected = naive(contents, bits);
        let set = table.lookup(address(bits));
        prop_assert_eq!(set, kernel(table, bits));
        let levels = set.map_or(&[][..], |set| table.set_levels(set));
        let tags: Vec<u32> = levels.iter().map(|level| level.tag).collect();
        prop_assert_eq!(
            tags,
            expected.iter().map(|(_, tag)| *tag).collect::<Vec<_>>()
        );
        let same_length: Vec<bool> = expected.windows(2).map(|w| w[0].0 == w[1].0).collect();
        prop_assert_eq!(
            levels
                .windows(2)
                .map(|w| w[0].depth == w[1].depth)
                .collect::<Vec<_>>(),
            same_length
        );
        let matches: Vec<Prefix> = table
            .matches(address(bits))
            .map(|found| found.prefix)
            .collect();
        let covering = contents
            .prefixes
            .iter()
            .rev()
            .map(|(prefix, _)| *prefix)
            .filter(|p| p.covers(bits));
        prop_assert_eq!(matches, covering.collect::<Vec<_>>());
        Ok(())
    }

    proptest! {
        #[test]
        fn lookup_is_what_a_scan_of_all_networks_finds(contents in contents(), foreign in any::<[u128; 4]>()) {
            let table = of(&contents);
            let edges = contents.prefixes.iter().flat_map(|(prefix, _)| {
                let (first, last) = (prefix.bits(), prefix.last());
                [first.saturating_sub(1), first, last, last.saturating_add(1)]
            });
            for bits in edges.chain(foreign) {
                check(&contents, &table, bits)?;
            }
        }
    }

    #[test]
    fn the_embedded_lookup_is_what_a_scan_finds() {
        let contents = format::decode(EMBEDDED).expect("the embedded file is whole");
        let table = embedded();
        // Every 997th network: 84 of them, with both neighbours.
        for (prefix, _) in contents.prefixes.iter().step_by(997) {
            for bits in [
                prefix.bits().saturating_sub(1),
                prefix.bits(),
                prefix.last(),
                prefix.last().saturating_add(1),
            ] {
                check(&contents, &table, bits).expect("lookup and scan agree");
            }
        }
    }

    #[test]
    fn the_embedded_table_fits_its_budgets() {
        let table = embedded();
        assert_eq!(table.date(), "2026-10-26");
        assert_eq!(
            table.version(),
            format!("2026-10-26+{}", &table.sha256()[..12])
        );
        println!(
            "address table {}: {} bytes",
            table.version(),
            EMBEDDED.len()
        );
        println!(
            "{} networks, {} tag sets, {} bytes in memory",
            table.prefixes().len(),
            table.tag_sets(),
            table.resident_bytes()
        );
        assert!(EMBEDDED.len() <= 1 << 20);
        assert!(table.resident_bytes() <= 4 << 20);
        assert!(table.prefixes().len() <= observer_ebpf::abi::PREFIXES_MAX as usize);
        assert!(
            table
                .prefixes()
                .all(|(_, set)| set.number() >= 1 && set.number() <= table.tag_sets())
        );
    }

    #[test]
    fn equal_claims_are_one_set() {
        let contents = table(&[
            ("10.0.0.0/8", "aws us-east-1 -"),
            ("10.1.0.0/16", "aws us-east-1 s3"),
            ("10.2.0.0/16", "aws us-east-1 s3"),
            ("10.2.3.0/24", "aws us-east-1 -"),
        ]);
        let table = of(&contents);
        let set = |word: &str| {
            table
                .lookup(word.parse().expect("an address"))
                .map(TagSetId::number)
        };
        assert_eq!(
            (set("10.9.0.1"), set("10.1.0.1"), set("10.2.0.1")),
            (Some(1), Some(2), Some(2))
        );
        // The same two claims, but of networks of the other order.
        assert_eq!((set("10.2.3.1"), set("11.0.0.0")), (Some(3), None));
        assert_eq!(table.tag_sets(), 3);
    }

    #[test]
    fn ids_of_another_table_say_nothing() {
        let table = of(&Contents::default());
        let foreign = TagSetId::from_number(7).expect("7 is an id");
        assert_eq!(table.tag_set(foreign).count(), 0);
        assert_eq!(table.identity(foreign).cloud, None);
        assert_eq!(TagSetId::from_number(0), None);
    }
}
