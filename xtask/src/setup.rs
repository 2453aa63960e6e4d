//! `cargo xtask setup`: brings what the other verbs need, and nothing that is already there. Writes under the
//! workspace's `target/` only, but for Debian packages, which are announced before they are installed. The machine's
//! package sources and Rust toolchain stay as they are.

mod apt;
mod debian;
mod group;
mod linker;
mod progress;
mod rust_src;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

pub use self::apt::AptRoot;
pub use self::group::Group;
pub use self::progress::Step;
pub use self::rust_src::library_override;

#[derive(clap::Args)]
pub struct Args {
    /// What to bring; `core` is always among it
    #[arg(value_name = "GROUP", default_value = "core")]
    groups: Vec<Group>,
}

/// What one part found or did, for the report.
pub enum Outcome {
    There(String),
    Brought(String),
}

/// Does every part even when an earlier one failed: a machine without root still gets the tools.
pub fn run(args: &Args) -> ExitCode {
    let start = Instant::now();
    let mut failed = false;
    let mut changed = false;
    for (name, outcome) in [
        (
            "Debian packages",
            debian::ensure(&group::packages(&args.groups), debian::Root::Ask),
        ),
        ("bpf-linker", linker::ensure()),
        ("rust-src", rust_src::ensure()),
    ] {
        match outcome {
            Ok(Outcome::There(what)) => println!("{name:<16} {what}"),
            Ok(Outcome::Brought(what)) => {
                changed = true;
                println!("{name:<16} {what} (new)");
            }
            Err(error) => {
                failed = true;
                eprintln!("{name:<16} error: {error:#}");
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    match (failed, changed) {
        (true, _) => println!("setup is not complete ({seconds:.1} s)"),
        (false, true) => println!("all there now ({seconds:.1} s)"),
        (false, false) => println!("all was there ({seconds:.1} s)"),
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// For the verbs that build: silent where all is there. A Debian package that cannot be installed is a warning, since
/// only some tests need it and those say so; a missing tool is an error.
pub fn ensure_core() -> Result<()> {
    ensure(&[])
}

/// As [`ensure_core`], with the packages of more groups.
pub fn ensure(groups: &[Group]) -> Result<()> {
    if let Err(error) = debian::ensure(&group::packages(groups), debian::Root::IfAlready) {
        eprintln!("warning: {error:#}");
    }
    linker::ensure()?;
    rust_src::ensure()?;
    Ok(())
}
