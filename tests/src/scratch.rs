//! A directory of this run for temporary files, for its owner's eyes only; removed when dropped, and by a later run
//! where this one was killed. It knows nothing of what is in it.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

/// `<prefix><pid>-<n>` in the folder for temporary files.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(prefix: &str) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir();
        for stale in of_the_dead(&folder, prefix) {
            let _ = fs::remove_dir_all(stale);
        }
        let path = folder.join(format!("{prefix}{}-{counter}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self { path })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Entries of `folder` called `<prefix><pid>...` whose process is gone.
pub(crate) fn of_the_dead(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str()
                .and_then(|name| owner(name, prefix))
                .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        })
        .map(|entry| entry.path())
        .collect()
}

fn owner(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?
        .split(['-', '.'])
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_name() {
        for (name, pid) in [
            ("observer-x-17-0", Some(17)),
            ("observer-x-17.slice", Some(17)),
            ("observer-x-y-17", None),
            ("observer-y-17-0", None),
            ("observer-x-", None),
        ] {
            assert_eq!(owner(name, "observer-x-"), pid, "{name}");
        }
    }
}
