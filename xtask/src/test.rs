//! `cargo xtask test`: brings the tools, builds the agent, runs the tests and adds their outcomes up. A test that cannot
//! run here prints `SKIP: NAME: REASON` and is counted as skipped, whatever its harness calls it.

mod fuzz;
mod group;
mod matrix;
mod outcome;

use std::{
    io::{BufRead as _, BufReader},
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};

use self::outcome::Outcomes;
use crate::{setup, shell, tally::Tally, workspace};

#[derive(clap::Args, Default)]
pub struct Args {
    /// Only this group: `unit`, `kernel`, `matrix` (guests of other kernels), `fuzz`, or a test target of
    /// `observer-tests`
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only tests whose name contains this text; may be given more than once. In the matrix a kernel's name (`5.10`)
    /// chooses that kernel
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Test the optimised build instead of the one with debug assertions
    #[arg(long)]
    release: bool,
    /// How long each target of the group `fuzz` runs
    #[arg(long, value_name = "SECONDS", default_value_t = fuzz::SECONDS)]
    seconds: u32,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let tally = tally(args)?;
    println!("{tally}");
    Ok(tally.exit_code())
}

/// What some targets of `observer-tests` need besides the core; all of them run when no group is named.
fn bring(group: Option<&str>) {
    let runs = |targets: &[&str]| group.is_none_or(|name| targets.contains(&name));
    if runs(&["kernel", "boards", "scrape"]) {
        setup::ensure_prometheus();
    }
    if runs(&["kernel", "manifests"]) {
        setup::ensure_validator();
    }
    if runs(&["kernel", "reports"]) {
        setup::ensure_focus();
    }
    if runs(&["requests"]) {
        setup::ensure_http2();
    }
}

/// Runs the tests and lists what was skipped and why.
pub fn tally(args: &Args) -> Result<Tally> {
    let metadata = workspace::members()?;
    if args.group.as_deref() == Some(matrix::GROUP) {
        return matrix::tally(args, &metadata.target_directory);
    }
    if args.group.as_deref() == Some(fuzz::GROUP) {
        return fuzz::tally(args, &metadata.target_directory);
    }
    let group = group::find(args.group.as_deref(), &metadata)?;
    setup::ensure_core()?;
    bring(args.group.as_deref());

    let profile: &[&str] = if args.release { &["--release"] } else { &[] };
    shell::run(
        shell::cargo()
            .args(["build", "--package", "observer"])
            .args(profile),
    )?;
    let folder = if args.release { "release" } else { "debug" };
    let agent = metadata.target_directory.join(folder).join("observer");

    let mut command = shell::cargo();
    command
        .args(["test", "--no-fail-fast"])
        .args(profile)
        .args(&group.cargo)
        // The reasons for skipping are in the output of tests that pass.
        .args(["--", "--show-output"])
        .args(&args.filter)
        .env("OBSERVER_BIN", agent)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("start `{}`", shell::line(&command)))?;
    let mut outcomes = Outcomes::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("read the tests' output")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            outcomes.read(&line);
        }
    }
    let status = child.wait().context("wait for the tests")?;
    let tally = outcomes.end(status.success());
    if tally == Tally::default() {
        bail!(
            "no test has a name that contains `{}`",
            args.filter.join("` or `")
        );
    }
    for skip in outcomes.skips() {
        println!("skipped: {skip}");
    }
    Ok(tally)
}
