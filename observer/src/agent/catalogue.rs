//! The address table in force, the numbers that the kernel knows its sets by, and what numbers of earlier tables stand for.

use std::{cell::RefCell, collections::HashMap, net::IpAddr, sync::Arc};

use anyhow::{Context as _, Result};
use observer_core::{
    identify::address::{AddressTable, numbers::Numbers},
    model::{
        flow::FlowTotals,
        identity::{Basis, Identity},
    },
};

use crate::probe::{Addresses, Prefix};

/// Identities kept ready, one a tag set; the embedded table has some 13,000.
const IDENTITIES_MAX: usize = 16_384;

pub struct Catalogue {
    table: AddressTable,
    numbers: Numbers,
    /// By number.
    identities: RefCell<HashMap<u32, Arc<Identity>>>,
    /// What numbers stand for that the table in force has no set for; as many as there are numbers at the most.
    retired: HashMap<u32, Arc<Identity>>,
}

impl Catalogue {
    /// `hashes` are those of the numbers that an earlier agent gave on the same maps.
    ///
    /// # Errors
    /// Where the table has more sets than there are numbers.
    pub fn new(table: AddressTable, hashes: Vec<u64>) -> Result<Self> {
        let numbers = match hashes.is_empty() {
            true => Numbers::first(&table)?,
            false => Numbers::resumed(hashes, &table)?,
        };
        Ok(Self {
            table,
            numbers,
            identities: RefCell::default(),
            retired: HashMap::new(),
        })
    }

    pub const fn table(&self) -> &AddressTable {
        &self.table
    }

    /// The table for the kernel. With pins, what numbers stand for is told too.
    pub fn for_kernel(&mut self, is_pinned: bool) -> Addresses {
        if is_pinned {
            self.numbers.hash(&self.table);
        }
        addresses(&self.table, &self.numbers)
    }

    /// Makes another table ready: the numbers with it in force, and what the kernel has to be told.
    ///
    /// # Errors
    /// Where there are no numbers left.
    pub fn prepare(&self, table: &AddressTable) -> Result<(Numbers, Addresses)> {
        let numbers = self
            .numbers
            .replaced(&self.table, table)
            .context("take another address table")?;
        let addresses = addresses(table, &numbers);
        Ok((numbers, addresses))
    }

    /// Answers by another table from now on.
    pub fn take(&mut self, table: AddressTable, numbers: Numbers) {
        for number in numbers.retired() {
            if let Some(set) = self.numbers.set(number) {
                let identity = self.table.identity(set);
                self.retired.insert(number, Arc::new(identity));
            }
        }
        self.table = table;
        self.numbers = numbers;
        self.identities.get_mut().clear();
    }

    /// The number that the kernel has, or should have, for a flow's address: one of another table than those known here says
    /// nothing, its address does.
    pub fn number(&self, flow: &FlowTotals) -> u32 {
        if self.is_known(flow.tag) {
            return flow.tag;
        }
        let set = flow
            .remote
            .and_then(|remote| self.table.lookup(remote.address));
        set.map_or(flow.tag, |set| self.numbers.number(set))
    }

    /// The number of an address that the kernel was not asked for.
    pub fn number_of(&self, address: IpAddr) -> u32 {
        let set = self.table.lookup(address);
        set.map_or(observer_ebpf::abi::TAG_NONE, |set| self.numbers.number(set))
    }

    /// What a number stands for.
    pub fn identity(&self, number: u32) -> Arc<Identity> {
        if let Some(identity) = self.identities.borrow().get(&number) {
            return Arc::clone(identity);
        }
        if let Some(identity) = self.retired.get(&number) {
            return Arc::clone(identity);
        }
        let identity = Arc::new(match self.numbers.set(number) {
            Some(set) => self.table.identity(set),
            None if number == observer_ebpf::abi::TAG_NONE => self.table.uncovered(),
            None => Identity {
                basis: Some(Basis::Address),
                evidence: Some("a network of an address table that is not at hand any more".into()),
                ..Identity::default()
            },
        });
        let mut identities = self.identities.borrow_mut();
        if identities.len() < IDENTITIES_MAX {
            identities.insert(number, Arc::clone(&identity));
        }
        identity
    }

    fn is_known(&self, number: u32) -> bool {
        number == observer_ebpf::abi::TAG_NONE
            || self.numbers.set(number).is_some()
            || self.retired.contains_key(&number)
    }
}

fn addresses(table: &AddressTable, numbers: &Numbers) -> Addresses {
    let prefix = |(prefix, set): (observer_core::identify::address::prefix::Prefix, _)| Prefix {
        address: prefix.address(),
        length: prefix.prefix_length(),
        tag: numbers.number(set),
    };
    Addresses {
        prefixes: table.prefixes().map(prefix).collect(),
        hashes: numbers.hashes().to_vec(),
    }
}
