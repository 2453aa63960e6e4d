//! AWS Price List offers of `AWSDataTransfer`, as CSV (with its preamble) and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use super::{ImportError, Imported, bound, currency, day, price, rate, row, tiers};
use crate::{
    model::{
        money::{Price, Unit},
        names::{BilledDirection, RateKind},
    },
    price::spec::{FreeRow, RateRow},
};

/// Pool of the free band, which the list does not have: AWS states 100 GB a month over all regions.
const FREE_POOL: &str = "aws-free";
const FREE_UNITS: u64 = 100;

/// One line of a tier.
#[derive(Clone, Copy, Debug)]
struct Dimension<'l> {
    sku: &'l str,
    transfer: &'l str,
    from: &'l str,
    to: &'l str,
    usage: &'l str,
    operation: &'l str,
    start: &'l str,
    end: &'l str,
    unit: &'l str,
    price: &'l str,
    currency: &'l str,
    effective: &'l str,
}

/// Tiers of one product.
#[derive(Debug)]
struct Product {
    kind: RateKind,
    from: String,
    to: Option<String>,
    starts: BTreeMap<u64, Price>,
    ends: BTreeSet<Option<u64>>,
    effective: Option<Date>,
}

#[derive(Debug, Default)]
struct Reading {
    products: BTreeMap<String, Product>,
    currency: Option<String>,
    passed_over: u64,
}

pub fn csv(text: &str) -> Result<Imported, ImportError> {
    let at = text.find("\"SKU\"").ok_or(ImportError::Form)?;
    let preamble = text.get(..at).unwrap_or_default();
    let published = preamble
        .lines()
        .find_map(|line| line.strip_prefix("\"Publication Date\","))
        .map(|date| date.trim().trim_matches('"'));
    let lines_before = preamble.lines().count();
    let mut reader = csv::Reader::from_reader(text.get(at..).unwrap_or_default().as_bytes());
    let broken = |error: csv::Error| ImportError::Broken(format!("no whole CSV: {error}"));
    let heads = reader.headers().map_err(broken)?.clone();
    let column = |name: &str| {
        let found = heads.iter().position(|head| head == name);
        found.ok_or_else(|| ImportError::Broken(format!("the head has no column `{name}`")))
    };
    let mut reading = Reading::default();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(0, csv::Position::line) + lines_before as u64;
        let text = |name| Ok(record.get(column(name)?).unwrap_or_default());
        if text("TermType")? != "OnDemand" {
            reading.passed_over += 1;
            continue;
        }
        let dimension = Dimension {
            sku: text("SKU")?,
            transfer: text("Transfer Type")?,
            from: text("From Region Code")?,
            to: text("To Region Code")?,
            usage: text("usageType")?,
            operation: text("operation")?,
            start: text("StartingRange")?,
            end: text("EndingRange")?,
            unit: text("Unit")?,
            price: text("PricePerUnit")?,
            currency: text("Currency")?,
            effective: text("EffectiveDate")?,
        };
        reading.take(&format!("line {line}"), &dimension)?;
    }
    reading.done(published)
}

pub fn json(document: &Value) -> Result<Imported, ImportError> {
    let products = document["products"].as_object().ok_or(ImportError::Form)?;
    let terms = document["terms"]["OnDemand"].as_object();
    let terms =
        terms.ok_or_else(|| ImportError::Broken("`terms.OnDemand` is missing".to_owned()))?;
    let mut reading = Reading::default();
    for (sku, product) in products {
        let attributes = &product["attributes"];
        let Some(offers) = terms.get(sku).and_then(Value::as_object) else {
            reading.passed_over += 1;
            continue;
        };
        for offer in offers.values() {
            let dimensions = offer["priceDimensions"].as_object();
            let dimensions = dimensions.ok_or_else(|| row(sku, "`priceDimensions` is missing"))?;
            for dimension in dimensions.values() {
                let prices = dimension["pricePerUnit"].as_object();
                let Some((currency, price)) = prices.and_then(|prices| prices.iter().next()) else {
                    return Err(row(sku, "`pricePerUnit` is missing"));
                };
                let dimension = Dimension {
                    sku,
                    transfer: text(&attributes["transferType"]),
                    from: text(&attributes["fromRegionCode"]),
                    to: text(&attributes["toRegionCode"]),
                    usage: text(&attributes["usagetype"]),
                    operation: text(&attributes["operation"]),
                    start: text(&dimension["beginRange"]),
                    end: text(&dimension["endRange"]),
                    unit: text(&dimension["unit"]),
                    price: text(price),
                    currency,
                    effective: text(&offer["effectiveDate"]),
                };
                reading.take(&format!("SKU {sku}"), &dimension)?;
            }
        }
    }
    reading.done(document["publicationDate"].as_str())
}

