//! Where short processes live, and who they call.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use observer_tests::Host;

/// Answers whoever calls, until it is told to stop by a connection that sends nothing.
pub fn serve(far: &Host, address: SocketAddr) -> Result<std::thread::JoinHandle<Result<()>>> {
    let listener = far.run(|| TcpListener::bind(address)).context("listen")?;
    Ok(far.start("far-server", move || {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let mut request = Vec::new();
            if stream.read_to_end(&mut request)? == 0 {
                return Ok(());
            }
            stream.write_all(&[b'a'; 1_000])?;
        }
        Ok(())
    })?)
}

/// Directories of the run that go with the value: programs, and cgroups below one of its own.
pub struct Places {
    pub programs: PathBuf,
    pub cgroup: PathBuf,
}

impl Places {
    pub fn new(name: &str) -> Result<Self> {
        let unique = format!("observer-test-{name}-{}", std::process::id());
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let root = mounts
            .lines()
            .filter_map(|line| {
                line.split(' ')
                    .collect::<Vec<_>>()
                    .get(1..3)
                    .map(<[_]>::to_vec)
            })
            .find(|words| words[1] == "cgroup2")
            .map(|words| PathBuf::from(words[0]))
            .context("no unified cgroup hierarchy is mounted")?;
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
