//! Whose bytes a flow carries: what is told of processes and cgroups, kept by id, bounded. The socket's cgroup decides the
//! workload, the owner's pid the process. Knows no map; the agent brings what the probe read.

mod cgroups;
mod processes;
mod words;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use observer_core::{
    attribute::CgroupPlace,
    decode::Note,
    model::{
        churn::clear_marks,
        flow::{Comm, FlowTotals},
        identity::Word,
        kernel::Losses,
        names::LossPlace,
        workload::Workload,
    },
};

use self::{cgroups::Cgroups, processes::Processes, words::Words};

/// Workloads kept ready, one a cgroup and executable. Beyond, each is put together anew.
const WORKLOADS_MAX: usize = 14_336;
/// Digits of a container's id in a workload's name, as docker and crictl print it.
const SHORT_ID: usize = 12;

/// Ticks without use after which something is forgotten: two minutes of the default tick. What is needed again is told
/// again while it is there.
const IDLE_TICKS: u32 = 24;
/// How often that is looked for, ticks.
const SWEEP_TICKS: u32 = 6;

/// What is known of processes and cgroups.
pub struct Workloads {
    cgroups: Cgroups,
    processes: Processes,
    known: HashMap<Key, Known>,
    words: Words,
    tick: u32,
}

/// What a workload is put together from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    cgroup_id: Option<u64>,
    executable: Option<Word>,
    /// Where the executable is not known.
    comm: Option<[u8; 16]>,
}

struct Known {
    workload: Arc<Workload>,
    used_tick: u32,
}

impl Workloads {
    /// Looks through the hierarchy at `root`; what comes later is told by notes.
    pub fn new(root: PathBuf) -> Self {
        Self {
            cgroups: Cgroups::of(root),
            processes: Processes::default(),
            known: HashMap::new(),
            words: Words::default(),
            tick: 0,
        }
    }

    /// The hierarchy is found at `root` now.
    pub fn move_root(&mut self, root: PathBuf) {
        self.cgroups.move_root(root);
    }

    /// Takes in what the kernel half told.
    pub fn learn(&mut self, note: Note) {
        match note {
            Note::Process {
                pid,
                process,
                executable,
            } => {
                let executable = executable.map(|path| self.words.share(&path));
                self.processes.learn(pid, process, executable, self.tick);
            }
            Note::Cgroup { id, path } => {
                if let Some(path) = path {
                    self.cgroups.learn(id, &path, self.tick);
                }
            }
        }
    }

    /// Looks for cgroups of `flows` that are not known yet. Says whether an owner of one of them is not remembered, which a
    /// walk over all files would tell of.
    pub fn prepare<'a>(&mut self, flows: impl Iterator<Item = &'a FlowTotals> + Clone) -> bool {
        let ids = flows.clone().filter_map(|flow| flow.cgroup_id);
        self.cgroups.prepare(ids, self.tick);
        let mut lives = flows.filter_map(|flow| flow.owner.ok());
        lives.any(|owner| !self.processes.knows(owner.pid, owner.process))
    }

    /// Owners of `flows` that nobody told of are gone; it is no use to look for them again.
    pub fn give_up<'a>(&mut self, flows: impl Iterator<Item = &'a FlowTotals>) {
        for owner in flows.filter_map(|flow| flow.owner.ok()) {
            if !self.processes.knows(owner.pid, owner.process) {
                self.processes
                    .learn(owner.pid, owner.process, None, self.tick);
            }
        }
    }

    /// Whose the flow is.
    pub fn of(&mut self, flow: &FlowTotals) -> Arc<Workload> {
        let owner = flow.owner.ok();
        let executable = owner.and_then(|owner| {
            self.processes
                .executable(owner.pid, owner.process, self.tick)
        });
        let key = Key {
            cgroup_id: flow.cgroup_id,
            comm: owner
                .filter(|_| executable.is_none())
                .map(|owner| owner.comm.0),
            executable,
        };
        if let Some(known) = self.known.get_mut(&key) {
            known.used_tick = self.tick;
            return Arc::clone(&known.workload);
        }
        let place = flow
            .cgroup_id
            .and_then(|id| self.cgroups.place(id, self.tick));
        // A cgroup that is not known yet may be told of later; what is kept would outlive that.
        let is_settled = place.is_some() || flow.cgroup_id.is_none();
        let comm = key.comm.map(Comm);
        let workload = named(place, key.executable.clone(), comm, &mut self.words);
        let workload = Arc::new(workload);
        if is_settled && self.known.len() < WORKLOADS_MAX {
            let known = Known {
                workload: Arc::clone(&workload),
                used_tick: self.tick,
            };
            self.known.insert(key, known);
        }
        workload
    }

    /// Ends a tick: forgets what was not used for long. Returns pids that the kernel half has to tell of again when they
    /// come back.
    pub fn end_tick(&mut self) -> Vec<u32> {
        self.tick = self.tick.saturating_add(1);
        if !self.tick.is_multiple_of(SWEEP_TICKS) && self.known.len() < WORKLOADS_MAX {
            return Vec::new();
        }
        // Where it is full, what this tick did not need makes room.
        let idle_ticks = if self.known.len() < WORKLOADS_MAX {
            IDLE_TICKS
        } else {
            1
        };
        let tick = self.tick;
        self.known
            .retain(|_, known| known.used_tick.saturating_add(idle_ticks) > tick);
        clear_marks(&mut self.known);
        self.cgroups.forget(tick);
        let forgotten = self.processes.forget(tick);
        self.words.forget_unused();
        forgotten
    }

    /// What found no room.
    pub fn losses(&self) -> Losses {
        Losses::from([
            (LossPlace::ProcessCache, self.processes.refused()),
            (LossPlace::CgroupCache, self.cgroups.refused()),
        ])
    }
}

/// What the cgroup at one place is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    container_id: Option<Word>,
    systemd_unit: Option<Word>,
}

impl Place {
    fn of(path: &str) -> Self {
        let place = CgroupPlace::of(path);
        Self {
            container_id: place.container_id.map(Word::from),
            systemd_unit: place.systemd_unit.map(Word::from),
        }
    }
}

/// The workload is the container, else the unit, else the executable, else what the task calls itself.
fn named(
    place: Option<Place>,
    executable: Option<Word>,
    comm: Option<Comm>,
    words: &mut Words,
) -> Workload {
    let Place {
        container_id,
        systemd_unit,
    } = place.unwrap_or_default();
    let (kind, name) = if let Some(id) = &container_id {
        let short = id.get(..SHORT_ID).unwrap_or(id);
        (Some("container"), Some(words.share(short)))
    } else if systemd_unit.is_some() {
        (Some("unit"), systemd_unit.clone())
    } else if let Some(path) = &executable {
        let file = path.rsplit('/').next().unwrap_or(path);
        (Some("executable"), Some(words.share(file)))
    } else if let Some(comm) = comm {
        (Some("comm"), Some(words.share(&comm.to_text())))
    } else {
        (None, None)
    };
    Workload {
        executable,
        container_id,
        systemd_unit,
        kind: kind.map(|kind| words.share(kind)),
        name,
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests;
