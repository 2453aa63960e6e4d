//! What the programs tell of processes and cgroups, and the walk over all files that finds who holds a socket.

use std::{
    io::{ErrorKind, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::{BtfTracePoint, Iter, links::FdLink},
};
use observer_ebpf::abi::{control, note::Life};

use super::{Probe, lend, open_ring, ring::Ring, sys, take};

/// The ring of notes, and what fills it besides the hooks.
pub struct Notes {
    ring: Ring,
    processes: HashMap<MapData, u32, [u8; size_of::<Life>()]>,
    /// `None` where this kernel cannot go from a file to its socket.
    holders: Option<OwnedFd>,
    /// `None` where this kernel tells of no new cgroup.
    _cgroups: Option<FdLink>,
}

impl Notes {
    /// Attaches what was loaded of it.
    pub fn open(ebpf: &mut Ebpf, refused: &[(String, String)]) -> Result<Self> {
        let ring = open_ring(lend(ebpf, "NOTES")?).context("map the ring of notes")?;
        let loaded = |name: &str| !refused.iter().any(|(refused, _)| refused == name);
        let holders = if loaded("find_holders") {
            let program: &mut Iter = ebpf
                .program_mut("find_holders")
                .context("no program `find_holders` in the object")?
                .try_into()
                .context("program `find_holders`")?;
            let link = sys::link_iterator(program.fd()?.as_fd());
            Some(link.context("link the iterator over files")?)
        } else {
            None
        };
        let cgroups = if loaded("note_cgroup") {
            let program: &mut BtfTracePoint = ebpf
                .program_mut("note_cgroup")
                .context("no program `note_cgroup` in the object")?
                .try_into()
                .context("program `note_cgroup`")?;
            let link = program.attach().context("attach `note_cgroup`")?;
            Some(program.take_link(link)?.into())
        } else {
            None
        };
        Ok(Self {
            ring,
            processes: HashMap::try_from(take(ebpf, "PROCESSES")?)?,
            holders,
            _cgroups: cgroups,
        })
    }

    /// See [`Ring::is_stalled`].
    pub fn is_stalled(&mut self) -> bool {
        self.ring.is_stalled()
    }

    /// Another descriptor of the ring, to wait on.
    pub fn descriptor(&self) -> std::io::Result<OwnedFd> {
        self.ring.descriptor()
    }
}

impl Probe {
    /// Calls `take` with each note ([`observer_ebpf::abi::note::Note`]) since the last call.
    pub fn read_notes(&mut self, take: impl FnMut(&[u8])) {
        self.notes.ring.look(usize::MAX, take);
        self.notes.ring.release();
    }

    /// Has the kernel half tell of processes again when they own another socket.
    pub fn forget_processes(&mut self, pids: &[u32]) {
        for pid in pids {
            let _ = self.notes.processes.remove(pid);
        }
    }

    /// Whether a flow began, since the last call, whose owner no call told.
    ///
    /// # Errors
    /// Where the kernel's word cannot be read.
    pub fn take_owners_wanted(&mut self) -> Result<bool> {
        let word = self
            .control
            .get(&control::OWNERS_WANTED, 0)
            .context("ask whether owners are wanted")?;
        if word == 0 {
            return Ok(false);
        }
        self.control
            .set(control::OWNERS_WANTED, 0, 0)
            .context("note that owners are looked for")?;
        Ok(true)
    }

    /// Walks over the files of all processes and notes, in the flows without an owner, who holds them. Returns how long
    /// that took, and whether it came to the end; on a kernel that cannot there is nothing to do.
    pub fn find_holders(&self) -> (Duration, Result<()>) {
        let started = Instant::now();
        let walked = self.notes.holders.as_ref().map_or(Ok(()), walk);
        (started.elapsed(), walked)
    }
}

fn walk(link: &OwnedFd) -> Result<()> {
    let mut files = sys::open_iterator(link.as_fd()).context("open the iterator over files")?;
    let mut nothing = [0; 64];
    loop {
        match files.read(&mut nothing) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // After a million files without a word the kernel wants to be asked again (kernel/bpf/bpf_iter.c).
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("run the iterator over files"),
        }
    }
}
