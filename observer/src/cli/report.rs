//! `observer report`: what a running agent says of itself, and what its records come to.

mod contract;
mod cost;
mod hops;
mod reconcile;
mod records;
mod whatif;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use observer_core::aggregate::{BalanceReport, render};

pub use self::records::{Records, tell_unreadable};
use super::{Output, print};

#[derive(Debug, Subcommand)]
pub enum Report {
    /// Whether every byte of every uplink is in a flow or a named remainder.
    #[command(
        after_help = "Example:\n  observer report coverage --agent 127.0.0.1:9464\n\n\
                            Exit status 1 where a balance is not 0."
    )]
    Coverage(Coverage),
    /// What contracts said of recorded flows over a period, and how much of them anybody looked at.
    #[command(
        after_help = "Example:\n  observer report contract --from 2026-11-01 --until 2026-12-01 --rules /etc/observer/contracts/ \
                      --output html --into november.html flows-*.jsonl\n\nVerdicts are those that the records have; \
                      `observer contract replay` says what other rules would have said."
    )]
    Contract(contract::Contract),
    /// What recorded bytes cost, with the real tiers of their months: an estimate, never a bill.
    #[command(
        after_help = "Example:\n  observer report cost --month 2026-11 --by cloud,workload --hosts nodes.txt flows-*.jsonl\n\n\
                      Exit status 1 where a line could not be read or an expected host is missing."
    )]
    Cost(cost::Cost),
    /// What recorded bytes would have cost from elsewhere, on another way, or fewer of them.
    #[command(
        name = "whatif",
        after_help = "Example:\n  observer report whatif --where workload=shop --to azure/eastus flows-*.jsonl\n  observer report whatif \
                      --where cloud=azure --path interconnect:transit_gateway flows-*.jsonl\n\nThe column `changed` has what it would \
                      have been; tiers are filled anew."
    )]
    WhatIf(whatif::WhatIf),
    /// The ten changes that are worth most, each with its arithmetic.
    #[command(after_help = "Example:\n  observer report savings --month 2026-11 flows-*.jsonl")]
    Savings(whatif::Savings),
    /// The chain that each workload's bytes go: who asks it, whom it asks, and what each hop adds in time, bytes and money.
    #[command(after_help = "Example:\n  observer report hops flows-*.jsonl")]
    Hops(hops::Hops),
    /// An estimate held against a bill: by region and usage, with a name for each difference.
    #[command(
        after_help = "Example:\n  observer report reconcile --month 2026-10 --bill cur-2026-10.csv flows-*.jsonl"
    )]
    Reconcile(reconcile::Reconcile),
}

#[derive(Debug, Args)]
pub struct Coverage {
    /// Where the agent serves (`observer run --listen`).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    agent: SocketAddr,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const TIMEOUT: Duration = Duration::from_secs(5);

pub fn run(report: &Report) -> Result<ExitCode> {
    match report {
        Report::Coverage(arguments) => coverage(arguments),
        Report::Contract(arguments) => contract::run(arguments),
        Report::Hops(arguments) => hops::run(arguments),
        Report::Cost(arguments) => cost::run(arguments),
        Report::Reconcile(arguments) => reconcile::run(arguments),
        Report::WhatIf(arguments) => whatif::run(arguments),
        Report::Savings(arguments) => whatif::run_savings(arguments),
    }
}

fn coverage(arguments: &Coverage) -> Result<ExitCode> {
    let body = get(arguments.agent, "/coverage").with_context(|| {
        format!(
            "ask the agent at `{}`; is `observer run --listen` on?",
            arguments.agent
        )
    })?;
    let balances: Vec<BalanceReport> =
        serde_json::from_str(&body).context("read the agent's answer")?;
    match arguments.output {
        Output::Json => print(&body)?,
        Output::Table => print(&render(&balances))?,
    }
    let closed = balances.iter().all(|balance| balance.balance_bytes == 0);
    Ok(if closed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Body of a small answer from our own server.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => bail!("answered `{}`", answer.lines().next().unwrap_or_default()),
    }
}
