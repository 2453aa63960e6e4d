//! The exact text of a small snapshot, and that text and declarations name the same metrics.

use std::{collections::BTreeSet, sync::Arc};

use observer_core::{
    aggregate::{BalanceReport, FlowsEnded, InterfaceTotal, RemainderTotal},
    model::names::{LossPlace, Measure, Outcome, RemainderReason},
};
use prometheus::{Registry, TextEncoder};

use super::*;
use crate::metrics::{Shared, declare::OF_PROCESS, manual};

/// Two destinations, one of them unknown but for its cloud, and one uplink.
pub fn snapshot() -> Snapshot {
    let storage = DestinationLabels {
        cloud: Some("aws".into()),
        region: Some("us-east-1".into()),
        provider: Some("amazon".into()),
        vendor: None,
        service: Some("s3".into()),
    };
    let internet = DestinationLabels {
        cloud: Some("internet".into()),
        ..DestinationLabels::default()
    };
    Snapshot {
        destinations: vec![
            DestinationTotals {
                labels: storage.clone(),
                counters: Counters {
                    device_bytes: [9_000, 500],
                    // Above 2^53: the text has the nearest float.
                    wire_bytes: [9_007_199_254_740_993, 540],
                    payload_bytes: [8_600, 100],
                    packets: [11, 9],
                    retransmitted_wire_bytes: 1_500,
                },
            },
            DestinationTotals {
                labels: internet,
                counters: Counters {
                    wire_bytes: [60, 0],
                    packets: [1, 0],
                    ..Counters::default()
                },
            },
        ],
        flows_ended: vec![FlowsEnded {
            labels: storage,
            outcome: Outcome::Reset,
            flows: 2,
        }],
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
    }
}

#[test]
fn a_small_snapshot_has_this_text() {
    let latest = Latest::default();
    let registry = Registry::new();
    let collector =
        SnapshotCollector::new(build(), Arc::clone(&latest), Reloads::default()).expect("declared");
    registry.register(Box::new(collector)).expect("registered");
    let text = || {
        TextEncoder::new()
            .encode_to_string(&registry.gather())
            .expect("written")
    };
    let before = text();
    assert_eq!(
        before.lines().last(),
        Some(r#"observer_build_info{version="0.1.0",catalog_version="unknown"} 1"#)
    );
    assert_eq!(before.lines().count(), 3);

    let published = Published {
        snapshot: snapshot(),
        run_times: run_times(),
    };
    *latest.lock().expect("no panic holds it") = Some(Arc::new(published));
    manual::assert_current("observer/src/metrics/collector/exposition.txt", &text());
}

#[test]
fn every_name_in_the_text_is_declared_and_every_declared_name_is_in_it() {
    let shared = Shared::new(build()).expect("declared");
    shared.publish(snapshot(), run_times());
    shared.publish_reload("observer.yaml", true);
    let text = shared.text().expect("written");
    let names: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let declared: BTreeSet<&str> = OF_SNAPSHOT
        .iter()
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
    shared.publish(snapshot(), Vec::new());
    let text = shared.text().expect("written");
    assert!(!text.contains(BPF_RUN_SECONDS.name));
    assert!(text.contains(WIRE_BYTES.name));
}
