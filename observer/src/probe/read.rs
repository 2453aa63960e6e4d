//! Reads what the programs counted: changed flows by the storage iterator, ends of flows from their ring, totals from
//! their arrays. Per-CPU values are summed here; nothing is reset.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{Map, PerCpuValues},
    programs::{Iter, loaded_programs},
};
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};
use observer_ebpf::abi::{Counters, LOSSES, Lost, UPLINKS_MAX, UplinkTotals};

use super::{
    COUNTERS, Probe, RunTime, UDP_KEY, UDP_VALUE, UPLINK_TOTALS, attach::HOOKS,
    device::InterfaceCounters, open_ring, sys, take,
};

/// Passes over all sockets in one tick; a second one only where the ring was full for a moment.
const PASSES_MAX: usize = 64;
/// Flows taken out of the ring before their room is given back.
const BATCH: usize = 1_024;
/// How long to wait for the walk when it has handed nothing over: some hundred flows' worth.
const WALK_POLL: Duration = Duration::from_micros(50);

/// The iterator over socket storage and the ring it fills. The ring is mapped for a pass only: its pages would count as
/// the agent's own all the time.
pub struct FlowReader {
    link: OwnedFd,
    ring: Map,
    _flows: Map,
}

impl FlowReader {
    /// Links the iterator program to the storage map.
    pub fn open(ebpf: &mut Ebpf) -> Result<Self> {
        let (flows, ring) = (take(ebpf, "FLOWS")?, take(ebpf, "READS")?);
        let program: &mut Iter = ebpf
            .program_mut("read_flows")
            .context("no program `read_flows` in the object")?
            .try_into()
            .context("program `read_flows`")?;
        let Map::SkStorage(data) = &flows else {
            bail!("map `FLOWS` is no socket storage");
        };
        let link = sys::link_map_iterator(program.fd()?.as_fd(), data.fd().as_fd())
            .context("link the iterator")?;
        Ok(Self {
            link,
            ring,
            _flows: flows,
        })
    }

