//! The ring of bytes that name flows, and the programs that fill it.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::CgroupSkb,
};

use super::{Probe, lend, open_ring, ring::Ring, take};

/// Maps through which the counting programs call on others, and who is called, by place. The first one calls on the second.
const CALLED: [(&str, &[&str]); 2] = [
    ("LOOK_AT_SENT", &["look_at_sent", "look_at_line"]),
    ("LOOK_AT_RECEIVED", &["look_at_received"]),
];

pub struct Captures {
    ring: Ring,
    /// The kernel empties such a map when nobody holds it.
    _called: Vec<ProgramArray<MapData>>,
}

impl Captures {
    /// Maps the ring, and has the counting programs call on those that were loaded.
    pub fn open(ebpf: &mut Ebpf, refused: &[(String, String)]) -> Result<Self> {
        let ring = open_ring(lend(ebpf, "CAPTURES")?).context("map the ring of captures")?;
        let mut called = Vec::new();
        for (map, programs) in CALLED {
            let mut calls = ProgramArray::try_from(take(ebpf, map)?)?;
            for (place, program) in (0..).zip(programs) {
                if refused.iter().any(|(refused, _)| refused == program) {
                    continue;
                }
                let looks: &CgroupSkb = ebpf
                    .program(program)
                    .with_context(|| format!("no program `{program}` in the object"))?
                    .try_into()
                    .with_context(|| format!("program `{program}`"))?;
                // Not loaded where requests are not wanted.
                let Ok(descriptor) = looks.fd() else {
                    continue;
                };
                calls
                    .set(place, descriptor, 0)
                    .with_context(|| format!("have program `{program}` called"))?;
            }
            called.push(calls);
        }
        Ok(Self {
            ring,
            _called: called,
        })
    }

    /// See [`Ring::is_stalled`].
    pub fn is_stalled(&mut self) -> bool {
        self.ring.is_stalled()
    }

    /// Another descriptor of the ring, to wait on.
    pub fn descriptor(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.ring.descriptor()
    }
}

impl Probe {
    /// Calls `take` with each capture ([`observer_ebpf::abi::capture::Head`] and its data) since the last call.
    pub fn read_captures(&mut self, take: impl FnMut(&[u8])) {
        self.captures.ring.look(usize::MAX, take);
        self.captures.ring.release();
    }
}
