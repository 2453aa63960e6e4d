//! Real clients are named right: each TLS stack that this machine has, hellos cut anywhere, plain requests, proxies, DNS.
//! What is not installed is skipped and said so; `cargo xtask setup e2e` installs it.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod programs;
mod quic;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Host, Process, Testbed, Wire,
    agent::{Agent, uplink},
    scratch::Scratch,
    topology::{self, Bridged},
};
use serde_json::Value;

use self::programs::{Ask, CLIENTS, RESUMED, TOOL};

const TIMEOUT: Duration = Duration::from_mins(1);
/// Longer than a tick of the agents under test.
const PAUSE: Duration = Duration::from_millis(400);
/// All names of these tests are of this service.
const SUFFIX: &str = "openai.azure.com";

/// Two hosts, an agent on the near one, and what the test writes down.
struct Bed {
    net: Bridged,
    agent: Agent,
    folder: Scratch,
    _bed: Testbed,
}

impl Bed {
    fn new(name: &str) -> Result<Self> {
        let bed = Testbed::new(name)?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let agent = Agent::start(
            std::slice::from_ref(&uplink(&net.near, net.near_device)),
            &[],
        )?;
        Ok(Self {
            net,
            agent,
            folder: Scratch::new("observer-clients-")?,
            _bed: bed,
        })
    }

    fn server(&self) -> SocketAddr {
        self.net.far_address(4, PORT)
    }

    /// The tool on the near host.
    fn tool(&self, arguments: &[&str]) -> Result<String> {
        run(&self.net.near, tool(arguments))
    }

    /// The tool on the far host, until it is dropped; it says when it is ready.
    fn serve(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = tool(arguments);
        command.stdout(Stdio::piped());
        let mut process = self.net.far.spawn(command)?;
        ensure!(
            process.read_line()? == "ready",
            "`{arguments:?}` is not ready"
        );
        Ok(process)
    }

    /// Every record, the last one of each flow, when the agent has ended.
    fn last_records(self) -> Result<Vec<Value>> {
        thread::sleep(PAUSE);
        let mut last = BTreeMap::new();
        for record in self.agent.stop()? {
            last.insert(record["flow_id"].to_string(), record);
        }
        Ok(last.into_values().collect())
    }
}

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(TOOL).args(arguments);
    command
}

