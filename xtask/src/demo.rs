//! `cargo xtask demo`: brings the tools, builds the agent and the testbed, and runs the testbed's `demo`.

use std::{
    ffi::OsString,
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{setup, shell, workspace};

#[derive(clap::Args)]
pub struct Args {
    /// Options of the demo itself; `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    run_program("demo", &args.rest)
}

/// Builds the agent and the testbed's programs, optimised, and becomes the one called `name`.
///
/// # Errors
/// Without root, before anything is built; and where the build fails.
pub fn run_program(name: &str, arguments: &[OsString]) -> Result<ExitCode> {
    if !is_root()? {
        bail!("`{name}` makes network namespaces and loads kernel programs: run it again as root");
    }
    setup::ensure_core()?;
    let packages = ["--package", "observer", "--package", "observer-tests"];
    shell::run(
        shell::cargo()
            .args(["build", "--release", "--bins"])
            .args(packages),
    )?;
    let folder = workspace::members()?.target_directory.join("release");
    let mut command = Command::new(folder.join(name));
    command.args(arguments);
    // In this process's place: what a terminal sends to end it, the program gets first-hand, and the caller waits for the
    // program to put its things away.
    let cause = command.exec();
    Err(cause).with_context(|| format!("start `{}`", shell::line(&command)))
}

fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self")
        .context("look at `/proc/self`")?
        .uid()
        == 0)
}
