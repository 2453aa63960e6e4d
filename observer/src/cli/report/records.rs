//! Records out of files, one after another, for reports that look at each whole.

use std::{
    fs::{self, File},
    io::{self, BufReader, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use observer_ledger::{judged::Judged, lines::Read};

/// Read from files at once.
pub const BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug, Args)]
pub struct Records {
    /// Files of flow records, one JSON object a line; `-` is standard input.
    #[arg(required = true, value_name = "FLOWS")]
    flows: Vec<PathBuf>,
}

impl Records {
    /// Gives each record to `take`; a terminal sees how far it is.
    ///
    /// # Errors
    /// Where a file cannot be read, or there is no record.
    pub fn each(&self, mut take: impl FnMut(&Judged)) -> Result<Read> {
        let bar = bar(&self.flows)?;
        let mut read = Read::default();
        for path in &self.flows {
            let name = path.display().to_string();
            let reader = BufReader::with_capacity(BUFFER_BYTES, open(path)?);
            let progress = |bytes| bar.inc(bytes);
            read.texts::<io::Error>(&name, reader, progress, |line| {
                Ok(Judged::parse(line).map(|record| take(&record)))
            })
            .with_context(|| format!("read `{name}`"))?;
        }
        bar.finish_and_clear();
        some(&read)?;
        Ok(read)
    }
}

/// Says what could not be read, and fails then.
pub fn tell_unreadable(read: &Read) -> ExitCode {
    let Some(first) = &read.first_unreadable else {
        return ExitCode::SUCCESS;
    };
    eprintln!(
        "observer: {} lines are no records; the first: {first}",
        read.unreadable
    );
    ExitCode::FAILURE
}

/// The file, or standard input.
///
/// # Errors
/// Where it cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn io::Read>> {
    Ok(match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).with_context(|| format!("read `{}`", path.display()))?),
    })
}

/// # Errors
/// Where there was no record.
pub fn some(read: &Read) -> Result<()> {
    if read.records == 0 {
        let why = read.first_unreadable.as_deref().unwrap_or("they are empty");
        bail!("no flow record in the files: {why}");
    }
    Ok(())
}

/// Nothing is drawn where nobody looks.
///
/// # Errors
/// Never: the style is a constant.
pub fn bar(files: &[PathBuf]) -> Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let lengths = files.iter().filter_map(|path| fs::metadata(path).ok());
    let bar = ProgressBar::new(lengths.map(|file| file.len()).sum());
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    Ok(bar.with_style(ProgressStyle::with_template(style)?))
}
