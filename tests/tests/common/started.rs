//! A bed with one uplink, and an agent on it whose pipes and environment the test has in its hand.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use observer_tests::{
    Testbed, Wire,
    agent::{executable, uplink},
    topology::{self, Bridged},
    traffic::Plan,
};
use serde_json::Value;

use super::PORT;

pub const TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

pub struct Bed {
    pub net: Bridged,
    pub uplink: String,
    pub folder: PathBuf,
    _bed: Testbed,
}

impl Bed {
    pub fn new(name: &str) -> Result<Self> {
        let bed = Testbed::new("life")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let folder = std::env::temp_dir().join(format!("observer-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self {
            uplink: uplink(&net.near, net.near_device),
            net,
            folder,
            _bed: bed,
        })
    }

    pub fn run(&self, plan: &Plan) -> Result<()> {
        plan.run(&self.net.near, &self.net.far, self.net.far_address(4, PORT))
            .map(drop)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Lines that a process said so far.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    pub fn listen(&self, pipe: impl Read + Send + 'static) {
        let said = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                said.0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
    }

    pub fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn wait_for(&self, part: &str) -> Result<String> {
        eventually(part, || {
            Ok(self.lines().into_iter().find(|line| line.contains(part)))
        })
        .with_context(|| format!("it said {:?}", self.lines()))
    }
}

pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        if let Some(found) = look()? {
            return Ok(found);
        }
        thread::sleep(POLL);
    }
    bail!("`{what}` did not come in {TIMEOUT:?}")
}

/// An agent whose pipes and environment the test has in its hand; killed when dropped.
pub struct Started {
    pub child: Child,
    pub said: Said,
}

impl Started {
    pub fn new(bed: &Bed, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let executable = executable().context("the agent is not built")?;
        let mut child = Command::new(executable)
            .args(["run", "--host", "near", "--listen", "127.0.0.1:0"])
            .args(["--uplink", &bed.uplink])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start the agent")?;
        let said = Said::default();
        said.listen(child.stderr.take().context("its standard error")?);
        Ok(Self { child, said })
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).with_context(|| format!("send {signal}"))
    }

    pub fn stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().context("its standard output")
    }

    pub fn wait(&mut self) -> Result<ExitStatus> {
        eventually("the agent's end", || Ok(self.child.try_wait()?))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reader of records that pauses when it is told to. It reads from the start: other sockets of the machine fill a pipe too.
pub struct Reader {
    reads: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<String>>,
}

impl Reader {
    pub fn new(mut pipe: ChildStdout, pause: Duration) -> Self {
        let reads = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&reads);
        let thread = thread::spawn(move || {
            let mut text = Vec::new();
            let mut piece = [0; 8_192];
            loop {
                if told.load(Ordering::Relaxed) {
                    let read = pipe.read(&mut piece)?;
                    if read == 0 {
                        return Ok(String::from_utf8(text)?);
                    }
                    text.extend_from_slice(&piece[..read]);
                }
                thread::sleep(pause);
            }
        });
        Self { reads, thread }
    }

    pub fn stop(&self) {
        self.reads.store(false, Ordering::Relaxed);
    }

    /// Everything up to the pipe's end.
    pub fn finish(self) -> Result<String> {
        self.reads.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the reader panicked"))?
    }
}

/// Every line is a record, and the last one is whole too.
pub fn records(text: &str) -> Result<Vec<Value>> {
    ensure!(
        text.is_empty() || text.ends_with('\n'),
        "a cut record at the end"
    );
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("record `{line}`")))
        .collect()
}
