//! The testbed: one run's hosts. It hands out empty hosts; links and addresses are made by `wire` and `topology`.

use std::{process::Command, sync::Arc};

use anyhow::{Context, Result};

use crate::{
    host::Host,
    namespace::{self, Namespace},
    process::Process,
    spawn::Spawner,
};

/// The hosts of one test. Dropped (also by a panic), every process it started is dead and every namespace gone, as
/// soon as the last [`Host`], socket and capture inside is dropped too.
#[derive(Debug)]
pub struct Testbed {
    label: String,
    spawner: Arc<Spawner>,
}

impl Testbed {
    /// Starts a testbed and removes what dead runs left behind. `label` becomes part of the namespace names.
    pub fn new(label: &str) -> Result<Self> {
        namespace::sweep()?;
        let spawner = Spawner::start().context("cannot start the testbed's spawner thread")?;
        Ok(Self {
            label: label.to_owned(),
            spawner: Arc::new(spawner),
        })
    }

    /// Makes a host: a namespace with `lo` up, no other device, and the quiet settings of `Host::quieten`.
    pub fn host(&self, name: &str) -> Result<Host> {
        let namespace = Namespace::create(&format!("{}-{name}", self.label))?;
        let host = Host::new(name, Arc::new(namespace), Arc::clone(&self.spawner));
        host.quieten()?;
        host.ip(&["link set lo up"])?;
        Ok(host)
    }

    /// Starts a process on the machine itself, with the machine's own network: what people shall reach on loopback. It
    /// ends as those of hosts do.
    pub fn spawn_on_machine(&self, command: Command) -> Result<Process> {
        let text = format!("{command:?}");
        let child = self
            .spawner
            .spawn(None, command)
            .with_context(|| format!("cannot start {text}"))?;
        Ok(Process::new(child, text))
    }
}
