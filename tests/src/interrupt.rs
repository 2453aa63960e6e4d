//! A request to end, by SIGINT, SIGTERM or SIGHUP, as a fact to be asked for: for programs that have more to put away
//! than names. It ends nothing itself.

use std::{
    ptr,
    sync::atomic::{AtomicI32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

/// How late a request is noticed by [`sleep`].
const POLL: Duration = Duration::from_millis(25);

static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// From now on the three signals are noted and do not end the process. One that was ignored at the start stays so
/// (`nohup`, a shell's background). Call it before the first [`crate::Testbed`].
pub fn watch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `sigaction` is plain data, for which zero is a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: a null new action only reads; `action` outlives the call.
        unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
        if action.sa_sigaction == libc::SIG_IGN {
            continue;
        }
        action.sa_sigaction = note as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler stores one number, which is async-signal-safe.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

/// The latest signal, if one came.
#[must_use]
pub fn received() -> Option<Signal> {
    Signal::try_from(RECEIVED.load(Ordering::Relaxed)).ok()
}

/// Fails once a signal came.
pub fn check() -> Result<()> {
    match received() {
        Some(signal) => bail!("ended by `{signal}`"),
        None => Ok(()),
    }
}

/// Waits for `time`; fails as soon as a signal comes.
pub fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(POLL));
    }
}

extern "C" fn note(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::Relaxed);
}
