//! Says whether hosts can be made on this machine, by trying; a test that cannot run says so and returns.

use std::io::Write;

use nix::sched::{CloneFlags, unshare};

/// Set (to anything) where every test must run: a missing privilege is then a failure and not a skip.
pub const REQUIRE: &str = "OBSERVER_TESTS_REQUIRE_KERNEL";

/// True when network namespaces can be made here. Otherwise prints `SKIP: <test>: <reason>` past the test harness's
/// capture and returns false.
///
/// # Panics
/// When they cannot be made and `OBSERVER_TESTS_REQUIRE_KERNEL` is set.
#[must_use]
pub fn privileged(test: &str) -> bool {
    let Some(reason) = obstacle() else {
        return true;
    };
    assert!(
        std::env::var_os(REQUIRE).is_none(),
        "{test} must run here and cannot: {reason}"
    );
    // Written to the descriptor: the harness captures the print macros of a passing test.
    let _ = writeln!(std::io::stderr(), "SKIP: {test}: {reason}");
    false
}

fn obstacle() -> Option<String> {
    let tried = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join();
    match tried {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => return Some(format!("cannot make a network namespace: {cause}")),
        Err(_) => return Some("the thread that tries a network namespace panicked".to_owned()),
    }
    match std::process::Command::new("ip").arg("-V").output() {
        Ok(_) => None,
        Err(cause) => Some(format!("cannot run `ip`: {cause}")),
    }
}
