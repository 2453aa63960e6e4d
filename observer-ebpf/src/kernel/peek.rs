//! Reads fields of the kernel's own structs by offsets that the loader took from BTF, where no helper tells. Knows no map
//! but the one that makes a number of a pointer.

use core::ffi::c_void;

use super::{
    maps::{ADDRESS, net_cookie_offset, sock_net_offset},
    platform::bpf_probe_read_kernel,
};

/// A field of a kernel's struct at `address`; an `offset` of 0 = not known.
#[inline(always)]
pub fn field<T: Default>(address: u64, offset: u32) -> Option<T> {
    if offset == 0 {
        return None;
    }
    let mut value = T::default();
    let at = address + u64::from(offset);
    // SAFETY: the helper checks the address that it reads; the buffer is as long as said.
    let failed = unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            at as *const c_void,
        )
    };
    (failed == 0).then_some(value)
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
