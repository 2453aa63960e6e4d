//! `cargo xtask VERB`: the one door for people and CI. Holds the list of verbs; each verb is a file of its own and
//! brings what it needs.

#![forbid(unsafe_code)]

mod bench;
mod build;
mod catalog;
mod ci;
mod dashboards;
mod demo;
mod lint;
mod setup;
mod shell;
mod tally;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Bring what building and testing need; a second run changes nothing
    Setup(setup::Args),
    /// Build the release binary
    Build,
    /// Show the agent at work on traffic between hosts made for it; nothing leaves the machine
    Demo(demo::Args),
    /// Run the tests; what the machine cannot run is listed as skipped
    Test(test::Args),
    /// Formatting, clippy (host and kernel programs), documentation, licences, tidy
    Lint,
    /// Measure what the agent costs: one table of ratios, with and without it
    Bench(bench::Args),
    /// Check the repository itself: rooms, headers, sizes, names
    Tidy,
    /// Build the address table that the product embeds
    Catalog(catalog::CatalogArgs),
    /// Write the Grafana dashboards from their code
    Dashboards(dashboards::Args),
    /// What continuous integration runs: test, then lint
    Ci,
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().verb {
        Verb::Setup(args) => Ok(setup::run(&args)),
        Verb::Build => build::run(),
        Verb::Demo(args) => demo::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Lint => Ok(lint::run()),
        Verb::Bench(args) => bench::run(&args),
        Verb::Tidy => Ok(tidy::run()),
        Verb::Catalog(args) => catalog::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Dashboards(args) => dashboards::run(&args),
        Verb::Ci => ci::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
