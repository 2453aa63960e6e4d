//! Files whole: read up to a limit, and written beside and put in place.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// Bytes of a regular file of at most `limit`.
///
/// # Errors
/// Where it is no such file, or cannot be read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let what = || format!("read `{}`", path.display());
    let metadata = fs::metadata(path).with_context(what)?;
    if !metadata.is_file() {
        bail!("read `{}`: it is no regular file", path.display());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(what)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(what)?;
    if bytes.len() as u64 > limit {
        bail!("read `{}`: it has more than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// Writes a file beside the one of this name, and puts it in its place.
///
/// # Errors
/// Where it cannot be written; what was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let done = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    done.with_context(|| format!("write `{}`", path.display()))
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
}

/// When it was last changed: `YYYY-MM-DD`, UTC.
///
/// # Errors
/// Where it is not there.
pub fn day(path: &Path) -> Result<String> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.with_context(|| format!("ask how old `{}` is", path.display()))?;
    Ok(jiff::Timestamp::try_from(modified)
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default())
}
