//! Where short processes live, and who they call.

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use observer_tests::{Host, mounts};

/// A server that answers whoever calls.
pub struct Server {
    address: SocketAddr,
    thread: JoinHandle<Result<()>>,
}

impl Server {
    pub fn start(far: &Host, address: SocketAddr) -> Result<Self> {
        let listener = far.run(|| TcpListener::bind(address)).context("listen")?;
        let thread = far.start("far-server", move || {
            for stream in listener.incoming() {
                let mut stream = stream?;
                let mut request = Vec::new();
                if stream.read_to_end(&mut request)? == 0 {
                    return Ok(());
                }
                stream.write_all(&[b'a'; 1_000])?;
            }
            Ok(())
        })?;
        Ok(Self { address, thread })
    }

    /// Ends it, by a connection from `near` that sends nothing.
    pub fn end(self, near: &Host) -> Result<()> {
        let address = self.address;
        near.run(|| {
            TcpStream::connect(address).and_then(|stream| stream.shutdown(Shutdown::Write))
        })?;
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the far server panicked"))?
    }
}

/// What `program`, run on `host` with `arguments`, wrote to standard output; anything but success is an error.
pub fn said<S: AsRef<OsStr>>(
    host: &Host,
    program: &str,
    arguments: impl IntoIterator<Item = S>,
    timeout: Duration,
) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    succeeded(host.spawn(command)?.output(timeout)?)
}

/// Standard output of a program that succeeded.
pub fn succeeded(output: Output) -> Result<Vec<u8>> {
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// Directories of the run that go with the value: programs, and cgroups below one of its own.
pub struct Places {
    pub programs: PathBuf,
    pub cgroup: PathBuf,
}

impl Places {
    pub fn new(name: &str) -> Result<Self> {
        let unique = format!("observer-test-{name}-{}", std::process::id());
        let root = mounts::unified()?;
        let places = Self {
            programs: std::env::temp_dir().join(&unique),
            cgroup: root.join(&unique),
        };
        fs::create_dir_all(&places.programs)?;
        fs::create_dir(&places.cgroup)?;
        Ok(places)
    }

    /// The program under several names.
    pub fn copies(&self, program: &str, names: &[&str]) -> Result<()> {
        for name in names {
            fs::copy(program, self.programs.join(name)).context("copy the program")?;
        }
        Ok(())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.programs);
        for below in fs::read_dir(&self.cgroup).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(below.path());
        }
        let _ = fs::remove_dir(&self.cgroup);
    }
}
