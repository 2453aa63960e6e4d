//! What stands beside the table for people and auditors: where each row comes from, under which licence, how old it is.

use anyhow::{Context as _, Result};
use observer_core::identify::address::{AddressTable, contents::Source};
use serde::Serialize;

/// A source and what only people read of it.
pub struct Origin {
    pub source: Source,
    /// Where it is published.
    pub from: &'static str,
    pub note: &'static str,
}

#[derive(Serialize)]
struct Provenance<'t> {
    file: &'static str,
    sha256: &'t str,
    version: String,
    date: &'t str,
    bytes: usize,
    networks: usize,
    tag_sets: u32,
    sources: Vec<Row<'t>>,
}

#[derive(Serialize)]
struct Row<'t> {
    name: &'t str,
    version: &'t str,
    date: &'t str,
    licence: &'t str,
    verified: bool,
    rows: u32,
    from: &'t str,
    note: &'t str,
}

pub fn json(table: &AddressTable, bytes: usize, origins: &[Origin]) -> Result<String> {
    let sources = table.sources().iter().zip(origins);
    let provenance = Provenance {
        file: "addresses.bin",
        sha256: table.sha256(),
        version: table.version(),
        date: table.date(),
        bytes,
        networks: table.prefixes().len(),
        tag_sets: table.tag_sets(),
        sources: sources
            .map(|(source, origin)| row(source, origin))
            .collect(),
    };
    let mut text =
        serde_json::to_string_pretty(&provenance).context("write the provenance as JSON")?;
    text.push('\n');
    Ok(text)
}

fn row<'t>(source: &'t Source, origin: &'t Origin) -> Row<'t> {
    Row {
        name: &source.name,
        version: &source.version,
        date: &source.date,
        licence: &source.licence,
        verified: source.verified,
        rows: source.rows,
        from: origin.from,
        note: origin.note,
    }
}
