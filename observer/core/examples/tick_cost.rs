//! What one tick costs: `cargo run --release -p observer-core --example tick_cost [FLOWS]`. Prints nanoseconds per flow
//! for each step, and the memory that the pipeline keeps per live flow.

use std::{env, fs, hint::black_box, mem::offset_of, sync::Arc, time::Instant};

use observer_core::{
    decode,
    model::{
        flow::{Answer, FlowTotals, Translation},
        identity::Identity,
        kernel::{Losses, UplinkIndex},
        lookup::{Beside, Lookup},
        record::{FlowRecord, RecordContext},
        time::Moment,
        workload::Workload,
    },
    pipeline::{Pipeline, PipelineConfig, TickInput},
};
use observer_ebpf::abi;

const FLOWS: u64 = 100_000;
const TAGS: u64 = 300;
/// With the tag sets 3,300 pairs.
const WORKLOADS: u64 = 11;
const TICKS: u64 = 5;

fn main() {
    let flows = env::args()
        .nth(1)
        .and_then(|flows| flows.parse().ok())
        .unwrap_or(FLOWS);
    let tables = Tables {
        device: "eth0".into(),
        identities: (0..TAGS).map(|_| Arc::default()).collect(),
        workloads: (0..WORKLOADS).map(|_| Arc::default()).collect(),
    };
    let context = RecordContext {
        boot_id: "boot".to_owned(),
        ..RecordContext::default()
    };
    let mut pipeline = Pipeline::new(PipelineConfig::new(Arc::new(context), Moment::default()));

    let values = values(flows, 1);
    let before = resident_bytes();
    let started = Instant::now();
    let decoded: Vec<FlowTotals> = values
        .iter()
        .filter_map(|value| decode::flow(value).ok())
        .collect();
    print("decode", flows, started);
    drop(decoded);

    let started = Instant::now();
    tick(&mut pipeline, &tables, &values, |record| {
        black_box(record.flow_id);
    });
    print("first tick (new flows), records dropped", flows, started);
    let kept = resident_bytes().saturating_sub(before);
    println!("{:>6} B per live flow kept", kept / flows);

    for round in 2..2 + TICKS {
        let values = self::values(flows, round);
        let started = Instant::now();
        tick(&mut pipeline, &tables, &values, |record| {
            black_box(record.flow_id);
        });
        print(
            "tick (decode, all flows changed), records dropped",
            flows,
            started,
        );
    }
    let started = Instant::now();
    tick(&mut pipeline, &tables, &self::values(0, 0), |_| {});
    print("tick without changes", 1, started);

    let values = self::values(flows, 2 + TICKS);
    let mut line = Vec::with_capacity(8 << 10);
    let mut bytes = 0;
    let started = Instant::now();
    tick(&mut pipeline, &tables, &values, |record| {
        line.clear();
        record.write_json(&mut line).expect("a record is JSON");
        bytes += line.len() as u64;
    });
    print(
        "tick (decode, all flows changed), records as JSON",
        flows,
        started,
    );
    println!("{:>6} B per record", bytes / flows);
}

fn tick(
    pipeline: &mut Pipeline,
    tables: &Tables,
    values: &[Vec<u8>],
    write: impl FnMut(&FlowRecord),
) {
    let input = TickInput {
        flows: values.iter().filter_map(|value| decode::flow(value).ok()),
        remotes: None::<[FlowTotals; 0]>,
        events: [],
        slots: Vec::new(),
        uplinks: Vec::new(),
        losses: Losses::new(),
    };
    let now = Moment {
        unix_ns: 1_772_150_400_000_000_000,
        monotonic_ns: 1_000_000_000,
    };
    black_box(pipeline.tick(input, now, tables, write));
}

/// What the iterator hands over, `round` packets into each flow.
fn values(flows: u64, round: u64) -> Vec<Vec<u8>> {
    (1..=flows)
        .map(|cookie| {
            let mut value = vec![0; size_of::<abi::Flow>()];
            let mut put =
                |at: usize, bytes: &[u8]| value[at..at + bytes.len()].copy_from_slice(bytes);
            for way in [offset_of!(abi::Flow, sent), offset_of!(abi::Flow, received)] {
                for counter in 0..4 {
                    put(way + counter * 8, &(round * 1500).to_ne_bytes());
                }
            }
            put(offset_of!(abi::Flow, cookie), &cookie.to_ne_bytes());
            put(offset_of!(abi::Flow, netns_cookie), &1_u64.to_ne_bytes());
            put(
                offset_of!(abi::Flow, start_ns),
                &(cookie * 1000).to_ne_bytes(),
            );
            put(offset_of!(abi::Flow, protocol), &[6]);
            put(offset_of!(abi::Flow, ip_version), &[4]);
            put(offset_of!(abi::Flow, ready), &[1]);
            put(offset_of!(abi::Flow, remote_address), &mapped(cookie));
            put(offset_of!(abi::Flow, ifindex), &2_u32.to_ne_bytes());
            put(
                offset_of!(abi::Flow, tag),
                &((cookie % TAGS) as u32).to_ne_bytes(),
            );
            value
        })
        .collect()
}

fn mapped(cookie: u64) -> [u8; 16] {
    let [.., a, b, c] = cookie.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, a, b, c]
}

/// Ready identities and workloads, and one interface for all: what finding them out costs is the tables' own affair.
struct Tables {
    device: Arc<str>,
    identities: Vec<Arc<Identity>>,
    workloads: Vec<Arc<Workload>>,
}

impl Lookup for Tables {
    fn identity(&self, flow: &FlowTotals) -> Arc<Identity> {
        Arc::clone(&self.identities[flow.tag as usize])
    }

    fn next_kind(&self, _: &FlowTotals) -> Option<[u64; 2]> {
        None
    }

    fn begin_next_kind(&self, _: &FlowTotals) {}
    fn begin_beside(&self, _: &FlowTotals) -> Option<Beside> {
        None
    }
    fn keep_beside(&self, _: &FlowTotals, _: u64) {}

    fn requests(&self, _: &FlowTotals) -> Option<u64> {
        None
    }

    fn answers(&self, _: &FlowTotals) -> Option<Vec<Answer>> {
        None
    }

    fn translation(&self, _: &FlowTotals) -> Option<Translation> {
        None
    }

    fn destination(&self, tag: u32) -> Arc<Identity> {
        Arc::clone(&self.identities[tag as usize])
    }

    fn workload(&self, flow: &FlowTotals) -> Arc<Workload> {
        Arc::clone(&self.workloads[(flow.key.cookie() % WORKLOADS) as usize])
    }

    fn device(&self, _: Option<u64>, _: Option<u32>, ifindex: u32) -> Option<Arc<str>> {
        (ifindex == 2).then(|| Arc::clone(&self.device))
    }

    fn uplink(&self, _: Option<u64>, _: Option<u32>, ifindex: u32) -> Option<UplinkIndex> {
        (ifindex == 2).then_some(UplinkIndex(0))
    }
}

fn print(what: &str, flows: u64, started: Instant) {
    let elapsed = started.elapsed();
    let each = elapsed.as_nanos() / u128::from(flows);
    println!(
        "{each:>6} ns per flow, {:>8.2} ms: {what}",
        elapsed.as_secs_f64() * 1e3
    );
}

/// Resident memory of this process, by `/proc/self/statm` in pages of 4 KiB.
fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}
