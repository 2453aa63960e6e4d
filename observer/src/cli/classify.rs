//! `observer classify`: prints one object a word, from the embedded catalogue.

use std::{
    fmt::Write as _,
    io::{BufRead as _, stdin},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use observer_core::identify::{
    address::AddressTable,
    classify::{Classification, classify_word},
};

use super::{Output, print};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  observer classify 20.42.65.88\n  cat addresses | observer classify --output json -"
)]
pub struct Arguments {
    /// Addresses; `-` reads them from standard input, one a line.
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let table = AddressTable::embedded().context("read the embedded address table")?;
    let mut status = ExitCode::SUCCESS;
    for word in &arguments.words {
        if word != "-" {
            one(&table, word, arguments.output, &mut status)?;
            continue;
        }
        for line in stdin().lock().lines() {
            let line = line.context("read standard input")?;
            if !line.trim().is_empty() {
                one(&table, line.trim(), arguments.output, &mut status)?;
            }
        }
    }
    Ok(status)
}

/// A word that cannot be classified does not keep the others from being so.
fn one(table: &AddressTable, word: &str, output: Output, status: &mut ExitCode) -> Result<()> {
    match classify_word(table, word) {
        Ok(found) => print(&match output {
            Output::Json => format!("{}\n", serde_json::to_string(&found)?),
            Output::Table => lines(&found)?,
        }),
        Err(error) => {
            eprintln!("observer: {error}");
            *status = ExitCode::FAILURE;
            Ok(())
        }
    }
}

/// The fields that are known, one a line.
fn lines(found: &Classification) -> Result<String> {
    let serde_json::Value::Object(fields) = serde_json::to_value(found)? else {
        bail!("a classification is no object");
    };
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        writeln!(text, "{name:12} {value}")?;
    }
    text.push('\n');
    Ok(text)
}
