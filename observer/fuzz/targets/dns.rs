//! Any bytes as a DNS message: an answer within its bounds, or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{
    decode::dns::dns_answer,
    model::signal::{ADDRESSES_MAX, ALIASES_MAX},
};

fuzz_target!(|data: &[u8]| {
    if let Ok(answer) = dns_answer(data) {
        assert!(answer.addresses.len() <= ADDRESSES_MAX);
        assert!(answer.aliases.len() <= ALIASES_MAX);
    }
});
