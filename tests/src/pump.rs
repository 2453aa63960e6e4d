//! Joins two tun devices: carries whole packets with their virtio header from one to the other, records each, and
//! drops those that the test wants lost. It knows no host.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    capture::{Limits, Record},
    packet::{Direction, Frame, Packet},
    tun::{FRAME_BYTES_MAX, Tun},
};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Carry,
    /// Lost on the wire: its sender's device has counted it, the other end never sees it.
    Lose,
}

/// A running pump. [`Direction::Out`] is from the near host to the far one.
#[derive(Debug)]
pub struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// Everything that left a host, lost later or not.
    sent: Mutex<Record>,
    lost: Mutex<Record>,
    /// Packets that the receiving kernel did not take, which should be none.
    refused_packets: AtomicU64,
    turns: AtomicU64,
    stop: AtomicBool,
}

impl Pump {
    /// Starts carrying; `judge` sees every packet once.
    pub fn start(
        near: Tun,
        far: Tun,
        mut judge: impl FnMut(&Packet) -> Verdict + Send + 'static,
    ) -> Result<Self> {
        let packets = Limits::default().packets;
        let shared = Arc::new(Shared {
            sent: Mutex::new(Record::with_limit(packets)),
            lost: Mutex::new(Record::with_limit(packets)),
            refused_packets: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let worker = Arc::clone(&shared);
        let run = move || {
            let mut buffer = vec![0; FRAME_BYTES_MAX];
            while !worker.stop.load(Ordering::Acquire) {
                wait(&near, &far)?;
                let moved = worker.carry(&near, &far, Direction::Out, &mut buffer, &mut judge)
                    + worker.carry(&far, &near, Direction::In, &mut buffer, &mut judge);
                if moved == 0 {
                    worker.turns.fetch_add(1, Ordering::Release);
                }
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("pump".into()).spawn(run)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Empties both records, once nothing is under way.
    pub fn reset(&self) -> Result<()> {
        self.settle()?;
        *lock(&self.shared.sent) = Record::with_limit(Limits::default().packets);
        *lock(&self.shared.lost) = Record::with_limit(Limits::default().packets);
        Ok(())
    }

    /// All packets that left a host since the start or the last reset, once nothing is under way.
    pub fn record(&self) -> Result<Record> {
        self.settle()?;
        Ok(lock(&self.shared.sent).clone())
    }

    /// Those of them that were lost on the way.
    pub fn lost(&self) -> Result<Record> {
        self.settle()?;
        Ok(lock(&self.shared.lost).clone())
    }

    /// Waits until both directions were found empty after this call began.
    fn settle(&self) -> Result<()> {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let deadline = Instant::now() + TIMEOUT;
        let turn = self.shared.turns.load(Ordering::Acquire);
        // The turn under way may have looked at one device before this call.
        while self.shared.turns.load(Ordering::Acquire) < turn + 2 {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("the pump has ended: {:?}", self.failure());
            }
            if Instant::now() > deadline {
                bail!("the pump is still busy after {TIMEOUT:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match self.shared.refused_packets.load(Ordering::Relaxed) {
            0 => Ok(()),
            refused => bail!("{refused} packets were not taken by the receiving kernel"),
        }
    }

    fn failure(&self) -> &'static str {
        if self.shared.stop.load(Ordering::Relaxed) {
            "stopped"
        } else {
            "a device failed"
        }
    }

    /// Stops the pump and with it both devices.
    pub fn stop(mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .map_err(|_| anyhow!("the pump panicked"))?
            .context("the pump failed")
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Carries at most a batch in one direction; returns how many packets there were.
    fn carry(
        &self,
        from: &Tun,
        to: &Tun,
        direction: Direction,
        buffer: &mut [u8],
        judge: &mut impl FnMut(&Packet) -> Verdict,
    ) -> usize {
        const BATCH: usize = 64;
        for done in 0..BATCH {
            // A device that is not up yet gives an error, and nothing is lost by looking again.
            let Ok(Some((vnet, length))) = from.receive(buffer) else {
                return done;
            };
            let packet = Packet::parse(&Frame {
                head: &buffer[..length],
                frame_bytes: length as u32,
                link_header_bytes: 0,
                direction,
                time_ns: now_ns(),
                vnet: Some(vnet),
            });
            let verdict = judge(&packet);
            lock(&self.sent).add((packet, 0));
            match verdict {
                Verdict::Lose => lock(&self.lost).add((packet, 0)),
                Verdict::Carry => {
                    if to.inject(vnet, &buffer[..length]).is_err() {
                        self.refused_packets.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        BATCH
    }
}

fn wait(near: &Tun, far: &Tun) -> io::Result<()> {
    let poll = |tun: &Tun| libc::pollfd {
        fd: tun.as_fd().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut both = [poll(near), poll(far)];
    // SAFETY: two pollfds, which outlive the call.
    let ready = unsafe { libc::poll(both.as_mut_ptr(), 2, 5) };
    if ready < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
        return Err(io::Error::last_os_error());
    }
    // A device that is down is always ready, with an error: do not spin on it.
    if both.iter().any(|poll| poll.revents & libc::POLLERR != 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "packets are stamped as the kernel stamps captured ones"
)]
fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    // Each packet is added in one piece, so a record stays true after a panic elsewhere.
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
