//! Any text as a price book: an error that names the file, or a book in which no way has a price below zero and a quote's
//! parts sum to its whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{
    model::{money::Money, names::PathKind},
    price::{
        book::{Book, BookSettings, Layer},
        month::Month,
        place::{Place, Places},
        plan::Route,
        quote::{Asked, quote},
    },
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let layer = Layer { name: "f", text };
    let book = match Book::of(&[layer], &BookSettings::default()) {
        Ok(book) => book,
        Err(error) => {
            assert!(error.file == "f" && !error.what.is_empty());
            // YAML ends lines at more characters than one.
            assert!(
                error
                    .line
                    .is_none_or(|line| line >= 1 && line <= text.len() + 1)
            );
            return;
        }
    };
    let place = |cloud, region| Place {
        cloud: Some(cloud),
        region: Some(region),
        country: None,
    };
    let own = Places::default();
    for path in [
        PathKind::Internet,
        PathKind::InterRegion,
        PathKind::Interconnect,
    ] {
        let asked = Asked {
            route: Route {
                from: place("aws", "us-east-1"),
                to: place("azure", "eastus"),
                service: Some("s3"),
                path,
                elements: &["nat_gateway", "vpn"],
            },
            own: &own,
            month: Month::parse("2026-11").expect("a month"),
            bytes: [u64::MAX, 1 << 40],
            already: 1 << 30,
        };
        let quoted = quote(&book, &asked);
        let sum: Money = quoted
            .components
            .iter()
            .map(|component| component.cost)
            .sum();
        assert!(quoted.total == sum && quoted.total >= Money::ZERO);
    }
});
