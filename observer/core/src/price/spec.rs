//! A price book as its YAML has it. Says nothing of whether the rows fit together.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::model::names::{BilledDirection, PriceStatus, RateKind};

/// One file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a price book with `version:` and `rates:`"
)]
pub struct BookFile {
    /// What this file is called in versions and messages.
    pub version: String,
    /// ISO 4217; of all prices in the file.
    #[serde(default)]
    pub currency: Option<String>,
    /// Names of sets of places: `@NAME`.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Where prices were read, by a short name.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    #[serde(default)]
    pub rates: Vec<RateRow>,
    #[serde(default)]
    pub discounts: Vec<DiscountRow>,
    /// How many of what is charged by the hour there are, by rate.
    #[serde(default)]
    pub counts: BTreeMap<String, u32>,
}

/// One rate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateRow {
    pub id: String,
    pub cloud: String,
    pub kind: RateKind,
    /// Regions of the cloud that bytes leave: `us-east-1`, `eu-*`, `@GROUP`; any where empty.
    #[serde(default)]
    pub from: Vec<String>,
    /// Where they go: `aws/us-east-1`, `azure/*`, `country/cn`, `@GROUP`; anywhere where empty.
    #[serde(default)]
    pub to: Vec<String>,
    /// Services they go to; `*` is any that is known. Whatever it is where empty.
    #[serde(default)]
    pub services: Vec<String>,
    #[serde(default)]
    pub direction: Option<BilledDirection>,
    /// `GiB`, `GB`; as the setting for the cloud where not given.
    #[serde(default)]
    pub unit: Option<String>,
    /// Of one unit, where there is one tier.
    #[serde(default)]
    pub price: Option<String>,
    #[serde(default)]
    pub tiers: Vec<TierRow>,
    #[serde(default)]
    pub free: Option<FreeRow>,
    /// Whose bytes fill the tiers together: `rate` (default), `region` (each source region apart), or a name that several
    /// rates share.
    #[serde(default)]
    pub pool: Option<String>,
    /// Price of an hour of what stands on the way.
    #[serde(default)]
    pub per_hour: Option<String>,
    /// First day of the provider's time zone on which it holds.
    #[serde(default)]
    pub effective_from: Option<Date>,
    /// First day on which it holds no more.
    #[serde(default)]
    pub effective_until: Option<Date>,
    /// Holds only where the operator has chosen this.
    #[serde(default)]
    pub variant: Option<String>,
    #[serde(default)]
    pub status: Option<PriceStatus>,
    /// Names of `sources`, or words.
    #[serde(default)]
    pub source: Vec<String>,
    #[serde(default)]
    pub as_of: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
}

/// One tier; the last one has no bound.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRow {
    #[serde(default)]
    pub up_to: Option<u64>,
    pub price: String,
}

/// Units that cost nothing, inside the first tier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeRow {
    pub units: u64,
    /// Rates that name the same one share it.
    #[serde(default)]
    pub pool: Option<String>,
}

/// What was agreed on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscountRow {
    /// Rates by name; `*` stands for any rest.
    pub rates: Vec<String>,
    /// Off the list price: `12.5`.
    pub percent: String,
    #[serde(default)]
    pub effective_from: Option<Date>,
    #[serde(default)]
    pub effective_until: Option<Date>,
    /// Who agreed on it.
    pub source: String,
}
