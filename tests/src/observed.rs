//! The agent as a process of a host, for programs that show or measure it: its process is the testbed's own, so that it
//! ends with the run however the run ends. It knows no traffic.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    Testbed,
    agent::Account,
    host::Host,
    http::{self, Answer},
    process::Process,
    scratch::Scratch,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const PREFIX: &str = "observer-observed-";
const FLOWS: &str = "flows.jsonl";

/// A running agent that serves on a loopback.
#[derive(Debug)]
pub struct Observed {
    /// Whose loopback; the machine's own where there is none.
    host: Option<Host>,
    process: Process,
    address: SocketAddr,
    directory: Scratch,
}

impl Observed {
    /// Starts `executable` inside `host` with further `arguments` of `run`; returns once it counts. Records go to a
    /// file of its own.
    pub fn start(host: &Host, executable: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_in(
            Some(host),
            |command| host.spawn(command),
            executable,
            true,
            arguments,
        )
    }

    /// As [`Observed::start`]; nobody asks for records.
    pub fn start_without_records(
        host: &Host,
        executable: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_in(
            Some(host),
            |command| host.spawn(command),
            executable,
            false,
            arguments,
        )
    }

    /// As [`Observed::start`], on the machine itself: what it serves can be looked at from outside the testbed. It is kept
    /// from asking a metadata service, which from there it could reach.
    pub fn start_on_machine(bed: &Testbed, executable: &Path, arguments: &[&str]) -> Result<Self> {
        let spawn = |command| bed.spawn_on_machine(command);
        let arguments = [&["--metadata", "off"], arguments].concat();
        Self::start_in(None, spawn, executable, true, &arguments)
    }

    fn start_in(
        host: Option<&Host>,
        spawn: impl FnOnce(Command) -> Result<Process>,
        executable: &Path,
        has_records: bool,
        arguments: &[&str],
    ) -> Result<Self> {
        let directory = Scratch::new(PREFIX)?;
        let said = File::create(directory.path().join("stderr"))
            .with_context(|| format!("cannot write in `{}`", directory.path().display()))?;
        let mut command = Command::new(executable);
        command.args(["run", "--listen", "127.0.0.1:0"]);
        if has_records {
            command.arg("--flows").arg(directory.path().join(FLOWS));
        }
        command
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let mut process = spawn(command)?;
        let address = wait_until_serving(directory.path(), &mut process)?;
        Ok(Self {
            host: host.cloned(),
            process,
            address,
            directory,
        })
    }

    /// Where it serves, on the loopback of its host.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file of its records.
    #[must_use]
    pub fn flows(&self) -> PathBuf {
        self.directory.path().join(FLOWS)
    }

    /// The records written so far, one JSON object a line; a line that is still being written is left out.
    pub fn records(&self) -> Result<String> {
        let mut text = read(&self.flows())?;
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        Ok(text)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The accounts as of the agent's last tick.
    pub fn coverage(&self) -> Result<Vec<Account>> {
        serde_json::from_str(&self.text("/coverage")?).context("read the agent's coverage")
    }

    /// Text of the metrics.
    pub fn metrics(&self) -> Result<String> {
        self.text("/metrics")
    }

    /// What it answers to `GET path` when all is well.
    pub fn text(&self, path: &str) -> Result<String> {
        let answer = self.get(path)?;
        ensure!(
            answer.status == 200,
            "the agent answered {path} with {answer:?}"
        );
        Ok(answer.body)
    }

    /// Status and body of what it answers to `GET path`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let ask = || http::get(self.address, path);
        let answer = self.host.as_ref().map_or_else(ask, |host| host.run(ask));
        answer.context("ask the agent")
    }

    /// Fails once it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.process.wait(Duration::ZERO) {
            Ok(status) => bail!("the agent ended with {status}: {}", self.said()?.trim()),
            Err(_) => Ok(()),
        }
    }

    /// What it wrote to standard error so far.
    pub fn said(&self) -> Result<String> {
        read(&self.directory.path().join("stderr"))
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
        let flows = self.flows();
        let records = if flows.exists() {
            read(&flows)?
        } else {
            String::new()
        };
        Ok((records, said))
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
