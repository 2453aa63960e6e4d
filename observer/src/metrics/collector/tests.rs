//! The exact text of a small snapshot, and that text and declarations name the same metrics.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use observer_core::{
    aggregate::{
        BalanceReport, InterfaceTotal, Recorded, RemainderTotal, SERIES_MAX_LEAST, Series,
        SeriesSettings,
    },
    model::{
        cost::{CostPlan, PlanPart, RateFacts},
        counters::Counters,
        flow::Timing,
        identity::Identity,
        money::{Price, Unit},
        names::{
            BilledDirection, CostAssumption, CostSide, Direction, LossPlace, Measure, Mending,
            Outcome, PriceStatus, RateKind, RemainderReason, Severity, UnpricedReason, Verdict,
        },
        time::UnixUs,
        verdict::Judgement,
        workload::Workload,
    },
};
use prometheus::{Registry, TextEncoder};

use super::*;
use crate::metrics::BuildInfo;
use crate::metrics::{
    Shared,
    declare::{OF_ANSWER, OF_PLACE, OF_PROCESS, WIRE_BYTES},
    manual,
};

fn every_fault() -> FaultState {
    let endings = |fault: &Fault| {
        Mending::ALL
            .iter()
            .map(|mending| (*fault, *mending, 1))
            .collect::<Vec<_>>()
    };
    FaultState {
        counts: Fault::ALL.iter().flat_map(endings).collect(),
        degraded: Fault::ALL.to_vec(),
    }
}

/// One that was mended and one that lasts.
fn faults() -> FaultState {
    FaultState {
        counts: vec![
            (Fault::HookDetached, Mending::Repaired, 2),
            (Fault::PinsGone, Mending::Degraded, 1),
        ],
        degraded: vec![Fault::PinsGone],
    }
}

/// 2 cents for each GiB that is sent.
fn priced() -> CostPlan {
    let rate = RateFacts {
        id: "aws-inter-region".into(),
        cloud: "aws".into(),
        kind: RateKind::InterRegion,
        direction: BilledDirection::Egress,
        unit: Unit::Gibibyte,
        status: PriceStatus::Recalled,
        source: "a price page".into(),
        as_of: None,
        discount: None,
    };
    CostPlan {
        currency: "USD".into(),
        assumption: CostAssumption::FirstTier,
        parts: vec![PlanPart {
            rate: Arc::new(rate),
            price: Price::parse("0.02").expect("a price"),
            side: CostSide::Local,
        }],
        unpriced: None,
    }
}

/// What two contracts say.
fn judged() -> Arc<[Judgement]> {
    Arc::new([
        Judgement {
            contract: "split".into(),
            rule: Some("on-azure".into()),
            verdict: Verdict::Violation,
            reason: None,
            severity: Some(Severity::High),
        },
        Judgement {
            contract: "other".into(),
            rule: None,
            verdict: Verdict::NotCovered,
            reason: None,
            severity: None,
        },
    ])
}

/// A flow to a storage service that was reset, and one to the internet of a workload with an ugly name.
fn series() -> Series {
    let storage = Identity {
        cloud: Some("aws".into()),
        region: Some("us-east-1".into()),
        provider: Some("amazon".into()),
        service: Some("s3".into()),
        ..Identity::default()
    };
    let internet = Identity {
        cloud: Some("internet".into()),
        ..Identity::default()
    };
    let ugly = Workload {
        namespace: Some("shop".into()),
        name: Some("a\"b\\c\nd".into()),
        ..Workload::default()
    };
    let mut series = Series::new(&SeriesSettings {
        opencost: true,
        contracts: true,
        ..SeriesSettings::default()
    });
    let reset = Recorded {
        identity: &Arc::new(storage),
        workload: &Arc::default(),
        cost: Some(&priced()),
        verdicts: Some(&judged()),
        counters: &Counters {
            device_bytes: [9_000, 500],
            // Above 2^53: the text has the nearest float.
            wire_bytes: [9_007_199_254_740_993, 540],
            payload_bytes: [8_600, 100],
            packets: [11, 9],
            retransmitted_wire_bytes: 1_500,
        },
        requests: 0,
        ended: Some(Outcome::Reset),
        answers: &[],
        fresh: Timing {
            connect_us: Some(200),
            rtt_us: Some(1_200),
            min_rtt_us: None,
            first_byte_us: Some(12_000_000),
            last_byte_us: Some(13_000_000),
            chunk_gap_us: Some(60_000),
            ..Timing::default()
        },
    };
    let sent = Recorded {
        identity: &Arc::new(internet),
        workload: &Arc::new(ugly),
        cost: Some(&CostPlan {
            parts: Vec::new(),
            unpriced: Some(UnpricedReason::PathUnknown),
            ..priced()
        }),
        verdicts: None,
        counters: &Counters {
            wire_bytes: [60, 0],
            packets: [1, 0],
            ..Counters::default()
        },
        requests: 3,
        ended: None,
        answers: &[],
        fresh: Timing::default(),
    };
    series.record(&reset, 0);
    series.record(&sent, 0);
    series.end_tick(0);
    series
}

