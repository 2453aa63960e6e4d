//! `observer catalog`: the table of address ranges, what is in it, and how it is renewed.

mod check;
mod show;

use std::{fmt::Write as _, io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use observer_core::identify::feed::merge::SHRINK_MAX_PERCENT;

use super::{Output, print};
use crate::catalog::{Taken, Update, Wanted};

#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Say what is in the table: sources, dates, counts; `--words` the closed word lists.
    Show(show::Arguments),
    /// Put feeds from files into a table.
    #[command(
        after_help = "Formats, told by content: AWS ip-ranges.json, Azure ServiceTags, Google cloud.json and goog.json, OCI \
                      public_ip_ranges.json, Cloudflare and Fastly lists, GitHub meta, geofeeds (RFC 8805), and CSV with a \
                      head such as `cidr,cloud,region,service`.\n\nExample:\n  observer catalog import --into \
                      /var/lib/observer/addresses.bin ip-ranges.json linode=geofeed.csv"
    )]
    Import(Import),
    /// Put feeds from URLs or folders into a table, asking servers for what has changed alone.
    #[command(
        after_help = "Nothing is asked for that is not named here.\n\nExample:\n  observer catalog update --into \
                      /var/lib/observer/addresses.bin --from https://ip-ranges.amazonaws.com/ip-ranges.json"
    )]
    Update(From),
    /// Check that a table is whole and that each of its networks is found.
    Verify(check::Verify),
    /// Say what one table says of networks and another does not.
    Diff(check::Diff),
    /// Check a file of expectations against the tables, a line each.
    #[command(
        after_help = "A line is what `observer classify` takes, and what is expected; `-` is not known:\n  20.42.65.88 \
                      cloud=azure region=eastus\n  api.openai.com provider=openai cloud=-\n\nExit status 1 where a line is \
                      not as expected."
    )]
    Test(check::Test),
}

#[derive(Debug, Args)]
pub struct Import {
    /// `FILE`, or `OWNER=FILE` where the format does not say whose networks these are.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    into: Into,
}

#[derive(Debug, Args)]
pub struct From {
    /// URL, folder or file, perhaps with `OWNER=` before it; repeatable.
    #[arg(long, required = true, value_name = "URL|DIRECTORY")]
    from: Vec<String>,
    #[command(flatten)]
    into: Into,
}

#[derive(Debug, Args)]
struct Into {
    /// The table to change; made out of the embedded one where it is not there.
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// Share of its networks that a feed may lose, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = SHRINK_MAX_PERCENT, value_parser = clap::value_parser!(u8).range(..=100))]
    shrink: u8,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// The tables to look at.
#[derive(Debug, Default, Args)]
pub struct Tables {
    /// A table of `observer catalog import`; the embedded one where it is not given.
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// Networks of your own (CSV), which go before all others.
    #[arg(long, value_name = "FILE")]
    pub networks: Option<PathBuf>,
    /// Names of your own (patterns), which go before all others.
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// Requests of your own (YAML), which go before all others.
    #[arg(long, value_name = "FILE")]
    pub routes: Option<PathBuf>,
}

impl Tables {
    pub fn files(&self) -> crate::catalog::Files {
        crate::catalog::Files {
            table: self.table.clone(),
            networks: self.networks.clone(),
            names: self.names.clone(),
            routes: self.routes.clone(),
        }
    }
}

pub fn run(catalog: &Catalog) -> Result<ExitCode> {
    match catalog {
        Catalog::Show(arguments) => show::run(arguments),
        Catalog::Import(import) => renew(&import.files, &import.into),
        Catalog::Update(from) => renew(&from.from, &from.into),
        Catalog::Verify(arguments) => check::verify(arguments),
        Catalog::Diff(arguments) => check::diff(arguments),
        Catalog::Test(arguments) => check::test(arguments),
    }
}

fn renew(feeds: &[String], into: &Into) -> Result<ExitCode> {
    let feeds: Vec<Wanted> = feeds.iter().map(|text| Wanted::parse(text)).collect();
    let update = Update {
        feeds: &feeds,
        into: &into.into,
        shrink_percent: into.shrink,
    };
    let is_watched = std::io::stderr().is_terminal();
    let taken = update.run(|feed| {
        if is_watched {
            eprintln!("reading {feed}");
        }
    })?;
    match into.output {
        Output::Json => print(&json(&taken)?)?,
        Output::Table => print(&table(&taken)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn json(taken: &Taken) -> Result<String> {
    let feed = |merged: &observer_core::identify::feed::merge::Merged| serde_json::json!({"name": merged.name, "before": merged.before, "after": merged.after});
    let object = serde_json::json!({
        "version": taken.version,
        "networks": taken.networks,
        "feeds": taken.merged.iter().map(feed).collect::<Vec<_>>(),
        "unchanged": taken.unchanged,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&object)?))
}

fn table(taken: &Taken) -> Result<String> {
    let mut text = String::new();
    let names = taken.merged.iter().map(|merged| merged.name.len());
    let width = names.chain(["feed".len()]).max().unwrap_or_default();
    if !taken.merged.is_empty() {
        writeln!(text, "{:width$}  {:>8}  {:>8}", "feed", "before", "now")?;
    }
    for merged in &taken.merged {
        let (name, before, after) = (&merged.name, merged.before, merged.after);
        writeln!(text, "{name:width$}  {before:>8}  {after:>8}")?;
    }
    for url in &taken.unchanged {
        writeln!(text, "not changed: {url}")?;
    }
    let (version, networks) = (&taken.version, taken.networks);
    writeln!(text, "version {version}, {networks} networks")?;
    Ok(text)
}
