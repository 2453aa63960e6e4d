//! The two ends of every load, of which the agent counts the near one alone, as on a real host: near's threads are in a
//! cgroup of this run, and the agent attaches there. Each end keeps to a CPU of its own: where the scheduler puts them
//! changes a figure more than any agent does. It knows no load.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use observer_tests::{mounts, topology::Direct};

const PREFIX: &str = "observer-bench-";
const NEAR_CPU: usize = 0;
const FAR_CPU: usize = 1;

/// Two hosts, and where near's threads are counted.
pub struct Ends {
    pub net: Direct,
    near: NearCgroup,
}

impl Ends {
    pub fn new(net: Direct) -> Result<Self> {
        let near = NearCgroup::make().context("cannot make a cgroup for the near end")?;
        Ok(Self { net, near })
    }

    /// What the agent attaches to, to count the near end alone.
    pub fn near_cgroup(&self) -> &Path {
        &self.near.threads
    }

    /// Runs `work` on the near host; sockets made there are the near end's.
    pub fn near<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let threads = self.near.threads.clone();
        self.net.near.run(move || {
            join(&threads)?;
            keep_to(NEAR_CPU)?;
            work()
        })
    }

    /// Starts `work` on the near host.
    pub fn start_near(
        &self,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<JoinHandle<Result<()>>> {
        let threads = self.near.threads.clone();
        Ok(self.net.near.start("load", move || {
            join(&threads)?;
            keep_to(NEAR_CPU)?;
            work()
        })?)
    }

    /// A program for `net.near.spawn`, whose sockets are the near end's.
    pub fn near_program(&self, name: &str) -> Command {
        // 0 is the writer itself, which has no other thread yet.
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo 0 >\"$0\" && exec \"$@\""])
            .arg(self.near.threads.join("cgroup.threads"))
            .args(["taskset", "--cpu-list", &cpu(NEAR_CPU).to_string(), name]);
        command
    }

    /// A program for `net.far.spawn`.
    pub fn far_program(name: &str) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &cpu(FAR_CPU).to_string(), name]);
        command
    }

    /// Starts `work` on the far host.
    pub fn start_far(
        &self,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<JoinHandle<Result<()>>> {
        Ok(self.net.far.start("load", move || {
            keep_to(FAR_CPU)?;
            work()
        })?)
    }
}

/// Keeps the calling thread to one CPU.
fn keep_to(nth: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu(nth))?;
    sched_setaffinity(Pid::from_raw(0), &set).context("cannot keep a load to its CPU")
}

/// Where there is only one, that.
fn cpu(nth: usize) -> usize {
    nth % std::thread::available_parallelism().map_or(1, usize::from)
}

/// Puts the calling thread into a cgroup of threads.
fn join(threads: &Path) -> Result<()> {
    let file = threads.join("cgroup.threads");
    // 0 is the writer itself.
    fs::write(&file, "0").with_context(|| format!("cannot write `{}`", file.display()))
}

/// This process in a cgroup of its own, and below it one for near's threads.
struct NearCgroup {
    root: PathBuf,
    process: PathBuf,
    threads: PathBuf,
}

impl NearCgroup {
    fn make() -> Result<Self> {
        let root = mounts::unified()?;
        sweep(&root);
        let process = root.join(format!("{PREFIX}{}", std::process::id()));
        let threads = process.join("near");
        let made = Self {
            root,
            process,
            threads,
        };
        fs::create_dir_all(&made.threads)
            .with_context(|| format!("cannot make `{}`", made.threads.display()))?;
        fs::write(made.process.join("cgroup.procs"), "0")?;
        fs::write(made.threads.join("cgroup.type"), "threaded")?;
        Ok(made)
    }
}

impl Drop for NearCgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.root.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&self.threads);
        let _ = fs::remove_dir(&self.process);
    }
}

/// Removes what runs left that were killed.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path().join("near"));
            let _ = fs::remove_dir(entry.path());
        }
    }
}
