//! `observer report hops`: the chain that each workload's bytes go.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use observer_ledger::hops::Hops as Chains;

use super::{
    super::{Output, print},
    Records, tell_unreadable,
};

#[derive(Debug, Args)]
pub struct Hops {
    #[command(flatten)]
    records: Records,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Hops) -> Result<ExitCode> {
    let mut chains = Chains::default();
    let read = arguments.records.each(|record| chains.add(record))?;
    match arguments.output {
        Output::Json => print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&chains.json())?
        ))?,
        Output::Table => print(&chains.table())?,
    }
    Ok(tell_unreadable(&read))
}
