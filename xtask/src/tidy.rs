//! `cargo xtask tidy`: checks of the repository itself. Each check is a function from the files to its findings, so the
//! unit tests hand it files that exist nowhere.

mod files;
mod form;
mod names;
mod rooms;
mod rust;

use std::{fmt, process::ExitCode};

use self::files::Files;
use crate::{tally::Tally, workspace};

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 = the file as a whole.
    pub line: usize,
    pub what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

type Check = fn(&Files) -> Vec<Finding>;

const CHECKS: [(&str, Check); 11] = [
    ("stages import the model and themselves only", rooms::stages),
    ("observer-core touches no edge", rooms::core_is_pure),
    (
        "aya is imported in its room only",
        rooms::aya_stays_in_probe,
    ),
    ("unsafe is in its rooms only", rooms::unsafe_is_gathered),
    (
        "crate roots without unsafe forbid it",
        rooms::roots_forbid_unsafe,
    ),
    ("no unwrap outside tests", form::unwraps),
    ("Rust files begin with a header", form::headers),
    ("nothing is left to be written", form::unfinished),
    ("files are of readable size", form::sizes),
    (
        "no tabs, no trailing space, a final newline",
        form::whitespace,
    ),
    (
        "metric and record names are declared and documented",
        names::check,
    ),
];

pub fn run() -> ExitCode {
    let tally = tally();
    println!("{tally}");
    tally.exit_code()
}

/// Runs every check, printing findings and each check's outcome.
pub fn tally() -> Tally {
    let files = match Files::read(&workspace::root()) {
        Ok(files) => files,
        Err(error) => {
            println!("tidy: FAILED: {error:#}");
            return Tally::of(false);
        }
    };
    let mut tally = Tally::default();
    for (name, check) in CHECKS {
        let findings = check(&files);
        for finding in &findings {
            println!("{finding}");
        }
        tally += Tally::of(findings.is_empty());
        match findings.len() {
            0 => println!("tidy: {name}: ok"),
            n => println!("tidy: {name}: FAILED, {n} findings"),
        }
    }
    tally
}
