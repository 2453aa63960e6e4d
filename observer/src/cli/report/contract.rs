//! `observer report contract`: what contracts said over a period, and how much of the traffic anybody looked at.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use observer_core::model::time::UnixUs;
use observer_ledger::conduct::{Conduct, Stretch};

use super::{
    super::{catalog::Tables, contract::vocabulary, print},
    Records, tell_unreadable,
};
use crate::contracts;

#[derive(Debug, Args)]
pub struct Contract {
    #[command(flatten)]
    records: Records,
    /// Records whose interval ends after this: a day of UTC, or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<UnixUs>,
    /// And not after this.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<UnixUs>,
    /// Contracts, or folders of them, for their budgets; verdicts are those that the records have. Repeatable.
    #[arg(long, value_name = "FILE|DIRECTORY")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    tables: Tables,
    #[arg(long, value_enum, default_value_t)]
    output: Form,
    /// Write it there instead of to standard output.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
    /// One page that loads nothing.
    Html,
}

fn moment(text: &str) -> Result<UnixUs, String> {
    let time = text.parse::<Timestamp>().or_else(|_| {
        let day = text.parse::<Date>()?;
        day.to_zoned(TimeZone::UTC).map(|day| day.timestamp())
    });
    time.map(|time| UnixUs(time.as_microsecond()))
        .map_err(|_| format!("`{text}` is no time such as `2026-11-01` or `2026-11-01T12:00:00Z`"))
}

pub fn run(arguments: &Contract) -> Result<ExitCode> {
    let set = match &*arguments.rules {
        [] => None,
        files => Some(contracts::rules(files, &vocabulary(&arguments.tables)?)?),
    };
    let stretch = Stretch {
        from: arguments.from,
        until: arguments.until,
    };
    let mut conduct = Conduct::new(set.as_ref());
    let read = arguments
        .records
        .each(|record| conduct.add(record, stretch))?;
    let text = match arguments.output {
        Form::Table => conduct.table(),
        Form::Json => format!("{}\n", serde_json::to_string_pretty(&conduct.json())?),
        Form::Html => conduct.html(),
    };
    match &arguments.into {
        None => print(&text)?,
        Some(path) => {
            fs::write(path, text).with_context(|| format!("write `{}`", path.display()))?;
        }
    }
    Ok(tell_unreadable(&read))
}
