//! Real clients are named right: each TLS stack that this machine has, hellos cut anywhere, plain requests, proxies, DNS.
//! What is not installed is skipped and said so; `cargo xtask setup e2e` installs it.

#[path = "../common/mod.rs"]
mod common;
mod programs;
mod quic;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
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

use self::programs::{Ask, CLIENTS, TOOL};

const TIMEOUT: Duration = Duration::from_secs(60);
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
        && record["blind_reason"].is_null()
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
    guarded("every_client_is_named", || {
        let bed = Bed::new("clients")?;
        let _server = tls_server(&bed)?;
        let address = bed.server();
        let mut expected = Vec::new();
        for client in CLIENTS {
            if !client.is_there() {
                println!("skipped: `{}` is not installed", client.program);
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
        let records = bed.last_records()?;
        let named = by_name(&records);
        for name in &expected {
            let record = named
                .get(name.as_str())
                .with_context(|| format!("no record names {name}"))?;
            ensure!(is_named(record, "server_name"), "{record}");
        }
        println!(
            "{} clients and versions named right: {}",
            expected.len(),
            expected.join(" ")
        );
        ensure!(expected.len() >= 2, "no client is installed");
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
    guarded("a_hello_is_named_wherever_it_is_cut", || {
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
    guarded("requests_and_proxies_are_named", || {
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
        for secret in ["c2VjcmV0", "/secret", "user", "Cookie"] {
            ensure!(!all.contains(secret), "{secret} is in the records");
        }
        Ok(())
    });
}

#[test]
fn answers_name_what_does_not_name_itself() {
    guarded("answers_name_what_does_not_name_itself", || {
        let bed = Bed::new("answers")?;
        let far = bed.server().ip().to_string();
        // Four addresses of the far host, which has all of its network, one a case.
        let (network, _) = far.rsplit_once('.').context("an IPv4 address")?;
        let addresses: Vec<String> = (0..4)
            .map(|nth| format!("{network}.{}", 200 + nth))
            .collect();
        let mut zones = vec!["dns", &far];
        zones.extend(addresses.iter().map(String::as_str));
        let _dns = bed.serve(&zones)?;
        let _sink = bed.serve(&["sink", &PORT.to_string()])?;
        let port = PORT.to_string();
        let banner = |address: &str| bed.tool(&["banner", address, &port]);
        let resolve = |arguments: &[&str]| {
            bed.tool(&[&["resolve", &far], arguments].concat())
                .map(drop)
        };
        // A chain of eight, over TCP in pieces.
        resolve(&["chain.example", "A", "tcp"])?;
        let chain = banner(&addresses[0])?;
        // Two names of two services on one address.
        resolve(&["api.openai.com"])?;
        let one = banner(&addresses[1])?;
        resolve(&["api.mistral.ai"])?;
        let two = banner(&addresses[1])?;
        // No time to live, and the hint of a service.
        resolve(&["api.groq.com"])?;
        let short = banner(&addresses[2])?;
        resolve(&["api.anthropic.com", "HTTPS"])?;
        let hint = banner(&addresses[3])?;
        let records = bed.last_records()?;
        let at = |port: &str| {
            let port: u64 = port.trim().parse()?;
            records
                .iter()
                .find(|record| record["local_port"] == port)
                .with_context(|| format!("no record of port {port}"))
        };
        for (port, name, provider) in [
            (&chain, "chain.example", "amazon"),
            (&short, "api.groq.com", "groq"),
            (&hint, "api.anthropic.com", "anthropic"),
        ] {
            let record = at(port)?;
            ensure!(
                record["server_name"] == name
                    && record["provider"] == provider
                    && record["basis"] == "dns"
                    && record["confidence"] == "likely",
                "{record}"
            );
        }
        // The second answer came within the time in which it may explain the first connection too.
        for port in [&one, &two] {
            let record = at(port)?;
            let evidence = record["evidence"].as_str().unwrap_or_default();
            ensure!(
                record["confidence"] == "ambiguous"
                    && record["basis"] == "address"
                    && evidence.contains("api.openai.com")
                    && evidence.contains("api.mistral.ai"),
                "{record}"
            );
        }
        Ok(())
    });
}

#[test]
fn initials_are_named_in_any_order() {
    guarded("initials_are_named_in_any_order", || {
        let bed = Bed::new("quic")?;
        let server = SocketAddr::new(bed.server().ip(), 443);
        let other = SocketAddr::new("52.94.0.11".parse()?, 443);
        let names = ["one", "many", "reversed", "doubled"].map(|name| format!("{name}.{SUFFIX}"));
        for (nth, name) in names.iter().enumerate() {
            let mut datagrams = quic::initials(name, if nth == 0 { 1 } else { 120 })?;
            ensure!(nth == 0 || datagrams.len() > 1, "a hello of one packet");
            match nth {
                2 => datagrams.reverse(),
                3 => {
                    datagrams = datagrams
                        .iter()
                        .flat_map(|one| [one.clone(), one.clone()])
                        .collect()
                }
                _ => {}
            }
            bed.net.near.run(|| -> Result<()> {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect(server)?;
                for datagram in &datagrams {
                    // Nobody listens: the ICMP error of an earlier datagram is told instead of sending.
                    while socket.send(datagram).is_err() {}
                }
                Ok(())
            })?;
        }
        // One socket, two remotes.
        let pair = ["first", "second"].map(|name| format!("{name}.{SUFFIX}"));
        let asked = [quic::initials(&pair[0], 1)?, quic::initials(&pair[1], 1)?];
        bed.net.near.run(|| -> Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for (datagrams, remote) in asked.iter().zip([server, other]) {
                for datagram in datagrams {
                    socket.send_to(datagram, remote)?;
                }
            }
            thread::sleep(PAUSE);
            Ok(())
        })?;
        let records = bed.last_records()?;
        let named = by_name(&records);
        for name in names.iter().chain(&pair) {
            let record = named
                .get(name.as_str())
                .with_context(|| format!("no record names {name}"))?;
            ensure!(record["protocol"] == "udp", "{record}");
            ensure!(
                record["provider"] == "microsoft" && record["basis"] == "server_name",
                "{record}"
            );
        }
        ensure!(
            named[pair[1].as_str()]["remote_address"] == "52.94.0.11",
            "{}",
            named[pair[1].as_str()]
        );
        Ok(())
    });
}

#[test]
fn a_stub_on_loopback_is_read_for_names() {
    guarded("a_stub_on_loopback_is_read_for_names", || {
        if !programs::is_there("dnsmasq") {
            println!("skipped: `dnsmasq` is not installed; `cargo xtask setup e2e` brings it");
            return Ok(());
        }
        let bed = Bed::new("stub")?;
        let far = bed.server().ip().to_string();
        let (network, _) = far.rsplit_once('.').context("an IPv4 address")?;
        let addresses: Vec<String> = (0..4)
            .map(|nth| format!("{network}.{}", 200 + nth))
            .collect();
        let mut zones = vec!["dns", &far];
        zones.extend(addresses.iter().map(String::as_str));
        let _dns = bed.serve(&zones)?;
        let port = PORT.to_string();
        let _sink = bed.serve(&["sink", &port])?;
        bed.net.near.ip(&["link set lo up"])?;
        let mut stub = Command::new("dnsmasq");
        stub.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--no-daemon",
        ])
        .args([
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--pid-file=",
        ])
        .arg(format!("--server={far}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        let _stub = bed.net.near.spawn(stub)?;
        thread::sleep(PAUSE);
        bed.tool(&["resolve", "127.0.0.1", "api.groq.com"])?;
        let local_port: u64 = bed
            .tool(&["banner", &addresses[2], &port])?
            .trim()
            .parse()?;
        let records = bed.last_records()?;
        let record = records
            .iter()
            .find(|record| record["local_port"] == local_port);
        let record = record.context("no record of the connection")?;
        ensure!(
            record["server_name"] == "api.groq.com" && record["basis"] == "dns",
            "{record}"
        );
        // What passes loopback is in no record.
        let loopback = |record: &&Value| record["remote_address"] == "127.0.0.1";
        ensure!(
            !records.iter().any(|record| loopback(&record)),
            "loopback is counted"
        );
        Ok(())
    });
}
