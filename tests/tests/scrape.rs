//! Ten minutes of steady traffic (`SCRAPE_SECONDS`), scraped by a real Prometheus once a second: the last values are what
//! was sent and received, to the byte (but for what TCP received twice), and `increase()` over a window is within 2 % of it.

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Counters, Testbed, Wire,
    agent::{executable, uplink},
    counters::quiesce,
    observed::Observed,
    own_cgroup::OwnCgroup,
    prometheus::{Prometheus, program},
    topology::{self, Bridged},
    traffic::{Outcome, Plan, TcpTalk, UdpTalk},
};

const SECONDS: u16 = 600;
const SECONDS_MIN: u16 = 20;
/// Each second has a port of its own.
const SECONDS_MAX: u16 = 3_600;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of a segment's payload at an MTU of 1500.
const SEGMENT_BYTES_MAX: u64 = 1_460;
/// Of `increase()`, which extrapolates to the edges of its window.
const TOLERANCE: f64 = 0.02;
/// The window asked for, of all the traffic.
const WINDOW_PERCENT: u32 = 90;

/// Cloud and address, and what is exchanged with it each second.
fn exchanges() -> [(&'static str, &'static str, Vec<Plan>); 2] {
    let chat = TcpTalk {
        connections: 3,
        ..TcpTalk::bulk(30_000, 90_000)
    };
    let metrics = UdpTalk {
        replies: true,
        ..UdpTalk::datagrams(40, 700)
    };
    [
        (
            "aws",
            "52.94.0.10",
            vec![TcpTalk::bulk(400_000, 50_000).plan()],
        ),
        ("azure", "20.42.65.88", vec![chat.plan(), metrics.plan()]),
    ]
}

/// Payload bytes by cloud and direction (sent, received), as the makers declared them.
type Sums = [[u64; 2]; 2];
const DIRECTIONS: [&str; 2] = ["egress", "ingress"];

#[test]
fn counters_and_increases_are_the_truth() {
    let name = "counters_and_increases_are_the_truth";
    let Some(prometheus) = program(name, "prometheus") else {
        return;
    };
    guarded(name, || run(&prometheus));
}

fn run(program: &Path) -> Result<()> {
    let seconds = seconds()?;
    let cgroup = OwnCgroup::enter()?;
    let bed = Testbed::new("scrape")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    let monitor = bed.host("monitor")?;
    let executable = executable().context("the agent is not built")?;
    let uplink = uplink(&net.near, net.near_device);
    let own = cgroup.path().to_string_lossy();
    let arguments = ["--tick", "1", "--cgroup", &own, "--uplink", &uplink];
    let agent = Observed::start(&monitor, &executable, &arguments)?;
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n  - job_name: observer\n    static_configs: [{{targets: ['{}']}}]\n",
        agent.address()
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let prometheus = Prometheus::start(&monitor, program, folder, &configuration)?;

    let before = interface(&net, &prometheus)?;
    let log = talk(&net, seconds)?;
    let after = interface(&net, &prometheus)?;
    let scrapes = scrapes(&prometheus)?;
    println!("{seconds} s of traffic, {scrapes} scrapes");
    totals(&prometheus, &log, segments_sent_again(&net)?)?;
    interfaces(&net, before, after)?;
    increases(&prometheus, &log, seconds)?;
    balance(&prometheus)
}

fn seconds() -> Result<u16> {
    let Some(text) = std::env::var_os("SCRAPE_SECONDS") else {
        return Ok(SECONDS);
    };
    let text = text.to_string_lossy();
    let seconds = text
        .parse()
        .with_context(|| format!("SCRAPE_SECONDS is `{text}`"))?;
    ensure!(
        (SECONDS_MIN..=SECONDS_MAX).contains(&seconds),
        "SCRAPE_SECONDS is {seconds}: give {SECONDS_MIN} to {SECONDS_MAX}"
    );
    Ok(seconds)
}

/// What had been exchanged at a time, in seconds since the epoch.
#[derive(Clone, Copy)]
struct Entry {
    time: f64,
    sums: Sums,
}