/// Two flows and one uplink.
pub fn snapshot() -> Snapshot {
    Snapshot {
        series: series().snapshot(),
        remainders: [
            (Some("eth0"), Some("aws"), 40),
            (None, None, 7),
            (None, None, 1),
        ]
        .map(|(device, cloud, bytes)| RemainderTotal {
            device: device.map(Arc::from),
            direction: Direction::Egress,
            reason: RemainderReason::Handshake,
            cloud: cloud.map(Into::into),
            bytes,
        })
        .to_vec(),
        interfaces: vec![InterfaceTotal {
            device: "eth0".into(),
            direction: Direction::Ingress,
            bytes: 540,
        }],
        balances: vec![BalanceReport {
            device: "eth0".into(),
            direction: Direction::Ingress,
            measure: Measure::Device,
            interface_bytes: 540,
            attributed_bytes: 543,
            remainder_bytes: BTreeMap::new(),
            balance_bytes: -3,
            baselines: 1,
        }],
        losses: [(LossPlace::EventRing, 0), (LossPlace::UdpTable, 4)].into(),
        requests_typed: [90, 8, 2, 1],
    }
}

pub fn run_times() -> Vec<ProgramRunTime> {
    vec![ProgramRunTime {
        program: "egress".into(),
        run_seconds: 0.25,
    }]
}

fn build() -> BuildInfo {
    BuildInfo {
        version: "0.1.0".to_owned(),
        catalog_version: None,
        exemptions: vec![ExemptionEnd {
            contract: "split".to_owned(),
            rule: "on-azure".to_owned(),
            end: UnixUs(1_777_248_000_000_000),
        }],
    }
}

#[test]
fn a_small_snapshot_has_this_text() {
    let latest = Latest::default();
    let registry = Registry::new();
    let collector = SnapshotCollector::new(
        Arc::new(Mutex::new(build())),
        Arc::clone(&latest),
        Reloads::default(),
    )
    .expect("declared");
    registry.register(Box::new(collector)).expect("registered");
    let text = || {
        TextEncoder::new()
            .encode_to_string(&registry.gather())
            .expect("written")
    };
    let before = text();
    let rows: Vec<&str> = before
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(
        rows,
        [
            r#"observer_build_info{version="0.1.0",catalog_version="unknown"} 1"#,
            r#"observer_exemption_end_timestamp_seconds{contract="split",rule="on-azure"} 1777248000"#,
        ]
    );

    let published = Published {
        snapshot: snapshot(),
        run_times: run_times(),
        faults: faults(),
    };
    *latest.lock().expect("no panic holds it") = Some(Arc::new(published));
    manual::assert_current("observer/src/metrics/collector/exposition.txt", &text());
}

#[test]
fn every_name_in_the_text_is_declared_and_every_declared_name_is_in_it() {
    let shared = Shared::new(build()).expect("declared");
    shared.publish(snapshot(), run_times(), faults());
    shared.publish_reload("observer.yaml", true);
    let text = shared.text().expect("written");
    let names: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(|name| {
            let suffixes = ["_bucket", "_sum", "_count"];
            let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            base.unwrap_or(name)
        })
        .collect();
    let declared: BTreeSet<&str> = OF_SNAPSHOT
        .iter()
        .chain(OF_PLACE)
        .chain(OF_ANSWER)
        .chain(OF_PROCESS)
        .map(|metric| metric.name)
        .collect();
    assert_eq!(names, declared);
}

