//! `cargo xtask build`: the release binary with the kernel programs inside.

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{setup, shell, workspace};

pub fn run() -> Result<ExitCode> {
    setup::ensure_core()?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "observer"]))?;
    let binary = workspace::members()?
        .target_directory
        .join("release/observer");
    let bytes = fs::metadata(&binary)
        .with_context(|| format!("look at `{}`", binary.display()))?
        .len();
    println!("{} ({})", binary.display(), indicatif::BinaryBytes(bytes));
    Ok(ExitCode::SUCCESS)
}
