//! Oracle's list of products, of which three are what leaves a region.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ImportError, Imported, Next, bound, currency, price, rate, row, tiers};
use crate::{
    model::{money::Price, names::RateKind},
    price::spec::RateRow,
};

/// Part number, group of source regions in the shipped book, and what rates are called.
const PARTS: [(&str, &str, &str); 3] = [
    ("B88327", "@oci-na-eu-uk", "oci-na-eu-uk"),
    ("B93455", "@oci-apac-jp-sa", "oci-apac-jp-sa"),
    ("B93456", "@oci-mea", "oci-mea"),
];

pub fn products(document: &Value) -> Result<Imported, ImportError> {
    let items = document["items"].as_array().ok_or(ImportError::Form)?;
    let updated = document["lastUpdated"]
        .as_str()
        .and_then(|date| date.get(..10));
    let mut imported = Imported::new("Oracle price list");
    imported.as_of = updated.map(str::to_owned);
    let mut currency_is = None;
    for item in items {
        let number = item["partNumber"].as_str().unwrap_or_default();
        let Some((_, group, name)) = PARTS.iter().find(|(part, ..)| *part == number) else {
            imported.passed_over += 1;
            continue;
        };
        let localized = item["currencyCodeLocalizations"].as_array();
        let [localized] = localized.map(Vec::as_slice).unwrap_or_default() else {
            return Err(row(
                number,
                "not in one currency; ask for one with `currencyCode=`",
            ));
        };
        let its = localized["currencyCode"].as_str().unwrap_or_default();
        currency(number, its, &mut currency_is)?;
        let starts = starts(number, localized)?;
        // The same product, whether bytes go to the internet or to another region.
        for kind in [RateKind::Internet, RateKind::InterRegion] {
            let id = format!(
                "oci-list-{}-{}",
                kind.word().replace('_', "-"),
                name.trim_start_matches("oci-")
            );
            imported.rates.push(RateRow {
                from: vec![(*group).to_owned()],
                pool: Some((*name).to_owned()),
                note: Some(format!(
                    "part {number}; the list says gigabyte, and not what that is"
                )),
                ..rate(id, "oci", kind, tiers(number, &starts)?)
            });
        }
    }
    imported.currency = currency_is.unwrap_or(imported.currency);
    imported.next = next(document);
    Ok(imported)
}

/// The page after this one, as Oracle's REST services say it.
fn next(document: &Value) -> Option<Next> {
    let links = document["links"].as_array()?;
    let link = links.iter().find(|link| link["rel"] == "next")?;
    let is_more = document["hasMore"] == true;
    is_more.then(|| Next::Link(link["href"].as_str().unwrap_or_default().to_owned()))
}

/// Prices by where their tier begins.
fn starts(number: &str, localized: &Value) -> Result<BTreeMap<u64, Price>, ImportError> {
    let prices = localized["prices"]
        .as_array()
        .ok_or_else(|| row(number, "`prices` is missing"))?;
    let mut starts = BTreeMap::new();
    for its in prices {
        if its["model"] != "PAY_AS_YOU_GO" {
            continue;
        }
        let value = its["value"]
            .as_number()
            .ok_or_else(|| row(number, "`value` is no number"))?;
        let start = match &its["rangeMin"] {
            Value::Null => 0,
            start => bound(number, &start.to_string())?,
        };
        if starts
            .insert(start, price(number, &value.to_string())?)
            .is_some()
        {
            return Err(row(number, format!("two tiers begin at {start}")));
        }
    }
    Ok(starts)
}
