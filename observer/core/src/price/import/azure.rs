//! Pages of Azure Retail Prices, of the service `Bandwidth`.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{ImportError, Imported, NewRate, Next, bound, currency, price, row, tiers};
use crate::model::{
    money::{Price, Unit},
    names::{BilledDirection, RateKind},
};

const SOURCE: &str = "Azure Retail Prices, Bandwidth";
/// The meter of what leaves for the internet.
const OUT: &str = "Standard Data Transfer Out";

/// Tiers of one region by one routing.
#[derive(Debug)]
struct Meter {
    starts: BTreeMap<u64, Price>,
    effective: Option<Date>,
    meter_id: String,
}

pub fn page(document: &Value) -> Result<Imported, ImportError> {
    let items = document["Items"].as_array().ok_or(ImportError::Form)?;
    let mut meters: BTreeMap<(String, bool), Meter> = BTreeMap::new();
    let mut imported = Imported::new(SOURCE);
    let mut currency_is = None;
    for (nth, item) in items.iter().enumerate() {
        let place = format!("item {}", nth + 1);
        let text = |field: &str| item[field].as_str().unwrap_or_default();
        // Microsoft's own network, or the internet of providers from the edge on.
        let by_isp = match text("productName") {
            "Rtn Preference: MGN" => false,
            "Bandwidth - Routing Preference: Internet" => true,
            _ => {
                imported.passed_over += 1;
                continue;
            }
        };
        let region = text("armRegionName");
        let is_consumption = matches!(text("type"), "" | "Consumption");
        if text("meterName") != OUT || region.is_empty() || !is_consumption {
            imported.passed_over += 1;
            continue;
        }
        if text("meterId").is_empty() {
            return Err(row(&place, "`meterId` is missing"));
        }
        if text("unitOfMeasure") != "1 GB" {
            return Err(row(
                &place,
                format!("`{}` is no `1 GB`", text("unitOfMeasure")),
            ));
        }
        currency(&place, text("currencyCode"), &mut currency_is)?;
        let number = |field: &str| {
            let value = item[field].as_number().map(ToString::to_string);
            value.ok_or_else(|| row(&place, format!("`{field}` is no number")))
        };
        let start = number("tierMinimumUnits")?;
        let start = bound(&place, &start)?;
        let price = price(&place, &number("retailPrice")?)?;
        let meter = meters
            .entry((region.to_owned(), by_isp))
            .or_insert_with(|| Meter {
                starts: BTreeMap::new(),
                effective: day(text("effectiveStartDate")),
                meter_id: text("meterId").to_owned(),
            });
        if meter.starts.insert(start, price).is_some() {
            return Err(row(
                &place,
                format!("two tiers of `{region}` begin at {start}"),
            ));
        }
    }
    let rates = meters
        .into_iter()
        .map(|((region, by_isp), meter)| rate(&region, by_isp, &meter));
    imported.rates = rates.collect::<Result<_, _>>()?;
    imported.currency = currency_is.unwrap_or(imported.currency);
    let link = document["NextPageLink"].as_str().unwrap_or_default();
    imported.next = (!link.is_empty()).then(|| Next::Link(link.to_owned()));
    Ok(imported)
}

fn rate(region: &str, by_isp: bool, meter: &Meter) -> Result<NewRate, ImportError> {
    let variant = by_isp.then_some("azure-isp-routing");
    let unit = Unit::Gibibyte;
    Ok(NewRate {
        id: match by_isp {
            true => format!("azure-list-internet-{region}-isp"),
            false => format!("azure-list-internet-{region}"),
        },
        cloud: "azure",
        kind: RateKind::Internet,
        from: vec![region.to_owned()],
        to: Vec::new(),
        direction: BilledDirection::Egress,
        unit,
        tiers: tiers(region, unit, &meter.starts)?,
        // One meter counts the regions of a zone together.
        pool: Some(format!("azure-meter-{}", meter.meter_id)),
        free_units: None,
        variant,
        effective_from: meter.effective,
        note: format!(
            "meter {}; the list says GB, taken as 2^30 bytes",
            meter.meter_id
        ),
    })
}

fn day(text: &str) -> Option<Date> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).date())
}
