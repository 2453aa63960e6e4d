//! Captures what crosses a device of a host, both directions, and proves that nothing was missed. It knows no counter
//! and no traffic.

mod record;
mod ring;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

pub use self::record::{Record, Totals};
use self::ring::Ring;
use crate::host::Host;

/// How a capture reads what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Each captured packet is one segment: right where the device cuts bundles, or nobody makes any.
    Segments,
    /// Asks the kernel for the virtio header of each packet and expands bundles into the segments they stand for.
    /// Before Linux 6.2 the header cannot describe UDP segmentation; such bundles are then counted as drops.
    Bundles,
}

/// Limits of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory shared with the kernel; what arrives while it is full is a counted drop.
    pub ring_bytes: usize,
    /// Packets kept one by one; further ones are in the totals only and in [`Record::packets_not_kept`].
    pub packets: usize,
}

impl Default for Limits {
    /// 32 MiB of ring, 4 million packets (about 420 MB if all are used).
    fn default() -> Self {
        Self {
            ring_bytes: 32 << 20,
            packets: 4_000_000,
        }
    }
}

/// A running capture; dropped, it stops and forgets.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    ring: Ring,
    record: Mutex<Record>,
    /// From the kernel's statistics, which are reset by each reading: all packets offered, and those of them lost.
    offered_packets: AtomicU64,
    dropped_packets: AtomicU64,
    stop: AtomicBool,
}

impl Capture {
    /// Starts capturing on `device` of `host`; when it returns, the kernel hands over every packet.
    pub fn start(host: &Host, device: &str, view: View) -> Result<Self> {
        Self::start_with(host, device, view, Limits::default())
    }

    /// As [`Capture::start`] with other limits.
    pub fn start_with(host: &Host, device: &str, view: View, limits: Limits) -> Result<Self> {
        let link_header_bytes = match host.run(|| crate::offload::hardware_type(device))? {
            libc::ARPHRD_NONE => 0,
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => 14,
            other => {
                bail!("cannot capture on `{device}`: hardware type `{other}` is not known here")
            }
        };
        let ring = host
            .run(|| Ring::open(device, view, limits.ring_bytes, link_header_bytes))
            .with_context(|| format!("cannot capture on `{device}` in host `{}`", host.name()))?;
        let shared = Arc::new(Shared {
            ring,
            record: Mutex::new(Record::with_limit(limits.packets)),
            offered_packets: AtomicU64::new(0),
            dropped_packets: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || worker.follow())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until everything that the kernel has offered so far is in the record, and returns the totals.
    pub fn flush(&self) -> Result<(Totals, Totals)> {
        const TIMEOUT: Duration = Duration::from_secs(20);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let behind = self.shared.behind_packets()?;
            if behind == 0 {
                let record = self.shared.record();
                return Ok((record.sent, record.received));
            }
            if Instant::now() > deadline {
                bail!("the capture is {behind} packets behind after {TIMEOUT:?}");
            }
            std::thread::sleep(ring::RETIRE);
        }
    }

    /// Flushes, stops and returns the record. Drops are in it; [`Record::check_complete`] refuses them.
    pub fn stop(mut self) -> Result<Record> {
        self.flush()?;
        self.end()?;
        let mut record = std::mem::take(&mut *self.shared.record());
        record.packets_dropped = self.shared.dropped_packets.load(Ordering::Relaxed);
        Ok(record)
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .map_err(|_| anyhow!("the capture thread panicked"))?
            .context("the capture thread failed")
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Shared {
    /// Moves packets from the ring into the record until told to stop.
    fn follow(&self) -> io::Result<()> {
        let mut cursor = 0;
        while !self.stop.load(Ordering::Acquire) {
            self.ring.wait()?;
            while let Some(block) = self.ring.filled(&mut cursor) {
                let mut record = self.record();
                block.for_each(|packet| record.add(packet));
            }
        }
        Ok(())
    }

    fn behind_packets(&self) -> Result<u64> {
        let (offered, dropped) = self
            .ring
            .statistics()
            .context("cannot read the capture's statistics")?;
        let offered = self.offered_packets.fetch_add(offered, Ordering::Relaxed) + offered;
        let dropped = self.dropped_packets.fetch_add(dropped, Ordering::Relaxed) + dropped;
        let record = self.record();
        Ok((offered - dropped).saturating_sub(record.sent.packets + record.received.packets))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // Totals stay true after a panic elsewhere: each packet is added in one piece.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
