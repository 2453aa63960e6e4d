//! Numbers of tag sets over several tables. Flows and totals in the kernel keep the number that their address had when they
//! began, so a number must never come to stand for other claims: sets of equal claims have one number in all tables, and
//! new ones get new numbers.

use std::collections::HashMap;

use observer_ebpf::abi::TAG_SETS_MAX;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{AddressTable, TagSetId};

/// There are no numbers left.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "number the address table: with the tables before it there are `{0}` sets of claims, the kernel's table has room for \
     {TAG_SETS_MAX}; end the agent, and start over with `observer detach`"
)]
pub struct NumbersError(usize);

/// The numbers given so far, and what those of the table in force stand for.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// By id of a set of the table in force, less one.
    of_sets: Vec<u32>,
    /// By number less one.
    sets: Vec<Option<TagSetId>>,
    /// By number less one: what its claims hash to. Shorter than `sets` where nobody has asked yet.
    hashes: Vec<u64>,
}

impl Numbers {
    /// The first table's: numbers are its ids.
    ///
    /// # Errors
    /// Where there are more sets than numbers.
    pub fn first(table: &AddressTable) -> Result<Self, NumbersError> {
        let count = table.tag_sets();
        if count >= TAG_SETS_MAX {
            return Err(NumbersError(count as usize));
        }
        Ok(Self {
            of_sets: (1..=count).collect(),
            sets: (1..=count).map(TagSetId::from_number).collect(),
            hashes: Vec::new(),
        })
    }

    /// Numbers given by an earlier run, by what their claims hash to, and this table's.
    ///
    /// # Errors
    /// Where there are more sets than numbers.
    pub fn resumed(hashes: Vec<u64>, table: &AddressTable) -> Result<Self, NumbersError> {
        let before = Self {
            of_sets: Vec::new(),
            sets: vec![None; hashes.len()],
            hashes,
        };
        before.with(table)
    }

    /// The numbers once `newer` is in force, in place of `table`.
    ///
    /// # Errors
    /// Where there are more sets than numbers.
    pub fn replaced(
        &self,
        table: &AddressTable,
        newer: &AddressTable,
    ) -> Result<Self, NumbersError> {
        let mut before = self.clone();
        before.hash(table);
        before.with(newer)
    }

    /// Knows what all numbers hash to from here on.
    pub fn hash(&mut self, table: &AddressTable) {
        for at in self.hashes.len()..self.sets.len() {
            let hash = self.sets[at].map_or(0, |set| table.set_hash(set));
            self.hashes.push(hash);
        }
    }

    fn with(mut self, table: &AddressTable) -> Result<Self, NumbersError> {
        let mut by_hash: HashMap<u64, usize> = self.hashes.iter().copied().zip(0..).collect();
        self.sets.fill(None);
        self.of_sets.clear();
        for set in (1..=table.tag_sets()).filter_map(TagSetId::from_number) {
            let hash = table.set_hash(set);
            let at = *by_hash.entry(hash).or_insert(self.hashes.len());
            if at == self.hashes.len() {
                self.hashes.push(hash);
                self.sets.push(None);
            }
            self.sets[at] = Some(set);
            self.of_sets.push(number(at));
        }
        match self.hashes.len() {
            count if count >= TAG_SETS_MAX as usize => Err(NumbersError(count)),
            _ => Ok(self),
        }
    }

    /// The kernel's number of a set of the table in force.
    #[must_use]
    pub fn number(&self, set: TagSetId) -> u32 {
        let at = (set.number() as usize).checked_sub(1);
        let number = at.and_then(|at| self.of_sets.get(at));
        number.copied().unwrap_or(observer_ebpf::abi::TAG_NONE)
    }

    /// The set of the table in force that has this number.
    #[must_use]
    pub fn set(&self, number: u32) -> Option<TagSetId> {
        let at = (number as usize).checked_sub(1)?;
        *self.sets.get(at)?
    }

