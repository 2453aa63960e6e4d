//! An address file of any bytes: a whole table or an error, and every network of a table can be looked up. The first
//! byte says whether the rest is the file, or the body of a file whose header is made for it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::identify::address::AddressTable;
use sha2::{Digest as _, Sha256};

/// Networks that are looked up in one run.
const LOOKUPS: usize = 64;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let table = if kind % 2 == 0 {
        AddressTable::from_bytes(rest)
    } else {
        AddressTable::from_bytes(&file(rest))
    };
    if let Ok(table) = table {
        look_up(&table);
    }
});

fn file(body: &[u8]) -> Vec<u8> {
    let mut checked = (body.len() as u32).to_le_bytes().to_vec();
    checked.extend(miniz_oxide::deflate::compress_to_vec_zlib(body, 0));
    let mut file = b"obsaddr1".to_vec();
    file.extend(Sha256::digest(&checked));
    file.extend(checked);
    file
}

fn look_up(table: &AddressTable) {
    let _ = (table.version(), table.resident_bytes(), table.uncovered());
    for (prefix, set) in table.prefixes().take(LOOKUPS) {
        let address = std::net::Ipv6Addr::from(prefix.address());
        let address = address.to_ipv4_mapped().map_or(address.into(), Into::into);
        assert!((1..=table.tag_sets()).contains(&set.number()));
        assert!(
            table.lookup(address).is_some(),
            "{prefix:?} covers its own address"
        );
        for found in table.matches(address) {
            let _ = table.match_tags(found).count();
        }
        let _ = table.tag_set(set).count();
        let _ = (table.identity(set), table.address_identity(address));
    }
}
