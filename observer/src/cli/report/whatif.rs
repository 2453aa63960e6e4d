//! `observer report whatif` and `savings`: what the recorded bytes would have cost otherwise.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use observer_core::price::book::Book;
use observer_ledger::{
    change::Change,
    group::By,
    lines::Read,
    priced,
    report::{Coverage, Report},
    savings::{self, render},
    tally::Tally,
};

use super::{
    super::{Output, price::Books, print},
    cost::Flows,
};

/// Changes that people are shown.
const SAVINGS_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub struct WhatIf {
    #[command(flatten)]
    flows: Flows,
    /// Bytes that are changed: those with this value; repeatable, and then all of them have to hold.
    #[arg(long = "where", visible_alias = "move", value_name = "COLUMN=VALUE", required = true, value_parser = chosen)]
    chosen: Vec<(By, String)>,
    #[command(flatten)]
    change: Changed,
    /// Columns of the rows, as for `report cost`.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = By::parse, default_value = "workload,cloud")]
    by: Vec<By>,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// One of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Changed {
    /// They are sent from there.
    #[arg(long, value_name = "CLOUD/REGION", value_parser = Change::to)]
    to: Option<Change>,
    /// They take this path, and these gateways alone.
    #[arg(long, value_name = "PATH_KIND[:ELEMENT,...]", value_parser = Change::path)]
    path: Option<Change>,
    /// They shrink to this part.
    #[arg(long, value_name = "PART", value_parser = Change::compress)]
    compress: Option<Change>,
}

#[derive(Debug, Args)]
pub struct Savings {
    #[command(flatten)]
    flows: Flows,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn chosen(text: &str) -> Result<(By, String), String> {
    let (column, value) = text
        .split_once('=')
        .ok_or("no COLUMN=VALUE such as `workload=shop`")?;
    Ok((By::parse(column)?, value.to_owned()))
}

fn status(coverage: &Coverage) -> ExitCode {
    match coverage.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn tallied(
    flows: &Flows,
    by: Vec<By>,
    chosen: Vec<(By, String)>,
    book: &Book,
) -> Result<(Tally, Read)> {
    let mut tally = Tally::new(by, flows.month()?, &[book]).choosing(chosen);
    let read = flows.read(&mut tally, book)?;
    Ok((tally, read))
}

pub fn run(arguments: &WhatIf) -> Result<ExitCode> {
    let (book, own) = (arguments.books.book()?, arguments.flows.own()?);
    let expected = arguments.flows.expected()?;
    let chosen = arguments.chosen.clone();
    let (tally, read) = tallied(&arguments.flows, arguments.by.clone(), chosen, &book)?;
    let changed = &arguments.change;
    let change = [&changed.to, &changed.path, &changed.compress]
        .into_iter()
        .flatten()
        .next();
    let then = priced::price_changed(&tally, &book, &own, |summed| {
        change.filter(|_| summed.is_chosen)
    });
    let report = Report {
        by: tally.by().iter().map(By::word).collect(),
        priced: priced::price(&tally, &book, &own),
        against: Some(("changed".to_owned(), then)),
        coverage: Coverage::of(read, &tally, expected.as_ref()),
    };
    match arguments.output {
        Output::Table => print(&report.table())?,
        Output::Json => print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&report.json())?
        ))?,
    }
    Ok(status(&report.coverage))
}

pub fn run_savings(arguments: &Savings) -> Result<ExitCode> {
    let (book, own) = (arguments.books.book()?, arguments.flows.own()?);
    let expected = arguments.flows.expected()?;
    let (tally, read) = tallied(&arguments.flows, vec![By::SourceCloud], Vec::new(), &book)?;
    let (now, found) = savings::savings(&tally, &book, &own);
    let coverage = Coverage::of(read, &tally, expected.as_ref());
    match arguments.output {
        Output::Json => {
            let document = render::json(&now, &found);
            print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
        }
        Output::Table => {
            let table = render::table(&now, &found, SAVINGS_SHOWN);
            print(&format!("{table}{}\n", coverage.lines().join("\n")))?;
        }
    }
    Ok(status(&coverage))
}
