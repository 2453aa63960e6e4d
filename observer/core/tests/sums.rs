//! Whatever happens in whatever order, and wherever the agent is killed: the records of a flow add up to what the
//! kernel counted for it, once, and what no record has is named to the byte.

mod simulated;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use observer_core::{
    aggregate::{SeriesValue, Snapshot},
    attribute::{Tails, flow_id},
    model::{
        counters::Counters,
        flow::{Answer, FlowKey, FlowTotals, RemoteKey, Translation},
        identity::Identity,
        kernel::{Losses, UplinkIndex},
        lookup::{Beside, Lookup},
        names::{Direction, Protocol, RemainderReason, SeriesMetric},
        record::{FlowRecord, RecordContext},
        time::Moment,
        workload::Workload,
    },
    pipeline::{Pipeline, PipelineConfig, PipelineState, TickInput},
};
use proptest::prelude::*;
use serde_json::Value;

use simulated::{DEVICE, Kernel, UPLINK};

const BOOT_ID: &str = "boot";
const UNIX_NS: i64 = 1_772_150_400_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Open(Protocol),
    Packet(usize, usize, u64),
    RemotePacket(usize, u16, usize, u64),
    Release(usize),
    Close(usize),
    Reconnect(usize),
    Forwarded(u64),
    LoseEvent,
    Tick,
    Idle,
    Drain,
    /// Killed during a tick, when this part of 256 of its records was written; then started again.
    Kill(u64),
    /// The same while events were drained.
    KillDraining(u64),
}

fn step(with_losses: bool) -> impl Strategy<Value = Step> {
    let loss = if with_losses {
        Step::LoseEvent
    } else {
        Step::Tick
    };
    prop_oneof![
        2 => prop_oneof![Just(Step::Open(Protocol::Tcp)), Just(Step::Open(Protocol::Udp))],
        8 => (0..6_usize, 0..2_usize, 1..2000_u64).prop_map(|(a, b, c)| Step::Packet(a, b, c)),
        4 => (0..6_usize, 0..3_u16, 0..2_usize, 1..2000_u64)
            .prop_map(|(a, b, c, d)| Step::RemotePacket(a, b, c, d)),
        2 => (0..6_usize).prop_map(Step::Release),
        2 => (0..6_usize).prop_map(Step::Close),
        1 => (0..6_usize).prop_map(Step::Reconnect),
        1 => (1..2000_u64).prop_map(Step::Forwarded),
        1 => Just(loss),
        4 => Just(Step::Tick),
        1 => Just(Step::Idle),
        2 => Just(Step::Drain),
        1 => (0..=256_u64).prop_map(Step::Kill),
        1 => (0..=256_u64).prop_map(Step::KillDraining),
    ]
}

struct Tables;

impl Lookup for Tables {
    fn identity(&self, _: &FlowTotals) -> Arc<Identity> {
        Arc::default()
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

    fn destination(&self, _: u32) -> Arc<Identity> {
        Arc::default()
    }

    fn workload(&self, _flow: &FlowTotals) -> Arc<Workload> {
        Arc::default()
    }

    fn device(&self, _: Option<u64>, _: Option<u32>, ifindex: u32) -> Option<Arc<str>> {
        (ifindex == 2).then(|| DEVICE.into())
    }

    fn uplink(&self, _: Option<u64>, _: Option<u32>, ifindex: u32) -> Option<UplinkIndex> {
        (ifindex == 2).then_some(UPLINK)
    }
}

/// One agent, its output on disk, and what it keeps beside it.
struct Agent {
    pipeline: Pipeline,
    output: Vec<u8>,
    kept: (PipelineState, u64),
    all: bool,
    /// Wire bytes and packets of the records of this agent, which begins with nothing.
    told: (u64, u64),
}

impl Agent {
    fn new() -> Self {
        let pipeline = Pipeline::new(config());
        Self {
            kept: (pipeline.state(), 0),
            pipeline,
            output: Vec::new(),
            all: false,
            told: (0, 0),
        }
    }

    fn tick(&mut self, kernel: &mut Kernel) -> Snapshot {
        let (snapshot, ended) = self.read(kernel);
        kernel.release_events();
        self.kept = (self.pipeline.state(), self.output.len() as u64);
        kernel.forget_remotes(&ended);
        snapshot
    }

    fn drain(&mut self, kernel: &mut Kernel) {
        let now = moment(kernel.tick_clock());
        let (output, told) = (&mut self.output, &mut self.told);
        self.pipeline
            .events(kernel.look_at_events(), now, &Tables, |record| {
                tell(told, record);
                write(output, record);
            });
    }

