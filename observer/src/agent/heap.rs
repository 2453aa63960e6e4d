//! Gives memory that a tick used and freed back to the kernel: what the C library keeps for itself otherwise grows with the
//! largest tick there was, and by thread. Knows nothing of what was in it.

/// Ticks between two times: a minute of the default tick.
const TICKS: u32 = 12;

/// Blocks from here on are mappings of their own, which end with them, bytes. Otherwise the library raises the bound to
/// the largest block that was freed, and a tick's lists lie between what stays.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 64 * 1024;

#[derive(Debug)]
pub struct Heap {
    ticks: u32,
}

impl Heap {
    /// Sets what the library does from now on.
    pub fn new() -> Self {
        #[cfg(target_env = "gnu")]
        // SAFETY: mallopt(3) sets numbers of the allocator under its own lock.
        unsafe {
            // The threads of the agent wait for one another more than they allocate.
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        }
        Self { ticks: 0 }
    }

    /// Ends a tick.
    pub fn end_tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS) {
            // SAFETY: malloc_trim(3) may be called at any time; it touches free memory alone.
            #[cfg(target_env = "gnu")]
            unsafe {
                libc::malloc_trim(0);
            }
        }
    }
}
