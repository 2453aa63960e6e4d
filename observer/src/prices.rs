//! Price books on disk, and what the configuration makes of them. What they say is the business of `observer-core`.

mod import;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, bail};
use observer_core::{
    model::record::SourcePlace,
    price::{
        book::{Book, BookSettings, FILE_BYTES_MAX, Layer},
        place::Places,
        plan::{Pricing, PricingSettings},
    },
};

use crate::{config::Price, files};

pub use self::import::{Done, Import, Taken};

/// The shipped book, and the operator's files before it.
///
/// # Errors
/// Where a file cannot be read, or the book is not whole.
pub fn book(paths: &[PathBuf], settings: &BookSettings) -> Result<Book> {
    let texts = paths.iter().map(|path| {
        let bytes = files::read(path, FILE_BYTES_MAX as u64)?;
        let text = String::from_utf8(bytes);
        let text = text.with_context(|| format!("read `{}`: it is not UTF-8", path.display()))?;
        Ok((path.display().to_string(), text))
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let layers = texts.iter().map(|(name, text)| Layer { name, text });
    let layers: Vec<Layer<'_>> = layers.collect();
    Book::with_shipped(&layers, settings).context("take the price book")
}

/// What the configuration says of how books are read.
pub fn settings(price: &Price) -> BookSettings {
    BookSettings {
        units: price.units.clone(),
        zones: price.months.clone(),
        variants: price.variants.clone(),
    }
}

/// Places that a user named; they belong to no cloud unless they say so.
///
/// # Errors
/// Where a word names no place.
pub fn places(words: &[String]) -> Result<Places> {
    Places::parse(words, "", |_| None).context("take `price.own`")
}

/// What the agent prices by.
///
/// # Errors
/// Where a file cannot be read, or the configuration names what no book has.
pub fn pricing(price: &Price) -> Result<Pricing> {
    let book = book(&price.files, &settings(price))?;
    let is_known = |name: &String| {
        let rates = book.rates().iter();
        rates
            .into_iter()
            .any(|rate| *rate.facts.id == **name || *rate.facts.cloud == **name)
    };
    if let Some(name) = price.volumes.keys().find(|name| !is_known(name)) {
        bail!(
            "`price.volumes`: no cloud or rate of the book is called `{name}`; see `observer price show`"
        );
    }
    let settings = PricingSettings {
        assumption: price.assumption,
        volumes: price.volumes.clone(),
        own: places(&price.own)?,
    };
    Ok(Pricing::new(
        Arc::new(book),
        settings,
        SourcePlace::default(),
    ))
}
