//! The price book: files in layers, checked whole, and the rate that holds for one way at one moment.

mod compile;

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::tz::TimeZone;

use super::{
    commitment::Commitment,
    rate::{Rate, Way},
};
use crate::model::{
    identity::Word,
    money::Unit,
    names::{BilledDirection, RateKind},
    time::UnixUs,
};

/// Rates of all files together.
pub const RATES_MAX: usize = 8_192;
/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// The shipped file, as it is called in messages.
pub const SHIPPED: &str = "shipped prices";

/// Google's billing month, as recalled.
const PACIFIC: &str = "America/Los_Angeles";
const SHIPPED_TEXT: &str = include_str!("../../data/prices.yaml");

/// One file of a book.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'l> {
    /// As messages call it.
    pub name: &'l str,
    pub text: &'l str,
}

/// What the operator decides where providers do not say, or let choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookSettings {
    /// What a gigabyte is, by cloud; 2^30 bytes where nothing is said.
    pub units: BTreeMap<String, Unit>,
    /// Where months and days begin, by cloud; UTC where nothing is said, for Google the Pacific.
    pub zones: BTreeMap<String, TimeZone>,
    /// What was chosen of what rates have as `variant`.
    pub variants: Vec<String>,
}

/// What is wrong with a book: file, line, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookError {
    pub file: String,
    /// From 1, where it can be told.
    pub line: Option<usize>,
    pub what: String,
}

/// Every rate, ready to be looked up.
#[derive(Clone, Debug)]
pub struct Book {
    version: String,
    currency: Word,
    rates: Vec<Arc<Rate>>,
    commitments: Vec<Commitment>,
    /// Best first, by cloud and kind.
    by_kind: BTreeMap<(Word, RateKind), Vec<usize>>,
    zones: BTreeMap<String, TimeZone>,
}

impl BookSettings {
    #[must_use]
    pub fn unit(&self, cloud: &str) -> Unit {
        self.units.get(cloud).copied().unwrap_or_default()
    }

    /// Where a cloud's months begin.
    #[must_use]
    pub fn zone(&self, cloud: &str) -> TimeZone {
        match self.zones.get(cloud) {
            Some(zone) => zone.clone(),
            None if cloud == "gcp" => TimeZone::get(PACIFIC).unwrap_or(TimeZone::UTC),
            None => TimeZone::UTC,
        }
    }
}

impl fmt::Display for BookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for BookError {}

impl Book {
    /// The shipped prices, and `layers` before them, the last one first.
    ///
    /// # Errors
    /// Where a file cannot be read, or two rates contend.
    pub fn with_shipped(layers: &[Layer<'_>], settings: &BookSettings) -> Result<Self, BookError> {
        let shipped = Layer {
            name: SHIPPED,
            text: SHIPPED_TEXT,
        };
        let all: Vec<Layer<'_>> = std::iter::once(shipped)
            .chain(layers.iter().copied())
            .collect();
        Self::of(&all, settings)
    }

    /// A book of these files alone.
    ///
    /// # Errors
    /// Where a file cannot be read, or two rates contend.
    pub fn of(layers: &[Layer<'_>], settings: &BookSettings) -> Result<Self, BookError> {
        let compiled = compile::compile(layers, settings)?;
        let mut by_kind: BTreeMap<(Word, RateKind), Vec<usize>> = BTreeMap::new();
        for (nth, rate) in compiled.rates.iter().enumerate() {
            let key = (rate.facts.cloud.clone(), rate.facts.kind);
            by_kind.entry(key).or_default().push(nth);
        }
        let rank = |nth: &usize| compiled.rates.get(*nth).map(Rate::rank);
        for rates in by_kind.values_mut() {
            rates.sort_by_key(|nth| std::cmp::Reverse(rank(nth)));
        }
        let clouds = by_kind.keys().map(|(cloud, _)| cloud.to_string());
        let zones = clouds
            .map(|cloud| (cloud.clone(), settings.zone(&cloud)))
            .collect();
        Ok(Self {
            version: compiled.version,
            currency: compiled.currency,
            commitments: compiled.commitments,
            rates: compiled.rates.into_iter().map(Arc::new).collect(),
            by_kind,
            zones,
        })
    }

    /// Names the files and their contents.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// ISO 4217; of every price.
    #[must_use]
    pub const fn currency(&self) -> &Word {
        &self.currency
    }

    #[must_use]
    pub fn rates(&self) -> &[Arc<Rate>] {
        &self.rates
    }

    /// What is paid for at the least.
    #[must_use]
    pub fn commitments(&self) -> &[Commitment] {
        &self.commitments
    }

    /// Where a provider's months begin.
    #[must_use]
    pub fn zone(&self, cloud: &str) -> &TimeZone {
        static UTC: TimeZone = TimeZone::UTC;
        self.zones.get(cloud).unwrap_or(&UTC)
    }

    /// The rate that counts bytes of one direction on this way at this moment.
    #[must_use]
    pub fn find(
        &self,
        way: &Way<'_>,
        direction: BilledDirection,
        at: UnixUs,
    ) -> Option<&Arc<Rate>> {
        let counts = |rate: &Rate| {
            rate.facts.direction == direction || rate.facts.direction == BilledDirection::Both
        };
        let fits = |rate: &&Arc<Rate>| rate.holds_at(at) && counts(rate) && rate.fits(way);
        self.candidates(way).find(fits)
    }

    /// Rates that are for this way at some time, the best first.
    pub fn candidates<'b>(
        &'b self,
        way: &Way<'_>,
    ) -> impl Iterator<Item = &'b Arc<Rate>> + use<'b> {
        let cloud = way.from.cloud.unwrap_or_default();
        let rates = self.by_kind.get(&(Word::from(cloud), way.kind));
        rates
            .into_iter()
            .flatten()
            .filter_map(|nth| self.rates.get(*nth))
    }
}

#[cfg(test)]
mod tests;
