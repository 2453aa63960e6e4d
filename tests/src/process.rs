//! A process that a host started, killed with its whole group when it is dropped. It knows no namespace.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, ExitStatus, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

const POLL: Duration = Duration::from_millis(5);

/// A running process; its pid is its process group too.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    command: String,
}

impl Process {
    pub(crate) fn new(mut child: Child, command: String) -> Self {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self {
            child,
            stdin,
            stdout,
            command,
        }
    }

    /// The process as every namespace of this machine's pids sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to the process alone (not to its group).
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.raw_pid(), signal)
            .with_context(|| format!("cannot send {signal:?} to `{}`", self.command))
    }

    /// Writes one line to a piped standard input.
    pub fn write_line(&mut self, line: &str) -> Result<()> {
        let stdin = self
            .stdin
            .as_mut()
            .with_context(|| format!("`{}` has no piped input", self.command))?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .with_context(|| format!("writing to `{}`", self.command))
    }

    /// Reads one line from a piped standard output; an empty string is the end.
    pub fn read_line(&mut self) -> Result<String> {
        let stdout = self
            .stdout
            .as_mut()
            .with_context(|| format!("`{}` has no piped output", self.command))?;
        let mut line = String::new();
        stdout
            .read_line(&mut line)
            .with_context(|| format!("reading from `{}`", self.command))?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits for the end of the process, at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    "`{}` (pid {}) still runs after {timeout:?}",
                    self.command,
                    self.pid()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the end, at most `timeout`, and returns what was written to piped output and error streams.
    pub fn output(mut self, timeout: Duration) -> Result<Output> {
        let stdout = self.stdout.take();
        let stderr = self.child.stderr.take();
        drop(self.stdin.take());
        std::thread::scope(|scope| {
            let stdout = scope.spawn(|| read_all(stdout));
            let stderr = scope.spawn(|| read_all(stderr));
            let status = self.wait(timeout);
            if status.is_err() {
                self.kill();
            }
            let (stdout, stderr) = (
                stdout.join().unwrap_or_default(),
                stderr.join().unwrap_or_default(),
            );
            Ok(Output {
                status: status?,
                stdout,
                stderr,
            })
        })
    }

    fn kill(&mut self) {
        // The pid is not reused before `wait` has collected it; an ended process leaves no group to hit but its own.
        let _ = killpg(self.raw_pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

fn read_all(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _: io::Result<usize> = stream.read_to_end(&mut bytes);
    }
    bytes
}
