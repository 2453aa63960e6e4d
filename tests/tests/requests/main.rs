//! Requests that programs encrypt are typed: on the right socket, with bytes that are exactly theirs, and nothing of what they
//! keep secret is anywhere. What is not installed is skipped and said so.

mod blind;
#[path = "../common/mod.rs"]
mod common;
mod contracts;
mod http2;
mod pace;
mod rustls;
mod sdks;
mod secrets;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::{guarded, started::eventually};
use ipnet::IpNet;
use observer_tests::{
    Process, Testbed, Wire,
    agent::{Agent, uplink},
    scratch::Scratch,
    topology::{self, Bridged},
};
use serde_json::Value;

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests/api.py");
const AWS_US_EAST_1: &str = "3.210.0.10";
const CLOUDFLARE: &str = "104.18.0.10";
const PORT: u16 = 443;
const PLAIN_PORT: u16 = 80;
/// Of requests by which a test knows that the probes are in place.
const WARM_PORT: u16 = 8_443;
const TIMEOUT: Duration = Duration::from_mins(4);
const RUNTIME: &str = "bedrock-runtime.us-east-1.amazonaws.com";
const OPENAI: &str = "api.openai.com";
/// Requests of each of two connections in one event loop; `REQUESTS=5000` for the proof.
const REQUESTS: u64 = 500;

struct Bed {
    net: Bridged,
    folder: Scratch,
    agent: Agent,
    server: Process,
    _bed: Testbed,
}

impl Bed {
    /// With probes in place.
    fn new(configuration: &str) -> Result<Self> {
        let bed = Self::start(configuration)?;
        bed.wait_for_probes()?;
        Ok(bed)
    }

    fn start(configuration: &str) -> Result<Self> {
        Self::start_with(configuration, &[])
    }

    fn start_with(configuration: &str, arguments: &[&str]) -> Result<Self> {
        let bed = Testbed::new("requests")?;
        let mut wire = Wire::default();
        for network in ["3.210.0.0/16", "104.18.0.0/16"] {
            wire.far_prefixes.push(network.parse::<IpNet>()?);
        }
        let net = topology::bridged(&bed, &wire)?;
        let folder = Scratch::new("observer-requests-")?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let made = rcgen::generate_simple_self_signed(sdks::NAMES.map(str::to_owned))?;
        fs::write(path("certificate.pem"), made.cert.pem())?;
        fs::write(path("key.pem"), made.signing_key.serialize_pem())?;
        fs::write(path("observer.yaml"), configuration)?;
        let mut command = tool();
        command.args(["serve", &path("certificate.pem"), &path("key.pem")]);
        for (address, port) in [
            (AWS_US_EAST_1, PORT),
            (CLOUDFLARE, PORT),
            (AWS_US_EAST_1, PLAIN_PORT),
            (AWS_US_EAST_1, WARM_PORT),
        ] {
            command.arg(format!("{address}:{port}"));
        }
        command.stdout(Stdio::piped());
        let mut server = net.far.spawn(command)?;
        ensure!(server.read_line()? == "ready", "the server is not ready");
        let own = ["--config", &path("observer.yaml"), "--tick", "0.5"];
        let agent = Agent::start(
            &[uplink(&net.near, net.near_device)],
            &[&own, arguments].concat(),
        )?;
        Ok(Self {
            net,
            folder,
            agent,
            server,
            _bed: bed,
        })
    }

    /// Libraries are looked for beside the ticks.
    fn wait_for_probes(&self) -> Result<()> {
        let warm = format!("{AWS_US_EAST_1}:{WARM_PORT}");
        eventually("a typed request", || {
            self.client(&["talk", &warm, RUNTIME, "GET /async-invoke"], "")?;
            std::thread::sleep(Duration::from_millis(600));
            let records = self.agent.records()?;
            let is_typed =
                |record: &Value| record["remote_port"] == WARM_PORT && !record["method"].is_null();
            Ok(records.iter().any(is_typed).then_some(()))
        })
    }

    fn client(&self, arguments: &[&str], canary: &str) -> Result<()> {
        let mut command = tool();
        command.args(arguments).env("CANARY", canary);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let output = self.net.near.spawn(command)?.output(TIMEOUT)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {}", error.trim());
        Ok(())
    }