    /// One walk over all sockets, on a thread of its own; what it hands over is taken meanwhile, so that the ring need not
    /// hold all of it.
    fn pass(&self, take: &mut impl FnMut(&[u8])) -> Result<usize> {
        let iterator = sys::open_iterator(self.link.as_fd()).context("open the iterator")?;
        let mut ring = open_ring(&self.ring).context("map the ring of read flows")?;
        thread::scope(|scope| {
            let walk = thread::Builder::new()
                .name("read flows".to_owned())
                .spawn_scoped(scope, move || walk(iterator))
                .context("start the thread that runs the iterator")?;
            let mut taken = 0;
            loop {
                // Asked first: what was handed over before the end is then in the ring.
                let ended = walk.is_finished();
                let found = ring.look(BATCH, |record| take(record));
                ring.release();
                taken += found;
                if ended {
                    break;
                }
                if found == 0 {
                    thread::sleep(WALK_POLL);
                }
            }
            match walk.join() {
                Ok(walked) => walked.context("run the iterator").map(|()| taken),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Reading the iterator runs it; it writes nothing into what is read.
fn walk(mut iterator: File) -> io::Result<()> {
    let mut nothing = [0; 64];
    loop {
        match iterator.read(&mut nothing) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // After a million sockets without a word the kernel wants to be asked again (kernel/bpf/bpf_iter.c).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

impl Probe {
    /// Whether the kernel lets open flows be walked over.
    pub const fn reads_open_flows(&self) -> bool {
        self.flows.is_some()
    }

    /// Calls `take` with each flow (an [`observer_ebpf::abi::Flow`]) that changed since it was last handed over to this
    /// agent. Returns how many there were; `None` where this kernel has no such iterator.
    ///
    /// # Errors
    /// Where the kernel refuses to iterate.
    pub fn read_flows(&mut self, mut take: impl FnMut(&[u8])) -> Result<Option<usize>> {
        let Some(reader) = &self.flows else {
            return Ok(None);
        };
        let mut total = 0;
        for _ in 0..PASSES_MAX {
            let full = self.lost(Lost::ReadRing)?;
            total += reader.pass(&mut take)?;
            if self.lost(Lost::ReadRing)? == full {
                break;
            }
        }
        Ok(Some(total))
    }

    /// Calls `take` with key and value of each further remote of a UDP socket.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub fn read_udp(&self, mut take: impl FnMut(&[u8; UDP_KEY], &[u8; UDP_VALUE])) -> Result<()> {
        for entry in &self.udp_flows {
            let (key, value) = entry.context("read the table of UDP remotes")?;
            take(&key, &value);
        }
        Ok(())
    }

    /// Forgets remotes of UDP sockets that are gone. Returns the last value of each that was still there.
    pub fn forget_udp(&mut self, keys: &[[u8; UDP_KEY]]) {
        for key in keys {
            let _ = self.udp_flows.remove(key);
        }
    }

    /// Calls `take` with each ended flow not looked at yet, `most` at the most; they stay with the kernel until
    /// [`Probe::release_events`].
    pub fn look_at_events(&mut self, most: usize, take: impl FnMut(&[u8])) -> usize {
        self.events.look(most, take)
    }

    /// Gives the ended flows that were looked at back to the kernel: call it once they are written.
    pub fn release_events(&mut self) {
        self.events.release();
    }

    /// Calls `take` with the key ([`observer_ebpf::abi::SlotKey`]) and the totals of each slot in use. What found no slot
    /// is counted as [`Lost::Slot`].
    ///
    /// # Errors
    /// Where the maps cannot be read.
    pub fn read_slots(&self, mut take: impl FnMut(&[u8], Counters)) -> Result<()> {
        for entry in &self.slots {
            let (key, slot) = entry.context("read the slots")?;
            take(&key, self.slot(slot)?);
        }
        Ok(())
    }

    fn slot(&self, slot: u32) -> Result<Counters> {
        let values = self
            .slot_totals
            .get(&slot, 0)
            .with_context(|| format!("read slot {slot}"))?;
        let words = summed::<{ COUNTERS / 8 }, COUNTERS>(&values);
        let [d0, d1, w0, w1, p0, p1, k0, k1, retransmitted_wire_bytes] = words;
        Ok(Counters {
            device_bytes: [d0, d1],
            bundled_bytes: [w0, w1],
            payload_bytes: [p0, p1],
            packets: [k0, k1],
            retransmitted_wire_bytes,
        })
    }

    /// What passed the uplink at `position`, by our programs and by the interface's own counters.
    ///
    /// # Errors
    /// Where the device is gone.
    pub fn read_uplink(&mut self, position: usize) -> Result<(UplinkTotals, InterfaceCounters)> {
        let uplink = self
            .uplinks
            .get_mut(position)
            .with_context(|| format!("no uplink {position}"))?;
        let counters = uplink.device.counters()?;
        let values = self
            .uplink_totals
            .get(&uplink.index, 0)
            .context("read the uplink's totals")?;
        let [
            d0,
            d1,
            w0,
            w1,
            f0,
            f1,
            hooked_device_bytes,
            hooked_bundled_bytes,
        ] = summed::<{ UPLINK_TOTALS / 8 }, UPLINK_TOTALS>(&values);
        let totals = UplinkTotals {
            device_bytes: [d0, d1],
            bundled_bytes: [w0, w1],
            frames: [f0, f1],
            hooked_device_bytes,
            hooked_bundled_bytes,
        };
        let device_packets = [counters.tx_packets, counters.rx_packets];
        for (direction, silence) in uplink.silent.iter_mut().enumerate() {
            silence.observe(device_packets[direction], totals.frames[direction]);
        }
        Ok((totals, counters))
    }

    /// How often something was lost at `place`, since the maps were made.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub fn lost(&self, place: Lost) -> Result<u64> {
        let values = self
            .lost
            .get(&(place as u32), 0)
            .context("read the loss counters")?;
        Ok(values.iter().sum())
    }

    /// All loss counters, by place.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub fn losses(&self) -> Result<[u64; LOSSES as usize]> {
        let mut losses = [0; LOSSES as usize];
        for (place, count) in losses.iter_mut().enumerate() {
            let values = self
                .lost
                .get(&(place as u32), 0)
                .context("read the loss counters")?;
            *count = values.iter().sum();
        }
        Ok(losses)
    }

    /// Run time of each program; empty where the operator has not switched the kernel's statistics on.
    pub fn run_times(&self) -> Vec<RunTime> {
        loaded_programs()
            .filter_map(Result::ok)
            .filter_map(|info| {
                let (name, _) = self.programs.iter().find(|(_, id)| *id == info.id())?;
                Some(RunTime {
                    program: name.clone(),
                    run_ns: u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX),
                    runs: info.run_count(),
                })
            })
            .filter(|time| time.run_ns != 0)
            .collect()
    }
}

/// Programs in the kernel that have the names of ours, of whichever agent; empty where the privileges do not allow to look.
pub fn loaded_programs_of_ours() -> Vec<RunTime> {
    loaded_programs()
        .filter_map(Result::ok)
        .filter_map(|info| {
            let program = info.name_as_str().filter(|name| is_ours(name))?.to_owned();
            Some(RunTime {
                program,
                run_ns: u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX),
                runs: info.run_count(),
            })
        })
        .collect()
}

/// The kernel keeps 15 bytes of a name (`BPF_OBJ_NAME_LEN`).
fn is_ours(name: &str) -> bool {
    let uplink = name
        .strip_prefix("uplink")
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(row, way)| {
            row.parse::<u32>().is_ok_and(|row| row < UPLINKS_MAX)
                && matches!(way, "egress" | "ingress")
        });
    let walks = ["read_flows", "find_holders", "note_cgroup"];
    uplink || walks.contains(&name) || HOOKS.iter().any(|(hook, _)| *hook == name)
}

/// Word-wise sum over all CPUs.
fn summed<const WORDS: usize, const BYTES: usize>(
    values: &PerCpuValues<[u8; BYTES]>,
) -> [u64; WORDS] {
    let mut sums = [0u64; WORDS];
    for value in values.iter() {
        for (sum, word) in sums.iter_mut().zip(value.chunks_exact(8)) {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            *sum = sum.wrapping_add(u64::from_ne_bytes(bytes));
        }
    }
    sums
}

impl Probe {
    /// Calls `wake`, on a thread of its own, whenever the ring of ended flows, that of notes or that of captures is a quarter
    /// full.
    ///
    /// # Errors
    /// Where the rings cannot be watched.
    pub fn on_filling_events(&self, wake: impl Fn() + Send + 'static) -> Result<()> {
        let rings = [
            self.events.descriptor(),
            self.notes.descriptor(),
            self.captures.descriptor(),
        ]
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .context("watch the rings")?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("watch the rings")?;
        for ring in &rings {
            // Edge-triggered: only what the programs call a wake-up counts, not every record.
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
            epoll.add(ring, event).context("watch the rings")?;
        }
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                let _rings = rings;
                let mut ready = [EpollEvent::empty()];
                loop {
                    match epoll.wait(&mut ready, EpollTimeout::NONE) {
                        Ok(_) => wake(),
                        Err(Errno::EINTR) => {}
                        Err(_) => return,
                    }
                }
            })
            .context("start the thread that watches the rings")?;
        Ok(())
    }
}
