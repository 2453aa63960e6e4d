//! A network namespace held by a descriptor and named by a link in `/run/netns`. It knows no device and no address.
//!
//! The name is a symbolic link to `/proc/<pid>/fd/<n>` and not a bind mount: nothing is mounted on the machine, and
//! the kernel frees the namespace with its last descriptor even when the process is killed with SIGKILL.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::fs::{MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

use crate::exit;

/// Where `ip netns`, `nsenter --net=` and the agent look names up.
pub const FOLDER: &str = "/run/netns";

/// First part of every name that the testbed gives: `observer-test-<pid>-<counter>-<label>`.
pub const PREFIX: &str = "observer-test-";

/// One network namespace; gone, with its name and its devices, when this and every process in it are gone.
#[derive(Debug)]
pub struct Namespace {
    held: OwnedFd,
    path: PathBuf,
    inode: u64,
}

impl Namespace {
    /// Makes an empty namespace named after this process, a counter and `label`.
    pub fn create(label: &str) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        let file = std::thread::spawn(|| -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        })
        .join()
        .map_err(|_| anyhow!("the thread that makes the network namespace `{label}` panicked"))?
        .with_context(|| format!("cannot make the network namespace `{label}`"))?;
        let inode = file.metadata()?.ino();
        let held = OwnedFd::from(file);
        let path =
            Path::new(FOLDER).join(format!("{PREFIX}{}-{counter}-{label}", std::process::id()));
        let target = format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd());
        fs::create_dir_all(FOLDER).with_context(|| format!("cannot make `{FOLDER}`"))?;
        // A dead process of the same pid may have left this name.
        let _ = fs::remove_file(&path);
        exit::remember(&path);
        symlink(target, &path)
            .with_context(|| format!("cannot name a namespace `{}`", path.display()))?;
        Ok(Self { held, path, inode })
    }

    /// Moves the calling thread into the namespace, for good: call it on a thread of its own.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(self.held.as_fd(), CloneFlags::CLONE_NEWNET)?)
    }

    /// The path by which other programs open the namespace, while this process lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number that `/proc/<pid>/ns/net` shows and that the agent records as `netns`.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.held.as_raw_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        exit::forget(&self.path);
    }
}

/// Removes the names that dead runs left behind. Names that are not ours, or whose owner lives, stay.
pub fn sweep() -> Result<()> {
    fs::create_dir_all(FOLDER).with_context(|| format!("cannot make `{FOLDER}`"))?;
    exit::sweep(Path::new(FOLDER), PREFIX).with_context(|| format!("cannot sweep `{FOLDER}`"))
}
