//! `observer price import|diff`: providers' lists as a book, and what differs between books.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use observer_core::price::{
    book::{Book, BookSettings},
    diff::{Difference, diff as differences},
    rate::Rate,
};
use serde_json::{Value, json};

use super::{
    super::{Output, print},
    of_rate, prices_of,
};
use crate::prices::{self, Done, Taken};

/// Rows of unknown places that are told one by one.
const UNPLACED_MAX: usize = 5;

#[derive(Debug, Args)]
pub struct Import {
    /// Price lists: files, or URLs whose further pages are asked for too.
    #[arg(required = true, value_name = "FILE|URL")]
    lists: Vec<String>,
    /// The book to write; what is there must have been written by an import.
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// What records call the book; `lists-` and the day of the newest list where not given.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// A price book, laid over the shipped one; `shipped` is that one alone.
    #[arg(value_name = "OLD")]
    older: PathBuf,
    #[arg(value_name = "NEW")]
    newer: PathBuf,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn import(arguments: &Import) -> Result<ExitCode> {
    let import = prices::Import {
        lists: &arguments.lists,
        into: &arguments.into,
        name: arguments.name.as_deref(),
    };
    let spinner = match io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    spinner.enable_steady_tick(Duration::from_millis(100));
    let done = import.run(|page| spinner.set_message(page.to_owned()));
    spinner.finish_and_clear();
    let done = done?;
    print(&match arguments.output {
        Output::Json => json_of(&done)?,
        Output::Table => table(&done)?,
    })?;
    Ok(ExitCode::SUCCESS)
}

pub fn diff(arguments: &Diff) -> Result<ExitCode> {
    let book = |path: &Path| match path == Path::new("shipped") {
        true => prices::book(&[], &BookSettings::default()),
        false => prices::book(&[path.to_owned()], &BookSettings::default()),
    };
    let (old, new) = (book(&arguments.older)?, book(&arguments.newer)?);
    let found = differences(&old, &new);
    print(&match arguments.output {
        Output::Json => format!(
            "{}\n",
            serde_json::to_string_pretty(&found.iter().map(of_difference).collect::<Vec<_>>())?
        ),
        Output::Table => format!("{}{}", lines(&found)?, counts(&old, &new, &found)),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn json_of(done: &Done) -> Result<String> {
    let page = |taken: &Taken| {
        json!({
            "from": taken.from,
            "list": taken.list.source,
            "as_of": taken.list.as_of,
            "rates": taken.list.rates.len(),
            "passed_over": taken.list.passed_over,
            "unplaced": taken.list.unplaced,
        })
    };
    let found = differences(&done.old, &done.new);
    let object = json!({
        "price_version": done.new.version(),
        "pages": done.taken.iter().map(page).collect::<Vec<_>>(),
        "changes": found.iter().map(of_difference).collect::<Vec<_>>(),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&object)?))
}

fn table(done: &Done) -> Result<String> {
    let mut text = String::new();
    for Taken { from, list } in &done.taken {
        let (rates, passed_over) = (list.rates.len(), list.passed_over);
        let as_of = list.as_of.as_deref().unwrap_or("undated");
        writeln!(
            text,
            "{from}: {}, {as_of}, {rates} rates, {passed_over} rows of other things",
            list.source
        )?;
        for unplaced in list.unplaced.iter().take(UNPLACED_MAX) {
            writeln!(text, "  not taken, its place is not known here: {unplaced}")?;
        }
        if let Some(more @ 1..) = list.unplaced.len().checked_sub(UNPLACED_MAX) {
            writeln!(text, "  and {more} more")?;
        }
    }
    let found = differences(&done.old, &done.new);
    text.push_str(&counts(&done.old, &done.new, &found));
    Ok(text)
}

/// `3 rates new, 1 changed, 0 gone: version A to B`.
fn counts(old: &Book, new: &Book, found: &[Difference<'_>]) -> String {
    let count = |sides: (bool, bool)| {
        let has = |one: &&Difference<'_>| (one.old.is_empty(), one.new.is_empty()) == sides;
        found.iter().filter(has).count()
    };
    format!(
        "{} rates new, {} changed, {} gone: version {} to {}\n",
        count((true, false)),
        count((false, false)),
        count((false, true)),
        old.version(),
        new.version()
    )
}

fn lines(found: &[Difference<'_>]) -> Result<String> {
    let mut text = String::new();
    let all = |rates: &[&Rate]| {
        let rates: Vec<String> = rates.iter().map(|rate| described(rate)).collect();
        rates.join("; ")
    };
    for one in found {
        let (id, old, new) = (&one.id, all(&one.old), all(&one.new));
        match (one.old.is_empty(), one.new.is_empty()) {
            (true, _) => writeln!(text, "+ {id}: {new}")?,
            (_, true) => writeln!(text, "- {id}: {old}")?,
            _ if old == new => writeln!(text, "~ {id}: {new}; places, source or note")?,
            _ => writeln!(text, "~ {id}: {old} -> {new}")?,
        }
    }
    Ok(text)
}

/// The price of a rate, how it is known, and from when.
fn described(rate: &Rate) -> String {
    let (prices, status) = (prices_of(rate), rate.facts.status.word());
    let as_of = rate.facts.as_of.as_deref().unwrap_or("undated");
    format!("{prices}, {status} {as_of}")
}

fn of_difference(one: &Difference<'_>) -> Value {
    let rates = |rates: &[&Rate]| rates.iter().map(|rate| of_rate(rate)).collect::<Vec<_>>();
    json!({"id": one.id, "old": rates(&one.old), "new": rates(&one.new)})
}
