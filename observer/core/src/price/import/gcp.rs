//! Pages of SKUs of Google's Cloud Billing Catalog, of which those of Compute Engine's network are rates here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ImportError, Imported, Next, bound, currency, price, rate, row, tiers};
use crate::{
    model::{
        money::{Price, Unit},
        names::RateKind,
    },
    price::spec::RateRow,
};

/// Places by the words that descriptions have for them.
const AREAS: &str = include_str!("../../../data/google-areas.txt");
const STANDARD_TIER: &str = "gcp-standard-tier";

/// What one word of a description stands for.
#[derive(Clone, Debug, Default)]
struct Area {
    /// As rates of the internet name them.
    outside: BTreeSet<String>,
    /// Google's regions.
    regions: BTreeSet<String>,
}

pub fn page(document: &Value) -> Result<Imported, ImportError> {
    let skus = document["skus"].as_array().ok_or(ImportError::Form)?;
    let areas = areas();
    let mut imported = Imported::new("Google Cloud Billing Catalog");
    let mut currency_is = None;
    for (nth, sku) in skus.iter().enumerate() {
        let category = &sku["category"];
        let is_ours = category["serviceDisplayName"] == "Compute Engine"
            && category["resourceFamily"] == "Network"
            && category["usageType"] == "OnDemand";
        let (kind, variant) = match category["resourceGroup"].as_str() {
            Some("PremiumInternetEgress") if is_ours => (RateKind::Internet, None),
            Some("StandardInternetEgress") if is_ours => (RateKind::Internet, Some(STANDARD_TIER)),
            Some("InterregionEgress") if is_ours => (RateKind::InterRegion, None),
            Some("InterzoneEgress") if is_ours => (RateKind::InterZone, None),
            _ => {
                imported.passed_over += 1;
                continue;
            }
        };
        let description = sku["description"].as_str().unwrap_or_default();
        let id = sku["skuId"].as_str().unwrap_or_default();
        if id.is_empty() {
            return Err(row(&format!("SKU {}", nth + 1), "`skuId` is missing"));
        }
        let place = format!("SKU {id}");
        // What comes in has SKUs of its own, in the same groups, without a price.
        if description.contains("Data Transfer In") || description.contains("Ingress") {
            imported.passed_over += 1;
            continue;
        }
        let to = match description.rsplit_once(" to ") {
            None => BTreeSet::new(),
            Some((_, word)) => match areas.get(word) {
                Some(area) if kind == RateKind::InterRegion => area.regions.clone(),
                Some(area) => area.outside.clone(),
                None => BTreeSet::new(),
            },
        };
        if to.is_empty() && description.contains(" to ") {
            imported.unplaced.push(format!("{place}, {description}"));
            continue;
        }
        let starts = starts(&place, sku, &mut currency_is)?;
        let id = format!(
            "gcp-list-{}-{}",
            kind.word().replace('_', "-"),
            id.to_lowercase()
        );
        // The time that the interface has is the time of its answer: it begins no rate.
        imported.rates.push(RateRow {
            from: regions(sku),
            to: to.into_iter().collect(),
            unit: Some(Unit::Gibibyte.word().to_owned()),
            pool: variant.map(|_| "gcp-standard".to_owned()),
            variant: variant.map(str::to_owned),
            note: Some(description.to_owned()),
            ..rate(id, "gcp", kind, tiers(&place, &starts)?)
        });
    }
    imported.currency = currency_is.unwrap_or(imported.currency);
    let token = document["nextPageToken"].as_str().unwrap_or_default();
    imported.next = (!token.is_empty()).then(|| Next::Token(token.to_owned()));
    Ok(imported)
}

/// Regions that an SKU is sold in; none where that is all of them.
fn regions(sku: &Value) -> Vec<String> {
    let regions = sku["serviceRegions"].as_array();
    let words = regions.into_iter().flatten().filter_map(Value::as_str);
    words
        .filter(|word| *word != "global")
        .map(str::to_owned)
        .collect()
}

