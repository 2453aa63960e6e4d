//! Any text as a provider's price list: one error, or rates that a book has under their names, or a book's own error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::price::{
    book::{Book, BookSettings, Layer},
    import,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let list = match import::read(text) {
        Ok(list) => list,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let Ok(written) = import::book("f", std::slice::from_ref(&list)) else {
        return;
    };
    let layer = Layer {
        name: "f",
        text: &written,
    };
    let settings = BookSettings {
        variants: vec!["azure-isp-routing".into(), "gcp-standard-tier".into()],
        ..BookSettings::default()
    };
    let Ok(book) = Book::with_shipped(&[layer], &settings) else {
        return;
    };
    for rate in &list.rates {
        assert!(book.rates().iter().any(|other| *other.facts.id == *rate.id));
    }
});
