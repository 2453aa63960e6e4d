//! Keeps every CPU busy with the lowest priority there is, so that none halts: on a virtual machine, waking a halted CPU
//! takes longer than what is measured here, and an agent that runs now and then would make everything faster.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use observer_tests::{Host, Process};

/// Idle work on every CPU, until dropped.
pub struct Awake(#[expect(dead_code, reason = "dropping a process ends it")] Vec<Process>);

impl Awake {
    pub fn start(host: &Host) -> Result<Self> {
        let cpus = std::thread::available_parallelism()?.get();
        (0..cpus)
            .map(|cpu| {
                let mut command = Command::new("taskset");
                command
                    .args(["--cpu-list", &cpu.to_string()])
                    .args(["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"])
                    .stdin(Stdio::null());
                host.spawn(command)
            })
            .collect::<Result<_>>()
            .map(Self)
            .context("cannot keep the CPUs awake")
    }
}
