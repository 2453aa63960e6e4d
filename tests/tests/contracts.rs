//! A real agent judges real connections by shipped contracts: by names alone, as far as names go. Violations reach people, a
//! file with an error changes nothing, and what was recorded is judged the same once more.

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::{guarded, started::eventually};
use ipnet::IpNet;
use nix::sys::signal::Signal;
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, executable, uplink},
    alertmanager::Alertmanager,
    http,
    observed::Observed,
    prometheus::program,
    scratch::Scratch,
    topology::{self, Bridged},
};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::Value;

const AZURE: &str = "20.42.65.88";
const AWS_US_EAST_1: &str = "3.210.0.10";
const CLOUDFLARE: &str = "104.18.0.10";
const PORT: u16 = 443;
const PROXY_PORT: u16 = 3128;
const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER: [u8; 4_000] = [7; 4_000];

/// The preset of the time before 27 April 2026, without its end: it is judged by the flow's own time, which is now.
const SPLIT: &str = include_str!("../../observer/contracts/openai-microsoft-2025-10.yaml");
const APPROVED: &str = include_str!("../../observer/contracts/approved-ai-providers.yaml");

/// Name, address, and what the two contracts say: verdict and a part of the reason.
type Talk = (&'static str, &'static str, Said, Said);
type Said = (&'static str, &'static str);

const TALKS: [Talk; 6] = [
    (
        "acme.openai.azure.com",
        AZURE,
        ("compliant", "cloud=\"azure\""),
        ("compliant", "provider=\"microsoft\""),
    ),
    // Whose model and which kind of request it is a name does not say.
    (
        "bedrock-mantle.us-east-1.api.aws",
        AWS_US_EAST_1,
        (
            "undetermined",
            "vendor not known, api_state not known: could be not_covered or violation",
        ),
        ("compliant", "provider=\"amazon\""),
    ),
    // Behind a front the hosting cloud cannot be seen.
    (
        "api.openai.com",
        CLOUDFLARE,
        (
            "undetermined",
            "cloud not known, api_state not known: could be",
        ),
        ("violation", "provider=\"openai\""),
    ),
    (
        "api.anthropic.com",
        CLOUDFLARE,
        ("not_covered", ""),
        ("violation", "provider=\"anthropic\""),
    ),
    (
        "bucket.s3.us-east-1.amazonaws.com",
        AWS_US_EAST_1,
        ("not_covered", ""),
        ("not_covered", ""),
    ),
    // A name that nobody knows is none of OpenAI's: the contract is not about it.
    (
        "shop.example",
        AWS_US_EAST_1,
        ("", ""),
        ("undetermined", "api_family not known"),
    ),
];

struct Bed {
    net: Bridged,
    folder: Scratch,
    testbed: Testbed,
}

impl Bed {
    fn new() -> Result<Self> {
        let testbed = Testbed::new("contracts")?;
        let mut wire = Wire::default();
        let network = |text: &str| text.parse::<IpNet>();
        wire.far_prefixes
            .extend([network("3.210.0.0/16")?, network("104.18.0.0/16")?]);
        Ok(Self {
            net: topology::bridged(&testbed, &wire)?,
            folder: Scratch::new("observer-contracts-")?,
            testbed,
        })
    }

