//! Control groups of this run, as a service manager makes them: a slice at the top of the unified hierarchy with a group
//! for each unit. No controller is enabled and nothing is limited. It knows no process.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{mounts, scratch::of_the_dead};

/// A killed process leaves its group a moment after it is collected.
const TIMEOUT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// `<prefix><pid>.slice`; removed with its units when dropped, by which time their processes must be dead.
#[derive(Debug)]
pub struct Slice {
    path: PathBuf,
}

impl Slice {
    /// Makes it, and removes what killed runs left of theirs.
    pub fn new(prefix: &str) -> Result<Self> {
        let root = mounts::unified()?;
        for stale in of_the_dead(&root, prefix) {
            remove(&stale);
        }
        let path = root.join(format!("{prefix}{}.slice", std::process::id()));
        fs::create_dir(&path).with_context(|| {
            format!(
                "cannot make the control group `{}`: is cgroup2 mounted read-only?",
                path.display()
            )
        })?;
        Ok(Self { path })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `<name>.service` below it. A process joins by writing `0` into the group's `cgroup.procs`.
    pub fn unit(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(format!("{name}.service"));
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the control group `{}`", path.display()))?;
        Ok(path)
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        let end = Instant::now() + TIMEOUT;
        while !remove(&self.path) && Instant::now() < end {
            std::thread::sleep(POLL);
        }
    }
}

/// A group can be removed once it is empty; true when it is gone.
fn remove(slice: &Path) -> bool {
    for entry in fs::read_dir(slice).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    let _ = fs::remove_dir(slice);
    !slice.exists()
}
