//! Whatever is recorded, in whatever order and under whatever limit: the sums over all series are what was recorded, less
//! what expired, and there are never more series than the limit allows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use observer_core::{
    aggregate::{
        HISTOGRAM_SERIES, Histogram, IDLE_EXPIRY_LEAST, LABEL_BYTES_MAX, LabelChoice, MetricSeries,
        OWN_SERIES_MAX, Recorded, SERIES_MAX_LEAST, Series, SeriesSettings, SeriesSnapshot,
        SeriesValue,
    },
    model::{
        counters::Counters,
        flow::Timing,
        identity::{Identity, Word},
        names::{Label, Outcome, PathKind, SeriesMetric, Severity, Verdict},
        verdict::Judgement,
        workload::Workload,
    },
};
use proptest::prelude::*;

const CLOUDS: usize = 20;
const REGIONS: usize = 9;
const WORKLOADS: usize = 60;
const SECOND_NS: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Cloud, region, workload, bytes, how it ended, round trip time.
    Record(usize, usize, usize, u64, Option<Outcome>, Option<u32>),
    /// Records of as many pairs as fit the numbers, one after another.
    Many(usize, u64),
    /// A tick, so many seconds later.
    Tick(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let ended = prop_oneof![
        Just(None),
        Just(Some(Outcome::Closed)),
        Just(Some(Outcome::Reset))
    ];
    prop_oneof![
        8 => (0..CLOUDS, 0..REGIONS, 0..WORKLOADS, 0..1_000_000_u64, ended, prop::option::of(0..20_000_000_u32))
            .prop_map(|(a, b, c, d, e, f)| Step::Record(a, b, c, d, e, f)),
        1 => (0..2_000_usize, 1..1_000_u64).prop_map(|(first, bytes)| Step::Many(first, bytes)),
        4 => (1..40_u64).prop_map(Step::Tick),
    ]
}

/// Label sets and values of one metric.
type Rows = HashMap<Arc<[Word]>, SeriesValue>;

struct Model {
    series: Series,
    series_max: usize,
    now_ns: u64,
    identities: Vec<Arc<Identity>>,
    workloads: Vec<Arc<Workload>>,
    /// What is said of the records of a workload.
    verdicts: Vec<Arc<[Judgement]>>,
    recorded: Sums,
    gone: Sums,
    expired: u64,
    before: HashMap<SeriesMetric, Rows>,
}

/// Sums by metric: counts, or the distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    counts: BTreeMap<SeriesMetric, u64>,
    times: BTreeMap<SeriesMetric, Histogram>,
}

impl Sums {
    fn count(&mut self, metric: SeriesMetric, count: u64) {
        if count > 0 {
            *self.counts.entry(metric).or_default() += count;
        }
    }

    fn add(&mut self, metric: SeriesMetric, value: &SeriesValue) {
        match value {
            SeriesValue::Count(count) => self.count(metric, *count),
            // Nothing of this test is priced.
            SeriesValue::Cost(_) => {}
            SeriesValue::Times(times) => self.times.entry(metric).or_default().add(times),
        }
    }
}

impl Model {
    fn new(series_max: usize, labels: LabelChoice) -> Self {
        let settings = SeriesSettings {
            series_max,
            idle_expiry: IDLE_EXPIRY_LEAST,
            labels,
            opencost: false,
            contracts: true,
        };
        let identity = |nth: usize| Identity {
            cloud: Some(format!("cloud-{}", nth / REGIONS).into()),
            region: Some(format!("region-{}", nth % REGIONS).into()),
            provider: Some("provider".into()),
            ..Identity::default()
        };
        let workload = |nth: usize| Workload {
            name: Some(format!("workload-{nth}").into()),
            ..Workload::default()
        };
        Self {
            series: Series::new(&settings),
            series_max: series_max.max(SERIES_MAX_LEAST),
            now_ns: 0,
            identities: (0..CLOUDS * REGIONS)
                .map(|nth| Arc::new(identity(nth)))
                .collect(),
            workloads: (0..WORKLOADS).map(|nth| Arc::new(workload(nth))).collect(),
            verdicts: (0..WORKLOADS).map(|nth| judgements(nth).into()).collect(),
            recorded: Sums::default(),
            gone: Sums::default(),
            expired: 0,
            before: HashMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Record(cloud, region, workload, bytes, ended, rtt_us) => {
                self.record(cloud * REGIONS + region, workload, bytes, ended, rtt_us);
            }
            Step::Many(first, bytes) => {
                for nth in first..first + 1_500 {
                    let identity = nth % self.identities.len();
                    self.record(identity, nth % WORKLOADS, bytes, None, None);
                }
            }
            Step::Tick(seconds) => {
                self.now_ns += seconds * SECOND_NS;
                self.tick();
            }
        }
    }