    fn uplink(&self) -> String {
        uplink(&self.net.near, self.net.near_device)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A configuration with the contracts of a folder.
    fn configure(&self, more: &str) -> Result<String> {
        let split = SPLIT.replace("  until: 2026-04-27\n", "");
        ensure!(split != SPLIT, "the preset has another end");
        // Its tests at and after the end are about the preset as it is.
        let tests = split.find("tests:\n").context("no tests")?;
        self.write(
            "contracts/split.yaml",
            split.get(..tests).unwrap_or_default(),
        )?;
        self.write("contracts/approved.yaml", APPROVED)?;
        let contracts = self.folder.path().join("contracts");
        let text = format!(
            "source: {{cloud: aws, region: us-east-1, metadata: off}}\ncontracts:\n  files: [\"{}\"]\n{more}",
            contracts.display()
        );
        Ok(self.write("observer.yaml", &text)?.display().to_string())
    }

    fn talk(&self) -> Result<()> {
        for (name, address, ..) in TALKS {
            let server = SocketAddr::new(address.parse()?, PORT);
            converse(&self.net, server, name, None)?;
        }
        let proxy = SocketAddr::new(self.net.gateway(4), PROXY_PORT);
        converse(
            &self.net,
            proxy,
            "api.openai.com",
            Some("api.openai.com:443"),
        )
    }
}

/// One connection on which a client says hello to `name`, through a proxy where a target is given.
fn converse(net: &Bridged, server: SocketAddr, name: &str, target: Option<&str>) -> Result<()> {
    let listener = net.far.run(|| TcpListener::bind(server))?;
    thread::scope(|scope| {
        let far = net.far.clone();
        let answering = scope.spawn(move || far.run(|| answer(&listener, target.is_some())));
        net.near.run(|| ask(server, name, target))?;
        answering
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ask(server: SocketAddr, name: &str, target: Option<&str>) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    if let Some(target) = target {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut status = [0; 39];
        stream.read_exact(&mut status)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), name.to_owned().try_into()?)?;
    client.write_tls(&mut stream)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    ensure!(all == ANSWER, "{} bytes came back", all.len());
    // For the hello to be read before the flow has ended.
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

/// Takes a hello, answers with bytes of no protocol, and closes.
fn answer(listener: &TcpListener, is_proxy: bool) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut said = [0; 4_096];
    if is_proxy {
        ensure!(
            stream.read(&mut said)? > 0,
            "nothing was asked of the proxy"
        );
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    }
    ensure!(stream.read(&mut said)? > 0, "no hello came");
    stream.write_all(&ANSWER)?;
    stream.shutdown(Shutdown::Write)?;
    // Closed with something unread, it would be reset.
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Verdict and reason of one contract's only entry; empty where it has none.
fn verdict<'r>(record: &'r Value, contract: &str) -> Result<(&'r str, &'r str)> {
    let verdicts = record["verdicts"].as_array().context("nobody judged it")?;
    let mut own = verdicts
        .iter()
        .filter(|entry| entry["contract"] == contract);
    let Some(entry) = own.next() else {
        return Ok(("", ""));
    };
    ensure!(own.next().is_none(), "{verdicts:?}");
    let text = |value: &'r Value| value.as_str().unwrap_or_default();
    Ok((text(&entry["verdict"]), text(&entry["reason"])))
}

/// The last record of the flow that asked for this name, by the port that it went to.
fn last<'r>(records: &'r [Value], name: &str, port: u16) -> Result<&'r Value> {
    let is_it = |record: &&Value| record["server_name"] == name && record["remote_port"] == port;
    let found = records.iter().rfind(is_it);
    found.with_context(|| format!("no record of `{name}` on port {port}"))
}

#[test]
fn names_alone_give_these_verdicts() {
    guarded("names_alone_give_these_verdicts", || {
        let bed = Bed::new()?;
        let config = bed.configure("")?;
        let agent = Agent::start(&[bed.uplink()], &["--config", &config])?;
        bed.talk()?;
        eventually("the violations", || {
            let told = |line: &String| line.contains("violation: contract `approved-ai-providers`");
            let said = agent.said();
            Ok((said.iter().filter(|line| told(line)).count() >= 2).then_some(()))
        })?;
        let said = agent.said();
        let told = said
            .iter()
            .find(|line| line.contains("to api.anthropic.com"));
        let told = told.context("the violation is told")?;
        ensure!(
            told.contains("rule `approved-provider` (high)")
                && told.contains("provider=\"anthropic\""),
            "{told}"
        );

        a_broken_file_changes_nothing(&bed, &agent)?;
        let metrics = agent.metrics()?;
        let records = agent.stop()?;
        for (name, _, split, approved) in TALKS {
            let record = last(&records, name, PORT)?;
            for (contract, (wanted, reason)) in [
                ("openai-microsoft-2025-10", split),
                ("approved-ai-providers", approved),
            ] {
                let (found, why) = verdict(record, contract)?;
                ensure!(
                    found == wanted && why.contains(reason),
                    "{name}: {contract}: {found}: {why}, not {wanted}: {reason}"
                );
            }
        }
        let proxied = last(&records, "api.openai.com", PROXY_PORT)?;
        ensure!(proxied["path_kind"] == "proxy", "{proxied}");
        let (found, why) = verdict(proxied, "openai-microsoft-2025-10")?;
        ensure!(
            found == "undetermined" && why.contains("cloud private"),
            "through a proxy: {found}: {why}"
        );
        metrics_are_the_records(&metrics, &records)?;
        replay_gives_what_was_recorded(&bed, &records)
    });
}

