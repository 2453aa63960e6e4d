//! Opens files that other people's processes name: regular files of a bounded size alone, without ever waiting for one.

use std::{
    fs::{File, OpenOptions},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use super::{FileId, maps::Mapping};

/// Longest file that is looked at.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// The file that a process has mapped.
pub fn mapped(pid: u32, mapping: &Mapping) -> Option<(FileId, File)> {
    let path = if mapping.is_deleted {
        PathBuf::from(format!("/proc/{pid}/map_files/{}", mapping.range))
    } else {
        let inside = mapping.path.strip_prefix("/").ok()?;
        Path::new(&format!("/proc/{pid}/root")).join(inside)
    };
    plain(&path)
}

/// A regular file of a bounded size. What the path leads to is looked at before it is opened for reading, through the same
/// descriptor: a pipe or a device is never opened.
pub fn plain(path: &Path) -> Option<(FileId, File)> {
    let handle = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
        .open(path)
        .ok()?;
    let metadata = handle.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return None;
    }
    let id = FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", handle.as_raw_fd()))
        .ok()?;
    Some((id, file))
}

#[cfg(test)]
mod tests {
    use std::{fs, process};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let folder = std::env::temp_dir().join(format!("observer-open-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (pipe, file) = (folder.join("pipe"), folder.join("file"));
        mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
        fs::write(&file, "text").expect("a file");
        assert!(plain(&pipe).is_none());
        assert!(plain(Path::new("/dev/zero")).is_none());
        assert!(plain(&folder).is_none());
        assert!(plain(&folder.join("nothing")).is_none());
        let (id, _) = plain(&file).expect("a file");
        assert_eq!(id.inode, fs::metadata(&file).expect("a file").ino());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
