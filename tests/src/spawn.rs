//! Starts processes inside a namespace, or in the machine's own, from one thread that lives as long as the testbed, so
//! that the kernel kills them when the testbed's process ends in any way: the parent-death signal follows the thread,
//! not the process.

use std::{
    io,
    os::{fd::BorrowedFd, unix::process::CommandExt},
    process::{Child, Command},
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
};

use nix::sched::{CloneFlags, setns};

use crate::namespace::Namespace;

type Job = (Command, Sender<io::Result<Child>>);

/// The thread that starts every process of one testbed.
#[derive(Debug)]
pub(crate) struct Spawner {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, reply) in inbox {
                    let _ = reply.send(command.spawn());
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Starts `command` inside `namespace`, or in the machine's own where there is none; leader of its own process group.
    pub(crate) fn spawn(
        &self,
        namespace: Option<&Namespace>,
        mut command: Command,
    ) -> io::Result<Child> {
        let (net, parent) = (namespace.map(Namespace::raw_fd), std::process::id());
        command.process_group(0);
        // SAFETY: the closure makes system calls only, on values it owns; the descriptor is open until the fork
        // because the namespace is borrowed for the whole call.
        unsafe { command.pre_exec(move || enter(net, parent)) };
        let gone = || io::Error::other("the spawner thread is gone");
        let (reply, answer) = channel();
        self.jobs
            .as_ref()
            .ok_or_else(gone)?
            .send((command, reply))
            .map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs in the child between fork and exec.
fn enter(net: Option<i32>, parent: u32) -> io::Result<()> {
    // SAFETY: a plain system call with constant arguments.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // The parent may have died before the signal was asked for.
    if std::os::unix::process::parent_id() != parent {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let Some(net) = net else {
        return Ok(());
    };
    // SAFETY: the descriptor was copied by the fork and is closed at exec, after this.
    let net = unsafe { BorrowedFd::borrow_raw(net) };
    Ok(setns(net, CloneFlags::CLONE_NEWNET)?)
}
