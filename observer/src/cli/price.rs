//! `observer price`: what is in the price books, whether they are whole, and what bytes would cost.

mod import;
mod quote;

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use observer_core::{
    model::names::PriceStatus,
    price::{
        book::{Book, BookSettings},
        rate::Rate,
        spec,
    },
};
use serde_json::{Value, json};

use super::{Output, print};
use crate::prices;

#[derive(Debug, Subcommand)]
pub enum Price {
    /// Say what each rate is, how well it is known, and where it was read.
    #[command(after_help = "Example:\n  observer price show --cloud aws --file contract.yaml")]
    Show(Show),
    /// Check that books are whole: every row read, no two rates for the same bytes.
    #[command(
        after_help = "Example:\n  observer price check contract.yaml\n\nExit status 1 where something is wrong."
    )]
    Check(Check),
    /// Say what bytes would cost, rate by rate and tier by tier.
    #[command(
        after_help = "Example:\n  observer price quote --from aws/us-east-1 --to azure/eastus --bytes 5TB --month 2026-11 \
                      --already 12TB"
    )]
    Quote(quote::Arguments),
    /// Make a book of providers' own price lists.
    #[command(
        after_help = "Lists, told by content: AWS Price List offers of AWSDataTransfer (CSV, JSON), pages of Azure Retail Prices, \
                      Oracle's list of products, SKUs of Google's Cloud Billing Catalog. Nothing is asked for that is not \
                      named here; where one list or page cannot be taken, the book stays as it was.\n\nExample:\n  observer \
                      price import --into /etc/observer/lists.yaml \
                      https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AWSDataTransfer/current/us-east-1/index.csv"
    )]
    Import(import::Import),
    /// Say what one book says of rates and another does not.
    #[command(after_help = "Example:\n  observer price diff shipped /etc/observer/lists.yaml")]
    Diff(import::Diff),
    /// Print the JSON schema of a price book, for editors.
    #[command(
        after_help = "Example:\n  observer price schema > prices.schema.json\n  # first line of a book:\n  # \
                      yaml-language-server: $schema=prices.schema.json"
    )]
    Schema,
}

/// The book to look at.
#[derive(Debug, Default, Args)]
pub struct Books {
    /// A price book of your own, before the shipped one; repeatable, the last one goes first.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A choice that some rates hang on (`variant`); repeatable.
    #[arg(long = "variant", value_name = "NAME")]
    variants: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Rates of this cloud alone.
    #[arg(long, value_name = "CLOUD")]
    cloud: Option<String>,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Price books, laid over the shipped one in this order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Books {
    pub fn book(&self) -> Result<Book> {
        self.laid_over(&[])
    }

    /// The book with further files laid over it.
    pub fn laid_over(&self, further: &[PathBuf]) -> Result<Book> {
        let settings = BookSettings {
            variants: self.variants.clone(),
            ..BookSettings::default()
        };
        prices::book(&[&*self.files, further].concat(), &settings)
    }
}

pub fn run(price: &Price) -> Result<ExitCode> {
    match price {
        Price::Show(arguments) => show(arguments)?,
        Price::Check(arguments) => check(arguments)?,
        Price::Quote(arguments) => return quote::run(arguments),
        Price::Import(arguments) => return import::import(arguments),
        Price::Diff(arguments) => return import::diff(arguments),
        Price::Schema => print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&spec::schema())?
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &Show) -> Result<()> {
    let book = arguments.books.book()?;
    let wanted = |rate: &&Rate| {
        let cloud = arguments.cloud.as_deref();
        cloud.is_none_or(|cloud| *rate.facts.cloud == *cloud)
    };
    let rates: Vec<&Rate> = book
        .rates()
        .iter()
        .map(|rate| &**rate)
        .filter(wanted)
        .collect();
    print(&match arguments.output {
        Output::Json => {
            let rates: Vec<Value> = rates.iter().map(|rate| of_rate(rate)).collect();
            let object =
                json!({"version": book.version(), "currency": book.currency(), "rates": rates});
            format!("{}\n", serde_json::to_string_pretty(&object)?)
        }
        Output::Table => table(&book, &rates)?,
    })
}

fn check(arguments: &Check) -> Result<()> {
    let book = prices::book(&arguments.files, &BookSettings::default())?;
    let own = book.rates().iter().filter(|rate| rate.layer > 0).count();
    let (all, version) = (book.rates().len(), book.version());
    print(&format!(
        "{own} rates of yours among {all}, version {version}\n"
    ))
}

fn of_rate(rate: &Rate) -> Value {
    let facts = &rate.facts;
    let unit = facts.unit.bytes();
    let tiers = rate.tiers.iter().map(
        |tier| json!({"up_to": tier.up_to_bytes.map(|bytes| bytes / unit), "price": tier.price}),
    );
    json!({
        "id": facts.id,
        "cloud": facts.cloud,
        "kind": facts.kind,
        "direction": facts.direction,
        "unit": facts.unit.word(),
        "tiers": tiers.collect::<Vec<_>>(),
        "free": rate.free.as_ref().map(|free| json!({"units": free.bytes / unit, "pool": free.pool})),
        "per_hour": rate.per_hour,
        "count": rate.count,
        "variant": rate.variant,
        "discount_percent": facts.discount.as_ref().map(|discount| f64::from(discount.0) / 100.0),
        "status": facts.status,
        "source": facts.source,
        "as_of": facts.as_of,
        "note": rate.note,
    })
}

fn table(book: &Book, rates: &[&Rate]) -> Result<String> {
    let width = rates
        .iter()
        .map(|rate| rate.facts.id.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    writeln!(
        text,
        "{:width$}  {:30}  {:11}  {:10}  source",
        "rate", "price", "status", "as of"
    )?;
    for rate in rates {
        let facts = &rate.facts;
        let as_of = facts.as_of.as_ref().map_or("-", |as_of| as_of.as_str());
        let (id, status) = (&facts.id, facts.status.word());
        writeln!(
            text,
            "{id:width$}  {:30}  {status:11}  {as_of:10}  {}",
            prices_of(rate),
            facts.source
        )?;
    }
    let count = |status| {
        rates
            .iter()
            .filter(|rate| rate.facts.status == status)
            .count()
    };
    let counts = PriceStatus::ALL
        .iter()
        .map(|status| format!("{} {}", count(*status), status.word()));
    let counts: Vec<String> = counts.filter(|count| !count.starts_with("0 ")).collect();
    let (currency, version) = (book.currency(), book.version());
    writeln!(
        text,
        "{} rates ({}), {currency}, version {version}",
        rates.len(),
        counts.join(", ")
    )?;
    Ok(text)
}

/// `0.09 to 10240, 0.085`, of one unit.
fn prices_of(rate: &Rate) -> String {
    let unit = rate.facts.unit;
    let tiers = rate.tiers.iter().map(|tier| match tier.up_to_bytes {
        Some(bytes) => format!("{} to {}", tier.price, bytes / unit.bytes()),
        None => tier.price.to_string(),
    });
    let tiers: Vec<String> = tiers.collect();
    let hourly = rate
        .per_hour
        .map(|price| format!(" + {price}/h"))
        .unwrap_or_default();
    format!("{}{hourly} /{}", tiers.join(", "), unit.word())
}
