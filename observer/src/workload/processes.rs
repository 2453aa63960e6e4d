//! Executables by life of a process. A pid that is used again is another life; a name is never handed from one to the
//! other.

use std::collections::HashMap;

use observer_core::model::{churn::clear_marks, identity::Word};

use super::IDLE_TICKS;

/// Lives remembered: 2 MB of a hash table.
pub const PROCESSES_MAX: usize = 28_672;

#[derive(Default)]
pub struct Processes {
    lives: HashMap<(u32, u32), Life>,
    refused: u64,
}

struct Life {
    executable: Option<Word>,
    used_tick: u32,
}

impl Processes {
    /// `process` tells the lives of `pid` apart.
    pub fn learn(&mut self, pid: u32, process: u32, executable: Option<Word>, tick: u32) {
        if self.lives.len() >= PROCESSES_MAX {
            self.make_room(tick);
        }
        if self.lives.len() >= PROCESSES_MAX && !self.lives.contains_key(&(pid, process)) {
            self.refused += 1;
            return;
        }
        let life = Life {
            executable,
            used_tick: tick,
        };
        self.lives.insert((pid, process), life);
    }

    /// Whether anything was told of it. Of number 0 nothing can be.
    pub fn knows(&self, pid: u32, process: u32) -> bool {
        process == 0 || self.lives.contains_key(&(pid, process))
    }

    pub fn executable(&mut self, pid: u32, process: u32, tick: u32) -> Option<Word> {
        let life = self.lives.get_mut(&(pid, process))?;
        life.used_tick = tick;
        life.executable.clone()
    }

    /// Forgets lives that were not used for long; returns their pids.
    pub fn forget(&mut self, tick: u32) -> Vec<u32> {
        let mut forgotten = Vec::new();
        self.lives.retain(|(pid, _), life| {
            let keep = life.used_tick.saturating_add(IDLE_TICKS) > tick;
            if !keep {
                forgotten.push(*pid);
            }
            keep
        });
        clear_marks(&mut self.lives);
        forgotten
    }

    /// What neither this tick nor the last one needed goes; the kernel half tells of it again when it has forgotten it as
    /// well, which has less room.
    fn make_room(&mut self, tick: u32) {
        self.lives
            .retain(|_, life| life.used_tick.saturating_add(1) >= tick);
    }

    /// Lives that found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
