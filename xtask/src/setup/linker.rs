//! bpf-linker, from crates.io, into `target/tools`. It loads the LLVM that comes with rustc, so it needs none of its
//! own; versions are tied to that LLVM.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{Outcome, progress::Step};
use crate::{shell, workspace};

/// For rustc's LLVM 22: 0.10.0 writes BTF that the kernel refuses, 0.13 wants LLVM 23 from the system.
const VERSION: &str = "0.10.3";
/// How much of the build's own words an error repeats.
const LAST_LINES: usize = 30;

pub fn ensure() -> Result<Outcome> {
    let binary = workspace::tools_dir().join("bin/bpf-linker");
    let name = format!("{VERSION} in `target/tools/bin`");
    if is_there(&binary) {
        return Ok(Outcome::There(name));
    }
    install().with_context(|| format!("install bpf-linker {VERSION}"))?;
    if !is_there(&binary) {
        bail!("`{}` does not answer to --version", binary.display());
    }
    let bytes = fs::metadata(&binary)
        .with_context(|| format!("look at `{}`", binary.display()))?
        .len();
    Ok(Outcome::Brought(format!(
        "{name}, {}",
        indicatif::BinaryBytes(bytes)
    )))
}

fn is_there(binary: &Path) -> bool {
    shell::capture(Command::new(binary).arg("--version"))
        .is_ok_and(|said| said.trim() == format!("bpf-linker {VERSION}"))
}

fn install() -> Result<()> {
    let tools = workspace::tools_dir();
    let build = tools.join("build");
    let step = Step::start(&format!(
        "bpf-linker {VERSION} from crates.io (1-2 minutes)"
    ));
    let mut command = shell::cargo();
    command
        .args([
            "install",
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--force",
            "--root",
        ])
        .arg(&tools)
        .env("CARGO_TARGET_DIR", &build)
        // It spends its time in LLVM: its own optimisation and debug info only cost build time.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let outcome = follow(&mut command, &step);
    if build.exists() {
        fs::remove_dir_all(&build).with_context(|| format!("remove `{}`", build.display()))?;
    }
    outcome
}

/// Shows each line while it runs; repeats the last ones where it fails.
fn follow(command: &mut Command, step: &Step) -> Result<()> {
    let mut child = command
        .spawn()
        .with_context(|| format!("start `{}`", shell::line(command)))?;
    let mut lines = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = line.context("read the build's output")?;
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            step.tell(&line);
            lines.push(line);
        }
    }
    let status = child.wait().context("wait for the build")?;
    if !status.success() {
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        bail!(
            "`{}` failed: {status}\n{}",
            shell::line(command),
            last.join("\n")
        );
    }
    Ok(())
}
