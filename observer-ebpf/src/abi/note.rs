//! What the kernel half tells of processes and cgroups, once each: names that user space could not look up any more when
//! they are gone within milliseconds.

/// Bytes of text in a note.
pub const TEXT_BYTES: usize = 384;
/// Longest name of a file in a path; the kernel's own limit is 255, and a longer one is cut.
pub const NAME_BYTES: usize = 128;

/// [`Note::kind`]: a process that owns a socket. The text is the path of its executable, the file's name first, then each
/// directory above it, each ended by NUL.
pub const PROCESS: u32 = 1;
/// [`Note::kind`]: a cgroup of the unified hierarchy that was made. The text is its path from the root, ended by NUL.
pub const CGROUP: u32 = 2;

/// One note.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub kind: u32,
    /// Process, in the initial pid namespace; 0 in a note of a cgroup.
    pub pid: u32,
    /// Tells apart the lives of one pid, and the programs that one process executes one after the other: a hash of the
    /// start of the process and of how often it has called exec. 0 in a note of a cgroup.
    pub process: u32,
    /// Bytes of `text` that count.
    pub text_bytes: u32,
    /// Id of the cgroup; 0 in a note of a process.
    pub cgroup_id: u64,
    /// 1 = the text goes on, there was no room for it.
    pub cut: u32,
    pub _pad: u32,
    pub text: [u8; TEXT_BYTES],
}

const _: () = assert!(size_of::<Note>() == 32 + TEXT_BYTES);

/// One life of a pid with one executable, as the kernel half keeps it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Start of the process, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    /// How often the task and those it was forked from have called exec.
    pub execs: u64,
}

impl Life {
    /// See [`Note::process`]; never 0.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a kernel program calls it")]
    pub const fn process(&self) -> u32 {
        // Fibonacci hashing: the upper bits depend on all of the lower ones.
        let mixed =
            (self.start_ns ^ self.execs.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32 | 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_told_apart() {
        let lives = [
            (1, 1),
            (1, 2),
            (2, 1),
            (10_000_000, 1),
            (10_000_001, 1),
            (0, 0),
        ];
        let mut numbers = lives.map(|(start_ns, execs)| Life { start_ns, execs }.process());
        assert!(!numbers.contains(&0));
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
