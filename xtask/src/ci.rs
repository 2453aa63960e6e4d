//! `cargo xtask ci`: everything that must hold, in one run. `.ci/run` only calls this.

use std::process::ExitCode;

use anyhow::Result;

use crate::{lint, test};

/// Goes on after a failure, so that one run shows all of them.
pub fn run() -> Result<ExitCode> {
    let mut tally = test::tally(&test::Args::default())?;
    tally += lint::tally();
    println!("{tally}");
    Ok(tally.exit_code())
}