/// Prices by where their tier begins, of what holds last.
fn starts(
    place: &str,
    sku: &Value,
    currency_is: &mut Option<String>,
) -> Result<BTreeMap<u64, Price>, ImportError> {
    let infos = sku["pricingInfo"].as_array().map(Vec::as_slice);
    let last = infos.unwrap_or_default().iter();
    let last = last.max_by_key(|info| info["effectiveTime"].as_str());
    let expression =
        &last.ok_or_else(|| row(place, "`pricingInfo` is missing"))?["pricingExpression"];
    let unit = expression["usageUnit"].as_str().unwrap_or_default();
    if unit != "GiBy" {
        return Err(row(place, format!("`{unit}` is no `GiBy`")));
    }
    let rates = expression["tieredRates"].as_array();
    let mut starts = BTreeMap::new();
    for rate in rates.ok_or_else(|| row(place, "`tieredRates` is missing"))? {
        let start = rate["startUsageAmount"].as_number();
        let start = start.ok_or_else(|| row(place, "`startUsageAmount` is no number"))?;
        let start = bound(place, &start.to_string())?;
        let its = &rate["unitPrice"];
        currency(
            place,
            its["currencyCode"].as_str().unwrap_or_default(),
            currency_is,
        )?;
        if starts
            .insert(start, price(place, &amount(place, its)?)?)
            .is_some()
        {
            return Err(row(place, format!("two tiers begin at {start}")));
        }
    }
    Ok(starts)
}

/// `{"units": "1", "nanos": 120000000}` is 1.12 (google.type.Money).
fn amount(place: &str, money: &Value) -> Result<String, ImportError> {
    let units = match &money["units"] {
        Value::Null => 0,
        Value::String(text) => text
            .parse()
            .map_err(|_| row(place, format!("`units` is `{text}`")))?,
        other => other
            .as_i64()
            .ok_or_else(|| row(place, "`units` is no number"))?,
    };
    let nanos = match &money["nanos"] {
        Value::Null => 0,
        other => other
            .as_i64()
            .ok_or_else(|| row(place, "`nanos` is no number"))?,
    };
    match (units, nanos) {
        (0.., 0..1_000_000_000) => Ok(format!("{units}.{nanos:09}")),
        _ => Err(row(
            place,
            format!("price of {units} and {nanos} nanos is none"),
        )),
    }
}

/// Takes from each destination what a narrower one of the same source has already: `Korea` out of `APAC`.
///
/// # Errors
/// Where two SKUs are for the same places.
pub fn narrow(rates: &mut [RateRow]) -> Result<(), ImportError> {
    rates.sort_by(|one, other| (one.to.len(), &one.id).cmp(&(other.to.len(), &other.id)));
    for nth in 1..rates.len() {
        let (before, [rate, ..]) = rates.split_at_mut(nth) else {
            continue;
        };
        let all = std::mem::take(&mut rate.to);
        if all.is_empty() || rate.cloud != "gcp" {
            rate.to = all;
            continue;
        }
        let narrower = before.iter().filter(|other| {
            (&other.cloud, other.kind, &other.variant) == (&rate.cloud, rate.kind, &rate.variant)
                && other.from.iter().any(|region| rate.from.contains(region))
        });
        let taken: BTreeSet<&String> = narrower.flat_map(|other| &other.to).collect();
        rate.to = all
            .into_iter()
            .filter(|place| !taken.contains(place))
            .collect();
        if rate.to.is_empty() {
            return Err(row(&rate.id, "narrower SKUs have all of its places"));
        }
    }
    Ok(())
}

/// The table of words, with what they refer to filled in.
fn areas() -> BTreeMap<&'static str, Area> {
    let mut areas: BTreeMap<&str, Area> = BTreeMap::new();
    for line in AREAS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('|').map(str::trim);
        let [Some(word), Some(outside), Some(regions)] = [(); 3].map(|()| fields.next()) else {
            continue;
        };
        let mut area = Area::default();
        for item in outside.split(", ").filter(|item| !item.is_empty()) {
            match item.strip_prefix('+') {
                None => {
                    area.outside.insert(item.to_owned());
                }
                Some(other) => {
                    let other = areas.get(other).cloned().unwrap_or_default();
                    area.outside.extend(other.outside);
                    area.regions.extend(other.regions);
                }
            }
        }
        let regions = regions.split(", ").filter(|region| !region.is_empty());
        area.regions
            .extend(regions.map(|region| format!("gcp/{region}")));
        areas.insert(word, area);
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_table_is_whole() {
        let areas = areas();
        let lines = AREAS.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.clone().count(), areas.len());
        for line in lines {
            assert_eq!(line.split('|').count(), 3, "{line}");
            let references = line
                .split([',', '|'])
                .filter_map(|item| item.trim().strip_prefix('+'));
            for word in references {
                assert!(areas.contains_key(word), "{line}");
            }
        }
        assert!(areas["EMEA"].outside.contains("country/za"));
        assert!(areas["Americas"].regions.contains("gcp/us-west1"));
    }
}
