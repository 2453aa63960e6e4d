//! A report as a FOCUS dataset (FinOps Open Cost and Usage Specification, Cost and Usage): a line for each row, day and rate.
//!
//! An estimate never poses as a bill: `BilledCost` is 0 on every line, `x_IsEstimate` is true, and what has no price has no
//! line. Periods are days and months of the provider, written in UTC.

use jiff::civil::Date;
use observer_core::{
    model::{
        identity::Word,
        money::{Money, Price, Unit, round_together},
        names::CostSide,
        time::UnixUs,
    },
    price::{book::Book, month, statement::Charge},
};

use super::{DECIMALS, Report, table::rfc3339};
use crate::{
    group::{By, UNKNOWN},
    priced::Priced,
};

/// Which edition of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    V1_2,
    V1_4,
}

/// Columns that rows have to be by; their order is that of the lines.
pub const BY: [By; 14] = [
    By::Day,
    By::SourceCloud,
    By::Account,
    By::SourceRegion,
    By::Cluster,
    By::Namespace,
    By::Workload,
    By::Cloud,
    By::Region,
    By::Provider,
    By::Vendor,
    By::Service,
    By::ApiState,
    By::PathKind,
];

/// Columns of both editions.
const COMMON: [&str; 29] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "RegionId",
    "RegionName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SubAccountId",
    "SubAccountName",
];

/// Columns of ours.
const OWN: [&str; 19] = [
    "x_IsEstimate",
    "x_EstimatedCost",
    "x_RateId",
    "x_RateKind",
    "x_RateSide",
    "x_RateStatus",
    "x_RateSource",
    "x_RateAsOf",
    "x_PriceVersion",
    "x_Cluster",
    "x_Namespace",
    "x_Workload",
    "x_DestinationCloud",
    "x_DestinationRegion",
    "x_DestinationProvider",
    "x_DestinationVendor",
    "x_DestinationService",
    "x_ApiState",
    "x_PathKind",
];

impl Focus {
    /// Who sells, and whose it is.
    const fn providers(self) -> [&'static str; 2] {
        match self {
            Self::V1_2 => ["ProviderName", "PublisherName"],
            Self::V1_4 => ["ServiceProviderName", "HostProviderName"],
        }
    }
}

impl Report {
    /// The charges of a report over [`BY`], as CSV; `book` says where months begin.
    ///
    /// # Errors
    /// Never but for want of memory.
    pub fn focus(&self, edition: Focus, book: &Book) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COMMON.iter().chain(&edition.providers()).chain(&OWN))?;
        let priced = &self.priced;
        let costs: Vec<Money> = priced
            .charges
            .iter()
            .flat_map(|charge| [charge.cost, charge.hourly])
            .collect();
        let costs = round_together(&costs, DECIMALS);
        for (charge, costs) in priced.charges.iter().zip(costs.chunks(2)) {
            let ([by_byte, by_hour], Some(row)) = (costs, priced.rows.get(charge.row as usize))
            else {
                continue;
            };
            let line = Line::of(priced, book, charge, &row.values);
            if charge.bytes > 0 {
                writer.write_record(line.written(*by_byte, Some(charge.bytes)))?;
            }
            if !by_hour.is_zero() {
                writer.write_record(line.written(*by_hour, None))?;
            }
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What both lines of one charge have in common.
struct Line<'r> {
    priced: &'r Priced,
    charge: &'r Charge<u32>,
    values: &'r [Word],
    /// First moment of the day, of the next, of the month, of the next.
    times: [String; 4],
}

impl<'r> Line<'r> {
    fn of(priced: &'r Priced, book: &Book, charge: &'r Charge<u32>, values: &'r [Word]) -> Self {
        let zone = book.zone(&charge.rate.cloud);
        let day: Option<Date> = values.first().and_then(|day| day.parse().ok());
        let (first, after) = charge.month.span(zone);
        let (start, end) = day.map_or((first, after), |day| {
            let next = day.tomorrow().unwrap_or(day);
            (month::start_of(day, zone), month::start_of(next, zone))
        });
        // A far end's day may lie across its month's end.
        let (start, end) = (start.max(first).min(after), end.max(first).min(after));
        let times: [UnixUs; 4] = [start, end, first, after];
        Self {
            priced,
            charge,
            values,
            times: times.map(rfc3339),
        }
    }

