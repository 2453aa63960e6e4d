//! The agent as a process of a host, for programs that show or measure it: its process is the testbed's own, so that it
//! ends with the run however the run ends. It knows no traffic.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{agent::Account, host::Host, process::Process, prometheus::get};

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const PREFIX: &str = "observer-observed-";

/// A running agent that serves on the loopback of its host.
#[derive(Debug)]
pub struct Observed {
    host: Host,
    process: Process,
    address: SocketAddr,
    directory: PathBuf,
}

impl Observed {
    /// Starts `executable` inside `host` with further `arguments` of `run`; returns once it counts. Records go to a
    /// file of its own.
    pub fn start(host: &Host, executable: &Path, arguments: &[&str]) -> Result<Self> {
        let directory = directory()?;
        let flows = directory.join("flows.jsonl");
        let records = ["--flows".as_ref(), flows.as_os_str()];
        Self::start_in(directory, host, executable, &records, arguments)
    }

    /// As [`Observed::start`]; nobody asks for records.
    pub fn start_without_records(
        host: &Host,
        executable: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_in(directory()?, host, executable, &[], arguments)
    }

    fn start_in(
        directory: PathBuf,
        host: &Host,
        executable: &Path,
        records: &[&OsStr],
        arguments: &[&str],
    ) -> Result<Self> {
        sweep();
        let said = File::create(directory.join("stderr"))
            .with_context(|| format!("cannot write in `{}`", directory.display()))?;
        let mut command = Command::new(executable);
        command
            .args(["run", "--listen", "127.0.0.1:0"])
            .args(records)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let mut process = host.spawn(command)?;
        match wait_until_serving(&directory, &mut process) {
            Ok(address) => Ok(Self {
                host: host.clone(),
                process,
                address,
                directory,
            }),
            Err(cause) => {
                let _ = fs::remove_dir_all(&directory);
                Err(cause)
            }
        }
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where it serves, on its host's loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The accounts as of the agent's last tick.
    pub fn coverage(&self) -> Result<Vec<Account>> {
        serde_json::from_str(&self.get("/coverage")?).context("read the agent's coverage")
    }

    /// What it answers to GET `path`.
    pub fn get(&self, path: &str) -> Result<String> {
        get(&self.host, self.address, path).context("ask the agent")
    }

    /// What it wrote to standard error so far.
    pub fn said(&self) -> Result<String> {
        read(&self.directory.join("stderr"))
    }

    /// Ends it as an operator would; returns its records, one JSON object a line, and all it wrote to standard error.
    pub fn stop(mut self) -> Result<(String, String)> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(TIMEOUT)?;
        let said = self.said()?;
        ensure!(
            status.success(),
            "the agent ended with {status}: {}",
            said.trim()
        );
        let flows = self.directory.join("flows.jsonl");
        let records = if flows.exists() {
            read(&flows)?
        } else {
            String::new()
        };
        Ok((records, said))
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn wait_until_serving(directory: &Path, process: &mut Process) -> Result<SocketAddr> {
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        let said = read(&directory.join("stderr"))?;
        let address = said.lines().find_map(|line| {
            line.strip_prefix("observer: serving http://")?
                .split_once('/')
        });
        if let Some((address, _)) = address {
            return address
                .parse()
                .with_context(|| format!("address in `{said}`"));
        }
        if process.wait(Duration::ZERO).is_ok() {
            bail!("the agent ended before it counted: {}", said.trim());
        }
        std::thread::sleep(POLL);
    }
    bail!("the agent did not count after {TIMEOUT:?}")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// `PREFIX<pid>-<n>` in the folder for temporary files.
fn directory() -> Result<PathBuf> {
    static COUNTER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let counter = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("{PREFIX}{}-{counter}", std::process::id()));
    fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    Ok(path)
}

/// Removes the folders of runs that a signal ended.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
