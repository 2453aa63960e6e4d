//! Which requests the kernel half knows by itself: beginnings of lines, which the table of requests decides, and what whole lines
//! hash to, which it learns. Knows no request.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, MapData, lpm_trie::Key},
};
use observer_ebpf::abi::request::{ROUTE_BYTES, ROUTES_MAX};

use super::take;

/// Requests whose lines begin so have this number. [`ROUTE_BYTES`] at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub begins: Vec<u8>,
    pub number: u32,
}

/// What the kernel half is told of whole lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// It forgets what it was told before.
    pub begins_anew: bool,
    /// What a line hashes to, and its request's number.
    pub lines: Vec<(u64, u32)>,
}

pub struct Routes {
    trie: LpmTrie<MapData, Bytes, u32>,
    learned: HashMap<MapData, u64, u32>,
    told: HashSet<Beginning>,
    /// By which the programs hash lines.
    pub line_keys: [u64; 2],
}

type Bytes = [u8; ROUTE_BYTES];
/// Bits, and the bytes with zeroes behind them.
type Beginning = (u32, Bytes);

impl Routes {
    pub fn open(ebpf: &mut Ebpf, line_keys: [u64; 2]) -> Result<Self> {
        Ok(Self {
            trie: LpmTrie::try_from(take(ebpf, "ROUTES")?)?,
            learned: HashMap::try_from(take(ebpf, "LEARNED")?)?,
            told: HashSet::new(),
            line_keys,
        })
    }

    /// Puts these in the place of those before. There has to be room for both; where there is not for all, the shorter ones are known,
    /// and the lines of the others are handed over.
    pub fn replace(&mut self, all: &[Told]) -> Result<()> {
        let mut told = HashSet::new();
        for one in all.iter().take(ROUTES_MAX as usize / 2) {
            let mut bytes = [0; ROUTE_BYTES];
            for (byte, said) in bytes.iter_mut().zip(&one.begins) {
                *byte = *said;
            }
            let bits = 8 * one.begins.len().min(ROUTE_BYTES) as u32;
            self.trie
                .insert(&Key::new(bits, bytes), one.number, 0)
                .context("tell the kernel which requests it may know")?;
            told.insert((bits, bytes));
        }
        for (bits, bytes) in self.told.difference(&told) {
            self.trie
                .remove(&Key::new(*bits, *bytes))
                .context("take a request back that the kernel may know")?;
        }
        self.told = told;
        Ok(())
    }

    /// What is not taken is typed by its line again.
    pub fn learn(&mut self, learned: &Learned) {
        if learned.begins_anew {
            let old: Vec<u64> = self.learned.keys().flatten().collect();
            for hash in old {
                let _ = self.learned.remove(&hash);
            }
        }
        for (hash, number) in &learned.lines {
            let _ = self.learned.insert(hash, number, 0);
        }
    }
}
