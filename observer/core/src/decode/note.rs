//! What a note of the kernel half says: an executable's path put together, a cgroup's path as it is.

use std::mem::offset_of;

use observer_ebpf::abi::note::{self, TEXT_BYTES};

use super::{DecodeError, wire::Wire};

/// What the kernel half told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A life of a process that owns a socket.
    Process {
        pid: u32,
        /// See [`note::Note::process`].
        process: u32,
        /// Path of the executable; `None` where there was no room for all of it.
        executable: Option<String>,
    },
    /// A cgroup that was made.
    Cgroup {
        id: u64,
        /// From the root of the hierarchy; `None` where there was no room for all of it.
        path: Option<String>,
    },
}

/// One record of the ring of notes. Bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// Another size than [`note::Note`], an unknown kind, a text that is longer than there is room.
pub fn note(record: &[u8]) -> Result<Note, DecodeError> {
    let expected = size_of::<note::Note>();
    let size = DecodeError::Size {
        what: "note",
        expected,
        actual: record.len(),
    };
    if record.len() != expected {
        return Err(size);
    }
    let word = |at: usize| record.get(at..).and_then(u32::read).ok_or(size);
    let kind = word(offset_of!(note::Note, kind))?;
    let used = word(offset_of!(note::Note, text_bytes))? as usize;
    let cut = word(offset_of!(note::Note, cut))? != 0;
    let text = record
        .get(offset_of!(note::Note, text)..)
        .filter(|_| used <= TEXT_BYTES)
        .and_then(|text| text.get(..used))
        .ok_or(DecodeError::Text { what: "note" })?;
    match kind {
        note::PROCESS => Ok(Note::Process {
            pid: word(offset_of!(note::Note, pid))?,
            process: word(offset_of!(note::Note, process))?,
            executable: path_of_names(text).filter(|_| !cut),
        }),
        note::CGROUP => Ok(Note::Cgroup {
            id: record
                .get(offset_of!(note::Note, cgroup_id)..)
                .and_then(u64::read)
                .ok_or(size)?,
            path: text
                .split_last()
                .filter(|(end, path)| **end == 0 && !path.contains(&0) && !cut)
                .map(|(_, path)| String::from_utf8_lossy(path).into_owned()),
        }),
        number => Err(DecodeError::Number {
            what: "note",
            number: number.into(),
        }),
    }
}

/// `curl\0bin\0usr\0` is `/usr/bin/curl`.
fn path_of_names(text: &[u8]) -> Option<String> {
    let (end, names) = text.split_last()?;
    if *end != 0 {
        return None;
    }
    let mut path = String::new();
    for name in names.split(|byte| *byte == 0).rev() {
        if name.is_empty() {
            return None;
        }
        path.push('/');
        path.push_str(&String::from_utf8_lossy(name));
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, cut: u32, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let used = u32::try_from(text.len()).expect("a short text");
        for word in [kind, 12, 34, used] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(56_u64.to_ne_bytes());
        bytes.extend(cut.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(text);
        bytes.resize(size_of::<note::Note>(), 0xee);
        bytes
    }

    #[test]
    fn an_executable_is_read_from_its_name_upwards() {
        let cases: [(&[u8], u32, Option<&str>); 6] = [
            (b"curl\0bin\0usr\0", 0, Some("/usr/bin/curl")),
            (b"init\0", 0, Some("/init")),
            (b"a\xff\0", 0, Some("/a\u{fffd}")),
            (b"curl\0bin\0", 1, None),
            (b"curl\0\0usr\0", 0, None),
            (b"", 0, None),
        ];
        for (text, cut, executable) in cases {
            let expected = Note::Process {
                pid: 12,
                process: 34,
                executable: executable.map(str::to_owned),
            };
            assert_eq!(note(&record(note::PROCESS, cut, text)), Ok(expected));
        }
    }

    #[test]
    fn a_cgroup_is_its_path() {
        let cases: [(&[u8], u32, Option<&str>); 4] = [
            (
                b"/system.slice/nginx.service\0",
                0,
                Some("/system.slice/nginx.service"),
            ),
            (b"/a\0", 1, None),
            (b"/a", 0, None),
            (b"", 0, None),
        ];
        for (text, cut, path) in cases {
            let expected = Note::Cgroup {
                id: 56,
                path: path.map(str::to_owned),
            };
            assert_eq!(note(&record(note::CGROUP, cut, text)), Ok(expected));
        }
    }

    #[test]
    fn other_records_are_refused() {
        let whole = record(note::PROCESS, 0, b"a\0");
        for length in 0..whole.len() {
            assert!(note(&whole[..length]).is_err(), "{length}");
        }
        assert!(note(&record(3, 0, b"a\0")).is_err());
        let mut long = whole;
        long[12..16].copy_from_slice(&385_u32.to_ne_bytes());
        assert_eq!(note(&long), Err(DecodeError::Text { what: "note" }));
    }
}
