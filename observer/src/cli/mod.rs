//! What the user typed, one file a verb. Exit status: 0 ok, 1 a check failed or the work could not be done, 2 usage.

mod catalog;
mod classify;
mod contract;
mod detach;
mod doctor;
mod price;
mod report;
mod run;
mod support_bundle;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

/// Where every byte that leaves a host goes.
#[derive(Debug, Parser)]
#[command(name = "observer", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the agent: count, write flow records, serve metrics.
    Run(Box<run::Arguments>),
    /// Say what this kernel and these privileges allow, and what each missing thing costs.
    Doctor(doctor::Arguments),
    /// Say whose service a name, an address or a URL is, and how that is known.
    Classify(classify::Arguments),
    /// Show, check, compare and renew the table of address ranges.
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Show and check price books, and say what bytes would cost.
    #[command(subcommand)]
    Price(price::Price),
    /// Check and test contracts, and say what they say of flows.
    #[command(subcommand)]
    Contract(contract::Contract),
    /// Remove every program, link and pin of ours from the kernel.
    Detach(detach::Arguments),
    /// Write what a maintainer needs into one archive, names taken out.
    SupportBundle(support_bundle::Arguments),
    /// Reports over what was counted.
    #[command(subcommand)]
    Report(report::Report),
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
}

/// Runs the verb. Errors are printed on one line, causes included.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Run(arguments) => run::run(*arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Classify(arguments) => classify::run(&arguments),
        Verb::Catalog(catalog) => catalog::run(&catalog),
        Verb::Price(price) => price::run(&price),
        Verb::Contract(contract) => contract::run(&contract),
        Verb::Detach(arguments) => detach::run(&arguments),
        Verb::SupportBundle(arguments) => support_bundle::run(&arguments),
        Verb::Report(report) => report::run(&report),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            eprintln!("observer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output; a reader that went away is no error.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
