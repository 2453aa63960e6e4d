//! The fuzz targets (`observer/fuzz`), built by the stable compiler with the coverage passes that libFuzzer speaks to, one
//! after the other. Knows no target's subject. An input that fails is kept; it becomes a unit test by hand.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::Args;
use crate::{setup, shell, tally::Tally, workspace};

/// How `--group` names it.
pub const GROUP: &str = "fuzz";
/// How long each target runs, unless said otherwise.
pub const SECONDS: u32 = 30;

const CRATE: &str = "observer/fuzz";

/// What `cargo fuzz` passes, on any toolchain: edge counters in line, their addresses, and comparisons' operands.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing -Clink-dead-code -Cdebug-assertions";

/// What libFuzzer may take: an input that grows without end is a finding, and so is one that hangs.
const LIMITS: [&str; 3] = ["-rss_limit_mb=1024", "-timeout=10", "-max_len=4096"];

/// Runs every target whose name has one of the filters in it; each is one test.
pub fn tally(args: &Args, target_directory: &Path) -> Result<Tally> {
    let targets: Vec<String> = targets()?
        .into_iter()
        .filter(|name| args.filter.is_empty() || args.filter.iter().any(|f| name.contains(f)))
        .collect();
    if targets.is_empty() {
        bail!(
            "no fuzz target has a name that contains `{}`",
            args.filter.join("` or `")
        );
    }
    setup::ensure(&[setup::Group::Fuzz])?;
    if shell::capture(Command::new("g++").arg("--version")).is_err() {
        let skipped = targets.len() as u64;
        for name in targets {
            println!("skipped: fuzz {name}: no `g++`; `cargo xtask setup fuzz` brings it");
        }
        return Ok(Tally {
            skipped,
            ..Tally::default()
        });
    }
    let folder = target_directory.join(GROUP);
    let programs = build(&folder)?;
    let mut tally = Tally::default();
    for name in targets {
        tally += Tally::of(run(&name, &programs, &folder, args.seconds)?);
    }
    Ok(tally)
}

/// One source file each.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join(CRATE).join("targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("list `{}`", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Returns the folder with the programs.
fn build(folder: &Path) -> Result<PathBuf> {
    let version = shell::capture(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    // With a target named, the flags are for it alone and not for build scripts and macros.
    shell::run(
        shell::cargo()
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(workspace::root().join(CRATE).join("Cargo.toml"))
            .args(["--target", host, "--target-dir"])
            .arg(folder)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", RUSTFLAGS),
    )?;
    Ok(folder.join(host).join("release"))
}

/// Whether the target found nothing. What it learned stays in `target/fuzz/corpus` for the next run.
fn run(name: &str, programs: &Path, folder: &Path, seconds: u32) -> Result<bool> {
    let corpus = folder.join("corpus").join(name);
    let crashes = folder.join("crashes");
    for made in [&corpus, &crashes] {
        fs::create_dir_all(made).with_context(|| format!("make `{}`", made.display()))?;
    }
    let mut command = Command::new(programs.join(name));
    command
        .args(LIMITS)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", crashes.display()))
        .arg(&corpus)
        .arg(workspace::root().join(CRATE).join("seeds").join(name))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    println!("fuzz {name}: runs for {seconds} s");
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("start `{}`", shell::line(&command)))?;
    let mut last = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = line.context("read what the target says")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            if is_news(&line) {
                println!("fuzz {name}: {line}");
            }
            if line.starts_with("Done ") {
                last = line;
            }
        }
    }
    let passed = child.wait().context("wait for the target")?.success();
    let word = if passed { "ok" } else { "FAILED" };
    let seconds = start.elapsed().as_secs_f64();
    println!("fuzz {name}: {word}, {seconds:.0} s {last}");
    if !passed {
        println!(
            "fuzz {name}: `{}` with the kept input repeats it",
            programs.join(name).display()
        );
    }
    Ok(passed)
}

/// libFuzzer's powers of two are its pulse. What is new to it (`NEW`, `REDUCE`) and the words it would recommend fill
/// screens.
fn is_news(line: &str) -> bool {
    const TOLD: [&str; 6] = ["INFO: ", "WARNING: ", "Done ", "######", "\"", "\tNEW_FUNC"];
    if line.starts_with("######") || !line.starts_with('#') {
        !TOLD.iter().any(|start| line.starts_with(start)) && !line.trim().is_empty()
    } else {
        line.contains("pulse") || line.contains("INITED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_news_and_learning_is_not() {
        for (line, news) in [
            (
                "#2\tINITED cov: 40 ft: 41 corp: 3/180b exec/s: 0 rss: 41Mb",
                true,
            ),
            ("#4194304\tpulse  cov: 88 ft: 200 corp: 40/2Kb", true),
            ("#5\tNEW    cov: 41 ft: 42 corp: 4/200b", false),
            ("INFO: Seed: 1", false),
            ("Done 100 runs in 1 second(s)", false),
            (
                "thread '<unnamed>' panicked at targets/packet.rs:70:9:",
                true,
            ),
            ("###### Recommended dictionary. ######", false),
            ("\"\\377\\377\" # Uses: 3", false),
            ("\tNEW_FUNC[1/1]: 0x55ff6909fb01", false),
            ("", false),
        ] {
            assert_eq!(is_news(line), news, "{line}");
        }
    }

    #[test]
    fn every_target_has_seeds() {
        let targets = targets().expect("the folder is there");
        assert!(targets.len() >= 5, "{targets:?}");
        for name in targets {
            let seeds = workspace::root().join(CRATE).join("seeds").join(&name);
            let count = fs::read_dir(&seeds).map_or(0, Iterator::count);
            assert!(count > 0, "no seeds for `{name}`");
        }
    }
}
