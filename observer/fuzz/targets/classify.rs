//! Words of `observer classify`, of any text: an answer or an error that names the word.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use observer_core::identify::{address::AddressTable, classify::classify_word};

fuzz_target!(|word: &str| {
    static TABLE: OnceLock<AddressTable> = OnceLock::new();
    let table =
        TABLE.get_or_init(|| AddressTable::embedded().expect("the embedded table is whole"));
    match classify_word(table, word) {
        Ok(found) => assert_eq!(found.input, word),
        Err(error) => assert_eq!(error.word, word),
    }
});
