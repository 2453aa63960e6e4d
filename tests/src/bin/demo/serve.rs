//! What `--serve` adds: links to the agent, a Prometheus where there is one, and traffic until somebody ends it.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use observer_tests::{Observed, Process, Testbed, interrupt};

use crate::{
    crew::Member,
    look::{Progress, bytes},
    outcome::Links,
    traffic,
};

/// The records of a served run may grow so far; then it ends by itself.
const FLOWS_BYTES_MAX: u64 = 1 << 30;
const POLL: Duration = Duration::from_millis(250);
const PROMETHEUS_TIMEOUT: Duration = Duration::from_secs(20);
const SCRAPE_SECONDS: u32 = 2;
const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/overview.json");

/// Links to what serves; an address that is not this machine's loopback is an error.
pub fn links(observed: &Observed) -> Result<Links> {
    let address = observed.address();
    ensure!(
        address.ip().is_loopback(),
        "the agent serves on `{address}`, which is not loopback"
    );
    let mut links = Vec::new();
    for (name, path, is_needed) in [
        ("metrics", "/metrics", true),
        ("coverage", "/coverage", true),
        ("health", "/healthz", false),
    ] {
        let status = observed.get(path)?.status;
        if status == 200 {
            links.push((name, format!("http://{address}{path}")));
        } else {
            ensure!(!is_needed, "the agent answers {path} with {status}");
        }
    }
    links.push(("flow records", observed.flows().display().to_string()));
    if let Ok(dashboard) = fs::canonicalize(DASHBOARD) {
        links.push(("dashboard", dashboard.display().to_string()));
    }
    Ok(Links(links))
}

/// A Prometheus that scrapes the agent, with its link; none where no executable of that name is on the path.
pub fn prometheus(
    bed: &Testbed,
    folder: &Path,
    agent: SocketAddr,
) -> Result<Option<(Process, String)>> {
    let Some(executable) = on_path("prometheus") else {
        return Ok(None);
    };
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global:\n  scrape_interval: {SCRAPE_SECONDS}s\nscrape_configs:\n  - job_name: observer\n    \
         static_configs:\n      - targets: ['{agent}']\n"
    );
    fs::write(&config, text).with_context(|| format!("cannot write `{}`", config.display()))?;
    // Free now; where another takes it in between, Prometheus says so and ends.
    let free = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    let address = free.local_addr().context("find a free port")?;
    drop(free);
    let said = folder.join("prometheus.stderr");
    let file =
        fs::File::create(&said).with_context(|| format!("cannot write `{}`", said.display()))?;
    let mut command = Command::new(&executable);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("prometheus").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file);
    let mut process = bed.spawn_on_machine(command)?;
    let start = Instant::now();
    while TcpStream::connect_timeout(&address, POLL).is_err() {
        if process.wait(Duration::ZERO).is_ok() || start.elapsed() > PROMETHEUS_TIMEOUT {
            let said = fs::read_to_string(&said).unwrap_or_default();
            bail!(
                "`{}` does not serve: {}",
                executable.display(),
                said.lines().last().unwrap_or("it says nothing")
            );
        }
        interrupt::sleep(POLL)?;
    }
    Ok(Some((process, format!("http://{address}/"))))
}

/// Until a signal comes; an end of its own is an error.
pub fn until_ended(
    progress: &Progress,
    observed: &mut Observed,
    mut members: Vec<Member>,
    folder: &Path,
) -> Result<()> {
    while interrupt::sleep(POLL).is_ok() {
        for member in &mut members {
            member.check_alive()?;
        }
        observed.check_alive()?;
        let flows = observed.flows();
        let length = fs::metadata(&flows).map_or(0, |file| file.len());
        ensure!(
            length <= FLOWS_BYTES_MAX,
            "`{}` has reached {}: start again",
            flows.display(),
            bytes(FLOWS_BYTES_MAX)
        );
        progress.now(format!("traffic goes on: {}", traffic::so_far(folder)?));
    }
    Ok(())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
