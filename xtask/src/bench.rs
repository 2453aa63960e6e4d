//! `cargo xtask bench`: brings the tools, builds the agent and the testbed, and runs the testbed's `bench`.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

use crate::demo;

#[derive(clap::Args)]
pub struct Args {
    /// Options of the benchmark itself, such as `--only NAME` and `--json PATH`; `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    demo::run_program("bench", &args.rest)
}
