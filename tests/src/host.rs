//! A host: a namespace in which closures run, processes start and settings are written. It knows no other host.

use std::{
    fs, io,
    net::IpAddr,
    process::{Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{namespace::Namespace, process::Process, spawn::Spawner};

const TOOL_TIMEOUT: Duration = Duration::from_secs(20);

/// One host of the testbed. Clones are the same host; it is gone with the last of them.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    namespace: Arc<Namespace>,
    spawner: Arc<Spawner>,
}

impl Host {
    pub(crate) fn new(name: &str, namespace: Arc<Namespace>, spawner: Arc<Spawner>) -> Self {
        Self {
            name: name.to_owned(),
            namespace,
            spawner,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs `work` on a thread of its own inside the host and returns its result; a panic is passed on.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.namespace
                    .enter()
                    .expect("a held namespace can be entered");
                work()
            });
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts `work` on a thread named `name` (its `comm`) inside the host and returns at once.
    pub fn start<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let namespace = Arc::clone(&self.namespace);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                namespace.enter().expect("a held namespace can be entered");
                drop(namespace);
                work()
            })
    }

    /// Starts a process inside the host. `/sys` and the mounts are the machine's own. It is killed when dropped, and
    /// by the kernel when this process dies.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        let text = format!("{command:?}");
        let child = self
            .spawner
            .spawn(Some(&self.namespace), command)
            .with_context(|| format!("cannot start {text} in host `{}`", self.name))?;
        Ok(Process::new(child, text))
    }

    /// Runs `ip` commands inside the host, all in one process; the first that fails is the error.
    pub fn ip(&self, commands: &[&str]) -> Result<()> {
        self.ip_batch(&commands.join("\n"))
    }

    pub(crate) fn ip_batch(&self, commands: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]);
        self.tool(command, Some(commands)).map(drop)
    }

    /// Runs a tool (`ip`, `tc`) inside the host and returns its standard output; a non-zero status is an error.
    pub fn tool(&self, mut command: Command, input: Option<&str>) -> Result<String> {
        let text = format!("{command:?}");
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.spawn(command)?;
        if let Some(input) = input {
            process.write_line(input)?;
        }
        let output = process.output(TOOL_TIMEOUT)?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{text} in host `{}`: {}; input: {}",
                self.name,
                error.trim(),
                input.unwrap_or("none")
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Changes the host's packet filter: one rule, in the words of `iptables`.
    pub fn iptables(&self, rule: &str) -> Result<()> {
        let mut command = Command::new("iptables");
        command.args(rule.split(' '));
        self.tool(command, None).map(drop)
    }

    /// Writes a setting of the host's own network namespace, such as `net.ipv4.ip_forward`; a name with `/` is
    /// taken as a path, for devices with a dot.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let name = if name.contains('/') {
            name.to_owned()
        } else {
            name.replace('.', "/")
        };
        let path = format!("/proc/sys/{name}");
        self.run(|| fs::write(&path, value))
            .with_context(|| format!("cannot write `{value}` to `{path}` in host `{}`", self.name))
    }

    /// Makes every address of `prefix` the host's own, as a cloud's whole range in one namespace. Clients outside
    /// reach them; a socket inside may bind to any of them.
    pub fn own_prefix(&self, prefix: &str) -> Result<()> {
        self.ip(&[&format!("route add local {prefix} dev lo")])
    }

    /// Routes `prefix` through `gateway` on `device`.
    pub fn route(&self, prefix: &str, gateway: IpAddr, device: &str) -> Result<()> {
        self.ip(&[&format!("route add {prefix} via {gateway} dev {device}")])
    }

    /// Lets the host forward packets between its devices.
    pub fn forward(&self) -> Result<()> {
        self.sysctl("net.ipv4.ip_forward", "1")?;
        self.sysctl("net.ipv6.conf.all.forwarding", "1")
    }

    /// Settings every host starts with: no router solicitation, no autoconfiguration, no duplicate address detection,
    /// no reverse path filter, no limit of ICMP errors, any local prefix may be bound. Neighbour discovery, MLD and ARP stay as they are.
    pub(crate) fn quieten(&self) -> Result<()> {
        for scope in ["all", "default"] {
            self.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
            for (name, value) in [
                ("router_solicitations", "0"),
                ("accept_ra", "0"),
                ("autoconf", "0"),
                ("accept_dad", "0"),
                // A report is repeated within so many milliseconds, a second by default: late enough to fall between the
                // starts of two accounts.
                ("mldv1_unsolicited_report_interval", "10"),
                ("mldv2_unsolicited_report_interval", "10"),
            ] {
                self.sysctl(&format!("net.ipv6.conf.{scope}.{name}"), value)?;
            }
        }
        self.sysctl("net.ipv6.ip_nonlocal_bind", "1")?;
        // Refusals are answered each time, so that their number is known.
        self.sysctl("net.ipv4.icmp_ratelimit", "0")?;
        self.sysctl("net.ipv6.icmp.ratelimit", "0")
    }

    /// Takes IPv6 away from every device made later: for hosts in the middle, which shall add no packet of their own.
    pub(crate) fn without_ipv6(&self) -> Result<()> {
        self.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
        self.sysctl("net.ipv6.conf.default.disable_ipv6", "1")
    }
}
