//! The `observer` command: parses what the user typed and hands it to the verb. Knows no BPF and no record.

mod agent;
mod catalog;
mod cli;
mod config;
mod contracts;
mod files;
mod libraries;
mod metrics;
mod place;
mod prices;
mod probe;
mod support;
mod web;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