    /// What the server noted of the next connection that ended, but for those that only waited.
    fn noted(&mut self) -> Result<Value> {
        loop {
            let noted: Value = serde_json::from_str(&self.server.read_line()?)?;
            if noted["requests"][0]["target"] != "/async-invoke" {
                return Ok(noted);
            }
        }
    }
}

fn tool() -> Command {
    let mut command = Command::new(if Path::new(http2::PYTHON).exists() {
        http2::PYTHON
    } else {
        "python3"
    });
    command.arg(TOOL);
    command
}

fn server(address: &str) -> String {
    SocketAddr::new(address.parse().expect("an address"), PORT).to_string()
}

fn with_python(test: &str, work: impl FnOnce() -> Result<()>) {
    guarded(test, || {
        let found = Command::new("python3").arg("--version").output();
        if found.is_ok_and(|output| output.status.success()) {
            return work();
        }
        println!("skipped: {test}: there is no `python3`");
        Ok(())
    });
}

/// Records of the flows that went to a port 443, in order.
fn own(records: Vec<Value>) -> Vec<Value> {
    let is_own = |record: &Value| record["remote_port"] == PORT;
    records.into_iter().filter(is_own).collect()
}

fn text<'v>(record: &'v Value, field: &str) -> &'v str {
    record[field].as_str().unwrap_or("-")
}

fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().unwrap_or_default()
}

/// Payload bytes and requests by route. A tick between a connection and its first request has a record with neither, which is
/// left out.
fn by_route(records: &[Value]) -> BTreeMap<String, [u64; 3]> {
    let mut sums: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for record in records {
        let key = format!("{} {}", text(record, "method"), text(record, "route"));
        let sum = sums.entry(key).or_default();
        for (sum, field) in
            sum.iter_mut()
                .zip(["payload_bytes_egress", "payload_bytes_ingress", "requests"])
        {
            *sum += number(record, field);
        }
    }
    sums.retain(|_, sum| *sum != [0; 3]);
    sums
}

/// Requests of several kinds on one connection: the payload of each is what lies between the places in both streams that the
/// server noted; nothing is lost between them.
#[test]
fn bytes_of_each_kind_are_exactly_those_between_its_requests() {
    const PIECES: (&str, &str) = ("POST /v1/responses 5 pieces", "POST /v1/responses");
    with_python(
        "bytes_of_each_kind_are_exactly_those_between_its_requests",
        || bytes_of_each_kind(PORT, PIECES),
    );
}

/// The same of requests that nobody encrypts.
#[test]
fn bytes_of_plain_requests_are_exactly_theirs() {
    const WHOLE: (&str, &str) = ("POST /v1/responses 5", "POST /v1/responses");
    with_python("bytes_of_plain_requests_are_exactly_theirs", || {
        bytes_of_each_kind(PLAIN_PORT, WHOLE)
    });
}

fn bytes_of_each_kind(port: u16, special: (&str, &str)) -> Result<()> {
    let lines: [(&str, &str); 8] = [
        ("POST /v1/embeddings 300", "POST /v1/embeddings"),
        ("POST /v1/embeddings 20000", "POST /v1/embeddings"),
        ("POST /v1/files 100000", "POST /v1/files/**"),
        ("GET /v1/files/file-1/content", "GET /v1/files/**"),
        special,
        ("POST /v1/embeddings 0", "POST /v1/embeddings"),
        (
            "DELETE /v1/responses/resp_1",
            "DELETE /v1/responses/{response}/**",
        ),
        ("POST /v1/nowhere 10", "POST -"),
    ];
    let mut bed = Bed::new("tick: 500ms\n")?;
    let place = format!("{AWS_US_EAST_1}:{port}");
    let mut arguments = vec!["talk", &place, OPENAI];
    arguments.extend(lines.iter().map(|(line, _)| *line));
    bed.client(&arguments, "")?;
    let noted = bed.noted()?;
    let records: Vec<Value> = bed.agent.stop()?;
    let is_own = |record: &&Value| record["remote_port"] == port;
    let records: Vec<Value> = records.iter().filter(is_own).cloned().collect();

    let requests = noted["requests"].as_array().context("no requests")?;
    ensure!(requests.len() == lines.len(), "{requests:?}");
    let mut expected: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (nth, (_, route)) in lines.iter().enumerate() {
        let place = |nth: usize, field: &str, end: &str| match requests.get(nth) {
            // The first one has the handshake.
            _ if nth == 0 => 0,
            Some(request) => number(request, field),
            None => number(&noted, end),
        };
        let sum = expected.entry((*route).to_owned()).or_default();
        sum[0] += place(nth + 1, "sent", "taken") - place(nth, "sent", "taken");
        sum[1] += place(nth + 1, "received", "given") - place(nth, "received", "given");
        sum[2] += 1;
    }
    let found = by_route(&records);
    ensure!(found == expected, "{found:#?} instead of {expected:#?}");
    let last = records.last().context("no record")?;
    for way in ["egress", "ingress"] {
        let field = format!("wire_bytes_{way}");
        let sum: u64 = records.iter().map(|record| number(record, &field)).sum();
        let total = number(last, &format!("{field}_since_start"));
        ensure!(sum == total, "{way}: {sum} instead of {total}");
    }
    println!("{} records, {found:?}", records.len());
    Ok(())
}