/// A reload of a folder with a file in it that is wrong; then of the same folder, mended.
fn a_broken_file_changes_nothing(bed: &Bed, agent: &Agent) -> Result<()> {
    let version = |agent: &Agent| -> Result<String> {
        let records = agent.records()?;
        let last = records.last().context("a record")?;
        Ok(last["rules_version"]
            .as_str()
            .context("no version")?
            .to_owned())
    };
    let before = version(agent)?;
    bed.write(
        "contracts/approved.yaml",
        &APPROVED.replace("provider in [\"microsoft\"", "provider in [\"microsft\""),
    )?;
    agent.signal(Signal::SIGHUP)?;
    let refused = eventually("the refusal", || {
        Ok(agent
            .said()
            .into_iter()
            .find(|line| line.contains("reload failed")))
    })?;
    ensure!(
        refused.contains("approved.yaml:20:27: `require`: `provider` is never `microsft`")
            && refused.contains("did you mean `microsoft`?")
            && refused.contains("stays"),
        "{refused}"
    );
    let metrics = agent.metrics()?;
    let reload = |metrics: &str| {
        let mut lines = metrics
            .lines()
            .filter(|line| line.starts_with("observer_reload_success"));
        lines
            .find(|line| line.contains("/contracts\""))
            .map(str::to_owned)
    };
    ensure!(
        reload(&metrics).is_some_and(|line| line.ends_with(" 0")),
        "{:?}",
        reload(&metrics)
    );
    let ready = http::get(agent.address(), "/readyz")?;
    ensure!(ready.status == 200, "not ready: {ready:?}");
    converse(
        &bed.net,
        SocketAddr::new(AZURE.parse()?, PORT),
        TALKS[0].0,
        None,
    )?;
    eventually("a record after it", || {
        let records = agent.records()?;
        let after = records
            .iter()
            .filter(|record| record["server_name"] == TALKS[0].0);
        Ok((after.count() >= 2).then_some(()))
    })?;
    ensure!(version(agent)? == before, "the rules are others");
    bed.write("contracts/approved.yaml", APPROVED)?;
    agent.signal(Signal::SIGHUP)?;
    eventually("the reload", || {
        Ok(reload(&agent.metrics()?).filter(|line| line.ends_with(" 1")))
    })
    .map(drop)
}

/// Bytes by rule and verdict are the sums of the records until the metrics were asked for.
fn metrics_are_the_records(metrics: &str, records: &[Value]) -> Result<()> {
    for verdict in ["compliant", "violation", "undetermined", "not_covered"] {
        let lines = metrics.lines().filter(|line| {
            line.starts_with("observer_contract_bytes_total{direction=\"egress\"")
                && line.contains(&format!("verdict=\"{verdict}\""))
        });
        let values = lines.map(|line| {
            Ok(line
                .rsplit(' ')
                .next()
                .context("no value")?
                .parse::<u64>()?)
        });
        let told = values.sum::<Result<u64>>()?;
        let of_record = |record: &Value| {
            let verdicts = record["verdicts"].as_array().into_iter().flatten();
            let same = verdicts.filter(|entry| entry["verdict"] == verdict).count() as u64;
            same * record["wire_bytes_egress"].as_u64().unwrap_or_default()
        };
        let recorded: u64 = records.iter().map(of_record).sum();
        ensure!(
            told > 0 && told == recorded,
            "{verdict}: {told} bytes in metrics, {recorded} in records"
        );
    }
    Ok(())
}

fn replay_gives_what_was_recorded(bed: &Bed, records: &[Value]) -> Result<()> {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let flows = bed.write("flows.jsonl", &(lines.join("\n") + "\n"))?;
    let contracts = bed.folder.path().join("contracts");
    let output = Command::new(executable().context("the agent is not built")?)
        .args(["contract", "replay", "--output", "json", "--rules"])
        .arg(&contracts)
        .arg(&flows)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let replayed: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(
        replayed["records"] == records.len()
            && replayed["changed"] == 0
            && replayed["unjudged"] == 0,
        "{replayed}"
    );
    Ok(())
}

#[test]
fn violations_reach_an_alertmanager() {
    let name = "violations_reach_an_alertmanager";
    let Some(program) = program(name, "prometheus-alertmanager") else {
        return;
    };
    guarded(name, || {
        let bed = Bed::new()?;
        // Nothing but loopback: neither agent nor Alertmanager reaches anything else.
        let monitor = bed.testbed.host("monitor")?;
        let alertmanager = Alertmanager::start(&monitor, &program, bed.folder.path())?;
        let config = bed.configure(&format!(
            "  alertmanager: http://{}\n",
            alertmanager.address()
        ))?;
        let executable = executable().context("the agent is not built")?;
        let uplink = bed.uplink();
        let agent = Observed::start(
            &monitor,
            &executable,
            &[
                "--config", &config, "--tick", "0.2", "--uplink", &uplink, "--host", "near",
            ],
        )?;
        bed.talk()?;
        let alerts = eventually("the alerts", || {
            let alerts = alertmanager.alerts()?;
            Ok((alerts.len() >= 2).then_some(alerts))
        })?;
        let alert = alerts
            .iter()
            .find(|alert| alert["labels"]["destination"] == "api.anthropic.com");
        let alert = alert.with_context(|| format!("{alerts:?}"))?;
        for (label, value) in [
            ("alertname", "ObserverContractViolation"),
            ("contract", "approved-ai-providers"),
            ("rule", "approved-provider"),
            ("severity", "high"),
            ("host", "near"),
        ] {
            ensure!(alert["labels"][label] == value, "`{label}` in {alert}");
        }
        let evidence = alert["annotations"]["evidence"]
            .as_str()
            .unwrap_or_default();
        ensure!(
            alert["status"]["state"] == "active" && evidence.contains("provider=\"anthropic\""),
            "{alert}"
        );
        let metrics = agent.metrics()?;
        ensure!(
            metrics.contains("observer_events_lost_total{place=\"alerts\"} 0\n"),
            "alerts are lost"
        );
        agent.stop().map(drop)
    });
}
