//! The kernel's table of addresses, filled, and replaced while programs look addresses up in it: at every moment each address
//! has the answer of the old table or that of the new one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{Array, LpmTrie, MapData, lpm_trie::Key},
};
use observer_ebpf::abi::{PREFIXES_MAX, TAG_SETS_MAX};

use super::take;

/// A prefix of the address table as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Network byte order, IPv4 as ::ffff:a.b.c.d.
    pub address: [u8; 16],
    /// 0..=128.
    pub length: u8,
    pub tag: u32,
}

/// An address table as the kernel takes it.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub prefixes: Vec<Prefix>,
    /// What the claims of each number hash to, from number 1. Those that the kernel has already come first, unchanged.
    pub hashes: Vec<u64>,
}

/// The two maps.
pub struct Prefixes {
    trie: LpmTrie<MapData, [u8; 16], u32>,
    tag_sets: Array<MapData, u64>,
}

impl Prefixes {
    /// Takes the maps out of the object; they stay open, as programs that are loaded later want it.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            trie: LpmTrie::try_from(take(ebpf, "PREFIXES")?)?,
            tag_sets: Array::try_from(take(ebpf, "TAG_SETS")?)?,
        })
    }

    /// What the numbers given by earlier agents on these maps hash to.
    fn hashes(&self) -> Result<Vec<u64>> {
        let mut hashes = Vec::new();
        for number in 1..TAG_SETS_MAX {
            let hash = self.tag_sets.get(&number, 0);
            match hash.context("read what tag sets there are")? {
                0 => break,
                hash => hashes.push(hash),
            }
        }
        Ok(hashes)
    }

    /// Tells the kernel the first table, which is made from what the numbers given before hash to; says how long it took.
    pub fn fill(
        &mut self,
        addresses: impl FnOnce(Vec<u64>) -> Result<Addresses>,
    ) -> Result<Duration> {
        let addresses = addresses(self.hashes()?)?;
        let before = Instant::now();
        self.replace(&addresses)?;
        Ok(before.elapsed())
    }

    /// Tells the kernel the table, the first one or another than an earlier agent's.
    pub fn replace(&mut self, addresses: &Addresses) -> Result<()> {
        // Before the first lookup can give them: an agent that ends here leaves no number without its meaning.
        for (number, hash) in (1..TAG_SETS_MAX).zip(&addresses.hashes) {
            self.tag_sets
                .set(number, hash, 0)
                .context("tell the kernel what its tag sets are")?;
        }
        let old = self.contents()?;
        let new: Table = addresses
            .prefixes
            .iter()
            .map(|prefix| ((prefix.length, prefix.address), prefix.tag))
            .collect();
        let union = new.len() + old.keys().filter(|key| !new.contains_key(*key)).count();
        if union > PREFIXES_MAX as usize {
            bail!(
                "the address table in force and the new one have {union} networks together, the kernel has room for \
                 {PREFIXES_MAX}"
            );
        }
        let Err(error) = self.go(&old, &new) else {
            return Ok(());
        };
        let mixed = self.contents()?;
        self.go(&mixed, &old)
            .context("put the old address table back after the kernel refused the new one")?;
        Err(error)
    }

    fn contents(&self) -> Result<Table> {
        let read = |entry: Result<(Key<[u8; 16]>, u32), _>| {
            let (key, tag) = entry.context("read the kernel's address table")?;
            let length = u8::try_from(key.prefix_len()).context("read a prefix of the kernel")?;
            Ok(((length, key.data()), tag))
        };
        self.trie.iter().map(read).collect()
    }

    fn go(&mut self, old: &Table, new: &Table) -> Result<()> {
        for step in steps(old, new) {
            let (((length, address), tag), is_put) = match step {
                Step::Put(at, tag) => ((at, tag), true),
                Step::Remove(at) => ((at, 0), false),
            };
            let key = Key::new(u32::from(length), address);
            let done = match is_put {
                true => self.trie.insert(&key, tag, 0),
                false => self.trie.remove(&key),
            };
            done.with_context(|| format!("tell the kernel the prefix {address:?}/{length}"))?;
        }
        Ok(())
    }
}

/// Length and address of a prefix, shorter ones first.
type At = (u8, [u8; 16]);
type Table = BTreeMap<At, u32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Put(At, u32),
    Remove(At),
}

/// From one table to another, so that after each step the longest prefix of any address is that of the old table or that of
/// the new one: longer prefixes are put before the shorter ones that cover them, and taken away after them.
fn steps<'t>(old: &'t Table, new: &'t Table) -> impl Iterator<Item = Step> + 't {
    let put = new.iter().rev();
    let put = put.filter(|(at, tag)| old.get(*at) != Some(*tag));
    let removed = old.keys().filter(|at| !new.contains_key(*at));
    let put = put.map(|(at, tag)| Step::Put(*at, *tag));
    put.chain(removed.map(|at| Step::Remove(*at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefixes of the first byte alone.
    fn table(rows: &[(u8, u8, u32)]) -> Table {
        let at = |length: u8, byte: u8| {
            let mut address = [0; 16];
            address[0] = byte & (0xff00_u16 >> length) as u8;
            (length, address)
        };
        rows.iter()
            .map(|(length, byte, tag)| (at(*length, *byte), *tag))
            .collect()
    }

    fn look_up(table: &Table, byte: u8) -> u32 {
        let covers = |(length, address): &At| byte & (0xff00_u16 >> length) as u8 == address[0];
        let found = table.iter().rev().find(|(at, _)| covers(at));
        found.map_or(0, |(_, tag)| *tag)
    }

    /// A linear congruential generator (Knuth).
    fn random(state: &mut u64) -> u8 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as u8
    }

    #[test]
    fn at_every_moment_an_address_has_the_old_answer_or_the_new_one() {
        let mut state = 7;
        for _ in 0..2_000 {
            let mut some = || {
                let rows = random(&mut state) % 12;
                let mut row = || {
                    let length = random(&mut state) % 9;
                    (
                        length,
                        random(&mut state),
                        u32::from(random(&mut state) % 4) + 1,
                    )
                };
                table(&(0..rows).map(|_| row()).collect::<Vec<_>>())
            };
            let (old, new) = (some(), some());
            let mut now = old.clone();
            for step in steps(&old, &new) {
                match step {
                    Step::Put(at, tag) => now.insert(at, tag),
                    Step::Remove(at) => now.remove(&at),
                };
                for byte in 0..=255 {
                    let found = look_up(&now, byte);
                    let allowed = [look_up(&old, byte), look_up(&new, byte)];
                    assert!(allowed.contains(&found), "{step:?} {byte}: {old:?} {new:?}");
                }
            }
            assert_eq!(now, new);
        }
    }

    #[test]
    fn what_stays_is_not_touched() {
        let old = table(&[(8, 1, 1), (8, 2, 2)]);
        let new = table(&[(8, 1, 1), (8, 2, 3)]);
        assert_eq!(steps(&old, &new).count(), 1);
        assert_eq!(steps(&old, &old).count(), 0);
    }
}
