//! Reads fields of the kernel's own structs by offsets that the loader took from BTF, where no helper tells. Knows no map
//! but the one that makes a number of a pointer.

use core::ffi::c_void;

use observer_ebpf::abi::field::Field;

use super::{
    maps::{ADDRESS, FIELD_OFFSETS, net_cookie_offset, sock_net_offset},
    platform::{bpf_probe_read_kernel, loaded},
};

/// A field of a kernel's struct at `address`; an `offset` of 0 = not known.
#[inline(always)]
pub fn field<T: Default>(address: u64, offset: u32) -> Option<T> {
    if offset == 0 {
        return None;
    }
    at(address + u64::from(offset))
}

/// What stands at `address`.
#[inline(always)]
fn at<T: Default>(address: u64) -> Option<T> {
    let mut value = T::default();
    // SAFETY: the helper checks the address that it reads; the buffer is as long as said.
    let failed = unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    };
    (failed == 0).then_some(value)
}

/// Whether the loader found `field` in BTF.
#[inline(always)]
pub fn knows(field: Field) -> bool {
    // SAFETY: the static is initialised, aligned read-only data.
    unsafe { loaded(&raw const FIELD_OFFSETS[field as usize]) != 0 }
}

/// Where `field` lies in the struct at `address`; call it only where it is known.
#[inline(always)]
pub fn place(address: u64, field: Field) -> u64 {
    // SAFETY: as above.
    let offset = unsafe { loaded(&raw const FIELD_OFFSETS[field as usize]) };
    address.wrapping_add(u64::from(offset)).wrapping_sub(1)
}

/// What stands in `field` of the struct at `address`; `None` where the field is not known or cannot be read.
#[inline(always)]
pub fn read<T: Default>(address: u64, field: Field) -> Option<T> {
    if !knows(field) {
        return None;
    }
    at(place(address, field))
}

/// As [`read`], 0 where it cannot be: without a branch for the verifier to follow, because the helper clears what it cannot
/// fill.
#[inline(always)]
pub fn word(address: u64, field: Field) -> u64 {
    let mut value = 0_u64;
    if knows(field) {
        let at = place(address, field);
        // SAFETY: the helper checks the address that it reads; the buffer is as long as said.
        unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 8, at as *const c_void) };
    }
    value
}

/// A pointer in `field`; `None` where it is null.
#[inline(always)]
pub fn pointer(address: u64, field: Field) -> Option<u64> {
    read::<u64>(address, field).filter(|pointer| *pointer != 0)
}

/// Cookie of the namespace of a socket that is older than the agent; 0 where the kernel has given none yet or does not let
/// us look.
#[inline(always)]
pub fn netns_cookie<T>(sk: *mut T) -> u64 {
    if net_cookie_offset() == 0 {
        return 0;
    }
    let Some(address) = number(sk) else {
        return 0;
    };
    field::<u64>(address, sock_net_offset())
        .and_then(|net| field::<u64>(net, net_cookie_offset()))
        .unwrap_or(0)
}

/// The verifier allows no arithmetic with a socket's pointer. Written to a map (which takes CAP_PERFMON) and read again it
/// is a number.
#[inline(always)]
fn number<T>(sk: *mut T) -> Option<u64> {
    let place = ADDRESS.get_ptr_mut(0)?;
    // SAFETY: this CPU's own place, a live map value; volatile, or the pointer itself would be taken.
    unsafe {
        place.write_volatile(sk as u64);
        Some(place.read_volatile())
    }
}
