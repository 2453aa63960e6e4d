//! `/proc`: which processes there are, and which of the files that they execute may encrypt requests.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes of `/proc/PID/maps` that are read at the most.
const MAPS_BYTES_MAX: usize = 4 << 20;

/// A file that a process executes code of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// As the process's own root has it.
    pub path: PathBuf,
    /// Address range, as names in `/proc/PID/map_files` have it.
    pub range: String,
    /// The file has no name any more: another one has taken it, or it was removed.
    pub is_deleted: bool,
}

/// Every process that is there now.
pub fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// When a process started, in clock ticks since boot.
pub fn start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_of(&stat)
}

/// The 22nd field; the second one, in parentheses, may have blanks.
fn start_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Files of a process that may encrypt requests: its executable, and libraries by their names.
pub fn candidates(pid: u32) -> Vec<Mapping> {
    let Ok(maps) = crate::files::read(
        Path::new(&format!("/proc/{pid}/maps")),
        MAPS_BYTES_MAX as u64,
    ) else {
        return Vec::new();
    };
    let executable = fs::read_link(format!("/proc/{pid}/exe")).ok();
    of_maps(&String::from_utf8_lossy(&maps), executable.as_deref())
}

fn of_maps(maps: &str, executable: Option<&Path>) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for line in maps.lines() {
        let Some(mapping) = mapping(line) else {
            continue;
        };
        let is_known = found.iter().any(|known| known.path == mapping.path);
        let name = mapping.path.file_name().unwrap_or_default();
        let is_wanted = Some(mapping.path.as_path()) == executable
            || is_library(&name.to_string_lossy())
            || (mapping.is_deleted && executable.is_some_and(|own| is_deleted(own, &mapping.path)));
        if is_wanted && !is_known {
            found.push(mapping);
        }
    }
    found
}

/// `/proc/PID/exe` says of a file without a name ` (deleted)` too.
fn is_deleted(executable: &Path, path: &Path) -> bool {
    let text = executable.to_string_lossy();
    text.strip_suffix(DELETED) == path.to_str()
}

const DELETED: &str = " (deleted)";

/// A line of code that lies in a file: `ADDRESSES r-xp OFFSET DEVICE INODE PATH` (proc(5)).
fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (range, rights) = (fields.next()?, fields.next()?);
    let _offset_and_device = (fields.next()?, fields.next()?);
    let inode: u64 = fields.next()?.parse().ok()?;
    let path = fields.next()?.trim_start();
    if !rights.contains('x') || inode == 0 || !path.starts_with('/') {
        return None;
    }
    let (path, is_deleted) = match path.strip_suffix(DELETED) {
        Some(path) => (path, true),
        None => (path, false),
    };
    Some(Mapping {
        path: path.into(),
        range: range.to_owned(),
        is_deleted,
    })
}

/// Libraries that requests are encrypted in, by the beginning of their names: OpenSSL's and GnuTLS's own, and such as have BoringSSL
/// in them with its symbols.
const LIBRARIES: [&str; 5] = [
    "libssl",
    "libgnutls",
    "libcurl-impersonate",
    "libcronet",
    // Of `curl_cffi` for Python.
    "_wrapper",
];

/// Whether a file is one of [`LIBRARIES`]; wheels put a hash into the name (`libssl-1a2b3c.so.3`).
pub fn is_library(name: &str) -> bool {
    LIBRARIES.iter().any(|library| {
        let rest = name.strip_prefix(library);
        rest.is_some_and(|rest| rest.starts_with(['.', '-']) && rest.contains(".so"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_and_libraries_are_candidates() {
        let maps = "\
5600-5700 r--p 00000000 fe:00 11 /usr/bin/thing
5700-5800 r-xp 00001000 fe:00 11 /usr/bin/thing
7f00-7f10 r-xp 00001000 fe:00 12 /usr/lib/libssl.so.3
7f10-7f20 r-xp 00001000 fe:00 12 /usr/lib/libssl.so.3
7f20-7f30 r-xp 00001000 fe:00 13 /opt/a b/libssl-1a2b.so.1.1 (deleted)
7f30-7f40 r-xp 00001000 fe:00 14 /usr/lib/libc.so.6
7f40-7f50 rw-p 00001000 fe:00 15 /usr/lib/libssl.so.1.1
7f50-7f60 r-xp 00000000 00:00 0 [vdso]
7f60-7f70 r-xp 00000000 00:00 0
";
        let found = of_maps(maps, Some(Path::new("/usr/bin/thing")));
        let found: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.path.to_str().unwrap_or_default(),
                    one.range.as_str(),
                    one.is_deleted,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("/usr/bin/thing", "5700-5800", false),
                ("/usr/lib/libssl.so.3", "7f00-7f10", false),
                ("/opt/a b/libssl-1a2b.so.1.1", "7f20-7f30", true),
            ]
        );
        let maps = "5700-5800 r-xp 00001000 fe:00 11 /usr/bin/thing (deleted)\n";
        let found = of_maps(maps, Some(Path::new("/usr/bin/thing (deleted)")));
        assert_eq!(found.len(), 1);
        assert_eq!(of_maps("\u{fffd}\n\n- - -", None), []);
    }

    #[test]
    fn libraries_are_told_by_name() {
        for (name, expected) in [
            ("libssl.so", true),
            ("libssl.so.3", true),
            ("libssl.so.1.1", true),
            ("libssl-6b3c.so.3", true),
            ("libgnutls.so.30", true),
            ("libcurl-impersonate-chrome.so.4", true),
            ("_wrapper.abi3.so", true),
            ("_wrapper.py", false),
            ("libgnutlsxx.so.30", false),
            ("libssl3.so", false),
            ("libssl.a", false),
            ("libsslcommon.so", false),
            ("libcrypto.so.3", false),
        ] {
            assert_eq!(is_library(name), expected, "{name}");
        }
    }

    #[test]
    fn a_start_is_read_behind_any_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(start_of(stat), Some(4711));
        assert_eq!(start_of("7 (a"), None);
    }
}
