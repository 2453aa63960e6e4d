//! `observer report reconcile`: a month's estimate held against the provider's bill.

use std::{fs::File, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use observer_ledger::{
    bill::Bill,
    priced,
    reconcile::{self, render},
    report::Coverage,
    tally::Tally,
};

use super::{
    super::{Output, price::Books, print},
    cost::Flows,
};

#[derive(Debug, Args)]
pub struct Reconcile {
    #[command(flatten)]
    flows: Flows,
    /// A FOCUS dataset or an AWS Cost and Usage Report, as CSV; repeatable.
    #[arg(long = "bill", required = true, value_name = "FILE")]
    bills: Vec<PathBuf>,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Reconcile) -> Result<ExitCode> {
    let mut bill = Bill::default();
    for path in &arguments.bills {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("read `{name}`"))?;
        bill.read(&name, file)?;
    }
    let (book, own) = (arguments.books.book()?, arguments.flows.own()?);
    if let Some(currency) = &bill.currency
        && **currency != **book.currency()
    {
        bail!(
            "the bill is in {currency}, the price book in {}: reconcile with a book in the bill's currency",
            book.currency()
        );
    }
    let expected = arguments.flows.expected()?;
    let mut tally = Tally::new(reconcile::BY.to_vec(), arguments.flows.month()?, &[&book]);
    let read = arguments.flows.read(&mut tally, &book)?;
    let priced = priced::price(&tally, &book, &own);
    let found = reconcile::reconcile(&priced, &bill);
    let coverage = Coverage::of(read, &tally, expected.as_ref());
    match arguments.output {
        Output::Json => {
            let document = render::json(&found, &bill, &priced);
            print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
        }
        Output::Table => {
            let table = render::table(&found, &bill, &priced);
            print(&format!("{table}{}\n", coverage.lines().join("\n")))?;
        }
    }
    Ok(match coverage.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
