//! `cargo xtask lint`: a list of checks, each passed or failed. Runs all of them, so that one run shows everything.

mod supply;

use std::process::ExitCode;

use anyhow::Result;

use crate::{setup, shell, tally::Tally, tidy, workspace};

type Check = fn() -> Result<()>;

pub fn run() -> ExitCode {
    let tally = tally();
    println!("{tally}");
    tally.exit_code()
}

/// Runs the checks, printing each one's name and outcome.
pub fn tally() -> Tally {
    let checks: [(&str, Check); 6] = [
        ("rustfmt", rustfmt),
        ("licences and sources", supply::check),
        ("setup core", setup::ensure_core),
        ("clippy, kernel programs", clippy_kernel),
        ("clippy, host", clippy_host),
        ("rustdoc", rustdoc),
    ];
    let mut tally = Tally::default();
    for (name, check) in checks {
        let outcome = check();
        tally += Tally::of(outcome.is_ok());
        match outcome {
            Ok(()) => println!("lint: {name}: ok"),
            Err(error) => println!("lint: {name}: FAILED: {error:#}"),
        }
    }
    tally += tidy::tally();
    tally
}

fn rustfmt() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    // A workspace of its own.
    shell::run(shell::cargo().args([
        "fmt",
        "--manifest-path",
        "observer/fuzz/Cargo.toml",
        "--check",
    ]))
}

fn clippy_host() -> Result<()> {
    shell::run(shell::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny=warnings",
    ]))
}

/// The host's clippy sees none of the kernel code. Flags and folder are those of `observer/build.rs`, so `core` and the
/// dependencies are compiled once for both.
fn clippy_kernel() -> Result<()> {
    let mut clippy = shell::cargo();
    clippy
        .args([
            "clippy",
            "--release",
            "--package",
            "observer-ebpf",
            "--lib",
            "--bins",
            "--all-features",
        ])
        .args([
            "--target",
            workspace::BPF_TARGET,
            "-Z",
            "build-std=core",
            "--target-dir",
        ])
        .arg(workspace::members()?.target_directory.join("bpf"))
        .args(["--", "--deny=warnings"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS");
    if let Some(library) = setup::library_override()? {
        clippy.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    shell::run(&mut clippy)
}

fn rustdoc() -> Result<()> {
    shell::run(
        shell::cargo()
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            .env(
                "RUSTDOCFLAGS",
                "--deny=warnings --allow=rustdoc::private_intra_doc_links",
            ),
    )
}
