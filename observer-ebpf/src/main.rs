//! The kernel programs: entry points of a few lines; what each kernel question needs is in `kernel/`, one file each.
//! On the host this target is empty: the object is built for BPF by the build script of package `observer`.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics),
    allow(internal_features)
)]

#[cfg(target_arch = "bpf")]
mod kernel;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
