//! `observer catalog verify|diff|test`: checks that end in exit status 1 where something is not as it should be.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use observer_core::identify::{
    address::{
        AddressTable,
        diff::{Change, Difference, diff as differences},
    },
    classify::{self, classify_word},
};

use super::{
    super::{Output, print},
    Tables,
};
use crate::catalog::{self, NameTables};

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    tables: Tables,
}

pub fn verify(arguments: &Verify) -> Result<ExitCode> {
    let files = arguments.tables.files();
    let table = files.addresses()?.table;
    for (prefix, set) in table.prefixes() {
        let found = table.lookup(address(prefix.bits()));
        // A longer network may begin at the same address.
        let is_found = found == Some(set)
            || table
                .matches(address(prefix.bits()))
                .any(|found| found.prefix == prefix);
        if !is_found {
            bail!(
                "network `{prefix}` of the table `{}` is not found in it",
                table.version()
            );
        }
    }
    let told = files.name_tables()?;
    print(&format!(
        "whole: {} networks, each of them found, version {}; {} name patterns, {} templates of requests\n",
        table.prefixes().len(),
        table.version(),
        told.names.patterns(),
        told.routes.templates()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn address(bits: u128) -> IpAddr {
    let v6 = Ipv6Addr::from(bits);
    v6.to_ipv4_mapped().map_or(v6.into(), Into::into)
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  observer catalog diff embedded /var/lib/observer/addresses.bin"
)]
pub struct Diff {
    /// A table file, or `embedded`.
    #[arg(value_name = "OLD")]
    older: PathBuf,
    #[arg(value_name = "NEW")]
    newer: PathBuf,
    /// Print every network, not only how many.
    #[arg(long)]
    networks: bool,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn diff(arguments: &Diff) -> Result<ExitCode> {
    let contents = |path: &Path| {
        let path = Some(path).filter(|path| *path != Path::new("embedded"));
        catalog::contents(path)
    };
    let found = differences(&contents(&arguments.older)?, &contents(&arguments.newer)?);
    match arguments.output {
        Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&found)?))?,
        Output::Table => print(&counted(&found, arguments.networks)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(found: &[Difference], networks: bool) -> Result<String> {
    let mut text = String::new();
    if networks {
        for one in found {
            let (before, after) = (one.before.join(", "), one.after.join(", "));
            let (network, sides) = (
                &one.network,
                match one.change {
                    Change::Gained => format!("+ {after}"),
                    Change::Lost => format!("- {before}"),
                    Change::Changed => format!("~ {before} -> {after}"),
                },
            );
            writeln!(text, "{network:24} {sides}")?;
        }
        text.push('\n');
    }
    let mut owners: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for one in found {
        owners.entry(&one.owner).or_default()[one.change as usize] += 1;
    }
    let width = owners
        .keys()
        .map(|owner| owner.len())
        .max()
        .unwrap_or_default()
        .max(5);
    writeln!(
        text,
        "{:width$}  {:>8}  {:>8}  {:>8}",
        "owner", "gained", "lost", "changed"
    )?;
    for (owner, [gained, lost, changed]) in owners {
        writeln!(text, "{owner:width$}  {gained:>8}  {lost:>8}  {changed:>8}")?;
    }
    Ok(text)
}

#[derive(Debug, Args)]
pub struct Test {
    /// Lines `WORD FIELD=VALUE...`; `#` begins a comment.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    tables: Tables,
}

pub fn test(arguments: &Test) -> Result<ExitCode> {
    let path = arguments.file.display();
    let text = fs::read_to_string(&arguments.file).with_context(|| format!("read `{path}`"))?;
    let files = arguments.tables.files();
    let (addresses, names) = (files.addresses()?.table, files.name_tables()?);
    let (mut lines, mut wrong) = (0, 0);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let expectation =
            Expectation::parse(line).with_context(|| format!("`{path}`, line {}", at + 1))?;
        lines += 1;
        for what in expectation.unmet(&addresses, &names)? {
            eprintln!("`{path}`, line {}: {what}", at + 1);
            wrong += 1;
        }
    }
    print(&format!("{lines} lines, {wrong} differences\n"))?;
    Ok(match (lines, wrong) {
        (0, _) => bail!("`{path}` expects nothing; write lines such as `20.42.65.88 cloud=azure`"),
        (_, 0) => ExitCode::SUCCESS,
        (_, _) => ExitCode::FAILURE,
    })
}

struct Expectation<'l> {
    word: String,
    fields: Vec<(&'l str, &'l str)>,
}

impl<'l> Expectation<'l> {
    /// What has no `=` at the head of a line is the word; it may be `METHOD URL`.
    fn parse(line: &'l str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_field = |word: &&str| {
            let name = word.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        };
        let head = words.iter().position(is_field).unwrap_or(words.len());
        let (word, fields) = words.split_at(head);
        let fields: Vec<_> = fields
            .iter()
            .filter_map(|field| field.split_once('='))
            .collect();
        if word.is_empty() || fields.is_empty() {
            bail!("a line is a word and what is expected of it, such as `20.42.65.88 cloud=azure`");
        }
        Ok(Self {
            word: word.join(" "),
            fields,
        })
    }

    fn unmet(&self, addresses: &AddressTable, told: &NameTables) -> Result<Vec<String>> {
        let tables = classify::Tables {
            addresses,
            names: &told.names,
            routes: &told.routes,
        };
        let found = match classify_word(tables, &self.word) {
            Ok(found) => serde_json::to_value(found)?,
            Err(error) => return Ok(vec![error.to_string()]),
        };
        let mut unmet = Vec::new();
        for (field, expected) in &self.fields {
            let Some(value) = found.get(field) else {
                bail!("there is no field `{field}`; `observer classify` prints them all");
            };
            let value = value.as_str().unwrap_or("-");
            if value != *expected {
                unmet.push(format!(
                    "`{}`: `{field}` is `{value}`, expected is `{expected}`",
                    self.word
                ));
            }
        }
        Ok(unmet)
    }
}
