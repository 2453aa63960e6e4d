//! A real agent, real traffic of two programs to addresses of two clouds, and a real Prometheus that scrapes it: what
//! panels and rules ask has an answer.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::{
    Host, Process, Testbed, Wire,
    agent::{executable, uplink},
    alertmanager::Alertmanager,
    observed::Observed,
    own_cgroup::OwnCgroup,
    prometheus::{Prometheus, Series, encoded, program},
    promql::{names, without_condition},
    scratch::Scratch,
    topology::{self, Bridged},
    traffic::{self, Actor, TcpTalk},
};
use serde_json::Value;

use crate::{
    common::{PORT, guarded},
    repository::{
        Declared, Pending, RULES, dashboards, label_values, path, queries, substituted, variables,
    },
};

/// Who talks to whom: `comm`, address, cloud.
const TALKS: [(&str, &str, &str); 2] = [
    ("backup", "52.94.0.10", "aws"),
    ("chat", "20.42.65.88", "azure"),
];
/// Of the two talks one is compliant with it and one against it; whose model it is nobody can tell.
const CONTRACT: &str = r#"
id: boards
title: For the panels
parties: [tests]
reference: {document: none}
owner: tests
contact: tests@example.com
effective: {from: 2026-01-01}
rules:
  - {id: in-aws, when: 'cloud in ["aws", "azure"]', require: cloud == "aws", severity: high, rationale: for the panels}
  - {id: whose, when: cloud == "azure", require: vendor == "openai", severity: low, rationale: for the panels}
exemptions:
  - {ticket: T-1, approver: tests, rules: [in-aws], when: workload == "nobody", until: 2100-01-01, reason: for the panels}
"#;
/// Requests, and where they go.
const API: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests/api.py");
const API_PLACE: &str = "52.94.0.11:443";
/// Alerts, and the rules that they are about.
const CAUSED: [[&str; 2]; 2] = [
    ["ObserverContractViolated", "in-aws"],
    ["ObserverUndetermined", "whose"],
];
/// Samples before anything is asked, one a second.
const SAMPLES: u32 = 8;
/// What `$__range` becomes.
const RANGE_SECONDS: u32 = 6;
const TIMEOUT: Duration = Duration::from_secs(40);
/// More than the traffic may ever need.
const ROUNDS_MAX: u16 = 200;

#[test]
fn panels_and_rules_find_data() {
    let name = "panels_and_rules_find_data";
    let programs = ["prometheus", "promtool", "prometheus-alertmanager"];
    let programs = programs.map(|wanted| program(name, wanted));
    let [Some(prometheus), Some(promtool), Some(alertmanager)] = programs else {
        return;
    };
    guarded(name, || {
        let cgroup = OwnCgroup::enter()?;
        let bed = Testbed::new("boards")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        // Nothing but loopback: neither agent nor Prometheus reaches anything else.
        let monitor = bed.host("monitor")?;
        let agent = start_agent(&net, &monitor, cgroup.path())?;
        let folder = Scratch::new("observer-boards-")?;
        let alertmanager = Alertmanager::start(&monitor, &alertmanager, folder.path())?;
        let prometheus = Prometheus::start(
            &monitor,
            &prometheus,
            Path::new(env!("CARGO_TARGET_TMPDIR")),
            &configuration(agent.address(), alertmanager.address()),
        )?;
        let _api = serve(&net, folder.path())?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let talking = scope.spawn(|| talk(&net, &stop));
            let outcome = ask(&prometheus);
            stop.store(true, Ordering::Relaxed);
            let talked = talking
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome.and(talked)
        })?;
        exposition(&agent, &monitor, &promtool)?;
        quiet(&prometheus)?;
        reaches(&alertmanager)
    });
}

fn start_agent(net: &Bridged, monitor: &Host, cgroup: &Path) -> Result<Observed> {
    let executable = executable().context("the agent is not built")?;
    let uplink = uplink(&net.near, net.near_device);
    let cgroup = cgroup.to_string_lossy();
    // With a file the agent says whether it was taken.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boards.yaml");
    let contract = file.with_file_name("boards-contract.yaml");
    fs::write(&contract, CONTRACT).context("write a contract")?;
    let text = format!("contracts: {{files: [\"{}\"]}}\n", contract.display());
    fs::write(&file, text).context("write a configuration")?;
    let file = file.to_string_lossy();
    let arguments = [
        "--config",
        &file,
        "--tick",
        "0.2",
        "--cgroup",
        &cgroup,
        "--uplink",
        &uplink,
        // A place, so that ways have a price.
        "--source",
        "cloud=aws",
        "--source",
        "region=us-east-1",
        "--metadata",
        "off",
    ];
    Observed::start(monitor, &executable, &arguments)
}

fn configuration(agent: SocketAddr, alertmanager: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n\
         scrape_configs:\n  - job_name: observer\n    static_configs: [{{targets: ['{agent}']}}]\n",
        path(RULES).display()
    )
}

