//! Pages of Azure Retail Prices, of the service `Bandwidth`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::Value;

use super::{ImportError, Imported, Next, bound, currency, day, price, rate, row, tiers};
use crate::{
    model::{money::Price, names::RateKind},
    price::spec::RateRow,
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
        .map(|((region, by_isp), meter)| of_meter(&region, by_isp, &meter));
    imported.rates = rates.collect::<Result<_, _>>()?;
    imported.currency = currency_is.unwrap_or(imported.currency);
    let link = document["NextPageLink"].as_str().unwrap_or_default();
    imported.next = (!link.is_empty()).then(|| Next::Link(link.to_owned()));
    Ok(imported)
}

fn of_meter(region: &str, by_isp: bool, meter: &Meter) -> Result<RateRow, ImportError> {
    let id = match by_isp {
        true => format!("azure-list-internet-{region}-isp"),
        false => format!("azure-list-internet-{region}"),
    };
    Ok(RateRow {
        from: vec![region.to_owned()],
        // One meter counts the regions of a zone together.
        pool: Some(format!("azure-meter-{}", meter.meter_id)),
        variant: by_isp.then(|| "azure-isp-routing".to_owned()),
        effective_from: meter.effective,
        note: Some(format!(
            "meter {}; the list says GB, and not what that is",
            meter.meter_id
        )),
        ..rate(
            id,
            "azure",
            RateKind::Internet,
            tiers(region, &meter.starts)?,
        )
    })
}
