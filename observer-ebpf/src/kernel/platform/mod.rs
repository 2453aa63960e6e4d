//! What the programs take from their surroundings: contexts, map types, helpers. In the kernel that is aya-ebpf; natively,
//! for the unit tests, it is stand-ins of the same names and shapes. Knows no map's meaning and no program.

#[cfg(target_arch = "bpf")]
mod bpf;
#[cfg(not(target_arch = "bpf"))]
mod native;

#[cfg(target_arch = "bpf")]
pub use self::bpf::*;
#[cfg(not(target_arch = "bpf"))]
pub use self::native::*;
