//! Processes, users, executables, units and containers of sockets, against what the processes themselves declared. Counted
//! are right, not known (with the reason) and wrong; wrong must be 0.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use common::{
    PORT, guarded,
    places::{Places, Server, said, succeeded},
};
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, uplink},
    topology::{self, Bridged},
};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_owner");
/// Short processes of one run; `PROCESSES=10000` for the proof.
const PROCESSES: usize = 1_000;
const TIMEOUT: Duration = Duration::from_mins(4);

/// How records compare with declarations.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    /// The process that accepted, found holding before it had passed the socket on.
    accepter: usize,
    /// By the record's own reason.
    missing: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn share_right(&self) -> f64 {
        let missing: usize = self.missing.values().sum();
        self.right as f64 / (self.right + missing + self.wrong.len()).max(1) as f64
    }
}

/// Holds each declaration against the last record of its port. `port` names the record's field.
fn tally(records: &[Value], device: &str, port: &str, declared: &[Value]) -> Tally {
    let mut last: BTreeMap<u64, &Value> = BTreeMap::new();
    for record in records.iter().filter(|record| record["device"] == device) {
        if let Some(port) = record[port].as_u64() {
            last.insert(port, record);
        }
    }
    let mut tally = Tally::default();
    for owner in declared {
        let Some(record) = owner["port"].as_u64().and_then(|port| last.get(&port)) else {
            tally.wrong.push(format!("no record of {owner}"));
            continue;
        };
        if let Some(reason) = record["owner_missing"].as_str() {
            *tally.missing.entry(reason.to_owned()).or_default() += 1;
            continue;
        }
        let differs: Vec<&str> = ["pid", "uid", "comm", "executable"]
            .into_iter()
            .filter(|field| record[field] != owner[field])
            .collect();
        if differs == ["executable"] && record["executable"].is_null() {
            *tally.missing.entry("executable".to_owned()).or_default() += 1;
        } else if differs.is_empty() {
            tally.right += 1;
        } else if record["owner_basis"] == "holder" && record["pid"] == owner["accepted_by"] {
            tally.accepter += 1;
        } else {
            tally
                .wrong
                .push(format!("{differs:?} of {record}, declared {owner}"));
        }
    }
    tally
}

fn declarations(output: &[u8]) -> Result<Vec<Value>> {
    String::from_utf8_lossy(output)
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("declaration `{line}`")))
        .collect()
}

/// Processes of a few milliseconds, gone long before the agent reads; their cgroups and users too.
#[test]
fn owners_of_short_processes() {
    guarded("owners_of_short_processes", || {
        let count = std::env::var("PROCESSES").map_or(Ok(PROCESSES), |count| count.parse())?;
        let bed = Testbed::new("lives")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let places = Places::new("lives")?;
        places.copies(PROGRAM, &["alpha", "beta", "gamma", "delta"])?;
        let uplink = uplink(&net.near, net.near_device);
        let server = net.far_address(4, PORT);
        let far = Server::start(&net.far, server)?;
        let agent = Agent::start(std::slice::from_ref(&uplink), &["--tick", "2"])?;
        let (count_word, server_word) = (count.to_string(), server.to_string());
        let arguments: [&OsStr; 6] = [
            "churn".as_ref(),
            count_word.as_ref(),
            server_word.as_ref(),
            places.programs.as_ref(),
            places.cgroup.as_ref(),
            "job".as_ref(),
        ];
        let output = said(&net.near, PROGRAM, arguments, TIMEOUT)?;
        far.end(&net.near)?;
        let metrics = agent.metrics()?;
        let records = agent.stop()?;
        let declared = declarations(&output)?;
        ensure!(declared.len() == count, "{} declarations", declared.len());
        let tally = tally(&records, &uplink, "local_port", &declared);
        let lost: Vec<_> = metrics
            .lines()
            .filter(|line| line.starts_with("observer_events_lost_total") && !line.ends_with(" 0"))
            .collect();
        println!(
            "{count} processes: right {}, not known {:?}, wrong {}; lost {lost:?}",
            tally.right,
            tally.missing,
            tally.wrong.len()
        );
        ensure!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
        ensure!(tally.share_right() >= 0.99, "{tally:?}");
        units(&records, &uplink, &declared)
    });
}

/// Every job was in a cgroup named like a unit, which is gone.
fn units(records: &[Value], device: &str, declared: &[Value]) -> Result<()> {
    let known = records.iter().filter(|record| {
        let job = record["comm"].as_str();
        record["device"] == device && job.is_some_and(|job| job.starts_with("job"))
    });
    let mut right = BTreeSet::new();
    for record in known {
        let job = record["comm"].as_str().unwrap_or_default();
        let index: usize = job[3..].parse()?;
        let unit = format!("job-{}.service", index / 25 * 25);
        match record["systemd_unit"].as_str() {
            Some(found) if found == unit => right.insert(job),
            None => false,
            Some(found) => bail!("unit `{found}` of {record}, not `{unit}`"),
        };
    }
    println!("units right: {} of {}", right.len(), declared.len());
    ensure!(
        right.len() * 100 >= declared.len() * 99,
        "units right: {}",
        right.len()
    );
    Ok(())
}

