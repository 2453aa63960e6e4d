//! Metrics of a real agent are the sums of its records: bytes, packets and retransmissions by cloud and direction, flows
//! by outcome, connect times one a flow. It also answers the probes.

mod common;

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, uplink},
    topology,
    traffic::{Actor, Side, TcpTalk, UdpTalk},
};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than a tick of the agents under test.
const PAUSE: Duration = Duration::from_millis(300);

/// By metric, direction or outcome, and cloud.
type Sums = BTreeMap<(String, String, String), u64>;

#[test]
fn metrics_are_the_sums_of_the_records() {
    guarded("metrics_are_the_sums_of_the_records", || {
        let bed = Testbed::new("metrics")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let uplink = uplink(&net.near, net.near_device);
        let agent = Agent::start(std::slice::from_ref(&uplink), &[])?;
        let datagrams = UdpTalk {
            replies: true,
            ..UdpTalk::datagrams(20, 300)
        };
        let plans = [
            ("52.94.0.10", TcpTalk::bulk(2_000_000, 50_000).plan()),
            ("20.42.65.88", TcpTalk::short(5, Side::Client).plan()),
            ("2603:1030::10", datagrams.plan()),
        ];
        for (index, (far, plan)) in plans.iter().enumerate() {
            let server = SocketAddr::new(far.parse()?, PORT + u16::try_from(index)?);
            let talk = plan.start(Actor::thread(&net.near), Actor::thread(&net.far), server)?;
            talk.finish().context(*far)?;
        }
        let (told, recorded) = at_rest(&agent)?;
        ensure!(told == recorded, "metrics {told:?}, records {recorded:?}");
        for cloud in ["aws", "azure"] {
            let key = ("observer_wire_bytes_total", "egress", cloud);
            let bytes = told.get(&(key.0.to_owned(), key.1.to_owned(), cloud.to_owned()));
            ensure!(
                bytes.is_some_and(|bytes| *bytes > 1_000),
                "{cloud}: {bytes:?}"
            );
        }
        agent.stop()?;
        Ok(())
    });
}

/// Sums of the metrics and of the records, read while the agent wrote nothing.
fn at_rest(agent: &Agent) -> Result<(Sums, Sums)> {
    let start = Instant::now();
    loop {
        std::thread::sleep(PAUSE);
        let before = metrics(&agent.metrics()?)?;
        let records = records(&agent.records()?)?;
        if !before.is_empty() && metrics(&agent.metrics()?)? == before {
            return Ok((before, records));
        }
        ensure!(start.elapsed() < TIMEOUT, "the metrics do not come to rest");
    }
}

fn metrics(text: &str) -> Result<Sums> {
    let mut sums = Sums::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let by = match name {
            "observer_wire_bytes_total"
            | "observer_payload_bytes_total"
            | "observer_packets_total"
            | "observer_retransmitted_bytes_total" => label("direction"),
            "observer_flows_total" => label("outcome"),
            "observer_connect_seconds_count" => Some(String::new()),
            _ => continue,
        };
        let cloud = label("cloud").with_context(|| format!("`{line}`"))?;
        let value = line.rsplit(' ').next().unwrap_or_default();
        let value: u64 = value.parse().with_context(|| format!("`{line}`"))?;
        if value > 0 {
            let by = by.with_context(|| format!("`{line}`"))?;
            *sums.entry((name.to_owned(), by, cloud)).or_default() += value;
        }
    }
    Ok(sums)
}

fn records(records: &[Value]) -> Result<Sums> {
    let mut sums = Sums::new();
    let (mut ended, mut connected) = (HashSet::new(), HashSet::new());
    for record in records {
        let text = |field: &str| record[field].as_str().unwrap_or("unknown").to_owned();
        let mut add = |metric: &str, by: &str, count: u64| {
            if count > 0 {
                let key = (metric.to_owned(), by.to_owned(), text("cloud"));
                *sums.entry(key).or_default() += count;
            }
        };
        let number = |field: &str| {
            let number = record[field].as_u64();
            number.with_context(|| format!("`{field}` in `{record}`"))
        };
        for direction in ["egress", "ingress"] {
            for (metric, field) in [
                ("observer_wire_bytes_total", "wire_bytes"),
                ("observer_payload_bytes_total", "payload_bytes"),
                ("observer_packets_total", "packets"),
            ] {
                add(metric, direction, number(&format!("{field}_{direction}"))?);
            }
        }
        let again = number("retransmitted_wire_bytes")?;
        add("observer_retransmitted_bytes_total", "egress", again);
        let outcome = text("outcome");
        if outcome != "open" && ended.insert(text("flow_id")) {
            add("observer_flows_total", &outcome, 1);
        }
        if record["connect_us"].is_u64() && connected.insert(text("flow_id")) {
            add("observer_connect_seconds_count", "", 1);
        }
    }
    Ok(sums)
}
