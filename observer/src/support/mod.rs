//! What a maintainer needs to understand a host that they cannot see: gathered as texts, names taken out, put into one
//! archive. Asks the kernel and a running agent; changes nothing.

mod redact;
mod values;

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use serde_json::json;

pub use self::redact::Redactor;
use crate::probe;

/// Longest text that goes in; of a longer one its start.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    pub text: String,
}

/// What to look at.
#[derive(Debug)]
pub struct Sources<'a> {
    pub agent: SocketAddr,
    pub config: Option<&'a Path>,
    pub pins: &'a Path,
    /// Answer of a running agent to a path.
    pub ask: fn(SocketAddr, &str) -> Result<String>,
}

const README: &str = "\
What `observer support-bundle` found out about this host.

Taken out, each replaced by the same made-up word everywhere in this archive: the host's name, addresses other than
loopback, ids of 32 and more hexadecimal digits, names of network namespaces, and the values of host, cluster, device, uplinks,
netns, file, namespace, workload, pod, container, unit, account and instance. Such a name is replaced within paths and
longer names too. Not in it at all: flow records, certificates, tokens, environments, command lines.
Look through it before you send it: it is plain text.

version.json   build, kernel, distribution
doctor.json    what this kernel and these privileges allow
programs.json  kernel programs of ours that are loaded, with what they took where the kernel counts that
mounts.txt     cgroup and bpf filesystems
limits.txt     limits of this process
config.yaml    the configuration file, where one was named
metrics.txt    of the running agent
coverage.json  its accounts
";

/// Everything, names not yet taken out. What could not be had says why.
pub fn gather(sources: &Sources<'_>) -> Vec<Part> {
    let mut parts = vec![
        part("README.txt", Ok(README.to_owned())),
        part("version.json", version()),
        part("doctor.json", doctor(sources.pins)),
        part("programs.json", programs()),
        part("mounts.txt", mounts()),
        part("limits.txt", read("/proc/self/limits".as_ref())),
    ];
    if let Some(config) = sources.config {
        parts.push(part("config.yaml", read(config)));
    }
    for (name, path) in [("metrics.txt", "/metrics"), ("coverage.json", "/coverage")] {
        let answer = (sources.ask)(sources.agent, path)
            .with_context(|| format!("ask the agent at `{}`", sources.agent));
        parts.push(part(name, answer));
    }
    parts
}

fn part(name: &'static str, text: Result<String>) -> Part {
    let mut text = text.unwrap_or_else(|error| format!("not there: {error:#}\n"));
    if text.len() > TEXT_BYTES_MAX {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        text.truncate(end);
        text.push_str("\n(cut)\n");
    }
    Part { name, text }
}

fn version() -> Result<String> {
    let kernel = nix::sys::utsname::uname().context("ask for the kernel's version")?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let distribution = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches('"'));
    pretty(&json!({
        "observer": env!("CARGO_PKG_VERSION"),
        "abi": observer_ebpf::abi::VERSION,
        "kernel": kernel.release().to_string_lossy(),
        "kernel_build": kernel.version().to_string_lossy(),
        "machine": kernel.machine().to_string_lossy(),
        "distribution": distribution,
    }))
}

fn doctor(pins: &Path) -> Result<String> {
    pretty(&json!(probe::capability::survey(None, pins)))
}

fn programs() -> Result<String> {
    pretty(&json!(probe::loaded_programs_of_ours()))
}

fn mounts() -> Result<String> {
    let mounts = read("/proc/self/mounts".as_ref())?;
    let wanted = |line: &&str| {
        line.split(' ')
            .nth(2)
            .is_some_and(|kind| kind.starts_with("cgroup") || kind == "bpf")
    };
    Ok(mounts
        .lines()
        .filter(wanted)
        .fold(String::new(), |text, line| text + line + "\n"))
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("read `{}`", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn pretty(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
