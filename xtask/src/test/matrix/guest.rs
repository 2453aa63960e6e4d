//! One emulated guest, from boot to power-off: without a network card, with the console's lines handed on as they come.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::image::END;
use crate::shell;

/// Emulation is slow; a guest that is not done by then hangs.
pub const TIMEOUT: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Passed,
    /// With a failed test, or without a word (a kernel panic).
    Failed,
    TimedOut,
}

/// Boots `kernel` with the user land `image`.
pub fn run(kernel: &Path, image: &Path, mut read: impl FnMut(&str)) -> Result<Ended> {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-M", "pc", "-cpu", "max", "-accel", "tcg"])
        .args(["-smp", "2", "-m", "1024", "-nic", "none", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("start `{}`", shell::line(&command)))?;
    let console = child.stdout.take().context("the guest's console")?;
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let start = Instant::now();
    let mut ended = Ended::Failed;
    loop {
        match lines.recv_timeout(TIMEOUT.saturating_sub(start.elapsed())) {
            Ok(line) => {
                if let Some(status) = line.strip_prefix(END) {
                    if status == "0" {
                        ended = Ended::Passed;
                    }
                } else {
                    read(&line);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                ended = Ended::TimedOut;
                child.kill().context("end the guest")?;
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    child.wait().context("wait for the guest")?;
    Ok(ended)
}
