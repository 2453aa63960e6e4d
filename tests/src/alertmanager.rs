//! A real Alertmanager on the loopback of a host of the testbed, and what it was told. It sends nothing on: its one receiver has
//! nobody behind it. It knows no alert.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{host::Host, http, process::Process};

/// Free, because the host is new.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9093);
const CONFIGURATION: &str = "route: {receiver: none}\nreceivers: [{name: none}]\n";
/// Debian's reads its templates at one path alone.
const TEMPLATES: &str = "usr/share/prometheus/alertmanager";
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    host: Host,
    process: Process,
    said: PathBuf,
}

impl Alertmanager {
    /// Starts `program` inside `host`, its files in `folder`; returns once it is ready. It gets a `/usr/share` of its own with
    /// nothing but its templates.
    pub fn start(host: &Host, program: &Path, folder: &Path) -> Result<Self> {
        let root = program.ancestors().nth(3).context("a package's root")?;
        let config = folder.join("alertmanager.yaml");
        fs::write(&config, CONFIGURATION)?;
        let said = folder.join("alertmanager.said");
        let file = File::create(&said)?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-ec"])
            .arg(format!(
                "mount -t tmpfs none /usr/share; mkdir -p /{TEMPLATES}; cp \"$1\"/*.tmpl /{TEMPLATES}/; shift; exec \"$@\""
            ))
            .arg("sh")
            .arg(root.join(TEMPLATES))
            .arg(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut started = Self {
            host: host.clone(),
            process: host.spawn(command)?,
            said,
        };
        started.await_ready()?;
        Ok(started)
    }

    fn await_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.get("/-/ready").is_err() {
            let ended = self.process.wait(Duration::ZERO).is_ok();
            if ended || start.elapsed() > TIMEOUT {
                let said = fs::read_to_string(&self.said).unwrap_or_default();
                bail!("Alertmanager is not ready: {}", said.trim());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Where it serves, on the loopback of its host.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        ADDRESS
    }

    /// Every alert that it was told and that has not ended.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        serde_json::from_str(&self.get("/api/v2/alerts")?).context("read the alerts")
    }

    fn get(&self, path: &str) -> Result<String> {
        let answer = self.host.run(|| http::get(ADDRESS, path))?;
        match answer.status {
            200 => Ok(answer.body),
            status => bail!("Alertmanager answers {status}: {}", answer.body),
        }
    }
}