/// A server of requests, which the near host's Python asks for embeddings.
fn serve(net: &Bridged, folder: &Path) -> Result<Process> {
    let made = rcgen::generate_simple_self_signed(["api.openai.com".to_owned()])?;
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    let mut command = Command::new("python3");
    command.args([API, "serve"]).args([certificate, key]);
    command.arg(API_PLACE).stdout(Stdio::piped());
    let mut server = net.far.spawn(command)?;
    ensure!(server.read_line()? == "ready", "the server is not ready");
    Ok(server)
}

/// One request that OpenSSL encrypts.
fn request(net: &Bridged) -> Result<()> {
    let mut command = Command::new("python3");
    command.args([
        API,
        "talk",
        API_PLACE,
        "api.openai.com",
        "POST /v1/embeddings 100",
        // Of which the answer comes in pieces.
        "POST /v1/embeddings?paced 100",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = net.near.spawn(command)?.output(TIMEOUT)?;
    ensure!(output.status.success(), "a request: {}", output.status);
    Ok(())
}

/// New connections to both clouds, again and again, each program an executable of its own: it is what a workload is called
/// where there is neither a container nor a unit.
fn talk(net: &Bridged, stop: &AtomicBool) -> Result<()> {
    let built = traffic::program(env!("CARGO_BIN_EXE_traffic"));
    let programs = TALKS.map(|(comm, _, _)| program_named(&built, comm));
    let plan = TcpTalk {
        connections: 3,
        ..TcpTalk::bulk(60_000, 40_000)
    }
    .plan();
    for round in 0..ROUNDS_MAX {
        for (talk, program) in TALKS.iter().zip(&programs) {
            let (comm, address, _) = *talk;
            let program = program
                .as_ref()
                .map_err(|error| anyhow::anyhow!("{error:#}"))?;
            let server = SocketAddr::new(address.parse()?, PORT + round);
            let client = Actor::process(&net.near, &program.0, comm);
            plan.start(client, Actor::thread(&net.far), server)?
                .finish()
                .with_context(|| format!("`{comm}`, round {round}"))?;
        }
        request(net)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("the traffic ended before all was asked")
}

/// An executable with its own name, removed when dropped.
struct Named(PathBuf);

fn program_named(built: &Path, name: &str) -> Result<Named> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    if fs::hard_link(built, &path).is_err() {
        fs::copy(built, &path).with_context(|| format!("copy to `{}`", path.display()))?;
    }
    Ok(Named(path))
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn ask(prometheus: &Prometheus) -> Result<()> {
    let pending = Pending::read()?;
    prometheus.await_query(
        "count_over_time(observer_wire_bytes_total{cloud=\"azure\", direction=\"egress\"}[1m])",
        TIMEOUT,
        |found| {
            found
                .iter()
                .any(|series| series.last() >= f64::from(SAMPLES))
        },
    )?;
    clouds_are_there(prometheus)?;
    pending_is_pending(prometheus, &pending)?;
    let asked = panels(prometheus, &pending)?;
    let ruled = rules(prometheus, &pending)?;
    println!("{asked} queries of panels and variables and {ruled} rules have data");
    Ok(())
}

fn clouds_are_there(prometheus: &Prometheus) -> Result<()> {
    let sent = "sum by (cloud) (rate(observer_wire_bytes_total{direction=\"egress\"}[5s]))";
    let found = prometheus.query(sent)?;
    for (_, _, cloud) in TALKS {
        let rate = found.iter().find(|series| series.label("cloud") == cloud);
        ensure!(
            rate.is_some_and(|series| series.last() > 10_000.0),
            "little to `{cloud}`: {found:?}"
        );
    }
    Ok(())
}

/// What is listed and there all the same is to be taken off the list.
fn pending_is_pending(prometheus: &Prometheus, pending: &Pending) -> Result<()> {
    for metric in pending.metrics.keys() {
        let found = prometheus.query(&format!("{{__name__=~\"{metric}(_bucket)?\"}}"))?;
        ensure!(
            found.is_empty(),
            "`{metric}` is exported: take it out of dashboards/pending.json"
        );
    }
    let workloads: BTreeSet<String> = label(prometheus, "observer_wire_bytes_total", "workload")?;
    let is_filled = TALKS
        .iter()
        .all(|(comm, _, _)| workloads.iter().any(|workload| workload.contains(comm)));
    ensure!(
        is_filled != pending.unfilled_labels.contains("workload"),
        "the label `workload` is {workloads:?}, and dashboards/pending.json has it as {}",
        if is_filled { "unfilled" } else { "filled" }
    );
    Ok(())
}

fn label(prometheus: &Prometheus, selector: &str, label: &str) -> Result<BTreeSet<String>> {
    let values = prometheus.api(&format!(
        "label/{label}/values?match[]={}",
        encoded(selector)
    ))?;
    let values = values.as_array().context("no list of values")?;
    Ok(values
        .iter()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect())
}

/// Every query of every panel, and every variable; how many there were.
fn panels(prometheus: &Prometheus, pending: &Pending) -> Result<usize> {
    let mut asked = 0;
    for (file, dashboard) in dashboards()? {
        for (name, query) in variables(&dashboard) {
            let (selector, wanted) = label_values(&query)?;
            let values = label(prometheus, &substituted(selector, RANGE_SECONDS)?, wanted)?;
            ensure!(
                !values.is_empty(),
                "`{file}`: nothing to choose as `{name}`"
            );
            asked += 1;
        }
        for query in queries(&dashboard) {
            let expression = substituted(&query.expression, RANGE_SECONDS)?;
            let found = if query.is_instant {
                prometheus.query(&expression)
            } else {
                prometheus.curve(&expression, RANGE_SECONDS)
            };
            found
                .and_then(|found| has_data(&found, &expression, pending))
                .with_context(|| format!("`{file}`, panel `{}`", query.panel))?;
            asked += 1;
        }
    }
    Ok(asked)
}

/// That there is a number; where a metric is pending, that there is none.
fn has_data(found: &[Series], expression: &str, pending: &Pending) -> Result<()> {
    let numbers = found
        .iter()
        .flat_map(|series| &series.samples)
        .filter(|(_, value)| value.is_finite())
        .count();
    let is_pending = pending.holds(expression)?;
    ensure!(
        (numbers > 0) != is_pending,
        "`{expression}` gives {} series with {numbers} numbers, {}",
        found.len(),
        if is_pending {
            "though a metric is pending"
        } else {
            "none of them to draw"
        }
    );
    Ok(())
}

/// Every rule as Prometheus has read it; how many there were.
fn rules(prometheus: &Prometheus, pending: &Pending) -> Result<usize> {
    let answer = prometheus.api("rules")?;
    let groups = answer["groups"].as_array().context("no groups")?;
    let mut rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .collect();
    // Alerts ask what is recorded.
    rules.sort_by_key(|rule| rule["type"] != "recording");
    ensure!(
        rules.len() > 10,
        "Prometheus has read {} rules",
        rules.len()
    );
    let manual = fs::read_to_string(path("docs/alerts.md")).context("read `docs/alerts.md`")?;
    let mut declared = Declared::read()?;
    for (metric, labels) in &pending.metrics {
        declared.add(metric, labels.clone());
    }
    for rule in &rules {
        let (name, query) = (text(&rule["name"]), text(&rule["query"]));
        rule_holds(prometheus, pending, &mut declared, rule, name, query)
            .with_context(|| format!("rule `{name}`"))?;
        if rule["type"] == "alerting" {
            let runbook = format!("docs/alerts.md#{}", name.to_lowercase());
            ensure!(
                rule["annotations"]["runbook"] == runbook.as_str()
                    && manual.contains(&format!("\n## {name}\n")),
                "`{name}` has no section in docs/alerts.md that its `runbook` names"
            );
        }
    }
    Ok(rules.len())
}

fn rule_holds(
    prometheus: &Prometheus,
    pending: &Pending,
    declared: &mut Declared,
    rule: &Value,
    name: &str,
    query: &str,
) -> Result<()> {
    ensure!(rule["health"] == "ok", "{}", rule["lastError"]);
    declared.check(query, &[])?;
    prometheus.query(query)?;
    let data = if rule["type"] == "recording" {
        declared.add(name, names(query)?.groupings);
        let recorded = prometheus.query(name)?;
        has_data(&recorded, name, pending)?;
        query.to_owned()
    } else {
        without_condition(query)?
    };
    has_data(&prometheus.query(&data)?, &data, pending)
}

/// promtool has nothing against what the agent serves.
fn exposition(agent: &Observed, host: &Host, promtool: &Path) -> Result<()> {
    let text = agent.text("/metrics")?;
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]);
    host.tool(command, Some(text.trim_end()))
        .map(drop)
        .context("the exposition")
}

/// Once the traffic is over those alerts are there that have a cause, and no other.
fn quiet(prometheus: &Prometheus) -> Result<()> {
    let start = Instant::now();
    loop {
        let answer = prometheus.api("alerts")?;
        let alerts = answer["alerts"].as_array().context("no list of alerts")?;
        let names = alerts.iter().map(|alert| {
            let labels = &alert["labels"];
            [text(&labels["alertname"]), text(&labels["rule"])].map(str::to_owned)
        });
        let there: BTreeSet<_> = names.collect();
        if there == CAUSED.map(|names| names.map(str::to_owned)).into() {
            return Ok(());
        }
        ensure!(start.elapsed() < TIMEOUT, "without a cause: {alerts:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The alert on the violation comes to an Alertmanager, with the severity of its rule.
fn reaches(alertmanager: &Alertmanager) -> Result<()> {
    let start = Instant::now();
    loop {
        let alerts = alertmanager.alerts()?;
        let is_it = |alert: &Value| {
            let labels = &alert["labels"];
            labels["alertname"] == CAUSED[0][0] && labels["severity"] == "high"
        };
        if alerts.iter().any(is_it) {
            return Ok(());
        }
        ensure!(start.elapsed() < TIMEOUT, "Alertmanager has {alerts:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
