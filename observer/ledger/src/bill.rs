//! A provider's bill: the charges of data transfer in a FOCUS dataset or an AWS Cost and Usage Report, both CSV. Compares
//! nothing.

use std::io::Read;

use jiff::civil::Date;
use observer_core::model::{
    money::{Money, Unit},
    names::RateKind,
};
use thiserror::Error;

/// Charges of transfer that are kept, by day, region and usage type.
pub const CHARGES_MAX: usize = 2_000_000;

/// One charge of transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillCharge {
    /// As price books call it.
    pub cloud: String,
    pub day: Date,
    /// Empty where the bill has none.
    pub region: String,
    /// The bill's own word for what was used.
    pub usage: String,
    /// What it is here; `None` where its word says nothing that we know.
    pub kind: Option<RateKind>,
    /// `None` where it is charged by something else.
    pub bytes: Option<u64>,
    pub cost: Money,
}

/// A bill, as far as it is about transfer.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    pub charges: Vec<BillCharge>,
    pub currency: Option<String>,
    /// Lines of other things than transfer.
    pub other_lines: u64,
    pub other_cost: Money,
    pub lines: u64,
}

/// What is wrong with a bill; nothing of it is used.
#[derive(Debug, Error)]
pub enum BillError {
    #[error("{file}: {source}")]
    Csv { file: String, source: csv::Error },
    #[error(
        "{file}: neither FOCUS (`ChargePeriodStart`, `BilledCost`) nor an AWS Cost and Usage Report (`lineItem/UsageStartDate`, \
         `lineItem/UnblendedCost`): the head has no such columns"
    )]
    Head { file: String },
    #[error("{file}:{line}: `{column}` is `{value}`, which is no {what}")]
    Value {
        file: String,
        line: u64,
        column: &'static str,
        value: String,
        what: &'static str,
    },
    #[error("{file}:{line}: currency `{currency}` after `{first}`; one report is in one currency")]
    Currencies {
        file: String,
        line: u64,
        currency: String,
        first: String,
    },
    #[error("{file}: more than {CHARGES_MAX} charges of transfer; reconcile a month at a time")]
    TooMany { file: String },
}

/// Where each value stands in a line.
struct Columns {
    form: Form,
    start: usize,
    cost: usize,
    currency: Option<usize>,
    cloud: Option<usize>,
    region: Vec<usize>,
    usage: Vec<usize>,
    quantity: Option<usize>,
    unit: Option<usize>,
    /// `ServiceCategory`, where there is one.
    category: Option<usize>,
    /// Our own word for the rate, in datasets that we wrote.
    kind: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Focus,
    Cur,
}

impl Columns {
    fn of(head: &csv::StringRecord) -> Option<Self> {
        // `lineItem/UsageType` and `line_item_usage_type` are one.
        let plain = |name: &str| -> String {
            let letters = name.chars().filter(char::is_ascii_alphanumeric);
            letters.collect::<String>().to_ascii_lowercase()
        };
        let names: Vec<String> = head.iter().map(plain).collect();
        let find = |name: &str| names.iter().position(|other| other == name);
        let all = |wanted: &[&str]| wanted.iter().filter_map(|name| find(name)).collect();
        if let (Some(start), Some(cost)) = (find("chargeperiodstart"), find("billedcost")) {
            let ours = find("xestimatedcost");
            return Some(Self {
                form: Form::Focus,
                start,
                cost: ours.unwrap_or(cost),
                currency: find("billingcurrency"),
                cloud: find("serviceprovidername").or_else(|| find("providername")),
                region: all(&["regionid"]),
                usage: all(&[
                    "xusagetype",
                    "skumeter",
                    "chargedescription",
                    "resourcetype",
                ]),
                quantity: find("consumedquantity").or_else(|| find("pricingquantity")),
                unit: find("consumedunit").or_else(|| find("pricingunit")),
                category: find("servicecategory"),
                kind: find("xratekind"),
            });
        }
        Some(Self {
            form: Form::Cur,
            start: find("lineitemusagestartdate")?,
            cost: find("lineitemunblendedcost")?,
            currency: find("lineitemcurrencycode"),
            cloud: None,
            region: all(&[
                "productfromregioncode",
                "productregioncode",
                "productregion",
            ]),
            usage: vec![find("lineitemusagetype")?],
            quantity: find("lineitemusageamount"),
            unit: find("pricingunit"),
            category: None,
            kind: None,
        })
    }
}

impl Bill {
    /// Reads one more file.
    ///
    /// # Errors
    /// Where it is no bill, or a line is broken; nothing of the file is taken then.
    pub fn read(&mut self, file: &str, reader: impl Read) -> Result<(), BillError> {
        let mut bill = self.clone();
        bill.take(file, reader)?;
        *self = bill;
        Ok(())
    }