    fn value(&self, nth: usize) -> &'r str {
        let value = self.values.get(nth).map(|word| &**word);
        value.filter(|word| *word != UNKNOWN).unwrap_or_default()
    }

    /// Whose charge it is: account and region of that end. Whose account the far end is in, no record says.
    fn billed(&self) -> (CostSide, &'r str, &'r str) {
        match self.value(1) == &*self.charge.rate.cloud {
            true => {
                let account = self.values.get(2).map_or(UNKNOWN, |word| &**word);
                (CostSide::Local, account, self.value(3))
            }
            false => (CostSide::Remote, UNKNOWN, self.value(8)),
        }
    }

    /// Nothing is charged by the byte where `bytes` is none: it is a share of hours.
    fn written(&self, cost: Money, bytes: Option<u64>) -> Vec<String> {
        let facts = &self.charge.rate;
        let (side, account, region) = self.billed();
        let provider = provider(&facts.cloud);
        let [day, next_day, month, next_month] = &self.times;
        let amount = cost.fixed(DECIMALS);
        let description = format!("{} over {}: estimate", facts.kind.word(), facts.id);
        let (frequency, quantity, unit, consumed) = match bytes {
            Some(bytes) => (
                "Usage-Based",
                units(bytes, facts.unit),
                facts.unit.word(),
                [bytes.to_string(), "Bytes".to_owned()],
            ),
            None => (
                "Recurring",
                String::new(),
                "",
                [String::new(), String::new()],
            ),
        };
        let [consumed, consumed_unit] = consumed;
        let list = list(cost, facts.discount.as_ref().map_or(0, |(off, _)| *off)).fixed(DECIMALS);
        let common = [
            // Decimals even of whole numbers: validators take the type from the text.
            "0.0",
            account,
            "",
            &self.priced.currency,
            next_month,
            month,
            "Usage",
            "",
            &description,
            frequency,
            next_day,
            day,
            &consumed,
            &consumed_unit,
            &amount,
            &amount,
            "",
            provider,
            &list,
            "Standard",
            &quantity,
            unit,
            region,
            region,
            "Networking",
            "Data Transfer",
            "Network Connectivity",
            account,
            "",
        ];
        let own = self.own(&amount, side);
        let all = common.into_iter().chain([provider, provider]).chain(own);
        all.map(str::to_owned).collect()
    }

    /// Values of [`OWN`].
    fn own<'l>(&'l self, amount: &'l str, side: CostSide) -> impl Iterator<Item = &'l str> {
        let facts = &self.charge.rate;
        let own = [
            "true",
            amount,
            &facts.id,
            facts.kind.word(),
            side.word(),
            facts.status.word(),
            &facts.source,
            facts.as_of.as_deref().unwrap_or_default(),
            &self.priced.version,
        ];
        own.into_iter()
            .chain((4..BY.len()).map(|nth| self.value(nth)))
    }
}

/// Before what was agreed off it, in hundredths of a per cent.
fn list(cost: Money, off: u16) -> Money {
    match 10_000_i128 - i128::from(off) {
        rest @ 1..10_000 => Money::from_steps(cost.steps().saturating_mul(10_000) / rest),
        _ => cost,
    }
}

/// How many units these are, as exactly as twelve decimals go.
fn units(bytes: u64, unit: Unit) -> String {
    let one = Price::parse("1").unwrap_or(Price::ZERO);
    one.of_bytes(bytes, unit).fixed(DECIMALS)
}

fn provider(cloud: &str) -> &str {
    match cloud {
        "aws" => "Amazon Web Services",
        "azure" => "Microsoft",
        "gcp" => "Google Cloud",
        "oci" => "Oracle",
        other => other,
    }
}
