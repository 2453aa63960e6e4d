//! `cargo xtask setup`: brings what the other verbs need, and nothing that is already there. Writes under the
//! workspace's `target/` only, but for Debian packages, which are announced before they are installed. The machine's
//! package sources and Rust toolchain stay as they are.

mod apt;
mod debian;
mod group;
mod linker;
mod progress;
mod prometheus;
mod python;
mod rust_src;
mod unpacked;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

pub use self::apt::{AptRoot, extract};
pub use self::group::Group;
pub use self::progress::Step;
pub use self::rust_src::library_override;

#[derive(clap::Args)]
pub struct Args {
    /// What to bring; `core` is always among it
    #[arg(value_name = "GROUP", default_value = "core")]
    groups: Vec<Group>,
}

const PROMETHEUS: &str = "Prometheus";

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
    let mut parts = vec![
        (
            "Debian packages",
            debian::ensure(&group::packages(&args.groups), debian::Root::Ask),
        ),
        ("bpf-linker", linker::ensure()),
        ("rust-src", rust_src::ensure()),
    ];
    if args.groups.contains(&Group::E2e) {
        parts.push((PROMETHEUS, prometheus::ensure()));
        parts.push((python::FOCUS.name, python::FOCUS.ensure()));
        parts.push((python::HTTP2.name, python::HTTP2.ensure()));
    }
    if args.groups.contains(&Group::Sdks) {
        parts.push((python::SDKS.name, python::SDKS.ensure()));
        for other in [unpacked::OPENSSL_1_1, unpacked::GO_1_24] {
            parts.push((other.name, other.ensure()));
        }
    }
    if args.groups.contains(&Group::K8s) {
        parts.push((python::KUBERNETES.name, python::KUBERNETES.ensure()));
    }
    for (name, outcome) in parts {
        match outcome {
            Ok(Outcome::There(what)) => println!("{name:<20} {what}"),
            Ok(Outcome::Brought(what)) => {
                changed = true;
                println!("{name:<20} {what} (new)");
            }
            Err(error) => {
                failed = true;
                eprintln!("{name:<20} error: {error:#}");
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

/// Prometheus' own programs. Without them the tests that need them are skipped and say so, so that this is a warning.
pub fn ensure_prometheus() {
    warn(PROMETHEUS, prometheus::ensure());
}

/// The checker of Kubernetes manifests; as [`ensure_prometheus`].
pub fn ensure_validator() {
    warn(python::KUBERNETES.name, python::KUBERNETES.ensure());
}

/// The checker of FOCUS datasets; as [`ensure_prometheus`].
pub fn ensure_focus() {
    warn(python::FOCUS.name, python::FOCUS.ensure());
}

/// A server and a client of HTTP/2; as [`ensure_prometheus`].
pub fn ensure_http2() {
    warn(python::HTTP2.name, python::HTTP2.ensure());
}

fn warn(name: &str, outcome: Result<Outcome>) {
    if let Err(error) = outcome {
        eprintln!("warning: {name}: {error:#}");
    }
}