    /// A tick up to the last record; nothing is given back to the kernel yet.
    fn read(&mut self, kernel: &mut Kernel) -> (Snapshot, Vec<RemoteKey>) {
        let now = moment(kernel.tick_clock());
        let slots = kernel.read_slots();
        let uplinks = vec![kernel.read_uplink()];
        let input = TickInput {
            flows: kernel.read_flows(self.all),
            remotes: Some(kernel.read_remotes()),
            events: kernel.look_at_events(),
            slots,
            uplinks,
            losses: Losses::new(),
        };
        self.all = false;
        let (output, told) = (&mut self.output, &mut self.told);
        let done = self.pipeline.tick(input, now, &Tables, |record| {
            tell(told, record);
            write(output, record);
        });
        assert_eq!(metrics(&done.snapshot), *told, "metrics and records");
        (done.snapshot, done.remotes_ended)
    }

    /// The end of what was written since `since` is lost at `part` of 256, and the next agent starts.
    fn killed(&mut self, since: usize, part: u64) {
        let written = self.output.len() - since;
        self.output
            .truncate(since + written * usize::try_from(part).expect("a byte") / 256);
        let (state, credited_bytes) = &self.kept;
        let lines = self.output.split_inclusive(|byte| *byte == b'\n');
        let tails = Tails::fold(lines, BOOT_ID, *credited_bytes);
        self.output
            .truncate(usize::try_from(tails.whole_bytes).expect("it fits the memory"));
        // What was kept has to survive being written down.
        let state = serde_json::to_vec(state).expect("a state is JSON");
        let state = serde_json::from_slice(&state).expect("a state reads back");
        self.pipeline = Pipeline::resume(config(), &state, tails, |device| {
            (device == DEVICE).then_some(UPLINK)
        });
        self.all = true;
        self.told = (0, 0);
    }
}

fn tell(told: &mut (u64, u64), record: &FlowRecord) {
    told.0 += record.counters.wire_bytes.iter().sum::<u64>();
    told.1 += record.counters.packets.iter().sum::<u64>();
}

/// Sums over the series of wire bytes and of packets.
fn metrics(snapshot: &Snapshot) -> (u64, u64) {
    let sum = |metric| {
        let series = snapshot.series.metrics.iter();
        let rows = series.filter(|series| series.metric == metric);
        rows.flat_map(|series| &series.rows)
            .map(|(_, value)| match value {
                SeriesValue::Count(count) => *count,
                SeriesValue::Cost(_) | SeriesValue::Times(_) => 0,
            })
            .sum()
    };
    (sum(SeriesMetric::WireBytes), sum(SeriesMetric::Packets))
}

fn write(output: &mut Vec<u8>, record: &FlowRecord) {
    record.write_json(output).expect("a record is JSON");
    output.push(b'\n');
}

fn config() -> PipelineConfig {
    let context = RecordContext {
        boot_id: BOOT_ID.to_owned(),
        ..RecordContext::default()
    };
    PipelineConfig::new(Arc::new(context), moment(0))
}

fn moment(monotonic_ns: u64) -> Moment {
    let since = i64::try_from(monotonic_ns).expect("a short simulation");
    Moment {
        unix_ns: UNIX_NS + since,
        monotonic_ns,
    }
}

/// Runs the steps and one more complete reading; every account on the way must close.
fn run(steps: &[Step]) -> (Kernel, Vec<u8>, Snapshot) {
    let (mut kernel, mut agent) = (Kernel::default(), Agent::new());
    for step in steps {
        match *step {
            Step::Open(protocol) => kernel.open(protocol),
            Step::Packet(nth, direction, payload) => kernel.packet(nth, direction, payload),
            Step::RemotePacket(nth, port, direction, payload) => {
                kernel.remote_packet(nth, port, direction, payload);
            }
            Step::Release(nth) => kernel.release(nth),
            Step::Close(nth) => kernel.close(nth),
            Step::Reconnect(nth) => kernel.reconnect(nth),
            Step::Forwarded(bytes) => kernel.forwarded(bytes),
            Step::LoseEvent => kernel.lose_event(),
            Step::Tick => check_accounts(&agent.tick(&mut kernel)),
            Step::Idle => (0..14).for_each(|_| check_accounts(&agent.tick(&mut kernel))),
            Step::Drain => {
                agent.drain(&mut kernel);
                kernel.release_events();
            }
            Step::Kill(part) => {
                let since = agent.output.len();
                agent.read(&mut kernel);
                agent.killed(since, part);
            }
            Step::KillDraining(part) => {
                let since = agent.output.len();
                agent.drain(&mut kernel);
                agent.killed(since, part);
            }
        }
    }
    let snapshot = agent.tick(&mut kernel);
    check_accounts(&snapshot);
    (kernel, agent.output, snapshot)
}

fn check_accounts(snapshot: &Snapshot) {
    assert_eq!(snapshot.balances.len(), 2);
    for report in &snapshot.balances {
        let remainders: i128 = report.remainder_bytes.values().sum();
        let sum = report.attributed_bytes + remainders + report.balance_bytes;
        assert_eq!(report.interface_bytes, sum, "{report:?}");
        assert_eq!(
            report.balance_bytes, 0,
            "nothing is lost on this device: {report:?}"
        );
    }
}

/// Sums over the records by flow; sequences, intervals and running totals are checked on the way.
fn sums(output: &[u8]) -> HashMap<String, Counters> {
    let mut sums: HashMap<String, Counters> = HashMap::new();
    let mut last: HashMap<String, (u64, String)> = HashMap::new();
    for line in output.split_inclusive(|byte| *byte == b'\n') {
        let record: Value = serde_json::from_slice(line).expect("each line is a record");
        let text = |name: &str| record[name].as_str().expect("a string").to_owned();
        let number = |name: &str| record[name].as_u64().expect("a number");
        let pair = |name: &str| {
            [
                number(&format!("{name}_egress")),
                number(&format!("{name}_ingress")),
            ]
        };
        let id = text("flow_id");
        let sum = sums.entry(id.clone()).or_default();
        *sum = sum.plus(&Counters {
            device_bytes: pair("device_bytes"),
            wire_bytes: pair("wire_bytes"),
            payload_bytes: pair("payload_bytes"),
            packets: pair("packets"),
            retransmitted_wire_bytes: number("retransmitted_wire_bytes"),
        });
        let since_start = ["egress", "ingress"]
            .map(|direction| number(&format!("wire_bytes_{direction}_since_start")));
        assert_eq!(sum.wire_bytes, since_start, "{record}");
        let (sequence, until) = last.remove(&id).unwrap_or_default();
        assert_eq!(number("sequence"), sequence + 1, "{record}");
        let (start, end) = (text("interval_start"), text("interval_end"));
        assert!(until <= start && start <= end, "after `{until}`: {record}");
        last.insert(id, (number("sequence"), end));
    }
    sums
}

/// What the kernel counted and the records lack, by flow id; flows that lack nothing are left out.
fn missing(kernel: &Kernel, output: &[u8]) -> BTreeMap<String, Counters> {
    let mut sums = sums(output);
    let mut missing = BTreeMap::new();
    for ((key, start_ns), truth) in &kernel.truth {
        let protocol = match key {
            FlowKey::Remote(_) => Protocol::Udp,
            FlowKey::Socket(cookie) => kernel.protocol(*cookie),
        };
        let id = flow_id(BOOT_ID, &simulated::flow(*key, protocol, *start_ns));
        let recorded = sums.remove(&id.to_string()).unwrap_or_default();
        assert!(
            !truth.any_below(&recorded),
            "told twice: {truth:?}, recorded {recorded:?}"
        );
        if recorded != *truth {
            missing.insert(id.to_string(), truth.since(&recorded));
        }
    }
    sums.retain(|_, recorded| !recorded.is_zero());
    assert_eq!(sums, HashMap::new(), "records of flows that never were");
    missing
}

proptest! {
    // `PROPTEST_CASES=20000` searches longer.
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_add_up_to_what_the_kernel_counted(steps in prop::collection::vec(step(false), 1..60)) {
        let (kernel, output, _) = run(&steps);
        prop_assert_eq!(missing(&kernel, &output), BTreeMap::new());
    }

    #[test]
    fn what_is_lost_is_named_late_to_the_byte(steps in prop::collection::vec(step(true), 1..60)) {
        let (kernel, output, snapshot) = run(&steps);
        let missing = missing(&kernel, &output);
        for report in &snapshot.balances {
            let direction = match report.direction { Direction::Egress => 0, Direction::Ingress => 1 };
            let lost: u64 = missing.values().map(|counters| counters.device_bytes[direction]).sum();
            let late = report.remainder_bytes.get(&RemainderReason::Late);
            prop_assert_eq!(late, Some(&i128::from(lost)));
        }
    }
}
