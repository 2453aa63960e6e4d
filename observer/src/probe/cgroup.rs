//! Finds the unified cgroup hierarchy and tells its true root from a private namespace's. Knows no BPF.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// Inode number of the root of the unified hierarchy, on every kernel.
const ROOT_INODE: u64 = 1;

/// The cgroup that programs are attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Whether it is the hierarchy's own root: below it, other cgroups' sockets are not seen.
    pub is_true_root: bool,
}

/// The first cgroup2 mount whose root is the true one, else the first at all.
///
/// # Errors
/// Where `/proc/self/mounts` cannot be read or has no cgroup2.
pub fn find() -> Result<Root> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read `/proc/self/mounts`")?;
    let roots: Vec<Root> = unified_mounts(&mounts)
        .filter_map(|path| inspect(&path).ok())
        .collect();
    match roots
        .iter()
        .find(|root| root.is_true_root)
        .or(roots.first())
    {
        Some(root) => Ok(root.clone()),
        None => bail!(
            "no cgroup2 mount in `/proc/self/mounts`; mount it with `mount -t cgroup2 none DIRECTORY`"
        ),
    }
}

/// The root at a given mount point.
///
/// # Errors
/// Where the directory cannot be read.
pub fn inspect(path: &Path) -> Result<Root> {
    let inode = fs::metadata(path)
        .with_context(|| format!("read cgroup directory `{}`", path.display()))?
        .ino();
    Ok(Root {
        path: path.to_owned(),
        is_true_root: inode == ROOT_INODE,
    })
}

/// Whether `path` is on the unified hierarchy still.
pub fn is_unified(path: &Path) -> bool {
    statfs(path).is_ok_and(|filesystem| filesystem.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

fn unified_mounts(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
        // Mount points carry blanks as \040 (proc(5)).
        (kind == "cgroup2").then(|| PathBuf::from(path.replace("\\040", " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unified_and_hybrid_mounts() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let blank = "none /a\\040b cgroup2 rw 0 0\n";
        let cases = [
            (hybrid, vec!["/sys/fs/cgroup/unified"]),
            (
                "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
                vec!["/sys/fs/cgroup"],
            ),
            (blank, vec!["/a b"]),
            ("proc /proc proc rw 0 0\n", vec![]),
        ];
        for (mounts, expected) in cases {
            let found: Vec<PathBuf> = unified_mounts(mounts).collect();
            assert_eq!(
                found,
                expected.into_iter().map(PathBuf::from).collect::<Vec<_>>()
            );
        }
    }
}