fn run(host: &Host, mut command: Command) -> Result<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let text = format!("{command:?}");
    let output = host.spawn(command)?.output(TIMEOUT)?;
    ensure!(
        output.status.success(),
        "{text}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a test of the tool's, where Python is there.
fn with_tool(test: &str, work: impl FnOnce() -> Result<()>) {
    guarded(test, || {
        if programs::is_there("python3") && programs::is_there("openssl") {
            return work();
        }
        programs::skip(test, "python3 or openssl");
        Ok(())
    });
}

/// Records by the name that they have.
fn by_name(records: &[Value]) -> BTreeMap<&str, &Value> {
    let name = |record: &'_ Value| record["server_name"].as_str().map(str::to_owned);
    records
        .iter()
        .filter(|record| name(record).is_some())
        .filter_map(|record| Some((record["server_name"].as_str()?, record)))
        .collect()
}

fn is_named(record: &Value, basis: &str) -> bool {
    record["provider"] == "microsoft"
        && record["service"] == "azure-openai"
        && record["basis"] == basis
        && names_itself(record)
}

/// The name is no secret; what is asked may be.
fn names_itself(record: &Value) -> bool {
    record["blind_reason"].is_null() || record["blind_reason"] == "no_plaintext_probe"
}

/// A server that answers under any name, in both versions of TLS.
fn tls_server(bed: &Bed) -> Result<Process> {
    let [key, certificate] =
        ["key.pem", "certificate.pem"].map(|name| bed.folder.path().join(name));
    let mut issue = Command::new("openssl");
    issue
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=test"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    run(&bed.net.far, issue)?;
    let mut server = Command::new("openssl");
    server
        .args(["s_server", "-quiet", "-www", "-accept", &PORT.to_string()])
        .arg("-key")
        .arg(&key)
        .arg("-cert")
        .arg(&certificate)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    bed.net.far.spawn(server)
}

#[test]
fn every_client_is_named() {
    with_tool("every_client_is_named", || {
        let bed = Bed::new("clients")?;
        let _server = tls_server(&bed)?;
        let shares = bed.folder.path().join("shares");
        let listed = shares.to_string_lossy().into_owned();
        let _listener = bed.serve(&["shares", &PORT.to_string(), &listed])?;
        let address = bed.server();
        let mut expected = Vec::new();
        for client in CLIENTS {
            if !client.is_there() {
                let _ = writeln!(
                    io::stderr(),
                    "skipped: `{}` is not installed; `cargo xtask setup e2e` brings it",
                    client.program
                );
                continue;
            }
            for version in client.versions {
                let name = format!("{}-{}.{SUFFIX}", client.name, version.replace('.', ""));
                let ask = Ask {
                    address,
                    name: &name,
                    version,
                    folder: bed.folder.path(),
                };
                let command = (client.command)(&ask)
                    .with_context(|| format!("prepare {} {version}", client.name))?;
                attempt(&bed.net.near, &command, client.may_fail)
                    .with_context(|| format!("{} {version}", client.name))?;
                expected.push(name);
            }
        }
        let ports = fs::read_to_string(&shares)?;
        let records = bed.last_records()?;
        let named = by_name(&records);
        for name in &expected {
            let record = named
                .get(name.as_str())
                .with_context(|| format!("no record names {name}"))?;
            ensure!(is_named(record, "server_name"), "{record}");
            if name.starts_with(RESUMED) {
                let named = |record: &&Value| record["server_name"] == name.as_str();
                let connections = records.iter().filter(named).count();
                ensure!(connections >= 2, "{name}: {connections} connections");
            }
        }
        println!(
            "{} clients and versions named right: {}",
            expected.len(),
            expected.join(" ")
        );
        ensure!(expected.len() >= 2, "no client is installed");
        let sent_ml_kem = |record: &&Value| {
            let port = record["local_port"].to_string();
            ports.lines().any(|line| line == port)
        };
        let name = |record: &Value| record["server_name"].as_str().map(str::to_owned);
        let post_quantum: BTreeSet<String> = records
            .iter()
            .filter(sent_ml_kem)
            .filter_map(name)
            .collect();
        println!("with a share of ML-KEM: {post_quantum:?}");
        for name in expected.iter().filter(|name| name.starts_with("chromium")) {
            ensure!(post_quantum.contains(name), "{name} has sent no ML-KEM");
        }
        Ok(())
    });
}

/// The server's port may not be open yet; some clients end with an error that means nothing here.
fn attempt(host: &Host, command: &[String], may_fail: bool) -> Result<()> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let mut last = Ok(String::new());
    for _ in 0..20 {
        let mut command = Command::new(program);
        command.args(arguments);
        last = run(host, command);
        if last.is_ok() || may_fail {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    last.map(drop)
}

#[test]
fn a_hello_is_named_wherever_it_is_cut() {
    with_tool("a_hello_is_named_wherever_it_is_cut", || {
        let bed = Bed::new("split")?;
        let _sink = bed.serve(&["sink", &PORT.to_string()])?;
        let address = bed.server().ip().to_string();
        let port = PORT.to_string();
        let suffix = format!("split.{SUFFIX}");
        let places: usize = bed
            .tool(&["split", &address, &port, &suffix])?
            .trim()
            .parse()?;
        for (mode, name) in [
            ("bytewise", "bytes"),
            ("segments", "mss"),
            ("fastopen", "tfo"),
        ] {
            if mode == "fastopen" {
                bed.net.near.sysctl("net.ipv4.tcp_fastopen", "3")?;
                bed.net.far.sysctl("net.ipv4.tcp_fastopen", "3")?;
            }
            bed.tool(&[mode, &address, &port, &format!("{name}.{SUFFIX}")])?;
        }
        let records = bed.last_records()?;
        let named = by_name(&records);
        let wrong: Vec<usize> = (1..=places)
            .filter(|at| {
                let name = format!("k{at:03}.{suffix}");
                !named
                    .get(name.as_str())
                    .is_some_and(|record| is_named(record, "server_name"))
            })
            .collect();
        ensure!(
            wrong.is_empty(),
            "not named when cut at {wrong:?} of {places}"
        );
        println!("named right at each of {places} cuts");
        for name in ["bytes", "mss", "tfo"] {
            let name = format!("{name}.{SUFFIX}");
            let record = named
                .get(name.as_str())
                .with_context(|| format!("{name} is missing"))?;
            ensure!(is_named(record, "server_name"), "{record}");
        }
        let opened = records
            .iter()
            .filter(|record| record["server_name"] == format!("tfo.{SUFFIX}"));
        ensure!(opened.count() == 2, "both connections of Fast Open");
        Ok(())
    });
}

#[test]
fn requests_and_proxies_are_named() {
    with_tool("requests_and_proxies_are_named", || {
        let bed = Bed::new("proxies")?;
        let _sink = bed.serve(&["sink", &PORT.to_string()])?;
        let address = bed.server().ip().to_string();
        let port = PORT.to_string();
        for mode in ["plain", "connect", "socks"] {
            bed.tool(&[mode, &address, &port, &format!("{mode}.{SUFFIX}")])?;
        }
        let nobody = bed.tool(&["banner", &address, &port])?;
        let by_hand = bed.tool(&["by_hand", &address, &port])?;
        let records = bed.last_records()?;
        let named = by_name(&records);
        for (mode, path) in [
            ("plain", "internet"),
            ("connect", "proxy"),
            ("socks", "proxy"),
        ] {
            let name = format!("{mode}.{SUFFIX}");
            let record = named
                .get(name.as_str())
                .with_context(|| format!("{name} is missing"))?;
            ensure!(is_named(record, "server_name"), "{record}");
            ensure!(record["path_kind"] == path, "{record}");
        }
        let at = |port: &str| {
            let port: u64 = port.trim().parse()?;
            records
                .iter()
                .find(|record| record["local_port"] == port)
                .with_context(|| format!("no record of port {port}"))
        };
        ensure!(
            at(&nobody)?["blind_reason"] == "no_handshake",
            "{}",
            at(&nobody)?
        );
        for line in by_hand.lines() {
            let (port, name) = line.split_once(' ').unwrap_or((line, ""));
            let record = at(port)?;
            ensure!(
                record["basis"] == "address" && record["provider"] != "openai",
                "`{name}` is misnamed: {record}"
            );
            let is_name = [
                "xn--penai-0ve.com",
                "api.openai.com.evil.example",
                "evilopenai.com",
            ]
            .contains(&name);
            ensure!(
                record["blind_reason"]
                    == if is_name {
                        Value::Null
                    } else {
                        "no_server_name".into()
                    },
                "`{name}`: {record}"
            );
        }
        // No byte of what is secret has come out.
        let all = records.iter().map(Value::to_string).collect::<String>();
        for secret in ["c2VjcmV0", "/secret", "qxz", "Cookie"] {
            ensure!(!all.contains(secret), "{secret} is in the records");
        }
        Ok(())
    });
}

#[test]
fn what_a_hello_keeps_secret_is_not_known() {
    with_tool("what_a_hello_keeps_secret_is_not_known", || {
        let bed = Bed::new("ech")?;
        let port = PORT.to_string();
        let _sink = bed.serve(&["sink", &port])?;
        let far = bed.server().ip().to_string();
        // Under the first keys are published, the second goes with the grease of a client that has none.
        let outer = ["cloudflare-ech.com".to_owned(), format!("grease.{SUFFIX}")];
        let mut ports = Vec::new();
        for name in &outer {
            let said = bed.tool(&["ech", &far, &port, name])?;
            ports.push(said.trim().parse::<u64>()?);
        }
        let records = bed.last_records()?;
        let at = |port: u64| {
            let record = records.iter().find(|record| record["local_port"] == port);
            record.with_context(|| format!("no record of port {port}"))
        };
        let secret = at(ports[0])?;
        ensure!(
            secret["server_name"].is_null()
                && secret["provider"] != "cloudflare"
                && secret["blind_reason"] == "ech",
            "{secret}"
        );
        let greased = at(ports[1])?;
        ensure!(
            greased["server_name"] == outer[1].as_str()
                && greased["provider"] == "microsoft"
                && greased["confidence"] != "certain"
                && names_itself(greased),
            "{greased}"
        );
        Ok(())
    });
}
