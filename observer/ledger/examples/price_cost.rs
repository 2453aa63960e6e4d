//! What pricing costs: ten million made records priced by the agent's function, then summed and priced as a report does it.
//! Prints JSON. Where a file is named, the records are written there instead, as an agent writes them.
//!
//! `cargo run --release -p observer-ledger --example price_cost [FILE]`
#![forbid(unsafe_code)]

use std::{
    env, fs,
    io::{self, BufWriter, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use observer_core::{
    model::{
        counters::Counters, identity::Identity, money::Money, names::PathKind, record::SourcePlace,
        time::UnixUs,
    },
    price::{
        book::{Book, BookSettings},
        place::Places,
        plan::{Pricing, PricingSettings},
    },
};
use observer_ledger::{flow::Flow, group::By, priced, tally::Tally};
use serde_json::{Map, Value, json};

const RECORDS: u64 = 10_000_000;
/// Cloud and region that records go to, and the way there.
const DESTINATIONS: [(&str, &str, PathKind); 6] = [
    ("aws", "us-east-1", PathKind::InterZone),
    ("aws", "eu-west-1", PathKind::InterRegion),
    ("azure", "eastus", PathKind::Internet),
    ("gcp", "us-east1", PathKind::Internet),
    ("internet", "", PathKind::Internet),
    ("private", "", PathKind::Unknown),
];
const WORKLOADS: u64 = 40;
const HOSTS: u64 = 100;
const SENT_MAX: u64 = 1 << 24;
const RECEIVED_MAX: u64 = 1 << 20;
/// 2026-10-01T00:00:00Z, from where records are spread over a month.
const START_US: i64 = 1_790_812_800_000_000;
const STEP_US: i64 = 260_000;

/// The same numbers in each run (xorshift64).
struct Draw(u64);

/// One record's place in the lists above, and its bytes.
struct Drawn {
    to: (&'static str, &'static str, PathKind),
    nth_destination: usize,
    workload: usize,
    host: usize,
    bytes: [u64; 2],
}

impl Draw {
    const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn record(&mut self) -> Drawn {
        let nth_destination = self.below(DESTINATIONS.len() as u64);
        Drawn {
            to: DESTINATIONS[nth_destination],
            nth_destination,
            workload: self.below(WORKLOADS),
            host: self.below(HOSTS),
            bytes: [self.next() % SENT_MAX, self.next() % RECEIVED_MAX],
        }
    }
}

fn at(nth: u64) -> UnixUs {
    UnixUs(START_US + i64::try_from(nth).unwrap_or(0) * STEP_US)
}

fn ns_each(time: Duration) -> f64 {
    time.as_nanos() as f64 / RECORDS as f64
}

/// As the agent does it: nanoseconds a record, and the sum at the first tier.
fn by_agent(book: &Arc<Book>) -> (f64, Money) {
    let source = SourcePlace {
        cloud: Some("aws".into()),
        region: Some("us-east-1".into()),
        ..SourcePlace::default()
    };
    let mut pricing = Pricing::new(Arc::clone(book), PricingSettings::default(), source);
    let identities = DESTINATIONS.map(|(cloud, region, path)| {
        Arc::new(Identity {
            cloud: Some(cloud.into()),
            region: Some(region.into()).filter(|_| !region.is_empty()),
            path_kind: Some(path),
            ..Identity::default()
        })
    });
    let (mut draw, mut sum) = (Draw::new(), Money::ZERO);
    let began = Instant::now();
    for nth in 0..RECORDS {
        let drawn = draw.record();
        let counters = Counters {
            wire_bytes: drawn.bytes,
            ..Counters::default()
        };
        let plan = pricing.of(&identities[drawn.nth_destination], at(nth));
        sum += plan.cost(&counters).unwrap_or_default();
    }
    (ns_each(began.elapsed()), sum)
}

/// As a report does it, from records in memory: nanoseconds a record, and what pricing the sums takes.
fn by_report(book: &Book) -> (f64, Duration, Money) {
    let by = ["cloud", "path_kind", "workload", "day"];
    let by = by.map(|word| By::parse(word).expect("a column"));
    let mut tally = Tally::new(by.to_vec(), None, &[book]);
    let names: Vec<String> = (0..WORKLOADS)
        .map(|nth| format!("workload-{nth}"))
        .collect();
    let hosts: Vec<String> = (0..HOSTS).map(|nth| format!("node-{nth}")).collect();
    let mut draw = Draw::new();
    let began = Instant::now();
    for nth in 0..RECORDS {
        let drawn = draw.record();
        let (cloud, region, path) = drawn.to;
        let flow = Flow {
            schema_version: 3,
            interval_end: at(nth),
            host: hosts[drawn.host].as_str().into(),
            cluster: None,
            device: Some("eth0".into()),
            wire_bytes_egress: drawn.bytes[0],
            wire_bytes_ingress: drawn.bytes[1],
            namespace: None,
            workload: Some(names[drawn.workload].as_str().into()),
            workload_labels: None,
            source_cloud: Some("aws".into()),
            source_account: None,
            source_region: Some("us-east-1".into()),
            provider: None,
            vendor: None,
            cloud: Some(cloud.into()),
            region: Some(region.into()).filter(|_| !region.is_empty()),
            geography: None,
            service: None,
            api_state: None,
            path_kind: Some(path),
            path_elements: None,
        };
        tally.add(&flow, book).expect("room for the records");
    }
    let each = ns_each(began.elapsed());
    let began = Instant::now();
    let priced = priced::price(&tally, book, &Places::default());
    (each, began.elapsed(), priced.total.cost)
}

/// Every field of a record, with names, times and sizes drawn anew.
fn write(path: &str) -> io::Result<()> {
    let pattern = include_str!("../../core/tests/golden/record.json").trim_end();
    let mut record: Map<String, Value> = serde_json::from_str(pattern)?;
    record.insert("path_elements".to_owned(), Value::Null);
    let mut draw = Draw::new();
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    for nth in 0..RECORDS {
        let drawn = draw.record();
        let (cloud, region, kind) = drawn.to;
        for (field, value) in [
            ("interval_end", json!(at(nth))),
            ("host", json!(format!("node-{}", drawn.host))),
            ("wire_bytes_egress", json!(drawn.bytes[0])),
            ("wire_bytes_ingress", json!(drawn.bytes[1])),
            ("workload", json!(format!("workload-{}", drawn.workload))),
            ("cloud", json!(cloud)),
            (
                "region",
                json!(Some(region).filter(|region| !region.is_empty())),
            ),
            ("path_kind", json!(kind)),
        ] {
            record.insert(field.to_owned(), value);
        }
        serde_json::to_writer(&mut file, &record)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn main() -> io::Result<()> {
    if let Some(path) = env::args().nth(1) {
        return write(&path);
    }
    let book = Book::with_shipped(&[], &BookSettings::default()).expect("the shipped book");
    let book = Arc::new(book);
    let (agent_ns, agent_sum) = by_agent(&book);
    let (tally_ns, pricing, month_sum) = by_report(&book);
    println!(
        "{}",
        json!({
            "records": RECORDS,
            "agent_ns_per_record": agent_ns,
            "agent_sum": agent_sum.text(2),
            "tally_ns_per_record": tally_ns,
            "month_pricing_ms": pricing.as_secs_f64() * 1e3,
            "month_sum": month_sum.text(2),
        })
    );
    Ok(())
}