/// How a listener is served.
struct Serving {
    mode: &'static str,
    /// How many milliseconds each connection stays open.
    hold_ms: u64,
    /// What the records must say of how the owner is known.
    basis: &'static [&'static str],
}

const SERVINGS: [Serving; 6] = [
    Serving {
        mode: "accept",
        hold_ms: 0,
        basis: &["last_holder", "holder"],
    },
    Serving {
        mode: "accept",
        hold_ms: 1_500,
        basis: &["holder"],
    },
    Serving {
        mode: "fork",
        hold_ms: 0,
        basis: &["last_holder", "holder"],
    },
    Serving {
        mode: "fork",
        hold_ms: 1_500,
        basis: &["holder"],
    },
    Serving {
        mode: "pass",
        hold_ms: 0,
        basis: &["last_holder", "holder"],
    },
    Serving {
        mode: "pass",
        hold_ms: 1_500,
        basis: &["holder"],
    },
];

/// The listener is made by the test and inherited, as from a socket activator; connections are served by the process
/// itself, by a child each, or by another process that they are passed to.
#[test]
fn owners_of_accepted_inherited_and_passed_sockets() {
    guarded("owners_of_accepted_inherited_and_passed_sockets", || {
        let bed = Testbed::new("serving")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let uplink = uplink(&net.near, net.near_device);
        for (index, serving) in SERVINGS.iter().enumerate() {
            let port = PORT + u16::try_from(index)?;
            let agent = Agent::start(std::slice::from_ref(&uplink), &["--tick", "0.5"])?;
            let declared = served(&net, serving, port)?;
            let records = agent.stop()?;
            let own: Vec<Value> = records
                .into_iter()
                .filter(|record| record["local_port"] == port)
                .collect();
            let tally = tally(&own, &uplink, "remote_port", &declared);
            let Serving {
                mode,
                hold_ms,
                basis,
            } = serving;
            println!(
                "{mode} for {hold_ms} ms: right {} of {}, the accepter {}, {:?}",
                tally.right,
                declared.len(),
                tally.accepter,
                tally.missing
            );
            ensure!(
                tally.wrong.is_empty(),
                "{mode} {hold_ms}: {}",
                tally.wrong.join("\n")
            );
            // A walk may fall between the accepting and the passing on, but hardly each time.
            let holders = tally.right + tally.accepter;
            ensure!(
                tally.right > 0 && holders == declared.len(),
                "{mode} {hold_ms}: {tally:?}"
            );
            for record in own
                .iter()
                .filter(|record| record["owner_missing"].is_null())
            {
                let found = record["owner_basis"].as_str().unwrap_or_default();
                ensure!(basis.contains(&found), "{mode} {hold_ms}: {record}");
            }
        }
        Ok(())
    });
}

fn served(net: &Bridged, serving: &Serving, port: u16) -> Result<Vec<Value>> {
    const COUNT: usize = 4;
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let listener = net.near.run(|| TcpListener::bind(any)).context("listen")?;
    let mut command = Command::new(PROGRAM);
    command
        .args([serving.mode, &COUNT.to_string()])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let server = net.near.spawn(command)?;
    let hold = Duration::from_millis(serving.hold_ms);
    let address = net.near_address(4, port);
    net.far.run(|| -> Result<()> {
        for _ in 0..COUNT {
            let mut stream = TcpStream::connect(address).context("call the near server")?;
            stream.write_all(&[b'q'; 1_000])?;
            std::thread::sleep(hold);
            stream.shutdown(Shutdown::Write)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            ensure!(answer.len() == 1_000, "{} bytes of answer", answer.len());
        }
        Ok(())
    })?;
    declarations(&succeeded(server.output(TIMEOUT)?)?)
}

/// Two processes write to one socket; who called is the owner. A socket older than the agent gets its holder.
#[test]
fn owners_of_shared_and_older_sockets() {
    guarded("owners_of_shared_and_older_sockets", || {
        let bed = Testbed::new("sharing")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let uplink = uplink(&net.near, net.near_device);
        let server = net.far_address(4, PORT);
        let far = Server::start(&net.far, server)?;
        // Connected before the agent is there.
        let mut older = net.near.run(|| TcpStream::connect(server))?;
        let agent = Agent::start(std::slice::from_ref(&uplink), &["--tick", "0.5"])?;
        older.write_all(&[b'q'; 1_000])?;
        std::thread::sleep(Duration::from_millis(1_500));
        older.shutdown(Shutdown::Write)?;
        older.read_to_end(&mut Vec::new())?;
        let arguments = ["share", &server.to_string()];
        let output = said(&net.near, PROGRAM, arguments, TIMEOUT)?;
        far.end(&net.near)?;
        let port = older.local_addr()?.port();
        drop(older);
        let records = agent.stop()?;
        let tally = tally(&records, &uplink, "local_port", &declarations(&output)?);
        ensure!(tally.right == 1, "{tally:?}");
        let held: Vec<&Value> = records
            .iter()
            .filter(|record| record["device"] == uplink && record["local_port"] == port)
            .collect();
        ensure!(!held.is_empty(), "no record of the older socket");
        let me = std::env::current_exe()?;
        for record in held {
            let right = record["pid"] == std::process::id()
                && record["owner_basis"] == "holder"
                && record["executable"].as_str().map(Path::new) == Some(&*me);
            ensure!(right, "{record}");
        }
        Ok(())
    });
}
