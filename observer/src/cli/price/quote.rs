//! `observer price quote`: what bytes would cost, rate by rate and tier by tier.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use observer_core::{
    model::{
        names::{PathElement, PathKind},
        size,
    },
    price::{
        book::Book,
        month::Month,
        place::Place,
        plan::Route,
        quote::{self, Asked, Component, Quote},
    },
};
use serde_json::{Value, json};

use super::{
    super::{Output, print},
    Books,
};
use crate::prices;

/// Decimals of amounts that people read.
const DECIMALS: u32 = 6;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where bytes leave: `aws/us-east-1`.
    #[arg(long, value_name = "CLOUD/REGION")]
    from: String,
    /// Where they go: `azure/eastus`, `country/jp`, `internet`.
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// The path they take; as it follows from both ends where not given.
    #[arg(long, value_name = "PATH_KIND")]
    path: Option<String>,
    /// A gateway on the path; repeatable.
    #[arg(long = "element", value_name = "ELEMENT")]
    elements: Vec<String>,
    /// The service they go to.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// How much is sent.
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    bytes: u64,
    /// How much comes back.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "0")]
    received: u64,
    /// How much was sent in the month before.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "0")]
    already: u64,
    /// The month, as the provider of `--from` has it.
    #[arg(long, value_name = "YYYY-MM")]
    month: String,
    /// A place whose bill is yours too; repeatable.
    #[arg(long, value_name = "PLACE")]
    own: Vec<String>,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let book = arguments.books.book()?;
    let month = Month::parse(&arguments.month)
        .with_context(|| format!("`{}` is no month such as `2026-11`", arguments.month))?;
    let elements: Vec<&str> = arguments.elements.iter().map(String::as_str).collect();
    if let Some(element) = elements
        .iter()
        .find(|element| PathElement::from_word(element).is_none())
    {
        bail!("`{element}` is none of {:?}", PathElement::WORDS);
    }
    let (from, to) = (Place::parse(&arguments.from), Place::parse(&arguments.to));
    let own = prices::places(&arguments.own)?;
    let asked = Asked {
        route: Route {
            from,
            to,
            service: arguments.service.as_deref(),
            path: path(arguments, &from, &to)?,
            elements: &elements,
        },
        own: &own,
        month,
        bytes: [arguments.bytes, arguments.received],
        already: arguments.already,
    };
    let quote = quote::quote(&book, &asked);
    print(&match arguments.output {
        Output::Json => format!(
            "{}\n",
            serde_json::to_string_pretty(&json(&book, &asked, &quote))?
        ),
        Output::Table => table(&book, &asked, &quote)?,
    })?;
    Ok(match quote.unpriced {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

fn path(arguments: &Arguments, from: &Place<'_>, to: &Place<'_>) -> Result<PathKind> {
    if let Some(word) = &arguments.path {
        return PathKind::from_word(word)
            .with_context(|| format!("`{word}` is none of {:?}", PathKind::WORDS));
    }
    if from.cloud != to.cloud {
        return Ok(PathKind::Internet);
    }
    if from.region != to.region {
        return Ok(PathKind::InterRegion);
    }
    if arguments.service.is_some() {
        return Ok(PathKind::Unknown);
    }
    bail!(
        "both ends are in one region; say with `--path` whether in one zone (`same_zone`, `inter_zone`), or name a `--service`"
    )
}

fn json(book: &Book, asked: &Asked<'_>, quote: &Quote) -> Value {
    let component = |component: &Component| {
        let facts = &component.rate.facts;
        let tiers = component
            .tiers
            .iter()
            .map(|(part, cost)| json!({"bytes": part.bytes, "price": part.price, "cost": cost}));
        json!({
            "rate": facts.id,
            "kind": facts.kind,
            "side": component.side,
            "bytes": component.bytes,
            "free_bytes": component.free_bytes,
            "unit": facts.unit.word(),
            "per_hour": component.rate.per_hour,
            "count": component.rate.count,
            "tiers": tiers.collect::<Vec<_>>(),
            "cost": component.cost,
            "status": facts.status,
            "source": facts.source,
            "as_of": facts.as_of,
        })
    };
    json!({
        "estimate": quote.total,
        "currency": book.currency(),
        "month": asked.month.to_string(),
        "price_version": book.version(),
        "unpriced_reason": quote.unpriced,
        "components": quote.components.iter().map(component).collect::<Vec<_>>(),
    })
}

fn table(book: &Book, asked: &Asked<'_>, quote: &Quote) -> Result<String> {
    let mut text = String::new();
    let currency = book.currency();
    for component in &quote.components {
        let facts = &component.rate.facts;
        let as_of = facts
            .as_of
            .as_ref()
            .map_or_else(String::new, |as_of| format!(", {as_of}"));
        let (id, side, bytes) = (
            &facts.id,
            component.side.word(),
            size::text(component.bytes),
        );
        writeln!(
            text,
            "{id} ({side}): {bytes}, {} {currency}",
            component.cost.text(DECIMALS)
        )?;
        if component.free_bytes > 0 {
            writeln!(text, "  {:>24} B  free", component.free_bytes)?;
        }
        for (part, cost) in &component.tiers {
            let (price, unit) = (part.price, facts.unit.word());
            writeln!(
                text,
                "  {:>24} B  at {price} /{unit}  = {}",
                part.bytes,
                cost.text(DECIMALS)
            )?;
        }
        if let Some(price) = component.rate.per_hour {
            let count = component.rate.count;
            writeln!(
                text,
                "  {price} {currency} an hour for each of {count} (`counts`); not in the estimate"
            )?;
        }
        writeln!(text, "  {}{as_of}: {}", facts.status.word(), facts.source)?;
        if let Some(note) = &component.rate.note {
            writeln!(text, "  note: {note}")?;
        }
    }
    if let Some(reason) = quote.unpriced {
        writeln!(text, "no price for all of it: {}", reason.word())?;
    }
    if quote.changes_at.is_some() {
        writeln!(
            text,
            "a rate changes within the month: prices are those of its first day"
        )?;
    }
    let (total, version) = (quote.total.text(DECIMALS), book.version());
    writeln!(
        text,
        "estimate for {}: {total} {currency}, by book {version}; not a bill",
        asked.month
    )?;
    Ok(text)
}