    fn record(
        &mut self,
        identity: usize,
        workload: usize,
        bytes: u64,
        ended: Option<Outcome>,
        rtt_us: Option<u32>,
    ) {
        let counters = Counters {
            wire_bytes: [bytes, bytes / 3],
            payload_bytes: [bytes / 2, 0],
            packets: [1, bytes % 2],
            retransmitted_wire_bytes: bytes % 7,
            ..Counters::default()
        };
        let recorded = Recorded {
            identity: &self.identities[identity],
            workload: &self.workloads[workload],
            cost: None,
            verdicts: Some(&self.verdicts[workload]),
            counters: &counters,
            requests: bytes % 5,
            ended,
            answers: &[],
            fresh: Timing {
                rtt_us,
                ..Timing::default()
            },
        };
        self.series.record(&recorded, self.now_ns);
        let sums = &mut self.recorded;
        sums.count(SeriesMetric::WireBytes, bytes + bytes / 3);
        sums.count(SeriesMetric::PayloadBytes, bytes / 2);
        sums.count(SeriesMetric::Packets, 1 + bytes % 2);
        sums.count(SeriesMetric::RetransmittedBytes, bytes % 7);
        sums.count(SeriesMetric::Flows, ended.is_some().into());
        sums.count(SeriesMetric::Requests, bytes % 5);
        let said = self.verdicts[workload].len() as u64;
        sums.count(SeriesMetric::ContractBytes, (bytes + bytes / 3) * said);
        sums.count(
            SeriesMetric::ContractFlows,
            u64::from(ended.is_some()) * said,
        );
        if let Some(us) = rtt_us {
            let times = sums.times.entry(SeriesMetric::RttSeconds).or_default();
            times.observe(us);
        }
    }

    /// Sums are what was recorded less what is gone; what is gone was idle, and was counted.
    fn tick(&mut self) {
        self.series.end_tick(self.now_ns);
        let snapshot = self.series.snapshot();
        let count = series(&snapshot);
        assert!(count + OWN_SERIES_MAX <= self.series_max, "{count} series");
        let mut sums = self.gone.clone();
        for metric in &snapshot.metrics {
            let rows: Rows = metric.rows.iter().cloned().collect();
            assert_eq!(rows.len(), metric.rows.len(), "two series of one name");
            for (labels, value) in self.before.remove(&metric.metric).unwrap_or_default() {
                if !rows.contains_key(&labels) {
                    assert!(!is_other(&metric.labels, &labels), "{labels:?} is gone");
                    self.expired += lines(&value) as u64;
                    self.gone.add(metric.metric, &value);
                    sums.add(metric.metric, &value);
                }
            }
            for value in rows.values() {
                sums.add(metric.metric, value);
            }
            self.before.insert(metric.metric, rows);
        }
        assert_eq!(sums, self.recorded);
        assert_eq!(snapshot.expired, self.expired);
    }
}

/// None, one or two, of several contracts and rules.
fn judgements(nth: usize) -> Vec<Judgement> {
    let judgement = |nth: usize| Judgement {
        contract: format!("contract-{}", nth % 5).into(),
        rule: (!nth.is_multiple_of(7)).then(|| format!("rule-{}", nth % 7).into()),
        verdict: Verdict::ALL[nth % Verdict::ALL.len()],
        reason: None,
        severity: Some(Severity::ALL[nth % Severity::ALL.len()]),
    };
    (nth..nth + nth % 3).map(judgement).collect()
}

fn series(snapshot: &SeriesSnapshot) -> usize {
    let rows = snapshot.metrics.iter().flat_map(|metric| &metric.rows);
    rows.map(|(_, value)| lines(value)).sum()
}

const fn lines(value: &SeriesValue) -> usize {
    match value {
        SeriesValue::Count(_) | SeriesValue::Cost(_) => 1,
        SeriesValue::Times(_) => HISTOGRAM_SERIES,
    }
}

fn is_other(names: &[Label], labels: &[Word]) -> bool {
    let region = names.iter().position(|label| *label == Label::Region);
    region.is_some_and(|at| labels[at] == "other")
}

