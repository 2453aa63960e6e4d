//! Which files of running programs encrypt requests, and where in them: found by what processes have mapped, each file looked at
//! once. Reads `/proc` and files; attaches nothing.

mod elf;
mod golang;
mod maps;
mod open;
mod prologue;

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use observer_core::model::{kernel::Losses, names::LossPlace};

pub use self::elf::{Encrypter, Place};
use self::maps::Mapping;

/// Files in which something is attached at the same time.
pub const FILES_MAX: usize = 512;
/// Processes that are known at the same time.
pub const PROCESSES_MAX: usize = 32_768;
/// Files that were looked at and have nothing to attach to, before they are forgotten and looked at again.
const PLAIN_MAX: usize = 16_384;
/// Executables that were told of, between two looks.
pub const HEARD_MAX: usize = 1_024;
/// A process is looked at again after this time, then after twice as much: libraries come while it runs.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LAST: Duration = Duration::from_mins(5);
/// How long a file stays attached that no process has mapped.
const IDLE: Duration = Duration::from_mins(10);
/// Folders of this host whose libraries are found before a process has them.
const FOLDERS: [&str; 6] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// A file, whatever its names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

/// A file that encrypts requests, opened: the descriptor is what to attach to.
pub struct Found {
    pub id: FileId,
    pub file: fs::File,
    pub path: PathBuf,
    pub encrypter: Encrypter,
}

/// What is known of processes and files.
pub struct Libraries {
    processes: HashMap<u32, Process>,
    attached: HashMap<FileId, Attached>,
    plain: HashSet<FileId>,
    refused: u64,
    has_looked: bool,
}

struct Process {
    /// Of `/proc/PID/stat`: tells one life of a pid from another.
    start: u64,
    files: Vec<FileId>,
    again: Duration,
    due: Instant,
}

struct Attached {
    /// When a process was last seen to have it mapped.
    used: Instant,
    /// Of this host's folders: stays.
    stays: bool,
}

/// What one look came to.
#[derive(Default)]
pub struct Looked {
    pub found: Vec<Found>,
    /// Nothing has them mapped any more.
    pub gone: Vec<FileId>,
}

impl Libraries {
    pub fn new() -> Self {
        Self {
            processes: HashMap::new(),
            attached: HashMap::new(),
            plain: HashSet::new(),
            refused: 0,
            has_looked: false,
        }
    }

    /// Looks at processes that are new, and again at those that are due or were told of: who has a connection has the library for it.
    /// Executables of those that were told of are looked at even if they are gone.
    pub fn look(&mut self, heard: &[(u32, PathBuf)], now: Instant) -> Looked {
        let mut looked = Looked::default();
        if !self.has_looked {
            self.has_looked = true;
            for folder in FOLDERS {
                self.look_into(Path::new(folder), now, &mut looked);
            }
        }
        let pids: HashSet<u32> = maps::processes().collect();
        self.processes.retain(|pid, _| pids.contains(pid));
        for (pid, _) in heard {
            if let Some(process) = self.processes.get_mut(pid) {
                process.due = now;
            }
        }
        for pid in pids {
            self.look_at(pid, now, &mut looked);
        }
        for (pid, path) in heard {
            // As the process has it, or had it if it was one of this host.
            let inside = path.strip_prefix("/").unwrap_or(path);
            let there = Path::new(&format!("/proc/{pid}/root")).join(inside);
            if let Some((id, file)) = open::plain(&there).or_else(|| open::plain(path)) {
                self.take(id, file, path, (now, false), &mut looked);
            }
        }
        for process in self.processes.values() {
            for id in &process.files {
                if let Some(attached) = self.attached.get_mut(id) {
                    attached.used = now;
                }
            }
        }
        self.attached.retain(|id, attached| {
            let stays = attached.stays || now.duration_since(attached.used) < IDLE;
            if !stays {
                looked.gone.push(*id);
            }
            stays
        });
        looked
    }

    /// The file could not be attached to: it is not tried again while it is known.
    pub fn refuse(&mut self, id: FileId) {
        self.attached.remove(&id);
        self.plain.insert(id);
        self.refused = self.refused.saturating_add(1);
    }

    /// What was lost here.
    pub fn losses(&self) -> Losses {
        [(LossPlace::ProbeTable, self.refused)].into()
    }

    fn look_at(&mut self, pid: u32, now: Instant, looked: &mut Looked) {
        if self
            .processes
            .get(&pid)
            .is_some_and(|known| known.due > now)
        {
            return;
        }
        let Some(start) = maps::start(pid) else {
            self.processes.remove(&pid);
            return;
        };
        let known = self
            .processes
            .get(&pid)
            .filter(|known| known.start == start);
        let again = known.map_or(AGAIN_FIRST, |known| (known.again * 2).min(AGAIN_LAST));
        if known.is_none() && self.processes.len() >= PROCESSES_MAX {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        let mut files = Vec::new();
        for mapping in maps::candidates(pid) {
            if let Some(id) = self.look_into_mapping(pid, &mapping, now, looked) {
                files.push(id);
            }
        }
        let process = Process {
            start,
            files,
            again,
            due: now + again,
        };
        self.processes.insert(pid, process);
    }

    fn look_into_mapping(
        &mut self,
        pid: u32,
        mapping: &Mapping,
        now: Instant,
        looked: &mut Looked,
    ) -> Option<FileId> {
        let (id, file) = open::mapped(pid, mapping)?;
        self.take(id, file, &mapping.path, (now, false), looked);
        Some(id)
    }

    /// Libraries of a folder of this host.
    fn look_into(&mut self, folder: &Path, now: Instant, looked: &mut Looked) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            if maps::is_library(&entry.file_name().to_string_lossy())
                && let Some((id, file)) = open::plain(&entry.path())
            {
                self.take(id, file, &entry.path(), (now, true), looked);
            }
        }
    }

    fn take(
        &mut self,
        id: FileId,
        file: fs::File,
        path: &Path,
        (now, stays): (Instant, bool),
        looked: &mut Looked,
    ) {
        if self.attached.contains_key(&id) || self.plain.contains(&id) {
            return;
        }
        let Some(encrypter) = elf::encrypter(&file) else {
            if self.plain.len() >= PLAIN_MAX {
                self.plain.clear();
            }
            self.plain.insert(id);
            return;
        };
        if self.attached.len() >= FILES_MAX {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        self.attached.insert(id, Attached { used: now, stays });
        looked.found.push(Found {
            id,
            file,
            path: path.to_owned(),
            encrypter,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_first_connection_is_looked_at_again_at_once() {
        let own = std::process::id();
        let mut libraries = Libraries::new();
        let begin = Instant::now();
        let due = |libraries: &Libraries| libraries.processes[&own].due;
        libraries.look(&[], begin);
        assert_eq!(due(&libraries), begin + AGAIN_FIRST);
        let soon = begin + AGAIN_FIRST / 2;
        libraries.look(&[], soon);
        assert_eq!(due(&libraries), begin + AGAIN_FIRST);
        libraries.look(&[(own, PathBuf::from("/nowhere"))], soon);
        assert_eq!(due(&libraries), soon + AGAIN_FIRST * 2);
    }
}
