//! The demo as a script sees it: what it prints is named, adds up and agrees with the clients, and whatever way it ends,
//! nothing of it is left.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use common::guarded;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use observer_tests::{agent, namespace};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// Where traffic goes, and whose it is.
const ROWS: [(&str, &str); 7] = [
    ("aws us-east-1", "chat-agent"),
    ("aws us-east-1", "nightly-backup"),
    ("azure eastus", "billing-export"),
    ("azure eastus", "chat-agent"),
    ("cloudflare (front)", "checkout"),
    ("cloudflare (front)", "report-writer"),
    ("gcp us-central1", "checkout"),
];

/// Name that clients ask for, and whose service it is.
const NAMES: [(&str, &str, &str); 6] = [
    (
        "bedrock-runtime.us-east-1.amazonaws.com",
        "amazon",
        "bedrock-runtime",
    ),
    ("acme-backup.s3.us-east-1.amazonaws.com", "amazon", "s3"),
    ("acme-chat.openai.azure.com", "microsoft", "azure-openai"),
    (
        "acmebilling.blob.core.windows.net",
        "microsoft",
        "azure-storage",
    ),
    (
        "us-central1-aiplatform.googleapis.com",
        "google",
        "vertex-ai",
    ),
    ("api.openai.com", "openai", "openai-api"),
];

#[test]
fn places_are_named_and_bytes_agree() {
    guarded("places_are_named_and_bytes_agree", || {
        let (pid, output) = finished(demo(&["--json", "--seconds", "1"])?)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {error}", output.status);
        nothing_is_left(pid)?;
        let found: Value = serde_json::from_slice(&output.stdout).context("what it printed")?;
        let rows = found["rows"].as_array().context("no rows")?;
        let named: Vec<(&str, &str)> = rows
            .iter()
            .filter_map(|row| Some((row["to"].as_str()?, row["workload"].as_str()?)))
            .collect();
        ensure!(named == ROWS, "{named:?}");
        for row in rows {
            ensure!(
                (row["cloud"].is_string() && row["region"].is_string())
                    != (row["front"] == "cloudflare"),
                "{row}"
            );
            for field in [
                "connections",
                "payload_bytes_egress",
                "payload_bytes_ingress",
            ] {
                ensure!(row[field].as_u64() > Some(0), "{field} in {row}");
            }
            // What stays in the region is free; the rest is not.
            let cost = row["cost_estimate"].as_str().context("no estimate")?;
            ensure!(
                (cost == "0") == (row["cloud"] == "aws") && row["unpriced_reason"].is_null(),
                "{row}"
            );
            for field in ["connect_us", "rtt_us", "first_byte_us"] {
                let [median, max] = ["median", "max"].map(|name| row[field][name].as_u64());
                ensure!(median > Some(0) && median <= max, "{field} in {row}");
            }
        }
        let named = found["named"].as_array().context("no names")?;
        for (name, provider, service) in NAMES {
            let row = named.iter().find(|row| row["server_name"] == name);
            let row = row.with_context(|| format!("{name} in {named:?}"))?;
            ensure!(
                row["provider"] == provider && row["service"] == service,
                "{row}"
            );
            // What requests of these are is said as a rule where none could be read.
            let said = [("server_name", "certain"), ("inferred", "likely")];
            let has_rule = ["bedrock-runtime", "vertex-ai"].contains(&service);
            let is_inferred = has_rule && row["basis"] == "inferred";
            let (basis, confidence) = said[usize::from(is_inferred)];
            ensure!(
                row["basis"] == basis && row["confidence"] == confidence,
                "{row}"
            );
        }
        ensure!(found["differences"] == Value::Array(vec![]), "{found}");
        let (clients, total) = (&found["clients"], &found["total"]);
        for (client, record) in [
            ("connections", "connections"),
            ("bytes_sent", "payload_bytes_egress"),
            ("bytes_received", "payload_bytes_ingress"),
        ] {
            ensure!(clients[client] == total[record], "{client}: {found}");
        }
        let accounts = found["accounts"].as_array().context("no accounts")?;
        let balanced = |account: &&Value| account["balance_bytes"] == 0;
        ensure!(
            accounts.iter().filter(balanced).count() == 2,
            "{accounts:?}"
        );
        Ok(())
    });
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    guarded("a_signal_in_the_middle_leaves_nothing", || {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut demo = demo(&["--seconds", "30"])?;
            let pid = demo.0.id();
            until_something_plays(&mut demo.0)?;
            kill(Pid::from_raw(pid.cast_signed()), signal)?;
            let (_, output) = finished(demo)?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(!output.status.success(), "it ended well after {signal}");
            ensure!(error == format!("error: ended by `{signal}`\n"), "{error}");
            nothing_is_left(pid).with_context(|| signal.to_string())?;
        }
        Ok(())
    });
}

