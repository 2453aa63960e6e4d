//! Uprobes where programs encrypt requests, and the tracepoint that tells on which socket the ciphertext goes. Knows files and
//! offsets; whose they are is found elsewhere.

use std::{collections::HashMap, fs::File, mem::offset_of, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::MapData,
    programs::{
        BtfTracePoint, UProbe,
        links::FdLink,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
    },
};
use observer_ebpf::abi::request::{Write, convention};

use super::{Probe, take};
use crate::libraries::{FileId, Found, Place};

/// The programs, and where they are attached. Dropping it detaches them.
pub struct Plaintext {
    ebpf: Ebpf,
    /// `None` where requests are not looked for, or the kernel cannot tell of sends.
    sends: Option<FdLink>,
    files: HashMap<FileId, Vec<UProbeLink>>,
    writes: MapOfWrites,
    looks: u32,
}

type MapOfWrites = aya::maps::HashMap<MapData, u64, [u8; size_of::<Write>()]>;

/// Looks between two sweeps of what dead threads left.
const SWEEP_LOOKS: u32 = 60;
/// What was written longer ago will not be sent.
const STALE_NS: u64 = 60_000_000_000;

impl Plaintext {
    /// Attaches what was loaded of it to nothing but the tracepoint.
    pub fn open(mut ebpf: Ebpf, is_wanted: bool) -> Result<Self> {
        let sends = if is_wanted {
            let program: &mut BtfTracePoint = ebpf
                .program_mut("find_request")
                .context("no program `find_request` in the object")?
                .try_into()
                .context("program `find_request`")?;
            let link = program.attach().context("attach `find_request`")?;
            Some(program.take_link(link)?.into())
        } else {
            None
        };
        Ok(Self {
            writes: MapOfWrites::try_from(take(&mut ebpf, "WRITES")?)?,
            ebpf,
            sends,
            files: HashMap::new(),
            looks: 0,
        })
    }

    /// Takes out plaintext that nobody has sent: its thread may be gone.
    fn sweep(&mut self, now_ns: u64) {
        const AT: usize = offset_of!(Write, at_ns);
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(SWEEP_LOOKS) {
            return;
        }
        let is_stale = |write: &[u8; size_of::<Write>()]| {
            let at_ns = write.get(AT..AT + 8).and_then(|at| at.try_into().ok());
            let at_ns = at_ns.map_or(0, u64::from_ne_bytes);
            now_ns.saturating_sub(at_ns) > STALE_NS
        };
        let entries = self.writes.iter().flatten();
        let stale = entries.filter(|(_, write)| is_stale(write));
        let stale: Vec<u64> = stale.map(|(thread, _)| thread).collect();
        for thread in stale {
            // It may have gone meanwhile.
            let _ = self.writes.remove(&thread);
        }
    }

    fn attach(&mut self, found: &Found) -> Result<()> {
        let mut links = Vec::new();
        for (place, offset) in &found.encrypter.places {
            let (program, cookie) = match place {
                Place::LibraryFree => ("free_openssl", None),
                Place::LibraryWrite => ("write_plaintext", Some(convention::LIBRARY)),
                Place::RustlsWrite => ("write_plaintext", Some(convention::RUSTLS)),
                Place::RustlsWritePieces => ("write_plaintext", Some(convention::RUSTLS_PIECES)),
                Place::GoWrite => ("write_plaintext", Some(convention::GO)),
            };
            let point = UProbeAttachPoint {
                location: UProbeAttachLocation::AbsoluteOffset(*offset),
                cookie,
            };
            links.push(self.attach_at(program, &found.file, point)?);
        }
        self.files.insert(found.id, links);
        Ok(())
    }

    fn attach_at(
        &mut self,
        program: &str,
        file: &File,
        point: UProbeAttachPoint<'_>,
    ) -> Result<UProbeLink> {
        let probe: &mut UProbe = self
            .ebpf
            .program_mut(program)
            .with_context(|| format!("no program `{program}` in the object"))?
            .try_into()
            .with_context(|| format!("program `{program}`"))?;
        // The kernel follows this name to the very file that was looked at.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = probe
            .attach(point, path, UProbeScope::AllProcesses)
            .with_context(|| format!("attach `{program}`"))?;
        Ok(probe.take_link(link)?)
    }
}

impl Probe {
    /// Whether requests that programs encrypt can be told of.
    pub const fn reads_plaintext(&self) -> bool {
        self.plaintext.sends.is_some()
    }

    /// Forgets what was written and never sent. To be called with each look at processes.
    pub fn sweep_plaintext(&mut self, now_ns: u64) {
        self.plaintext.sweep(now_ns);
    }

    /// Attaches to a file that encrypts requests.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach_file(&mut self, found: &Found) -> Result<()> {
        self.plaintext.attach(found)
    }

    /// Detaches from a file.
    pub fn detach_file(&mut self, id: FileId) {
        self.plaintext.files.remove(&id);
    }
}