/// A text of the document; empty where it has none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Reading {
    fn take(&mut self, place: &str, dimension: &Dimension<'_>) -> Result<(), ImportError> {
        let kind = match dimension.transfer {
            "AWS Outbound" => RateKind::Internet,
            "InterRegion Outbound" => RateKind::InterRegion,
            "IntraRegion" if dimension.usage.ends_with("DataTransfer-Regional-Bytes") => {
                RateKind::InterZone
            }
            _ => {
                self.passed_over += 1;
                return Ok(());
            }
        };
        // Accelerated and other products have operations of their own.
        if dimension.from.is_empty() || !dimension.operation.is_empty() || dimension.unit != "GB" {
            self.passed_over += 1;
            return Ok(());
        }
        currency(place, dimension.currency, &mut self.currency)?;
        let end = match dimension.end {
            "Inf" => None,
            text => Some(bound(place, text)?),
        };
        let start = bound(place, dimension.start)?;
        if end.is_some_and(|end| end <= start) {
            return Err(row(place, "the tier ends before it begins"));
        }
        let price = price(place, dimension.price)?;
        let product = self
            .products
            .entry(dimension.sku.to_owned())
            .or_insert_with(|| Product {
                kind,
                from: dimension.from.to_owned(),
                to: Some(dimension.to.to_owned()).filter(|_| kind == RateKind::InterRegion),
                starts: BTreeMap::new(),
                ends: BTreeSet::new(),
                effective: day(dimension.effective),
            });
        if product.starts.insert(start, price).is_some() || !product.ends.insert(end) {
            return Err(row(
                place,
                format!("two tiers of SKU {} begin or end alike", dimension.sku),
            ));
        }
        Ok(())
    }

    fn done(self, published: Option<&str>) -> Result<Imported, ImportError> {
        let as_of = published.and_then(|date| date.get(..10)).map(str::to_owned);
        let mut rates = Vec::new();
        for (sku, product) in self.products {
            let starts: BTreeSet<Option<u64>> = product
                .starts
                .keys()
                .skip(1)
                .copied()
                .map(Some)
                .chain([None])
                .collect();
            if starts != product.ends {
                return Err(row(
                    &format!("SKU {sku}"),
                    "its tiers do not follow each other to the end; is the file cut?",
                ));
            }
            rates.push(product.rate(&sku)?);
        }
        let mut imported = Imported::new("AWS Price List, offer AWSDataTransfer");
        imported.currency = self.currency.unwrap_or(imported.currency);
        imported.as_of = as_of;
        imported.rates = rates;
        imported.passed_over = self.passed_over;
        Ok(imported)
    }
}

impl Product {
    fn rate(self, sku: &str) -> Result<RateRow, ImportError> {
        let kind = self.kind.word().replace('_', "-");
        let id = match &self.to {
            Some(to) => format!("aws-list-{kind}-{}-to-{to}", self.from),
            None => format!("aws-list-{kind}-{}", self.from),
        };
        let is_internet = self.kind == RateKind::Internet;
        let tiers = tiers(&format!("SKU {sku}"), &self.starts)?;
        Ok(RateRow {
            from: vec![self.from],
            to: self.to.iter().map(|to| format!("aws/{to}")).collect(),
            // Both ends are charged, each for what it sends and receives.
            direction: Some(match self.kind {
                RateKind::InterZone => BilledDirection::Both,
                _ => BilledDirection::Egress,
            }),
            unit: Some(Unit::Gibibyte.word().to_owned()),
            pool: is_internet.then(|| "region".to_owned()),
            free: is_internet.then(|| FreeRow {
                units: FREE_UNITS,
                pool: Some(FREE_POOL.to_owned()),
            }),
            effective_from: self.effective,
            note: Some(match is_internet {
                true => format!("SKU {sku}; the free band is not in the list"),
                false => format!("SKU {sku}"),
            }),
            ..rate(id, "aws", self.kind, tiers)
        })
    }
}
