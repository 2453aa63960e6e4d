//! The kernel matrix: the exactness tests in small sizes inside emulated guests of other kernels, one guest at a time.
//! It knows no kernel's peculiarities: what a guest says is read as any test program's output is.

mod guest;
mod image;
mod kernel;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use self::kernel::{KERNELS, Kernel};
use super::{Args, outcome::Outcomes};
use crate::{setup, shell, tally::Tally};

/// How `--group` names it.
pub const GROUP: &str = "matrix";

/// The guests' user land is not the host's: executables bring their C library with them.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The test programs that run in every guest, in this order.
const TESTS: [&str; 4] = ["exactness", "hardship", "faults", "plain"];

/// Runs the tests in every kernel that the filters leave.
pub fn tally(args: &Args, target_directory: &Path) -> Result<Tally> {
    let (kernels, filters) = chosen(&args.filter);
    setup::ensure(&[setup::Group::Matrix])?;
    let programs = build(args.release, target_directory)?;
    let mut tally = Tally::default();
    for kernel in kernels {
        println!("matrix: {}: starts", kernel.name);
        let start = Instant::now();
        let result = one(kernel, &programs, &filters);
        let result = result.with_context(|| format!("guest of kernel {}", kernel.name))?;
        println!(
            "matrix: {}: {result} ({:.0} s)",
            kernel.name,
            start.elapsed().as_secs_f64()
        );
        tally += result;
    }
    Ok(tally)
}

fn one(kernel: &Kernel, programs: &image::Programs, filters: &[String]) -> Result<Tally> {
    let files = kernel::ensure(kernel)?;
    let image = image::make(&files, programs, filters)?;
    let mut outcomes = Outcomes::default();
    let ended = guest::run(&files.image, &image, |line| {
        println!("{}: {line}", kernel.name);
        outcomes.read(line);
    })?;
    if let guest::Ended::TimedOut = ended {
        println!(
            "matrix: {}: killed after {} s",
            kernel.name,
            guest::TIMEOUT.as_secs()
        );
    }
    for skip in outcomes.skips() {
        println!("skipped: {}: {skip}", kernel.name);
    }
    let tally = outcomes.end(ended == guest::Ended::Passed);
    if tally == Tally::default() {
        bail!(
            "no test has a name that contains `{}`",
            filters.join("` or `")
        );
    }
    Ok(tally)
}

/// A filter that is a kernel's name chooses the kernel, any other the tests.
fn chosen(filters: &[String]) -> (Vec<&'static Kernel>, Vec<String>) {
    let is_kernel = |text: &str| KERNELS.iter().any(|kernel| kernel.name == text);
    let (names, tests): (Vec<String>, Vec<String>) =
        filters.iter().cloned().partition(|text| is_kernel(text));
    let kernels = KERNELS
        .iter()
        .filter(|kernel| names.is_empty() || names.iter().any(|name| name == kernel.name))
        .collect();
    (kernels, tests)
}

/// Builds the agent and the test programs with their C library inside.
fn build(release: bool, target_directory: &Path) -> Result<image::Programs> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    let mut agent = shell::cargo();
    shell::run(
        agent
            .args(["build", "--package", "observer", "--target", TARGET])
            .args(profile)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let mut test = shell::cargo();
    let said = shell::capture(
        test.args(["test", "--no-run", "--package", "observer-tests"])
            .args(["--target", TARGET])
            .args(TESTS.iter().flat_map(|name| ["--test", *name]))
            .args(["--message-format", "json-render-diagnostics"])
            .args(profile)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let folder = if release { "release" } else { "debug" };
    Ok(image::Programs {
        agent: target_directory.join(TARGET).join(folder).join("observer"),
        tests: TESTS
            .iter()
            .map(|name| {
                let path = executable(&said, name);
                path.map(|path| (*name, path))
                    .with_context(|| format!("cargo names no test program `{name}`"))
            })
            .collect::<Result<_>>()?,
    })
}

/// A test program's executable among cargo's messages; programs that the tests start have messages of their own.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_name_is_no_tests_name() {
        let (kernels, tests) = chosen(&["5.10".into(), "udp".into()]);
        assert_eq!(kernels.len(), 1);
        assert_eq!(kernels[0].name, "5.10");
        assert_eq!(tests, ["udp"]);
        assert_eq!(chosen(&[]).0.len(), KERNELS.len());
    }

    #[test]
    fn the_test_program_is_found_among_cargos_messages() {
        let messages = "{\"target\":{\"name\":\"traffic\"},\"executable\":\"/t/traffic\"}\n\
            {\"target\":{\"name\":\"exactness\"},\"executable\":\"/t/exactness-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let found = executable(messages, "exactness");
        assert_eq!(found, Some(PathBuf::from("/t/exactness-1")));
        assert_eq!(executable(messages, "hardship"), None);
    }
}