    fn take(&mut self, file: &str, reader: impl Read) -> Result<(), BillError> {
        let broken = |source| BillError::Csv {
            file: file.to_owned(),
            source,
        };
        let mut reader = csv::Reader::from_reader(reader);
        let head = reader.headers().map_err(broken)?.clone();
        let columns = Columns::of(&head).ok_or_else(|| BillError::Head {
            file: file.to_owned(),
        })?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(broken)? {
            let line = record.position().map_or(0, csv::Position::line);
            self.line(file, line, &columns, &record)?;
            if self.charges.len() > CHARGES_MAX {
                return Err(BillError::TooMany {
                    file: file.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn line(
        &mut self,
        file: &str,
        line: u64,
        columns: &Columns,
        record: &csv::StringRecord,
    ) -> Result<(), BillError> {
        let value = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default();
        let wrong = |column, value: &str, what| BillError::Value {
            file: file.to_owned(),
            line,
            column,
            value: value.to_owned(),
            what,
        };
        self.lines += 1;
        let text = value(Some(columns.cost));
        let cost = amount(text).ok_or_else(|| wrong("cost", text, "decimal number"))?;
        let currency = value(columns.currency);
        match &self.currency {
            _ if currency.is_empty() => {}
            None => self.currency = Some(currency.to_owned()),
            Some(first) if first == currency => {}
            Some(first) => {
                return Err(BillError::Currencies {
                    file: file.to_owned(),
                    line,
                    currency: currency.to_owned(),
                    first: first.clone(),
                });
            }
        }
        let words = columns.usage.iter().map(|at| value(Some(*at)));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let own = RateKind::from_word(value(columns.kind));
        let kind = own.or_else(|| words.iter().find_map(|word| kind(word)));
        let is_transfer = kind.is_some()
            || words
                .iter()
                .any(|word| word.contains("DataTransfer") || word.contains("Data Transfer"));
        let is_other = columns.category.is_some() && value(columns.category) != "Networking";
        if !is_transfer || is_other {
            self.other_lines += 1;
            self.other_cost += cost;
            return Ok(());
        }
        let text = value(Some(columns.start));
        let day = text.get(..10).and_then(|day| day.parse().ok());
        let day = day.ok_or_else(|| wrong("period", text, "date"))?;
        let cloud = match columns.form {
            Form::Cur => "aws".to_owned(),
            Form::Focus => cloud(value(columns.cloud)),
        };
        let regions = columns.region.iter().map(|at| value(Some(*at)));
        let region = regions.into_iter().find(|region| !region.is_empty());
        let by_hour = words.iter().any(|word| word.contains("Hours"));
        let quantity = (value(columns.quantity), value(columns.unit));
        let counted = bytes(quantity.0, quantity.1, columns.form, &cloud);
        self.charges.push(BillCharge {
            bytes: counted.filter(|_| !by_hour),
            cloud,
            day,
            region: region.unwrap_or_default().to_owned(),
            usage: words
                .first()
                .map_or_else(String::new, |word| (*word).to_owned()),
            kind,
            cost,
        });
        Ok(())
    }
}

/// Decimals beyond those that money keeps are cut.
fn amount(text: &str) -> Option<Money> {
    match text.split_once('.') {
        _ if text.is_empty() => Some(Money::ZERO),
        Some((whole, part))
            if part.len() > 21 && part.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Money::parse(&format!("{whole}.{}", part.get(..21)?))
        }
        _ => Money::parse(text),
    }
}

/// What a bill's word stands for; AWS's usage types, and the words of others.
fn kind(word: &str) -> Option<RateKind> {
    const USAGES: [(&str, RateKind); 16] = [
        ("AWS-Out-Bytes", RateKind::InterRegion),
        ("DataTransfer-Regional-Bytes", RateKind::InterZone),
        ("DataTransfer-Out-Bytes", RateKind::Internet),
        ("NatGateway", RateKind::NatGateway),
        ("VpcEndpoint", RateKind::PrivateEndpoint),
        ("TransitGateway", RateKind::TransitGateway),
        ("DataXfer-Out", RateKind::Interconnect),
        ("DataProcessing-Bytes", RateKind::LoadBalancer),
        ("Inter-Region", RateKind::InterRegion),
        ("Inter Region", RateKind::InterRegion),
        ("Inter-Zone", RateKind::InterZone),
        ("Inter Zone", RateKind::InterZone),
        ("Availability Zone", RateKind::InterZone),
        ("NAT Gateway", RateKind::NatGateway),
        ("Data Transfer Out", RateKind::Internet),
        ("Internet Egress", RateKind::Internet),
    ];
    let found = USAGES.iter().find(|(part, _)| word.contains(part));
    found.map(|(_, kind)| *kind)
}

fn cloud(provider: &str) -> String {
    let word = match provider {
        "AWS" | "Amazon Web Services" => "aws",
        "Microsoft" | "Azure" | "Microsoft Azure" => "azure",
        "Google Cloud" | "GCP" | "Google" => "gcp",
        "Oracle" | "OCI" | "Oracle Cloud Infrastructure" => "oci",
        other => return other.to_ascii_lowercase(),
    };
    word.to_owned()
}

/// Whole bytes of a quantity, as the unit has it; AWS writes GB for 2^30.
fn bytes(quantity: &str, unit: &str, form: Form, cloud: &str) -> Option<u64> {
    let unit = match unit.to_ascii_lowercase().as_str() {
        "bytes" | "byte" | "b" => 1,
        "gib" => Unit::Gibibyte.bytes(),
        "gb" if cloud == "aws" => Unit::Gibibyte.bytes(),
        "gb" => Unit::Gigabyte.bytes(),
        "tib" => Unit::Gibibyte.bytes() << 10,
        "tb" => Unit::Gigabyte.bytes() * 1000,
        // A Cost and Usage Report without the unit's column.
        "" if form == Form::Cur => Unit::Gibibyte.bytes(),
        _ => return None,
    };
    let (mantissa, exponent) = match quantity.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (quantity, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let part = part.get(..part.len().min(18))?;
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let scale = i32::try_from(part.len()).ok()?.checked_sub(exponent)?;
    let product = digits.checked_mul(u128::from(unit))?;
    let bytes = match scale {
        ..0 => product.checked_mul(10_u128.checked_pow(scale.unsigned_abs())?)?,
        0.. => {
            let scale = 10_u128.checked_pow(scale.unsigned_abs())?;
            product.checked_add(scale / 2)? / scale
        }
    };
    u64::try_from(bytes).ok()
}

#[cfg(test)]
mod tests;
