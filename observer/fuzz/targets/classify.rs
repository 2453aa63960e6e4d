//! Words of `observer classify`, of any text: an answer, or an error that does not give back what a URL may hide.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use observer_core::identify::{
    address::AddressTable,
    classify::{Tables, classify_word},
    name::NameTable,
    route::RouteTable,
};

fuzz_target!(|word: &str| {
    static TABLES: OnceLock<(AddressTable, NameTable, RouteTable)> = OnceLock::new();
    let (addresses, names, routes) = TABLES.get_or_init(|| {
        let addresses = AddressTable::embedded().expect("the embedded table is whole");
        (
            addresses,
            NameTable::embedded().expect("the embedded table is whole"),
            RouteTable::embedded().expect("the embedded table is whole"),
        )
    });
    let is_url = word.contains("://");
    let tables = Tables {
        addresses,
        names,
        routes,
    };
    match classify_word(tables, word) {
        Ok(found) => assert!(is_url || found.input == word),
        Err(error) => assert!(is_url || error.word == word),
    }
});
