//! Providers' own price lists, turned into rates of a book: AWS offers of data transfer (CSV, JSON), Azure Retail Prices, Oracle's
//! list, Google's SKUs. What a list has beyond transfer is passed over and counted; what is broken is an error, and then nothing is taken.

mod aws;
mod azure;
mod gcp;
mod oci;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use thiserror::Error;

use super::spec::{BookFile, RateRow, TierRow};
use crate::model::{
    money::Price,
    names::{BilledDirection, PriceStatus, RateKind},
};

/// Rates of one list.
pub const RATES_MAX: usize = 8_000;

/// What one file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it is, in words.
    pub source: String,
    /// ISO 4217.
    pub currency: String,
    /// When it was published; where it does not say, whoever reads it does: `2026-07-20`.
    pub as_of: Option<String>,
    pub rates: Vec<RateRow>,
    /// Rows of other things.
    pub passed_over: u64,
    /// Rows of transfer to places that are not known here.
    pub unplaced: Vec<String>,
    /// Where the list goes on.
    pub next: Option<Next>,
}

/// The page after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its address.
    Link(String),
    /// What to ask for as `pageToken`.
    Token(String),
}

impl Imported {
    fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            currency: "USD".to_owned(),
            as_of: None,
            rates: Vec::new(),
            passed_over: 0,
            unplaced: Vec::new(),
            next: None,
        }
    }
}

/// Why a list is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    #[error(
        "none of the price lists that are read: an AWS offer of AWSDataTransfer (CSV or JSON), a page of Azure Retail Prices, \
         Oracle's list of products, a page of SKUs of Google's Cloud Billing Catalog"
    )]
    Form,
    #[error("{0}")]
    Broken(String),
    #[error("{place}: {what}")]
    Row { place: String, what: String },
    #[error("no rate of data transfer in it; {passed_over} rows of other things")]
    Nothing { passed_over: u64 },
}

/// Reads one file, told by its content.
///
/// # Errors
/// Where it is no such list, or any row of transfer is broken.
pub fn read(text: &str) -> Result<Imported, ImportError> {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    let imported = match start.chars().next() {
        Some('{') => {
            let document: serde_json::Value = serde_json::from_str(start)
                .map_err(|error| ImportError::Broken(format!("no whole JSON: {error}")))?;
            let has = |field: &str| document.get(field).is_some();
            if has("products") && has("terms") {
                aws::json(&document)?
            } else if has("Items") {
                azure::page(&document)?
            } else if has("items") {
                oci::products(&document)?
            } else if has("skus") {
                gcp::page(&document)?
            } else {
                return Err(ImportError::Form);
            }
        }
        Some('"') if start.contains("\"SKU\"") => aws::csv(start)?,
        _ => return Err(ImportError::Form),
    };
    let mut ids = BTreeSet::new();
    for rate in &imported.rates {
        if !ids.insert(&rate.id) {
            return Err(row(&rate.id, "two rows are for the same bytes"));
        }
    }
    if imported.rates.len() > RATES_MAX {
        return Err(ImportError::Broken(format!("more than {RATES_MAX} rates")));
    }
    Ok(imported)
}

/// Takes a currency as the list's, or holds it against the first one.
fn currency(place: &str, its: &str, first: &mut Option<String>) -> Result<(), ImportError> {
    match first {
        None => *first = Some(its.to_owned()),
        Some(first) if first == its => {}
        Some(first) => return Err(row(place, format!("a price in {its} after {first}"))),
    }
    Ok(())
}

fn row(place: &str, what: impl Into<String>) -> ImportError {
    ImportError::Row {
        place: place.to_owned(),
        what: what.into(),
    }
}

/// A price as a list writes it.
fn price(place: &str, text: &str) -> Result<Price, ImportError> {
    Price::parse(text).map_err(|error| row(place, format!("price {error}")))
}

/// A bound of a tier; some lists write it with a point.
fn bound(place: &str, text: &str) -> Result<u64, ImportError> {
    let whole = text.strip_suffix(".0").unwrap_or(text);
    whole
        .parse()
        .map_err(|_| row(place, format!("`{text}` is no bound of a tier")))
}

/// `2026-07-01` or `2026-07-01T00:00:00Z`; what a list says nothing of holds always.
fn day(text: &str) -> Option<Date> {
    let of_time = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    text.parse().ok().map(of_time).or_else(|| text.parse().ok())
}

/// Where tiers begin, with their prices, to tiers that end where the next begins; all in units.
///
/// # Errors
/// Where none begins at 0.
fn tiers(place: &str, starts: &BTreeMap<u64, Price>) -> Result<Vec<TierRow>, ImportError> {
    if starts.keys().next() != Some(&0) {
        return Err(row(place, "no tier begins at 0"));
    }
    let ends = starts.keys().skip(1).copied().map(Some).chain([None]);
    let tier = |(up_to, price): (Option<u64>, &Price)| TierRow {
        up_to,
        price: price.to_string(),
    };
    Ok(ends.zip(starts.values()).map(tier).collect())
}

/// A rate of a list that says no more of it than that.
fn rate(id: String, cloud: &str, kind: RateKind, tiers: Vec<TierRow>) -> RateRow {
    RateRow {
        id,
        cloud: cloud.to_owned(),
        kind,
        from: Vec::new(),
        to: Vec::new(),
        services: Vec::new(),
        direction: Some(BilledDirection::Egress),
        unit: None,
        price: None,
        tiers,
        free: None,
        pool: None,
        per_hour: None,
        effective_from: None,
        effective_until: None,
        variant: None,
        status: Some(PriceStatus::Verified),
        source: Vec::new(),
        as_of: None,
        note: None,
    }
}

/// A book with the rates of all files, as YAML.
///
/// # Errors
/// Where currencies differ, a rate is in two files, a page is missing, or nothing is in them.
pub fn book(version: &str, lists: &[Imported]) -> Result<String, ImportError> {
    let Some(first) = lists.first() else {
        return Err(ImportError::Form);
    };
    if let Some(other) = lists.iter().find(|list| list.currency != first.currency) {
        let what = format!("prices in {} and in {}", first.currency, other.currency);
        return Err(ImportError::Broken(what));
    }
    let mut pages: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for list in lists {
        let (all, open) = pages.entry(&list.source).or_default();
        *all += 1;
        *open += usize::from(list.next.is_some());
    }
    if let Some((source, _)) = pages.iter().find(|(_, (all, open))| all == open) {
        let what = format!("{source}: it goes on beyond its last page; give all pages");
        return Err(ImportError::Broken(what));
    }
    let mut ids = BTreeSet::new();
    let mut rates = Vec::new();
    for list in lists {
        for rate in &list.rates {
            if !ids.insert(&*rate.id) {
                return Err(row(&rate.id, "it is in two files"));
            }
            rates.push(RateRow {
                source: vec![list.source.clone()],
                as_of: list.as_of.clone(),
                ..rate.clone()
            });
        }
    }
    if rates.is_empty() {
        let passed_over = lists.iter().map(|list| list.passed_over).sum();
        return Err(ImportError::Nothing { passed_over });
    }
    gcp::narrow(&mut rates)?;
    rates.sort_by(|one, other| one.id.cmp(&other.id));
    let book = BookFile {
        version: version.to_owned(),
        currency: Some(first.currency.clone()),
        rates,
        ..BookFile::default()
    };
    serde_norway::to_string(&book).map_err(|error| ImportError::Broken(error.to_string()))
}

#[cfg(test)]
mod tests;
