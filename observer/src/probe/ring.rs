//! Reads a BPF ring buffer in batches: records are looked at first and given back to the kernel together, so that what
//! was read is not lost when the agent dies before it was written. Layout: Linux, kernel/bpf/ringbuf.c (5.8).

use std::{
    io,
    num::NonZeroUsize,
    os::fd::{AsFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::{SysconfVar, sysconf},
};

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER_BYTES: u64 = 8;

/// The reading end of one ring; only one may exist.
pub struct Ring {
    consumer: Mapping,
    producer: Mapping,
    page_bytes: usize,
    data_bytes: u64,
    /// How far this reader has looked; the kernel is told by [`Ring::release`].
    position: u64,
    /// The last look ended at an unfinished record.
    busy: bool,
    /// Where it was so when that was last asked.
    stuck_at: Option<u64>,
    descriptor: OwnedFd,
}

struct Mapping {
    start: NonNull<libc::c_void>,
    bytes: usize,
}

// SAFETY: the mapping is owned by this value and reached through atomics or `&mut self`.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length and nothing refers to it any more.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}

fn map(fd: impl AsFd, offset: usize, bytes: usize, protection: ProtFlags) -> io::Result<Mapping> {
    let length = NonZeroUsize::new(bytes).ok_or_else(|| io::Error::other("an empty ring"))?;
    // SAFETY: a new shared mapping of a ring's own pages, at an address that the kernel chooses.
    let start = unsafe {
        mmap(
            None,
            length,
            protection,
            MapFlags::MAP_SHARED,
            fd,
            offset as libc::off_t,
        )
    }?;
    Ok(Mapping { start, bytes })
}

impl Ring {
    /// Maps the ring behind `fd`, which holds `data_bytes` (a power of two) of records.
    ///
    /// # Errors
    /// The kernel's own, e.g. for a descriptor that is no ring.
    pub fn open(fd: impl AsFd, data_bytes: u32) -> io::Result<Self> {
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE)?
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(4096);
        let consumer = map(
            fd.as_fd(),
            0,
            page_bytes,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        )?;
        let twice = page_bytes + 2 * data_bytes as usize;
        let producer = map(fd.as_fd(), page_bytes, twice, ProtFlags::PROT_READ)?;
        let mut ring = Self {
            consumer,
            producer,
            page_bytes,
            data_bytes: u64::from(data_bytes),
            position: 0,
            busy: false,
            stuck_at: None,
            descriptor: fd.as_fd().try_clone_to_owned()?,
        };
        ring.position = ring.consumer_position().load(Ordering::Acquire);
        Ok(ring)
    }

    fn consumer_position(&self) -> &AtomicU64 {
        // SAFETY: the page begins with an aligned word that kernel and reader share.
        unsafe { self.consumer.start.cast::<AtomicU64>().as_ref() }
    }

    fn producer_position(&self) -> u64 {
        // SAFETY: the page begins with an aligned word that the kernel writes.
        unsafe { self.producer.start.cast::<AtomicU64>().as_ref() }.load(Ordering::Acquire)
    }

    /// Calls `take` with each record not looked at yet, `most` of them at the most; returns how many there were. The
    /// records stay in the ring until [`Ring::release`].
    pub fn look(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        self.busy = false;
        while taken < most && self.position < self.producer_position() {
            let at = self.page_bytes + (self.position & (self.data_bytes - 1)) as usize;
            // SAFETY: the data pages are mapped twice in a row, so a record that starts inside the first copy is whole.
            let header = unsafe {
                self.producer
                    .start
                    .cast::<u8>()
                    .add(at)
                    .cast::<AtomicU32>()
                    .as_ref()
            };
            let length = header.load(Ordering::Acquire);
            self.busy = length & BUSY != 0;
            if self.busy {
                break;
            }
            let bytes = length & !DISCARDED;
            if length & DISCARDED == 0 {
                // SAFETY: as above; the kernel does not write a committed record until it is released.
                let record = unsafe {
                    std::slice::from_raw_parts(
                        self.producer
                            .start
                            .cast::<u8>()
                            .add(at + HEADER_BYTES as usize)
                            .as_ptr(),
                        bytes as usize,
                    )
                };
                take(record);
                taken += 1;
            }
            self.position += (u64::from(bytes) + HEADER_BYTES).next_multiple_of(8);
        }
        taken
    }

    /// Whether the same record was unfinished the last time that this was asked, once a tick: a program finishes one within
    /// microseconds, and what comes behind it cannot be read.
    pub fn is_stalled(&mut self) -> bool {
        let stuck_at = self.busy.then_some(self.position);
        let before = std::mem::replace(&mut self.stuck_at, stuck_at);
        stuck_at.is_some() && stuck_at == before
    }

    /// Another descriptor of the ring, to wait on.
    ///
    /// # Errors
    /// Where no further one can be had.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.try_clone()
    }

    /// Gives everything looked at back to the kernel.
    pub fn release(&mut self) {
        self.consumer_position()
            .store(self.position, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt as _};

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    const PAGE: usize = 4_096;
    const DATA: u32 = 4_096;

    /// Memory laid out as a ring: the reader's page, the kernel's, the data.
    fn memory() -> File {
        let file = File::from(memfd_create("ring", MFdFlags::empty()).expect("memory"));
        file.set_len((2 * PAGE + 2 * DATA as usize) as u64)
            .expect("its length");
        file
    }

    /// Puts a record of 8 bytes at `at`, and says how far the kernel has written.
    fn write(memory: &File, at: u64, flags: u32, written: u64) {
        let data = 2 * PAGE as u64 + at;
        memory
            .write_all_at(&(8 | flags).to_ne_bytes(), data)
            .expect("a header");
        memory
            .write_all_at(&written.to_ne_bytes(), PAGE as u64)
            .expect("a position");
    }

    #[test]
    fn a_record_that_is_never_finished_stalls_the_ring() {
        let memory = memory();
        let mut ring = Ring::open(&memory, DATA).expect("a ring");
        let look = |ring: &mut Ring| ring.look(usize::MAX, |_| {});
        write(&memory, 0, 0, 16);
        assert_eq!((look(&mut ring), ring.is_stalled()), (1, false));
        // One that is being written is nothing yet.
        write(&memory, 16, BUSY, 32);
        assert_eq!((look(&mut ring), ring.is_stalled()), (0, false));
        write(&memory, 16, 0, 32);
        assert_eq!((look(&mut ring), ring.is_stalled()), (1, false));
        // One that is never finished, and a good one behind it.
        write(&memory, 48, 0, 64);
        write(&memory, 32, BUSY, 64);
        look(&mut ring);
        look(&mut ring);
        assert!(!ring.is_stalled(), "two looks within one tick");
        assert_eq!((look(&mut ring), ring.is_stalled()), (0, true));
        // It is finished after all.
        write(&memory, 32, DISCARDED, 64);
        assert_eq!((look(&mut ring), ring.is_stalled()), (1, false));
    }
}
