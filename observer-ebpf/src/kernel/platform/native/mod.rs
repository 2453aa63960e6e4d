//! Stand-ins of the kernel for unit tests: contexts with the fields that the programs read, maps and helpers with the
//! names of aya-ebpf's. Their state belongs to the thread, so tests run side by side. Knows no program.

mod contexts;
mod helpers;
mod maps;
mod world;

pub use self::{contexts::*, helpers::*, maps::*, world::*};