/// The same each second; the log has one entry a second.
fn talk(net: &Bridged, seconds: u16) -> Result<Vec<Entry>> {
    let start = Instant::now();
    let exchanges = exchanges();
    let (mut log, mut sums) = (Vec::new(), Sums::default());
    for second in 0..seconds {
        let due = start + Duration::from_secs(second.into());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for ((_, address, plans), sums) in exchanges.iter().zip(&mut sums) {
            let server = SocketAddr::new(address.parse()?, PORT + second);
            for plan in plans {
                let Outcome { client, .. } = plan.run(&net.near, &net.far, server)?;
                sums[0] += client.payload_bytes_sent;
                sums[1] += client.payload_bytes_received;
            }
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        log.push(Entry { time, sums });
    }
    Ok(log)
}

/// The device's own counters and what Prometheus has of them [sent, received], while nothing passes.
fn interface(net: &Bridged, prometheus: &Prometheus) -> Result<(Counters, [f64; 2])> {
    let quiet = Duration::from_secs(3);
    let counters = quiesce(&net.near, net.near_device, quiet, TIMEOUT)?;
    let mut values = [0.0; 2];
    for (direction, value) in DIRECTIONS.iter().zip(&mut values) {
        let query = format!("observer_interface_bytes_total{{direction=\"{direction}\"}}");
        let found = prometheus.await_query(&query, TIMEOUT, |found| !found.is_empty())?;
        *value = found[0].last();
    }
    Ok((counters, values))
}

fn interfaces(
    net: &Bridged,
    (before, first): (Counters, [f64; 2]),
    (after, last): (Counters, [f64; 2]),
) -> Result<()> {
    let counted = after - before;
    let truth = [
        counted.tx_network_bytes(net.near.link_header_bytes(net.near_device)?),
        counted.rx_network_bytes(net.near.rx_link_header_bytes(net.near_device)?),
    ];
    for (index, direction) in DIRECTIONS.iter().enumerate() {
        let found = last[index] - first[index];
        println!(
            "interface {direction}: {found} bytes of {} by the device",
            truth[index]
        );
        ensure!(
            found.to_bits() == (truth[index] as f64).to_bits(),
            "the interface's {direction} is {found}, not {}",
            truth[index]
        );
    }
    Ok(())
}

/// Every scrape answered; how many there were.
fn scrapes(prometheus: &Prometheus) -> Result<f64> {
    let missed = prometheus.query("sum(count_over_time(up[2h]) - sum_over_time(up[2h]))")?;
    let missed = missed.first().context("nothing was scraped")?.last();
    ensure!(missed < 0.5, "{missed} scrapes had no answer");
    let all = prometheus.query("sum(count_over_time(up[2h]))")?;
    Ok(all.first().context("nothing was scraped")?.last())
}

fn payload(cloud: &str, direction: &str) -> String {
    format!("observer_payload_bytes_total{{cloud=\"{cloud}\", direction=\"{direction}\"}}")
}

/// Segments that the far end's TCP sent again, by its own kernel's count. On a busy machine that happens without a loss.
fn segments_sent_again(net: &Bridged) -> Result<u64> {
    let table = net
        .far
        .run(|| fs::read_to_string("/proc/thread-self/net/snmp"))
        .context("read net/snmp")?;
    retransmitted(&table).with_context(|| format!("no RetransSegs in `{table}`"))
}

/// A line of names and one of values.
fn retransmitted(table: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "RetransSegs")
        .and_then(|(_, value)| value.parse().ok())
}

#[test]
fn segments_sent_again_are_read_by_name() {
    let table =
        "Ip: A B\nIp: 1 2\nTcp: InSegs RetransSegs X\nTcp: 5 -1 7\nUdp: RetransSegs\nUdp: 9\n";
    assert_eq!(retransmitted(table), None);
    assert_eq!(retransmitted(&table.replace("-1", "6")), Some(6));
    assert_eq!(retransmitted(""), None);
}

/// The counters' last values, to the byte. Received payload is counted by packet: what arrived twice is in it twice.
fn totals(prometheus: &Prometheus, log: &[Entry], sent_again: u64) -> Result<()> {
    let last = log.last().context("no traffic")?;
    for ((cloud, _, _), sums) in exchanges().iter().zip(last.sums) {
        for (direction, truth) in DIRECTIONS.iter().zip(sums) {
            let query = format!("sum({})", payload(cloud, direction));
            let more = if *direction == "ingress" {
                sent_again * SEGMENT_BYTES_MAX
            } else {
                0
            };
            let is_truth = |value: f64| truth as f64 <= value && value <= (truth + more) as f64;
            let found = prometheus
                .await_query(&query, TIMEOUT, |found| {
                    found.first().is_some_and(|series| is_truth(series.last()))
                })
                .with_context(|| format!("the truth is {truth}, {sent_again} segments twice"))?;
            println!(
                "{cloud} {direction}: {truth} payload bytes, {} counted; {sent_again} segments came twice",
                found[0].last()
            );
        }
    }
    Ok(())
}

/// `increase()` over most of the traffic, against what was exchanged in that time.
fn increases(prometheus: &Prometheus, log: &[Entry], seconds: u16) -> Result<()> {
    let window = u32::from(seconds) * WINDOW_PERCENT / 100;
    let end = log.last().context("no traffic")?.time;
    let start = end - f64::from(window);
    for (index, (cloud, _, _)) in exchanges().iter().enumerate() {
        for (side, direction) in DIRECTIONS.iter().enumerate() {
            let query = format!("sum(increase({}[{window}s]))", payload(cloud, direction));
            let found = prometheus.query_at(&query, end)?;
            let found = found.first().context("no increase")?.last();
            let truth = at(log, end, index, side) - at(log, start, index, side);
            let off = found / truth - 1.0;
            println!(
                "{cloud} {direction}: increase over {window} s {found:.0}, truth {truth:.0}, off by {:.3} %",
                off * 100.0
            );
            ensure!(
                off.abs() < TOLERANCE,
                "increase() of {cloud} {direction} is off by {off}"
            );
        }
    }
    Ok(())
}

/// What had been exchanged at `time`, between the entries around it.
fn at(log: &[Entry], time: f64, cloud: usize, side: usize) -> f64 {
    let value = |entry: &Entry| entry.sums[cloud][side] as f64;
    let index = log.partition_point(|entry| entry.time < time);
    match (
        index.checked_sub(1).and_then(|i| log.get(i)),
        log.get(index),
    ) {
        (Some(before), Some(after)) => {
            let part = (time - before.time) / (after.time - before.time);
            value(before) + part * (value(after) - value(before))
        }
        (Some(only), None) | (None, Some(only)) => value(only),
        (None, None) => 0.0,
    }
}

/// Nothing is left over once all is at rest.
fn balance(prometheus: &Prometheus) -> Result<()> {
    let query = "max(abs(observer_balance_bytes))";
    prometheus.await_query(query, TIMEOUT, |found| {
        found.first().is_some_and(|series| series.last() < 0.5)
    })?;
    println!("balance: 0 bytes");
    Ok(())
}
