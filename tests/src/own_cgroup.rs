//! A cgroup for this process and all it starts, so that an agent attached there counts this run alone and nothing that
//! others do on the machine. It knows no agent.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

use crate::mounts;

const PREFIX: &str = "observer-tests-own-";

/// Left and removed when dropped; what this process started must have ended by then.
#[derive(Debug)]
pub struct OwnCgroup {
    path: PathBuf,
    /// Where the process was before.
    before: PathBuf,
}

impl OwnCgroup {
    /// Makes it below the root of the unified hierarchy and moves this process there.
    pub fn enter() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let root = mounts::unified()?;
        sweep(&root);
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{PREFIX}{}-{counter}", std::process::id()));
        let own = fs::read_to_string("/proc/self/cgroup").context("read `/proc/self/cgroup`")?;
        let before = root.join(of_unified(&own).trim_start_matches('/'));
        fs::create_dir(&path).with_context(|| format!("make `{}`", path.display()))?;
        let made = Self { path, before };
        move_to(&made.path)?;
        Ok(made)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        let _ = move_to(&self.before);
        let _ = fs::remove_dir(&self.path);
    }
}

fn move_to(cgroup: &Path) -> Result<()> {
    let file = cgroup.join("cgroup.procs");
    // 0 is the writer itself.
    fs::write(&file, "0").with_context(|| format!("write `{}`", file.display()))
}

/// The path in the line `0::PATH`.
fn of_unified(text: &str) -> &str {
    text.lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/")
}

/// Removes what dead runs left.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        if owner.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchys_line_is_found_among_others() {
        for (text, path) in [
            ("0::/a.slice/b\n", "/a.slice/b"),
            ("3:cpu:/x\n0::/\n", "/"),
            ("3:cpu:/x\n", "/"),
        ] {
            assert_eq!(of_unified(text), path);
        }
    }
}
