//! Mounts of a thread's own, and where the unified cgroup hierarchy is. It knows no cgroup.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Runs `work` on a thread with a mount namespace of its own, which processes that it starts share. Nothing that it mounts
/// is seen by others.
pub fn with_own<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
            .context("a mount namespace of our own")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        work()
    })
    .join()
    .map_err(|_| anyhow!("panicked"))?
}

/// Mounts a filesystem that needs no device at `path`, which is made.
pub fn mount_at(path: &Path, kind: &str) -> Result<()> {
    fs::create_dir_all(path)?;
    mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mount {kind} at `{}`", path.display()))
}

/// Where this thread sees filesystems of a kind that begins with `kind`.
pub fn of_kind(kind: &str) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").context("read the mounts")?;
    Ok(paths(&mounts, kind))
}

/// The first mount of the unified cgroup hierarchy.
pub fn unified() -> Result<PathBuf> {
    let found = of_kind("cgroup2")?.into_iter().next();
    found.context("no cgroup2 is mounted: mount it first")
}

fn paths(mounts: &str, kind: &str) -> Vec<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (path, found) = (words.next()?, words.next()?);
            found.starts_with(kind).then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_kind_in_both_layouts() {
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let cases: [(&str, &str, &[&str]); 4] = [
            (
                "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
                "cgroup2",
                &["/sys/fs/cgroup"],
            ),
            (hybrid, "cgroup2", &["/sys/fs/cgroup/unified"]),
            (
                hybrid,
                "cgroup",
                &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"],
            ),
            ("tmpfs /tmp tmpfs rw 0 0\n", "cgroup2", &[]),
        ];
        for (mounts, kind, expected) in cases {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(paths(mounts, kind), expected, "{mounts}");
        }
    }
}
