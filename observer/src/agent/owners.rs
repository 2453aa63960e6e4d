//! When to look for the holders of sockets whose owner no call told: a walk over all files costs time that grows with the
//! host, so walks have a share of it that they keep to. And what is told of owners before.

use anyhow::Result;
use observer_core::{
    decode,
    model::{flow::FlowTotals, names::OwnerMissing, time::Moment},
};
use observer_ebpf::abi::flag;

use super::Agent;
use crate::probe::Probe;

/// A walk is followed by so many times its own length without one: walks take 2 % of a core at the most.
const REST: u32 = 49;

#[derive(Default)]
pub struct HolderWalks {
    /// A flow that was read last time has no owner, and may have one by now.
    unowned: bool,
    /// CLOCK_MONOTONIC.
    rest_until_ns: u64,
    put_off: u64,
    /// Told already.
    failed: bool,
}

impl HolderWalks {
    /// Walks where there is need and time; to be called before flows are read. A walk that the kernel refuses is put off.
    pub fn look(&mut self, probe: &mut Probe, monotonic_ns: u64) {
        if let Err(error) = self.walk(probe, monotonic_ns) {
            if !self.failed {
                eprintln!("observer: owners of accepted sockets are not looked for: {error:#}");
            }
            self.failed = true;
            self.unowned = true;
            self.put_off += 1;
        }
    }

    fn walk(&mut self, probe: &mut Probe, monotonic_ns: u64) -> Result<()> {
        let began = probe.take_owners_wanted()?;
        if !began && !self.unowned {
            return Ok(());
        }
        if monotonic_ns < self.rest_until_ns {
            self.unowned = true;
            self.put_off += 1;
            return Ok(());
        }
        self.unowned = false;
        self.walk_now(probe, monotonic_ns)
    }

    /// Walks once more where there is time, for owners that are known and not remembered; says whether it did.
    pub fn tell_again(&mut self, probe: &Probe, monotonic_ns: u64) -> bool {
        if monotonic_ns < self.rest_until_ns {
            self.put_off += 1;
            return false;
        }
        self.walk_now(probe, monotonic_ns).is_ok()
    }

    fn walk_now(&mut self, probe: &Probe, monotonic_ns: u64) -> Result<()> {
        let (took, walked) = probe.find_holders();
        let rest_ns = u64::try_from((took * REST).as_nanos()).unwrap_or(u64::MAX);
        self.rest_until_ns = monotonic_ns.saturating_add(rest_ns);
        walked?;
        self.failed = false;
        Ok(())
    }

    /// Notes flows that were read.
    pub fn note(&mut self, flows: &[FlowTotals]) {
        self.unowned |= flows.iter().any(|flow| {
            let held = flow.flags.0 & (flag::RELEASED | flag::CLOSED) == 0;
            held && flow.owner == Err(OwnerMissing::Unseen)
        });
    }

    /// Walks that were put off.
    pub fn put_off(&self) -> u64 {
        self.put_off
    }
}

impl Agent {
    /// Takes in what was told of processes and cgroups, those of `flows` included.
    pub(super) fn learn<'a>(
        &mut self,
        flows: impl Iterator<Item = &'a FlowTotals> + Clone,
        now: Moment,
    ) {
        self.tables.learn(flows.clone());
        self.read_notes();
        let workloads = self.tables.workloads.get_mut();
        if workloads.prepare(flows.clone())
            && self.holder_walks.tell_again(&self.probe, now.monotonic_ns)
        {
            self.read_notes();
            self.tables.workloads.get_mut().give_up(flows);
        }
    }

    pub(super) fn read_notes(&mut self) {
        let (undecoded, workloads) = (&mut self.undecoded, self.tables.workloads.get_mut());
        let plaintext = &mut self.plaintext;
        self.probe.read_notes(|record| match decode::note(record) {
            Ok(note) => {
                plaintext.hear(&note);
                workloads.learn(note);
            }
            Err(_) => *undecoded += 1,
        });
    }
}