#[test]
fn a_refused_file_is_0_until_it_is_taken_again() {
    let shared = Shared::new(build()).expect("declared");
    for (success, value) in [(true, "1"), (false, "0"), (true, "1")] {
        shared.publish_reload("/etc/observer.yaml", success);
        let line = format!("observer_reload_success{{file=\"/etc/observer.yaml\"}} {value}\n");
        assert!(shared.text().expect("written").contains(&line));
    }
}

#[test]
fn programs_that_were_not_timed_have_no_series() {
    let shared = Shared::new(build()).expect("declared");
    shared.publish(snapshot(), Vec::new(), FaultState::default());
    let text = shared.text().expect("written");
    assert!(!text.contains(BPF_RUN_SECONDS.name));
    assert!(text.contains(WIRE_BYTES.name));
}

fn count(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn every_line_of_the_answer_is_counted() {
    let shared = Shared::new(build()).expect("declared");
    for _ in 0..2 {
        let text = shared.text().expect("written");
        let told = format!("\nobserver_series {}\n", count(&text));
        assert!(text.contains(&told), "{told}: {text}");
        shared.publish(snapshot(), run_times(), faults());
    }
}

/// As many accounts, remainders and programs as there can be, and more destinations than fit.
#[test]
fn a_full_answer_is_within_the_limit() {
    const UPLINKS: usize = observer_ebpf::abi::UPLINKS_MAX as usize;
    let mut full = snapshot();
    let settings = SeriesSettings {
        series_max: SERIES_MAX_LEAST,
        ..SeriesSettings::default()
    };
    let mut series = Series::new(&settings);
    for nth in 0..SERIES_MAX_LEAST {
        let identity = Identity {
            cloud: Some(format!("cloud-{nth}").into()),
            ..Identity::default()
        };
        let recorded = Recorded {
            identity: &Arc::new(identity),
            workload: &Arc::default(),
            cost: None,
            verdicts: None,
            counters: &Counters {
                wire_bytes: [1, 1],
                ..Counters::default()
            },
            requests: 0,
            ended: Outcome::ALL.get(1 + nth % 5).copied(),
            answers: &[],
            fresh: Timing {
                connect_us: Some(1),
                rtt_us: Some(1),
                min_rtt_us: None,
                first_byte_us: Some(1),
                last_byte_us: Some(1),
                chunk_gap_us: Some(1),
                ..Timing::default()
            },
        };
        series.record(&recorded, 0);
    }
    series.end_tick(0);
    full.series = series.snapshot();
    let account = full.balances.remove(0);
    let interface = full.interfaces.remove(0);
    for nth in 0..2 * UPLINKS {
        let direction = Direction::BOTH[nth % 2];
        let device: Arc<str> = format!("eth{}", nth / 2).into();
        full.balances.push(BalanceReport {
            device: Arc::clone(&device),
            direction,
            ..account.clone()
        });
        full.interfaces.push(InterfaceTotal {
            device,
            direction,
            ..interface.clone()
        });
    }
    full.losses = LossPlace::ALL.iter().map(|place| (*place, 1)).collect();
    let programs: Vec<_> = (0..64)
        .map(|nth| ProgramRunTime {
            program: format!("program{nth}").into(),
            run_seconds: 1.0,
        })
        .collect();
    let shared = Shared::new(build()).expect("declared");
    full.remainders = Vec::new();
    let series = full.series.clone();
    shared.publish(full, programs, every_fault());
    let text = shared.text().expect("written");
    // Remainders are at most 160 by cloud, and 13 reasons of 2 directions of 9 uplinks without.
    let all = count(&text) + 160 + 13 * 2 * (UPLINKS + 1);
    assert!(all <= SERIES_MAX_LEAST, "{all} series");
    assert!(series.overflowed > 0);
    assert!(text.contains(r#"observer_wire_bytes_total{direction="egress",cloud="other""#));
}
