//! Question: does the kernel half know by itself which request a line is?
//!
//! No hook of its own: `sent` and `line` ask before they hand a line over. If it does, a number leaves the kernel, and the line does
//! not. Cannot see: on which host the request is made; what is known is so on any.

use observer_ebpf::{
    abi::request::{LINE_BYTES, ROUTE_BYTES},
    request::{LINE_WORDS, LineHash},
};

use super::{
    maps::{LEARNED, ROUTES, line_keys},
    platform::Key,
};

/// Number of what the request is; 0 where it is not known. Behind a line that is whole there are zeroes.
///
/// # Safety
/// `line` is in a live map value, has room for the longest line, and lies at a multiple of 8.
#[inline(always)]
pub unsafe fn known(line: *const u64, bytes: u32, is_cut: bool) -> u32 {
    // SAFETY: the caller's promise.
    let begins = unsafe { *line.cast::<[u8; ROUTE_BYTES]>() };
    if let Some(route) = ROUTES.get(&Key::new(8 * ROUTE_BYTES as u32, begins)) {
        return *route;
    }
    if is_cut || bytes > LINE_BYTES as u32 {
        return 0;
    }
    let mut hash = LineHash::new(line_keys());
    for nth in 0..LINE_WORDS {
        if 8 * nth as u32 >= bytes {
            break;
        }
        // SAFETY: the caller's promise.
        hash.add(unsafe { line.add(nth).read() });
    }
    let hash = hash.finish(bytes);
    LEARNED.get_ptr_mut(hash).map_or(0, |route| {
        // SAFETY: a live map value.
        unsafe { *route }
    })
}
