//! An agent under test: the real executable, its coverage report and its records. It knows no traffic.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{host::Host, http};

const TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
    flows: PathBuf,
    /// The directory goes with the agent.
    owned: bool,
    said: Arc<Mutex<Vec<String>>>,
}

/// One account of `observer report coverage --output json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    pub device: String,
    pub direction: String,
    pub measure: String,
    pub interface_bytes: i128,
    pub attributed_bytes: i128,
    pub remainder_bytes: BTreeMap<String, i128>,
    pub balance_bytes: i128,
}

impl Account {
    /// Bytes of one reason, 0 where it is not named.
    #[must_use]
    pub fn remainder(&self, reason: &str) -> i128 {
        self.remainder_bytes
            .get(reason)
            .copied()
            .unwrap_or_default()
    }

    /// Bytes of all reasons.
    #[must_use]
    pub fn remainders(&self) -> i128 {
        self.remainder_bytes.values().sum()
    }
}

/// The built executable: `OBSERVER_BIN`, else beside the running test. `None` with a printed reason where it is not there.
#[must_use]
pub fn executable() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("OBSERVER_BIN") {
        return Some(PathBuf::from(path));
    }
    let test = std::env::current_exe().ok()?;
    let built = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("observer"))
        .find(|path| path.is_file());
    if built.is_none() {
        println!(
            "SKIP: no `observer` beside `{}`: build it first, as `cargo xtask test` does",
            test.display()
        );
    }
    built
}

/// How `--uplink` names a device of a host.
#[must_use]
pub fn uplink(host: &Host, device: &str) -> String {
    format!("{}:{device}", host.namespace().path().display())
}

/// Has what an ended agent pinned, and left on `uplink`, taken away.
pub fn detach(pins: &str, uplink: &str) -> Result<()> {
    let executable = executable().context("the agent is not built")?;
    let status = Command::new(executable)
        .args(["detach", "--pins", pins, "--uplink", uplink])
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "`observer detach` ended with {status}");
    ensure!(!Path::new(pins).exists(), "`{pins}` is still there");
    Ok(())
}

impl Agent {
    /// Starts an agent that balances `uplinks`, with further `arguments`; returns once it counts.
    pub fn start(uplinks: &[String], arguments: &[&str]) -> Result<Self> {
        let unique = format!("observer-test-{}-{:?}", std::process::id(), Instant::now());
        let name: String = unique
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("make `{}`", directory.display()))?;
        let mut agent = Self::start_in(&directory, uplinks, arguments)?;
        agent.owned = true;
        Ok(agent)
    }

    /// As [`Agent::start`], with its files in `directory`, which stay: the next agent there continues them.
    pub fn start_in(directory: &Path, uplinks: &[String], arguments: &[&str]) -> Result<Self> {
        let executable = executable().context("the agent is not built")?;
        let flows = directory.join("flows.jsonl");
        let mut command = Command::new(&executable);
        command.args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--metadata",
            "off",
            "--host",
            "near",
        ]);
        if !arguments.contains(&"--tick") {
            command.args(["--tick", "0.2"]);
        }
        command.arg("--flows").arg(&flows);
        for uplink in uplinks {
            command.args(["--uplink", uplink]);
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("start `{}`", executable.display()))?;
        let stderr = child.stderr.take().context("the agent's standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(line) = lines.next().transpose()? else {
                let status = child.wait()?;
                bail!(
                    "the agent ended before it counted ({status}): {}",
                    said.join(" / ")
                );
            };
            if let Some(address) = line.strip_prefix("observer: serving http://") {
                let address = address.split('/').next().unwrap_or_default();
                break address
                    .parse()
                    .with_context(|| format!("address in `{line}`"))?;
            }
            said.push(line);
        };
        // Whatever else it says must not fill the pipe.
        let kept = Arc::new(Mutex::new(said));
        let said = Arc::clone(&kept);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("agent: {line}");
                said.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        Ok(Self {
            child,
            address,
            directory: directory.to_owned(),
            flows,
            owned: false,
            said: kept,
        })
    }

    /// Whether the agent goes on without this program, because the kernel refuses it.
    #[must_use]
    pub fn lacks(&self, program: &str) -> bool {
        let refused = format!("goes on without program `{program}`");
        self.said().iter().any(|line| line.contains(&refused))
    }

    /// The accounts as of the agent's last tick.
    pub fn coverage(&self) -> Result<Vec<Account>> {
        serde_json::from_str(&self.get("/coverage")?).context("read the agent's coverage")
    }

    /// Text of the metrics.
    pub fn metrics(&self) -> Result<String> {
        self.get("/metrics")
    }

    fn get(&self, path: &str) -> Result<String> {
        let answer = http::get(self.address, path).context("ask the agent")?;
        ensure!(
            answer.status == 200,
            "the agent answered {path} with {answer:?}"
        );
        Ok(answer.body)
    }

    /// The accounts of `device` [sent, received] once they hold `interface` bytes and do not move any more.
    pub fn settled(&self, device: &str, interface: [u64; 2]) -> Result<[Account; 2]> {
        let wanted = interface.map(i128::from);
        let start = Instant::now();
        let mut last = None;
        loop {
            let found = self.accounts(device)?;
            let complete = [found[0].interface_bytes, found[1].interface_bytes] == wanted;
            if complete && last.as_ref() == Some(&found) {
                return Ok(found);
            }
            ensure!(
                start.elapsed() < TIMEOUT,
                "the agent's accounts do not come to {wanted:?} and rest; last {found:?}"
            );
            last = Some(found);
            std::thread::sleep(POLL * 5);
        }
    }

    fn accounts(&self, device: &str) -> Result<[Account; 2]> {
        let mut accounts = self.coverage()?;
        accounts.retain(|account| account.device == device);
        accounts.sort_by(|a, b| a.direction.cmp(&b.direction));
        accounts
            .try_into()
            .map_err(|accounts| anyhow::anyhow!("not two accounts of `{device}`: {accounts:?}"))
    }

    /// Ends the agent as a crash would: it writes nothing more.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("kill the agent")?;
        self.child.wait().context("await the killed agent")?;
        Ok(())
    }

    /// Ends the agent as an operator would and returns its records.
    pub fn stop(mut self) -> Result<Vec<Value>> {
        kill(self.raw_pid(), Signal::SIGTERM).context("end the agent")?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < TIMEOUT, "the agent does not end");
            std::thread::sleep(POLL);
        };
        ensure!(status.success(), "the agent ended with {status}");
        self.records()
    }

    /// The records written so far; nothing of one that is being written.
    pub fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.flows)
            .with_context(|| format!("read `{}`", self.flows.display()))?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("record `{line}`")))
            .collect()
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it said to standard error since it counts.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.raw_pid(), signal).with_context(|| format!("send the agent {signal}"))
    }

    /// The agent's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.owned {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}