/// Requests that do not wait for the answer to the one before, each in a write of its own.
#[test]
fn requests_that_do_not_wait_count_each() {
    with_python("requests_that_do_not_wait_count_each", || {
        let bed = Bed::new("tick: 500ms\n")?;
        let kinds = [
            "POST /v1/embeddings 300",
            "GET /v1/files",
            "POST /v1/nowhere 3",
        ];
        let place = server(AWS_US_EAST_1);
        let mut arguments = vec!["pipeline", &place, OPENAI];
        arguments.extend(kinds.iter().cycle().take(60));
        bed.client(&arguments, "")?;
        let sums = by_route(&own(bed.agent.stop()?));
        let found = |route: &str| sums.get(route).map_or(0, |sum| sum[2]);
        for route in ["POST /v1/embeddings", "GET /v1/files/**", "POST -"] {
            ensure!(found(route) == 20, "{route}: {sums:?}");
        }
        ensure!(sums.len() == 3, "{sums:?}");
        Ok(())
    });
}

/// Two hosts by turns in one event loop: each request counts on its own connection or on none.
#[test]
fn connections_of_one_event_loop_are_not_mixed_up() {
    with_python("connections_of_one_event_loop_are_not_mixed_up", || {
        let count = std::env::var("REQUESTS").map_or(Ok(REQUESTS), |count| count.parse())?;
        let bed = Bed::new("tick: 500ms\n")?;
        let (aws, front) = (server(AWS_US_EAST_1), server(CLOUDFLARE));
        bed.client(
            &[
                "loop",
                &count.to_string(),
                &aws,
                RUNTIME,
                "POST /model/us.openai.gpt-5/converse 100",
                &front,
                OPENAI,
                "POST /v1/embeddings 100",
            ],
            "",
        )?;
        let records = own(bed.agent.stop()?);
        for (name, route) in [
            (RUNTIME, "/model/{model}/converse"),
            (OPENAI, "/v1/embeddings"),
        ] {
            let flow = records
                .iter()
                .filter(|record| record["server_name"] == name);
            let flow: Vec<Value> = flow.cloned().collect();
            let sums = by_route(&flow);
            let wrong: Vec<_> = sums
                .keys()
                .filter(|key| **key != format!("POST {route}"))
                .collect();
            let right = sums.get(&format!("POST {route}")).map_or(0, |sum| sum[2]);
            println!("{name}: {right} of {count} right, others {wrong:?}");
            ensure!(wrong.is_empty(), "{name}: {sums:?}");
            ensure!(
                right * 10 >= count * 9 && right <= count,
                "{name}: {sums:?}"
            );
        }
        Ok(())
    });
}

/// A process that the kernel kills for any system call but those that it needs for itself: probes make none.
#[test]
#[cfg(target_arch = "x86_64")]
fn confined_processes_are_unharmed() {
    with_python("confined_processes_are_unharmed", || {
        let bed = Bed::new("tick: 500ms\n")?;
        let place = server(AWS_US_EAST_1);
        let mut arguments = vec!["confined", &place, OPENAI];
        arguments.extend(["POST /v1/embeddings 300"; 100]);
        bed.client(&arguments, "")?;
        let sums = by_route(&own(bed.agent.stop()?));
        let found = sums.get("POST /v1/embeddings").map_or(0, |sum| sum[2]);
        ensure!(found == 100, "{sums:?}");
        Ok(())
    });
}
