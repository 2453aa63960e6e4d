//! A price book as its YAML has it. Says nothing of whether the rows fit together.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::model::names::{BilledDirection, PriceStatus, RateKind};

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a price book with `version:` and `rates:`"
)]
pub struct BookFile {
    /// What this file is called in versions and messages.
    pub version: String,
    /// ISO 4217; of all prices in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Names of sets of places: `@NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Where prices were read, by a short name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<DiscountRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commitments: Vec<CommitmentRow>,
    /// How many of what is charged by the hour there are, by rate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u32>,
}

/// One rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRow {
    pub id: String,
    pub cloud: String,
    pub kind: RateKind,
    /// Regions of the cloud that bytes leave: `us-east-1`, `eu-*`, `@GROUP`; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Where they go: `aws/us-east-1`, `azure/*`, `country/cn`, `@GROUP`; anywhere where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Services they go to; `*` is any that is known. Whatever it is where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<BilledDirection>,
    /// `GiB`, `GB`; as the setting for the cloud where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["GiB", "GB", null]))]
    pub unit: Option<String>,
    /// Of one unit, where there is one tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount")]
    pub price: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeRow>,
    /// Whose bytes fill the tiers together: `rate` (default), `region` (each source region apart), or a name that several
    /// rates share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Price of an hour of what stands on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount")]
    pub per_hour: Option<String>,
    /// First day of the provider's time zone on which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<Date>,
    /// First day on which it holds no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<Date>,
    /// Holds only where the operator has chosen this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PriceStatus>,
    /// Names of `sources`, or words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One tier; the last one has no bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
    #[schemars(schema_with = "amount")]
    pub price: String,
}

/// Units that cost nothing, inside the first tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreeRow {
    pub units: u64,
    /// Rates that name the same one share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscountRow {
    /// Rates by name; `*` stands for any rest.
    pub rates: Vec<String>,
    /// Off the list price: `12.5`.
    #[schemars(schema_with = "amount")]
    pub percent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<Date>,
    /// Who agreed on it.
    pub source: String,
}

/// What is paid for at the least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitmentRow {
    pub id: String,
    /// Rates that count towards it, by name; `*` stands for any rest.
    pub rates: Vec<String>,
    /// In the book's currency.
    #[schemars(schema_with = "amount")]
    pub per_month: String,
    /// It holds in months whose first day is this one or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<Date>,
    /// And before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<Date>,
    /// Who agreed on it.
    pub source: String,
}

/// For editors; what it does not say, such as which rates contend, `observer price check` does.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(BookFile)
}

/// A decimal number, quoted or not.
fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "number"],
        "pattern": r"^[0-9]+(\.[0-9]{1,12})?$",
        "minimum": 0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn value(yaml: &str) -> Value {
        serde_norway::from_str(yaml).expect("YAML")
    }

    #[test]
    fn what_the_schema_takes_is_what_is_read() {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(schema().as_value())
            .expect("a schema");
        let rate = |rest: &str| {
            format!("version: v\nrates:\n- {{id: a, cloud: aws, kind: internet{rest}}}\n")
        };
        for (yaml, expected) in [
            (include_str!("../../data/prices.yaml").to_owned(), true),
            (rate(", price: '0.09', unit: GB"), true),
            (rate(", price: 0.09"), true),
            (
                rate(", tiers: [{up_to: 10, price: '1'}, {price: '0'}]"),
                true,
            ),
            (rate(", effective_from: 2026-03-01"), true),
            (rate(", effective_from: March"), false),
            (rate(", prize: '0.09'"), false),
            (rate(", status: sure"), false),
            (rate(", tiers: [{up_to: -1, price: '1'}]"), false),
            ("rates: []".to_owned(), false),
            (
                "version: v\ncommitments: [{id: c, rates: [a], per_month: '5', source: x}]"
                    .to_owned(),
                true,
            ),
            (
                "version: v\ndiscounts: [{rates: [a], percent: '5'}]".to_owned(),
                false,
            ),
        ] {
            assert_eq!(validator.is_valid(&value(&yaml)), expected, "{yaml}");
            assert_eq!(
                serde_norway::from_str::<BookFile>(&yaml).is_ok(),
                expected,
                "{yaml}"
            );
        }
        // What reading says later, an editor says at once.
        for rest in [", price: '-0.09'", ", price: '0.09 USD'", ", unit: TB"] {
            assert!(!validator.is_valid(&value(&rate(rest))), "{rest}");
        }
    }
}
