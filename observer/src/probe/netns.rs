//! Runs a piece of work inside another network namespace, on a thread of its own that ends with it. Knows no BPF.

use std::{fs::File, os::fd::AsFd as _, path::Path, thread};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// What `work` returns when run in the namespace `path` names; in the caller's own for `None`.
///
/// # Errors
/// Where the namespace cannot be opened or entered, and what `work` returns.
pub fn within<T: Send>(path: Option<&Path>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let Some(path) = path else {
        return work();
    };
    let namespace =
        File::open(path).with_context(|| format!("open network namespace `{}`", path.display()))?;
    thread::scope(|scope| {
        scope
            .spawn(|| {
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("enter network namespace `{}`", path.display()))?;
                work()
            })
            .join()
            .map_err(|_| {
                anyhow!(
                    "the thread in network namespace `{}` panicked",
                    path.display()
                )
            })?
    })
}