/// Metrics keep these labels; the others keep all they have.
fn choices() -> impl Strategy<Value = LabelChoice> {
    let bytes = prop::sample::subsequence(SeriesMetric::WireBytes.labels(), 0..=10);
    let flows = prop::sample::subsequence(SeriesMetric::Flows.labels(), 0..=10);
    (bytes, flows).prop_map(|(bytes, flows)| {
        let words =
            |labels: Vec<Label>| labels.iter().map(|label| label.word().to_owned()).collect();
        let choice = BTreeMap::from([
            ("observer_wire_bytes_total".to_owned(), words(bytes)),
            ("observer_flows_total".to_owned(), words(flows)),
        ]);
        LabelChoice::check(&choice).expect("declared labels")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_over_series_are_what_was_recorded(
        steps in prop::collection::vec(step(), 1..40),
        labels in choices(),
        series_max in prop_oneof![Just(0), 1_000..6_000_usize],
    ) {
        let mut model = Model::new(series_max, labels);
        for step in &steps {
            model.step(step);
        }
        model.tick();
    }
}

#[test]
fn a_set_that_comes_back_counts_from_nothing_and_other_keeps_what_it_has() {
    let mut model = Model::new(SERIES_MAX_LEAST, LabelChoice::default());
    for workload in 0..WORKLOADS {
        model.record(0, workload, 9, None, None);
    }
    model.tick();
    let snapshot = model.series.snapshot();
    assert!(snapshot.overflowed > 0);
    let other = |snapshot: &SeriesSnapshot| {
        let wire = &snapshot.metrics[0];
        let rows = wire
            .rows
            .iter()
            .filter(|(labels, _)| is_other(&wire.labels, labels));
        let mut rows: Vec<_> = rows.cloned().collect();
        rows.sort_by(|(one, _), (two, _)| one.cmp(two));
        rows
    };
    let kept = other(&snapshot);
    let words: Vec<&str> = kept[0].0.iter().map(Word::as_str).collect();
    let others = ["other"; 8];
    assert_eq!(words, [&["egress", "cloud-0"][..], &others].concat());
    model.now_ns += IDLE_EXPIRY_LEAST.as_secs() * SECOND_NS + 1;
    model.tick();
    assert_eq!(
        series(&model.series.snapshot()),
        8 + 2 * Verdict::ALL.len(),
        "4 of what is sent, 3 of what is received, 1 of requests; each verdict in both directions"
    );
    // There is room again.
    model.record(0, WORKLOADS - 1, 9, None, None);
    model.tick();
    let snapshot = model.series.snapshot();
    assert_eq!(other(&snapshot), kept);
    let said = 2 * judgements(WORKLOADS - 1).len();
    assert_eq!(series(&snapshot), 8 + 2 * Verdict::ALL.len() + 8 + said);
}

/// All series after one more record that has wire bytes alone.
fn carried(
    series: &mut Series,
    identity: Identity,
    workload: &Arc<Workload>,
    wire_bytes: [u64; 2],
) -> SeriesSnapshot {
    let recorded = Recorded {
        identity: &Arc::new(identity),
        workload,
        cost: None,
        verdicts: None,
        counters: &Counters {
            wire_bytes,
            ..Counters::default()
        },
        requests: 1,
        ended: None,
        answers: &[],
        fresh: Timing::default(),
    };
    series.record(&recorded, 0);
    series.end_tick(0);
    series.snapshot()
}

#[test]
fn what_the_words_are_not_is_unknown_and_long_names_are_cut() {
    let mut series = Series::new(&SeriesSettings::default());
    let workload = Workload {
        namespace: Some("".into()),
        name: Some("n".repeat(4_000).into()),
        ..Workload::default()
    };
    let snapshot = carried(
        &mut series,
        Identity::default(),
        &Arc::new(workload),
        [1, 0],
    );
    let (labels, value) = &snapshot.metrics[0].rows[0];
    assert_eq!(value, &SeriesValue::Count(1));
    let [.., namespace, workload] = &**labels else {
        panic!("{labels:?}")
    };
    assert_eq!(
        (namespace.as_str(), workload.len()),
        ("unknown", LABEL_BYTES_MAX)
    );
}

/// Of what OpenCost has no word for it is told `unknown`, so its queries leave it out; what comes in is not in it.
#[test]
fn pods_have_what_opencost_asks_for_where_it_is_switched_on() {
    let mut series = Series::new(&SeriesSettings {
        opencost: true,
        ..SeriesSettings::default()
    });
    let workload = Arc::new(Workload {
        namespace: Some("shop".into()),
        pod: Some("cart-0".into()),
        ..Workload::default()
    });
    for (kind, expected) in [
        (PathKind::Internet, "true false false"),
        (PathKind::SameHost, "false true true"),
        (PathKind::SameZone, "false true true"),
        (PathKind::InterZone, "false false true"),
        (PathKind::InterRegion, "false false false"),
        (PathKind::Proxy, "unknown unknown unknown"),
    ] {
        let identity = Identity {
            service: Some(kind.word().into()),
            path_kind: Some(kind),
            ..Identity::default()
        };
        let snapshot = carried(&mut series, identity, &workload, [7, 9]);
        let of_pods = |one: &&MetricSeries| one.metric == SeriesMetric::PodNetworkEgress;
        let pods = snapshot.metrics.iter().find(of_pods).expect("switched on");
        let labels = format!("{} shop cart-0 {expected}", kind.word());
        let is_it = |(words, value): &&(Arc<[Word]>, SeriesValue)| {
            let words: Vec<&str> = words.iter().map(Word::as_str).collect();
            words.join(" ") == labels && *value == SeriesValue::Count(7)
        };
        assert_eq!(pods.rows.iter().filter(is_it).count(), 1, "{labels}");
    }
    let off = Series::new(&SeriesSettings::default()).snapshot();
    assert!(
        off.metrics
            .iter()
            .all(|one| one.metric != SeriesMetric::PodNetworkEgress)
    );
}

/// 10,000 workloads talk to 50 destinations each; the figures are printed (`--nocapture`).
#[test]
fn ten_thousand_workloads_stay_within_the_limit() {
    const ALL: usize = 10_000;
    const DESTINATIONS: usize = 50;
    let settings = SeriesSettings::default();
    let mut series = Series::new(&settings);
    let workloads: Vec<Arc<Workload>> = (0..ALL)
        .map(|nth| {
            Arc::new(Workload {
                namespace: Some(format!("team-{}", nth % 100).into()),
                name: Some(format!("service-{nth}").into()),
                ..Workload::default()
            })
        })
        .collect();
    let identities: Vec<Arc<Identity>> = (0..DESTINATIONS)
        .map(|nth| {
            Arc::new(Identity {
                cloud: Some(["aws", "azure", "gcp"][nth % 3].into()),
                region: Some(format!("region-{nth}").into()),
                ..Identity::default()
            })
        })
        .collect();
    let counters = Counters {
        wire_bytes: [1_500, 40],
        packets: [1, 1],
        ..Counters::default()
    };
    let before = resident_bytes();
    let mut ticks = 0;
    for (nth, workload) in workloads.iter().enumerate() {
        for identity in &identities {
            let recorded = Recorded {
                identity,
                workload,
                cost: None,
                verdicts: None,
                counters: &counters,
                requests: 1,
                ended: Some(Outcome::Closed),
                answers: &[],
                fresh: Timing {
                    connect_us: Some(900),
                    ..Timing::default()
                },
            };
            series.record(&recorded, ticks);
        }
        if nth % 1_000 == 999 {
            ticks += 5 * SECOND_NS;
            series.end_tick(ticks);
        }
    }
    let kept = resident_bytes().saturating_sub(before);
    let snapshot = series.snapshot();
    let count = self::series(&snapshot);
    let overflowed = snapshot.overflowed;
    println!("{count} series, {overflowed} updates to `other`, {kept} bytes kept");
    assert!(count + OWN_SERIES_MAX <= settings.series_max, "{count}");
    let egress: u64 = snapshot.metrics[0]
        .rows
        .iter()
        .filter(|(labels, _)| labels[0] == "egress")
        .map(|(_, value)| match value {
            SeriesValue::Count(bytes) => *bytes,
            SeriesValue::Cost(_) | SeriesValue::Times(_) => 0,
        })
        .sum();
    assert_eq!(egress, 1_500 * (ALL * DESTINATIONS) as u64);
    // The scratch, the rows and their words; half a million pairs would be 150 MB.
    assert!(kept < 16 << 20, "{kept} bytes kept");
}

/// Resident memory of this process, by `/proc/self/statm` in pages of 4 KiB.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1);
    pages.map_or(0, |pages| pages.parse::<u64>().unwrap_or(0)) * 4096
}
