//! The names under `/run/netns` that must not outlive this process. It knows names only: the namespaces themselves
//! are held by descriptors, which the kernel closes however the process ends.

use std::{
    ffi::{CString, c_char, c_int},
    fs, io,
    path::Path,
    ptr,
    sync::{
        Once,
        atomic::{AtomicPtr, Ordering},
    },
};

/// Names that a signal removes at once; further ones are left to the next run's [`sweep`].
const NAMES_MAX: usize = 256;

static NAMES: [AtomicPtr<c_char>; NAMES_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; NAMES_MAX];

/// Remembers `path` until [`forget`], so that SIGINT, SIGTERM and SIGHUP remove it before they end the process.
pub(crate) fn remember(path: &Path) {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(install_handlers);
    let Ok(name) = CString::new(path.as_os_str().as_encoded_bytes()) else {
        return;
    };
    let name = name.into_raw();
    let _ = NAMES.iter().any(|slot| {
        slot.compare_exchange(ptr::null_mut(), name, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    });
}

/// Removes `path` from the file system and from the names to be removed by a signal.
pub(crate) fn forget(path: &Path) {
    for slot in &NAMES {
        let name = slot.load(Ordering::Acquire);
        if name.is_null() {
            continue;
        }
        // SAFETY: a stored name comes from `CString::into_raw` and is never freed (a signal handler may be reading it).
        let known = unsafe { std::ffi::CStr::from_ptr(name) };
        if known.to_bytes() == path.as_os_str().as_encoded_bytes() {
            slot.store(ptr::null_mut(), Ordering::Release);
        }
    }
    let _ = fs::remove_file(path);
}

/// Removes from `folder` every link `<prefix><pid>-...` whose owner is dead or no longer holds a namespace there.
pub(crate) fn sweep(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else {
            continue;
        };
        let is_ours = rest
            .split('-')
            .next()
            .is_some_and(|pid| pid.parse::<u32>().is_ok());
        if is_ours && is_stale(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// A name is a link to `/proc/<pid>/fd/<n>`; it is stale when that descriptor is gone or no network namespace.
fn is_stale(name: &Path) -> bool {
    let Ok(target) = fs::read_link(name) else {
        return false;
    };
    if !target.starts_with("/proc") {
        return false;
    }
    !fs::read_link(target)
        .is_ok_and(|held| held.as_os_str().as_encoded_bytes().starts_with(b"net:["))
}

fn install_handlers() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `sigaction` is plain data, for which zero is a valid value.
        let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: a null new action only reads; `old` outlives the call.
        unsafe { libc::sigaction(signal, ptr::null(), &raw mut old) };
        if old.sa_sigaction != libc::SIG_DFL {
            continue;
        }
        let mut new = old;
        new.sa_sigaction = remove_names as *const () as libc::sighandler_t;
        new.sa_flags = libc::SA_RESETHAND;
        // SAFETY: the handler calls only `unlink` and `raise`, both async-signal-safe.
        unsafe { libc::sigaction(signal, &raw const new, ptr::null_mut()) };
    }
}

extern "C" fn remove_names(signal: c_int) {
    for slot in &NAMES {
        let name = slot.load(Ordering::Acquire);
        if !name.is_null() {
            // SAFETY: a stored name is a C string that is never freed.
            unsafe { libc::unlink(name) };
        }
    }
    // SAFETY: SA_RESETHAND has put the default action back: the signal ends the process as soon as this returns.
    unsafe { libc::raise(signal) };
}
