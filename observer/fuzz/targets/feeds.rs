//! Address feeds of any bytes: an error, or rows that make a table which finds each of its networks.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::identify::{
    address::{AddressTable, contents::Contents},
    feed::{
        self, Told,
        merge::{merge, overlay},
    },
};

fuzz_target!(|data: &[u8]| {
    let told = Told {
        name: "linode",
        owner: None,
        date: "2026-11-25",
    };
    let Ok(feed) = feed::read(data, &told) else {
        return;
    };
    let (contents, merged) = merge(&Contents::default(), vec![feed.clone()], 0).expect("room");
    assert_eq!((merged[0].before, merged[0].after), (0, feed.rows.len()));
    // Once more, it replaces itself.
    let (again, _) = merge(&contents, vec![feed.clone()], 0).expect("nothing is lost");
    assert_eq!(again, contents);
    // Over itself, nothing of what lies below is left.
    let over = overlay(&contents, vec![feed]).expect("room");
    assert_eq!(over.prefixes.len(), contents.prefixes.len());
    let table = AddressTable::from_contents(contents);
    for (prefix, _) in table.prefixes() {
        let address = std::net::Ipv6Addr::from(prefix.bits());
        let address = address.to_ipv4_mapped().map_or(address.into(), Into::into);
        assert!(table.matches(address).any(|found| found.prefix == prefix));
    }
});