    /// Numbers whose set is of an earlier table.
    pub fn retired(&self) -> impl Iterator<Item = u32> + '_ {
        let all = self.sets.iter().enumerate();
        all.filter(|(_, set)| set.is_none())
            .map(|(at, _)| number(at))
    }

    /// What the claims of each number hash to, in order from number 1; known after [`hash`](Self::hash).
    #[must_use]
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}

/// Counts stay below [`TAG_SETS_MAX`], or the numbers are not used.
fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

impl AddressTable {
    /// 64 bits of SHA-256 over a set's claims in words, without the version and date of who says so: the same in any table.
    /// Never 0.
    #[must_use]
    pub fn set_hash(&self, set: TagSetId) -> u64 {
        let mut claims: Vec<String> = self
            .leveled(set)
            .map(|(depth, tag)| {
                let words = [
                    tag.cloud,
                    tag.front,
                    tag.provider,
                    tag.region,
                    tag.geography,
                    tag.service,
                    tag.network,
                ];
                let words = words.map(Option::unwrap_or_default).join("\t");
                let (kind, verified) = (tag.kind as u8, tag.source.verified);
                format!("{depth}\t{kind}\t{verified}\t{}\t{words}", tag.source.name)
            })
            .collect();
        claims.sort_unstable();
        let mut hash = Sha256::new();
        for claim in claims {
            hash.update(claim);
            hash.update([0]);
        }
        let bytes = hash.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        u64::from_be_bytes(first).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::identify::address::{format::encode, test_tables::table};

    fn of(rows: &[(&str, &str)]) -> AddressTable {
        AddressTable::from_bytes(&encode(&table(rows))).expect("what was encoded is whole")
    }

    /// The kernel's number of an address under a table, and the cloud and region that it stands for.
    fn found(table: &AddressTable, numbers: &Numbers, address: &str) -> (u32, String) {
        let address: IpAddr = address.parse().expect("an address");
        let number = numbers.number(table.lookup(address).expect("a network covers it"));
        let identity = table.identity(numbers.set(number).expect("of this table"));
        let words = [identity.cloud, identity.region];
        (
            number,
            words
                .map(|word| word.as_deref().unwrap_or("-").to_owned())
                .join(" "),
        )
    }

    #[test]
    fn a_number_never_stands_for_other_claims() {
        let old = of(&[
            ("10.0.0.0/8", "aws us-east-1 -"),
            ("11.0.0.0/8", "azure eastus -"),
        ]);
        let new = of(&[
            ("10.0.0.0/8", "gcp us-west1 -"),
            ("11.0.0.0/8", "azure eastus -"),
        ]);
        let first = Numbers::first(&old).expect("room");
        let (aws, azure) = (
            found(&old, &first, "10.0.0.1"),
            found(&old, &first, "11.0.0.1"),
        );
        assert_eq!(
            (aws.1.as_str(), azure.1.as_str()),
            ("aws us-east-1", "azure eastus")
        );
        let second = first.replaced(&old, &new).expect("room");
        let gcp = found(&new, &second, "10.0.0.1");
        assert_eq!(gcp, (3, "gcp us-west1".to_owned()));
        assert_eq!(found(&new, &second, "11.0.0.1"), azure);
        assert_eq!(second.retired().collect::<Vec<_>>(), [aws.0]);
        // Back and forth, numbers are not used up.
        let third = second.replaced(&new, &old).expect("room");
        assert_eq!(found(&old, &third, "10.0.0.1"), aws);
        assert_eq!(third.hashes().len(), 3);
        // An agent that starts later goes on with the same numbers.
        let resumed = Numbers::resumed(second.hashes().to_vec(), &new).expect("room");
        assert_eq!(found(&new, &resumed, "10.0.0.1"), gcp);
        assert_eq!(resumed.hashes(), second.hashes());
    }

    #[test]
    fn the_embedded_table_keeps_its_numbers() {
        let table = AddressTable::embedded().expect("the embedded table is whole");
        let mut first = Numbers::first(&table).expect("room");
        first.hash(&table);
        let again = Numbers::resumed(first.hashes().to_vec(), &table).expect("room");
        assert_eq!(again.of_sets, first.of_sets);
        assert_eq!(again.retired().count(), 0);
    }
}
