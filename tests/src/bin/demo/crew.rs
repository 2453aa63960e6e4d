//! The processes of the demo: a server for each place, and each workload under its own executable's name in a control
//! group of its own. It starts and awaits them; what they do is in `server` and `client`.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use observer_tests::{Host, Process, cgroup::Slice, interrupt};

use crate::{
    client::Pace,
    places::{PLACES, SERVICES},
    server::READY,
    tasks::workloads,
    tls,
    world::World,
};

const POLL: Duration = Duration::from_millis(50);

/// What the processes of a run share.
pub struct Crew<'a> {
    pub world: &'a World,
    /// Keys, counts, executables and what went wrong.
    pub folder: &'a Path,
    pub slice: &'a Slice,
    pub addresses: &'a [Ipv4Addr],
}

/// A running process and where it complains.
pub struct Member {
    pub name: &'static str,
    process: Process,
    complaints: PathBuf,
}

impl Crew<'_> {
    /// Issues the certificates and starts the servers; returns once all listen.
    pub fn serve(&self) -> Result<Vec<Member>> {
        tls::issue(
            self.folder,
            &SERVICES.each_ref().map(|service| service.server_name),
        )?;
        let mut servers = Vec::new();
        for (index, (place, host)) in PLACES.iter().zip(&self.world.places).enumerate() {
            let index = index.to_string();
            let role = ["server".as_ref(), self.folder.as_os_str(), index.as_ref()];
            let command = |command: &mut Command| {
                command.args(role).stdout(Stdio::piped());
            };
            servers.push(self.start(place.name, host, command)?);
        }
        for server in &mut servers {
            let said = server.process.read_line()?;
            ensure!(
                said == READY,
                "`{}` does not listen: {}",
                server.name,
                server.complaint()
            );
        }
        Ok(servers)
    }

    /// Makes a control group for each workload.
    pub fn units(&self) -> Result<()> {
        workloads()
            .iter()
            .try_for_each(|name| self.slice.unit(name).map(drop))
    }

    /// Starts every workload, each in its control group.
    pub fn work(&self, pace: Pace) -> Result<Vec<Member>> {
        let start = |name: &&'static str| {
            self.start(name, &self.world.workload, |command| {
                let unit = self.slice.path().join(format!("{name}.service"));
                command
                    .arg("workload")
                    .arg(self.folder)
                    .arg(name)
                    .arg("--unit")
                    .arg(unit);
                let addresses = self.addresses.iter().map(ToString::to_string);
                command
                    .arg("--addresses")
                    .arg(addresses.collect::<Vec<_>>().join(","));
                command.arg("--slowness").arg(pace.slowness.to_string());
                if let Some(time) = pace.time {
                    command.arg("--seconds").arg(time.as_secs_f64().to_string());
                }
                command.stdout(Stdio::null());
            })
        };
        workloads().iter().map(start).collect()
    }

    /// This program under the name of `name`.
    fn start(
        &self,
        name: &'static str,
        host: &Host,
        complete: impl FnOnce(&mut Command),
    ) -> Result<Member> {
        let own = std::env::current_exe().context("cannot find this program's own path")?;
        let executable = self.folder.join(name);
        if !executable.exists() {
            // Over a file system's border only a copy will do.
            fs::hard_link(&own, &executable)
                .or_else(|_| fs::copy(&own, &executable).map(drop))
                .with_context(|| format!("cannot make `{}`", executable.display()))?;
        }
        let complaints = self.folder.join(format!("{name}.stderr"));
        let file = File::create(&complaints)
            .with_context(|| format!("cannot write `{}`", complaints.display()))?;
        let mut command = Command::new(&executable);
        complete(&mut command);
        command.stdin(Stdio::null()).stderr(file);
        Ok(Member {
            name,
            process: host.spawn(command)?,
            complaints,
        })
    }
}

impl Member {
    /// Fails once it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.process.wait(Duration::ZERO) {
            Ok(status) => bail!("`{}` ended with {status}: {}", self.name, self.complaint()),
            Err(_) => Ok(()),
        }
    }

    fn complaint(&self) -> String {
        let text = fs::read_to_string(&self.complaints).unwrap_or_default();
        text.lines().last().unwrap_or("it says nothing").to_owned()
    }
}

/// Waits until all have ended well, calling `meanwhile` a few times a second.
pub fn finish(
    mut members: Vec<Member>,
    timeout: Duration,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut left = timeout;
    while let Some(member) = members.last_mut() {
        if let Ok(status) = member.process.wait(Duration::ZERO) {
            ensure!(
                status.success(),
                "workload `{}`: {}",
                member.name,
                member.complaint()
            );
            members.pop();
            continue;
        }
        meanwhile()?;
        interrupt::sleep(POLL)?;
        left = left.saturating_sub(POLL);
        if left.is_zero() {
            bail!("workload `{}` still runs after {timeout:?}", member.name);
        }
    }
    Ok(())
}
