//! `observer report cost`: what recorded bytes cost, with the real tiers of their months.

use std::{
    fs::{self, File},
    io::{BufReader, Read as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use observer_core::{
    model::identity::Word,
    price::{book::Book, month::Month, place::Places},
};
use observer_ledger::{
    group::By,
    lines::Read,
    priced,
    report::{
        Coverage, ExpectedHosts, Report,
        focus::{self, Focus},
    },
    tally::{Tally, TallyError},
};

use super::{
    super::{price::Books, print},
    records::{BUFFER_BYTES, bar, open, some},
};
use crate::prices;

/// Of a file of host names.
const HOSTS_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Args)]
pub struct Cost {
    #[command(flatten)]
    flows: Flows,
    /// Columns of the rows: source_cloud, source_region, account, cluster, host, namespace, workload, cloud, region,
    /// provider, vendor, service, api_state, path_kind, day, month, label:NAME.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = By::parse, default_value = "source_cloud,cloud,path_kind")]
    by: Vec<By>,
    #[command(flatten)]
    books: Books,
    /// Price books that the same bytes are priced by once more, beside it; repeatable.
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    output: Form,
    /// Write it there instead of to standard output.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

/// Records to report over.
#[derive(Debug, Args)]
pub struct Flows {
    /// Files of flow records, one JSON object a line; `-` is standard input.
    #[arg(required = true, value_name = "FLOWS")]
    flows: Vec<PathBuf>,
    /// Records of this month alone, as the provider has it.
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<String>,
    /// A place whose bill is yours too; repeatable.
    #[arg(long, value_name = "PLACE")]
    own: Vec<String>,
    /// How many hosts should have reported, or a file with their names, one a line.
    #[arg(long, value_name = "NUMBER|FILE")]
    hosts: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// A line for each row.
    Csv,
    /// For programs: one JSON document.
    Json,
    /// One page that loads nothing.
    Html,
    /// FOCUS 1.4, Cost and Usage, as CSV; by columns of its own.
    #[value(name = "focus-1.4")]
    Focus14,
    /// FOCUS 1.2, the same way.
    #[value(name = "focus-1.2")]
    Focus12,
}

impl Flows {
    pub fn month(&self) -> Result<Option<Month>> {
        let parse = |text: &String| {
            Month::parse(text).with_context(|| format!("`{text}` is no month such as `2026-11`"))
        };
        self.month.as_ref().map(parse).transpose()
    }

    pub fn own(&self) -> Result<Places> {
        prices::places(&self.own)
    }

    /// Sums all files into `tally`; a terminal sees how far it is.
    pub fn read(&self, tally: &mut Tally, book: &Book) -> Result<Read> {
        let bar = bar(&self.flows)?;
        let mut read = Read::default();
        for path in &self.flows {
            let name = path.display().to_string();
            let reader = BufReader::with_capacity(BUFFER_BYTES, open(path)?);
            let progress = |bytes| bar.inc(bytes);
            read.lines::<TallyError>(&name, reader, progress, |flow| tally.add(flow, book))
                .with_context(|| format!("read `{name}`"))?;
        }
        bar.finish_and_clear();
        some(&read)?;
        Ok(read)
    }

    pub fn expected(&self) -> Result<Option<ExpectedHosts>> {
        let Some(text) = &self.hosts else {
            return Ok(None);
        };
        if let Ok(number) = text.parse() {
            return Ok(Some(ExpectedHosts::Number(number)));
        }
        let mut names = String::new();
        let file =
            File::open(text).with_context(|| format!("read `{text}`, named by `--hosts`"))?;
        file.take(HOSTS_BYTES_MAX).read_to_string(&mut names)?;
        let lines = names.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut names: Vec<Word> = lines.map(Word::from).collect();
        names.sort_unstable();
        names.dedup();
        Ok(Some(ExpectedHosts::Names(names)))
    }
}

pub fn run(arguments: &Cost) -> Result<ExitCode> {
    let book = arguments.books.book()?;
    let against = match &*arguments.against {
        [] => None,
        files => {
            let names: Vec<String> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            Some((names.join("+"), arguments.books.laid_over(files)?))
        }
    };
    let books: Vec<&Book> = [&book]
        .into_iter()
        .chain(against.iter().map(|(_, book)| book))
        .collect();
    let (own, expected) = (arguments.flows.own()?, arguments.flows.expected()?);
    let by = match arguments.output {
        Form::Focus12 | Form::Focus14 => focus::BY.to_vec(),
        Form::Table | Form::Csv | Form::Json | Form::Html => arguments.by.clone(),
    };
    let mut tally = Tally::new(by, arguments.flows.month()?, &books);
    let read = arguments.flows.read(&mut tally, &book)?;
    let report = Report {
        by: tally.by().iter().map(By::word).collect(),
        priced: priced::price(&tally, &book, &own),
        against: against.map(|(name, book)| (name, priced::price(&tally, &book, &own))),
        coverage: Coverage::of(read, &tally, expected.as_ref()),
    };
    let text = match arguments.output {
        Form::Table => report.table(),
        Form::Csv => report.csv()?,
        Form::Json => format!("{}\n", serde_json::to_string_pretty(&report.json())?),
        Form::Html => report.html(),
        Form::Focus14 => report.focus(Focus::V1_4, &book)?,
        Form::Focus12 => report.focus(Focus::V1_2, &book)?,
    };
    match &arguments.into {
        None => print(&text)?,
        Some(path) => {
            fs::write(path, text).with_context(|| format!("write `{}`", path.display()))?;
        }
    }
    Ok(match report.coverage.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
