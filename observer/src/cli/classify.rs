//! `observer classify`: prints one object a word, from the embedded catalogue or another one.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufWriter, ErrorKind, Write as _, stdin, stdout},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use observer_core::identify::classify::{Classification, Tables, classify_word};

use super::Output;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  observer classify api.openai.com 20.42.65.88\n  observer classify bucket.s3.eu-west-1.amazonaws.com@10.0.0.9\n  observer classify 'POST https://api.openai.com/v1/responses'\n  cat names | observer classify --output json -"
)]
pub struct Arguments {
    /// Host names, addresses, `HOST@ADDRESS`, URLs, `METHOD URL`; `-` reads them from standard input, one a line.
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    tables: super::catalog::Tables,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let files = arguments.tables.files();
    let (addresses, told) = (files.addresses()?.table, files.name_tables()?);
    let tables = Tables {
        addresses: &addresses,
        names: &told.names,
        routes: &told.routes,
    };
    // Buffered: a stream of a million words is one of a few thousand writes.
    let mut out = BufWriter::with_capacity(64 << 10, stdout().lock());
    let written = all(tables, arguments, &mut out);
    match written.and_then(|status| Ok((status, out.flush().context("print")?).0)) {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

/// A reader that went away is no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn all(tables: Tables<'_>, arguments: &Arguments, out: &mut impl io::Write) -> Result<ExitCode> {
    let mut status = ExitCode::SUCCESS;
    for word in &arguments.words {
        if word != "-" {
            one(tables, word, arguments.output, out, &mut status)?;
            continue;
        }
        let mut lines = stdin().lock();
        let mut line = String::new();
        while lines.read_line(&mut line).context("read standard input")? > 0 {
            let word = line.trim();
            if !word.is_empty() {
                one(tables, word, arguments.output, out, &mut status)?;
            }
            line.clear();
        }
    }
    Ok(status)
}

/// A word that cannot be classified does not keep the others from being so.
fn one(
    tables: Tables<'_>,
    word: &str,
    output: Output,
    out: &mut impl io::Write,
    status: &mut ExitCode,
) -> Result<()> {
    match classify_word(tables, word) {
        Ok(found) => match output {
            Output::Json => {
                serde_json::to_writer(&mut *out, &found).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Output::Table => out.write_all(lines(&found)?.as_bytes())?,
        },
        Err(error) => {
            eprintln!("observer: {error}");
            *status = ExitCode::FAILURE;
        }
    }
    Ok(())
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
