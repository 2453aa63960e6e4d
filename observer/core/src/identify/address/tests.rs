//! The table against a scan of all its networks, and its budgets.

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
