//! Nothing outlives a run: namespaces, names and processes are gone after a panic, SIGTERM, SIGINT and SIGKILL; and
//! nothing outside a testbed is reachable from it.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::symlink,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use observer_tests::{
    Host, Testbed, Wire,
    namespace::{FOLDER, PREFIX},
    privileged, topology,
    wire::veth,
};

#[test]
fn a_panic_leaves_nothing() -> Result<()> {
    if !privileged("a_panic_leaves_nothing") {
        return Ok(());
    }
    let bed = Testbed::new("witness")?;
    let witness = bed.host("witness")?;
    let (mut path, mut pid) = (PathBuf::new(), 0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let bed = Testbed::new("panics").expect("a testbed");
        let doomed = bed.host("doomed").expect("a host");
        veth((&witness, "watch"), (&doomed, "eth0"), 1500).expect("a veth");
        let waiter = doomed.spawn(waiter()).expect("a process");
        doomed.namespace().path().clone_into(&mut path);
        pid = waiter.pid();
        assert!(path.exists() && is_alive(pid) && has_device(&witness, "watch"));
        panic!("as a failed test does");
    }));
    let message = caught
        .err()
        .and_then(|panic| panic.downcast_ref::<&str>().map(ToString::to_string));
    assert_eq!(message.as_deref(), Some("as a failed test does"));
    assert!(!path.is_symlink() && !is_alive(pid));
    until("the veth of the dead namespace is gone", || {
        !has_device(&witness, "watch")
    })
}

/// Whether this process was started with `signal` ignored: proc_pid_status(5), `SigIgn`.
fn is_ignored(signal: Signal) -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .context("no `SigIgn` in `/proc/self/status`")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? >> (signal as i32 - 1) & 1 == 1)
}

#[test]
fn a_signal_leaves_nothing() -> Result<()> {
    if !privileged("a_signal_leaves_nothing") {
        return Ok(());
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        if is_ignored(signal)? {
            // A shell starts what it puts into the background so, and it is inherited.
            continue;
        }
        let bed = Testbed::new("witness")?;
        let witness = bed.host("witness")?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_holder"));
        command.arg(witness.namespace().path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut holder = witness.spawn(command)?;
        let held = holder.read_line()?;
        let (path, pid) = held.split_once(' ').context("the holder ended")?;
        let (path, pid) = (PathBuf::from(path), pid.parse()?);
        assert!(path.is_symlink() && is_alive(pid) && has_device(&witness, "watch"));
        holder.signal(signal)?;
        holder.wait(Duration::from_secs(5))?;
        until("the process of the dead testbed is gone", || !is_alive(pid))?;
        until("the veth of the dead namespace is gone", || {
            !has_device(&witness, "watch")
        })?;
        if signal == Signal::SIGKILL {
            // Nobody could remove the name; the next run does.
            let _next = Testbed::new("next")?;
        }
        assert!(!path.is_symlink(), "{signal:?} left `{}`", path.display());
    }
    Ok(())
}

#[test]
fn the_sweep_spares_what_is_not_ours_or_alive() -> Result<()> {
    if !privileged("the_sweep_spares_what_is_not_ours_or_alive") {
        return Ok(());
    }
    let bed = Testbed::new("sweep")?;
    let alive = bed.host("alive")?;
    let folder = PathBuf::from(FOLDER);
    let own = std::process::id();
    let foreign = folder.join(format!("not-of-the-testbed-{own}"));
    // A pid above the kernel's limit belongs to nobody.
    let stale = folder.join(format!("{PREFIX}99999999-{own}-stale"));
    symlink("/proc/99999999/fd/3", &foreign)?;
    symlink("/proc/99999999/fd/3", &stale)?;
    let next = Testbed::new("sweeper");
    let (foreign_stays, stale_stays) = (foreign.is_symlink(), stale.is_symlink());
    fs::remove_file(&foreign)?;
    next?;
    assert!(foreign_stays && !stale_stays);
    assert!(alive.namespace().path().exists());
    Ok(())
}

#[test]
fn nothing_outside_the_testbed_is_reachable() -> Result<()> {
    if !privileged("nothing_outside_the_testbed_is_reachable") {
        return Ok(());
    }
    let bed = Testbed::new("sealed")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    for host in [&net.near, &net.middle, &net.far] {
        // Connecting a UDP socket asks for a route and sends nothing.
        for (local, outside) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
            let tried = host.run(|| UdpSocket::bind(local)?.connect(outside));
            let cause = tried
                .err()
                .with_context(|| format!("`{}` has a route to {outside}", host.name()))?;
            let sealed = [Some(libc::ENETUNREACH), Some(libc::EADDRNOTAVAIL)];
            ensure!(
                sealed.contains(&cause.raw_os_error()),
                "`{}` to {outside}: {cause}",
                host.name()
            );
        }
    }
    Ok(())
}

/// A process that waits: in a guest there may be no `sleep`, but there is `ip`.
fn waiter() -> Command {
    let mut command = Command::new("ip");
    command
        .args(["monitor", "link"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn is_alive(pid: u32) -> bool {
    // A zombie has no command line and is on its way out.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn has_device(host: &Host, device: &str) -> bool {
    host.counters(device).is_ok()
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        ensure!(Instant::now() < deadline, "not so after 5 seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
