//! Removes everything of ours from the kernel: pinned links and maps of every build, and filters that outlived their
//! agent on kernels without TCX. Programs of a running, unpinned agent go with that agent.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{device::UplinkSpec, uplink};

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub pins: Vec<PathBuf>,
    pub filters: Vec<String>,
}

/// Removes the pins below `base` and the filters on `uplinks`.
///
/// # Errors
/// Where something is there and cannot be removed.
pub fn detach(base: &Path, uplinks: &[UplinkSpec]) -> Result<Removed> {
    let mut removed = Removed::default();
    for build in directories(base, "abi-")? {
        // Links first: a program must not run on with its maps half gone.
        let mut pins = entries(&build)?;
        pins.sort_by_key(|path| {
            !path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("link_"))
        });
        for pin in pins {
            fs::remove_file(&pin).with_context(|| format!("remove pin `{}`", pin.display()))?;
            removed.pins.push(pin);
        }
        fs::remove_dir(&build)
            .with_context(|| format!("remove pin directory `{}`", build.display()))?;
    }
    if base.exists() {
        let _ = fs::remove_dir(base);
    }
    for spec in uplinks {
        removed.filters.extend(uplink::remove_filters(spec)?);
    }
    Ok(removed)
}

fn directories(base: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let found = entries(base)?;
    Ok(found
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .collect())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("read `{}`", directory.display()))?,
    };
    read.map(|entry| {
        Ok(entry
            .with_context(|| format!("read `{}`", directory.display()))?
            .path())
    })
    .collect()
}
