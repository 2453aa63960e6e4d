//! The kernel programs: entry points of a few lines; what each kernel question needs is in `kernel/`, one file each.
//! The object is built for BPF by the build script of package `observer`. On the host this target is empty, but for its
//! tests: there the programs run against stand-ins of the kernel.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics),
    expect(
        internal_features,
        reason = "an atomic add without a result, which 5.10 takes, is had in no other way"
    )
)]
#![cfg_attr(
    any(target_arch = "bpf", test),
    expect(
        clippy::inline_always,
        reason = "a call in BPF takes five registers and hides bounds from the verifier"
    ),
    expect(
        clippy::cast_possible_truncation,
        reason = "the kernel's fields have their own widths, and indices are 0 or 1"
    ),
    expect(
        clippy::needless_pass_by_value,
        reason = "entry points have the signature that their hook gives them"
    )
)]

#[cfg(any(target_arch = "bpf", test))]
#[cfg_attr(
    test,
    expect(dead_code, reason = "the tests call one of the eight uplinks")
)]
mod kernel;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
