//! Cgroups by id: those that were there are found in the hierarchy, those that are made are told of.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use observer_core::model::churn::clear_marks;

use super::{IDLE_TICKS, Place};

/// Cgroups remembered; a node with 250 pods has some 2,000.
pub const CGROUPS_MAX: usize = 16_384;
/// Directories looked at in one walk through the hierarchy.
const WALK_MAX: usize = 65_536;

pub struct Cgroups {
    root: PathBuf,
    known: HashMap<u64, Cgroup>,
    refused: u64,
    /// Tick before which the hierarchy is not walked again.
    rest_until_tick: u32,
}

/// Ticks between two walks where the cache is full, and ids that are not in it come again and again.
const FULL_REST_TICKS: u32 = 60;

struct Cgroup {
    /// `None` where the hierarchy had no such cgroup when it was looked for: it is gone.
    place: Option<Place>,
    used_tick: u32,
}

impl Cgroups {
    /// Everything below `root`, the directory of the unified hierarchy. An id is the inode number of the directory
    /// (kernfs, 5.5).
    pub fn of(root: PathBuf) -> Self {
        let mut cgroups = Self {
            root,
            known: HashMap::new(),
            refused: 0,
            rest_until_tick: 0,
        };
        cgroups.walk(0);
        cgroups
    }

    /// The hierarchy is found at `root` now.
    pub fn move_root(&mut self, root: PathBuf) {
        self.root = root;
    }

    pub fn learn(&mut self, id: u64, path: &str, tick: u32) {
        self.insert(id, Some(Place::of(path)), tick);
    }

    pub fn place(&mut self, id: u64, tick: u32) -> Option<Place> {
        let cgroup = self.known.get_mut(&id)?;
        cgroup.used_tick = tick;
        cgroup.place.clone()
    }

    /// Looks through the hierarchy where one of `ids` is not known.
    pub fn prepare(&mut self, ids: impl Iterator<Item = u64>, tick: u32) {
        let unknown: HashSet<u64> = ids.filter(|id| !self.known.contains_key(id)).collect();
        if unknown.is_empty() || tick < self.rest_until_tick {
            return;
        }
        self.walk(tick);
        if self.known.len() >= CGROUPS_MAX {
            self.rest_until_tick = tick.saturating_add(FULL_REST_TICKS);
        }
        for id in unknown {
            if !self.known.contains_key(&id) {
                self.insert(id, None, tick);
            }
        }
    }

    pub fn forget(&mut self, tick: u32) {
        self.known
            .retain(|_, cgroup| cgroup.used_tick.saturating_add(IDLE_TICKS) > tick);
        clear_marks(&mut self.known);
    }

    /// Cgroups that found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn insert(&mut self, id: u64, place: Option<Place>, tick: u32) {
        if self.known.len() >= CGROUPS_MAX && !self.known.contains_key(&id) {
            self.known
                .retain(|_, cgroup| cgroup.used_tick.saturating_add(1) >= tick);
        }
        if self.known.len() >= CGROUPS_MAX && !self.known.contains_key(&id) {
            self.refused += 1;
            return;
        }
        let cgroup = Cgroup {
            place,
            used_tick: tick,
        };
        self.known.insert(id, cgroup);
    }

    fn walk(&mut self, tick: u32) {
        let mut pending = vec![self.root.clone()];
        for _ in 0..WALK_MAX {
            let Some(directory) = pending.pop() else {
                return;
            };
            // A cgroup that goes while it is looked at is no error.
            let Ok(metadata) = fs::metadata(&directory) else {
                continue;
            };
            if !self.known.contains_key(&metadata.ino()) {
                let path = path_below(&self.root, &directory);
                self.insert(metadata.ino(), Some(Place::of(&path)), tick);
            }
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let directories =
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            pending.extend(directories.map(|entry| entry.path()));
        }
    }
}

/// As the kernel has it: from the root, with a slash.
fn path_below(root: &Path, directory: &Path) -> String {
    let below = directory.strip_prefix(root).unwrap_or(directory);
    format!("/{}", below.to_string_lossy())
}