/// Names and directories of a killed run are the next run's to remove; its processes and namespaces die with it.
#[test]
fn what_a_killed_run_leaves_the_next_one_removes() {
    guarded("what_a_killed_run_leaves_the_next_one_removes", || {
        let mut killed = demo(&["--seconds", "30"])?;
        let pid = killed.0.id();
        until_something_plays(&mut killed.0)?;
        killed.0.kill()?;
        killed.0.wait()?;
        until("its processes are gone", || Ok(processes(pid)?.is_empty()))?;
        let (next, output) = finished(demo(&["--json", "--seconds", "0.5"])?)?;
        ensure!(output.status.success(), "the next run: {}", output.status);
        nothing_is_left(pid)?;
        nothing_is_left(next)
    });
}

#[test]
fn an_agent_that_does_not_start_is_an_error_and_leaves_nothing() {
    guarded(
        "an_agent_that_does_not_start_is_an_error_and_leaves_nothing",
        || {
            let mut command = command(&["--json"]);
            command.env("OBSERVER_BIN", "/bin/false");
            let (pid, output) = finished(Running(command.spawn()?))?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1) && output.stdout.is_empty());
            ensure!(
                error.starts_with("error: the agent ended") && error.lines().count() == 1,
                "{error}"
            );
            nothing_is_left(pid)
        },
    );
}

#[test]
fn what_is_served_is_on_loopback_until_a_signal() {
    guarded("what_is_served_is_on_loopback_until_a_signal", || {
        let mut demo = demo(&["--serve", "--seconds", "0.5"])?;
        let pid = demo.0.id();
        let out = demo.0.stdout.take().context("a piped output")?;
        let mut lines = BufReader::new(out).lines();
        let mut link = |name: &str| -> Result<String> {
            for line in &mut lines {
                if let Some(link) = line?.trim_start().strip_prefix(name) {
                    return Ok(link.trim().to_owned());
                }
            }
            bail!("no link `{name}`")
        };
        let metrics = link("metrics ")?;
        ensure!(metrics.starts_with("http://127.0.0.1:"), "{metrics}");
        ensure!(link("coverage ")?.ends_with("/coverage"));
        let flows = PathBuf::from(link("flow records ")?);
        let length = || -> Result<u64> { Ok(fs::metadata(&flows)?.len()) };
        let before = length()?;
        until("traffic goes on in the records", || Ok(length()? > before))?;
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM)?;
        let (_, output) = finished(demo)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {error}", output.status);
        nothing_is_left(pid)
    });
}

/// Killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn demo(arguments: &[&str]) -> Result<Running> {
    Ok(Running(
        command(arguments).spawn().context("start the demo")?,
    ))
}

fn command(arguments: &[&str]) -> Command {
    // A run in the background inherits ignored signals, which the demo respects.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT,TERM,HUP")
        .arg(env!("CARGO_BIN_EXE_demo"))
        .args(arguments)
        .envs(agent::executable().map(|path| ("OBSERVER_BIN", path)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Its pid, and all it wrote. Less than a pipe holds: it cannot block on it.
fn finished(mut demo: Running) -> Result<(u32, Output)> {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = demo.0.try_wait()? {
            break status;
        }
        ensure!(start.elapsed() < TIMEOUT, "the demo does not end");
        std::thread::sleep(POLL);
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let Some(mut pipe) = demo.0.stdout.take() {
        pipe.read_to_end(&mut stdout)?;
    }
    if let Some(mut pipe) = demo.0.stderr.take() {
        pipe.read_to_end(&mut stderr)?;
    }
    let output = Output {
        status,
        stdout,
        stderr,
    };
    Ok((demo.0.id(), output))
}

/// Waits until workloads of the demo run.
fn until_something_plays(demo: &mut Child) -> Result<()> {
    let pid = demo.id();
    until("a workload plays", || {
        ensure!(demo.try_wait()?.is_none(), "the demo ended by itself");
        Ok(processes(pid)?
            .iter()
            .any(|line| line.contains("/checkout")))
    })
}

fn nothing_is_left(pid: u32) -> Result<()> {
    let mut left = processes(pid)?;
    for (folder, prefix) in [
        (PathBuf::from(namespace::FOLDER), namespace::PREFIX),
        (std::env::temp_dir(), "observer-demo-"),
        (std::env::temp_dir(), "observer-observed-"),
        (unified()?, "observer-demo-"),
    ] {
        left.extend(named(&folder, &format!("{prefix}{pid}"))?);
    }
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

/// Entries of `folder` called `<start>` and then no digit: another pid may begin with this one.
fn named(folder: &Path, start: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list `{}`", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix(start);
        if rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit())) {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

/// Command lines of processes that name a directory of the run.
fn processes(pid: u32) -> Result<Vec<String>> {
    let own = [
        format!("observer-demo-{pid}-"),
        format!("observer-observed-{pid}-"),
    ];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // A process may be gone by now.
        let Ok(line) = fs::read(entry?.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if own.iter().any(|own| line.contains(own)) {
            found.push(line);
        }
    }
    Ok(found)
}

fn unified() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let line = mounts.lines().find(|line| line.contains(" cgroup2 "));
    let path = line.and_then(|line| line.split(' ').nth(1));
    Ok(PathBuf::from(path.context("no cgroup2")?))
}

fn until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        ensure!(
            start.elapsed() < TIMEOUT,
            "not so after {TIMEOUT:?}: {what}"
        );
        std::thread::sleep(POLL);
    }
    Ok(())
}
