//! Gives memory that a tick used and freed back to the kernel: what the C library keeps for itself otherwise grows with the
//! largest tick there was. Knows nothing of what was in it.

/// Ticks between two times: a minute of the default tick.
const TICKS: u32 = 12;

#[derive(Debug, Default)]
pub struct Heap {
    ticks: u32,
}

impl Heap {
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
