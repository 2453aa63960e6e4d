//! `observer catalog show`: what the tables are made of.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Result;
use clap::Args;
use observer_core::{
    identify::address::AddressTable,
    model::{
        identity::{Basis, Confidence},
        names::{ApiFamily, ApiState, BlindReason, PathKind},
    },
};
use serde_json::{Value, json};

use super::{
    super::{Output, print},
    Tables,
};
use crate::catalog::NameTables;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the closed lists of words that records and contracts use.
    #[arg(long)]
    words: bool,
    #[command(flatten)]
    tables: Tables,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let text = if arguments.words {
        words(arguments.output)?
    } else {
        let files = arguments.tables.files();
        let (addresses, names) = (files.addresses()?.table, files.name_tables()?);
        match arguments.output {
            Output::Json => format!(
                "{}\n",
                serde_json::to_string_pretty(&object(&addresses, &names))?
            ),
            Output::Table => table(&addresses, &names)?,
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn lists() -> [(&'static str, Vec<&'static str>); 6] {
    [
        ("api_family", ApiFamily::WORDS.to_vec()),
        ("api_state", ApiState::WORDS.to_vec()),
        ("path_kind", PathKind::WORDS.to_vec()),
        ("blind_reason", BlindReason::WORDS.to_vec()),
        (
            "basis",
            Basis::ALL.iter().map(|basis| basis.word()).collect(),
        ),
        (
            "confidence",
            Confidence::ALL
                .iter()
                .map(|confidence| confidence.word())
                .collect(),
        ),
    ]
}

fn words(output: Output) -> Result<String> {
    let lists = lists();
    if output == Output::Json {
        let object: serde_json::Map<String, Value> = lists
            .into_iter()
            .map(|(name, words)| (name.to_owned(), json!(words)))
            .collect();
        return Ok(format!("{}\n", serde_json::to_string_pretty(&object)?));
    }
    let mut text = String::new();
    for (name, words) in lists {
        for word in words {
            writeln!(text, "{name:12}  {word}")?;
        }
    }
    Ok(text)
}

fn object(addresses: &AddressTable, told: &NameTables) -> Value {
    let (names, routes) = (&told.names, &told.routes);
    let source = |source: &observer_core::identify::address::contents::Source| {
        json!({
            "name": source.name,
            "version": source.version,
            "date": source.date,
            "licence": source.licence,
            "verified": source.verified,
            "rows": source.rows,
        })
    };
    json!({
        "addresses": {
            "version": addresses.version(),
            "sha256": addresses.sha256(),
            "networks": addresses.prefixes().len(),
            "tag_sets": addresses.tag_sets(),
            "resident_bytes": addresses.resident_bytes(),
            "sources": addresses.sources().iter().map(source).collect::<Vec<_>>(),
        },
        "names": {
            "date": names.date(),
            "sha256": names.sha256(),
            "patterns": names.patterns(),
            "aws_services": names.aws_services(),
        },
        "routes": {
            "sha256": routes.sha256(),
            "templates": routes.templates(),
        },
    })
}

fn table(addresses: &AddressTable, told: &NameTables) -> Result<String> {
    let (names, routes) = (&told.names, &told.routes);
    let mut text = String::new();
    let sources = addresses.sources();
    let titled = |source: &observer_core::identify::address::contents::Source| {
        let (name, version) = (&source.name, &source.version);
        format!("{name} {version}").trim_end().to_owned()
    };
    let widths = sources.iter().map(|source| titled(source).len());
    let width = widths.max().unwrap_or_default().max("source".len());
    writeln!(
        text,
        "{:width$}  {:10}  {:>8}  verified",
        "source", "date", "rows"
    )?;
    for source in sources {
        let verified = if source.verified { "yes" } else { "no" };
        let (title, date, rows) = (titled(source), &source.date, source.rows);
        writeln!(text, "{title:width$}  {date:10}  {rows:>8}  {verified}")?;
    }
    writeln!(
        text,
        "\naddresses: version {}, {} networks, {} tag sets, {} bytes in memory, sha256 {}",
        addresses.version(),
        addresses.prefixes().len(),
        addresses.tag_sets(),
        addresses.resident_bytes(),
        addresses.sha256(),
    )?;
    writeln!(
        text,
        "names: {} patterns, {} AWS services, of {}, sha256 {}",
        names.patterns(),
        names.aws_services(),
        names.date(),
        names.sha256(),
    )?;
    writeln!(
        text,
        "requests: {} templates, sha256 {}",
        routes.templates(),
        routes.sha256(),
    )?;
    Ok(text)
}
