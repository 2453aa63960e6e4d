//! What each uplink counted, by our programs and by itself, and how its device counts.

use observer_core::{
    aggregate::{InterfaceCounters, LinkRule, UplinkReading},
    model::{
        kernel::UplinkIndex,
        names::{Fault, Measure},
    },
};

use crate::probe::{
    Probe,
    device::Device,
    health::{Finding, Health},
};

/// One reading of every uplink that is there; what is gone is a finding.
pub fn read(probe: &mut Probe, health: &mut Health) -> Vec<UplinkReading> {
    let mut readings = Vec::new();
    for position in 0..probe.uplinks.len() {
        let read = probe.read_uplink(position);
        let uplink = &probe.uplinks[position];
        let (totals, interface) = match read {
            Ok(read) => read,
            Err(error) => {
                health.findings.push(Finding {
                    fault: Fault::UplinkDetached,
                    object: format!("uplink `{}`", uplink.device.spec),
                    mended: Err(error),
                });
                continue;
            }
        };
        readings.push(UplinkReading {
            index: UplinkIndex(u16::try_from(uplink.index).unwrap_or(u16::MAX)),
            device: uplink.device.spec.to_string().into(),
            rules: rules(&uplink.device),
            interface: InterfaceCounters {
                bytes: [interface.tx_bytes, interface.rx_bytes],
                packets: [interface.tx_packets, interface.rx_packets],
                tx_drops: interface.tx_dropped + interface.queue_dropped,
            },
            totals: totals.into(),
            attached: hooked(health, position),
        });
    }
    readings
}

/// Whether every packet of the interval met all the hooks that it should, per direction.
fn hooked(health: &Health, position: usize) -> [bool; 2] {
    let [egress, ingress] = health
        .uplinks_hooked
        .get(position)
        .copied()
        .unwrap_or_default();
    [
        egress && health.sockets_hooked[0],
        ingress && health.sockets_hooked[1],
    ]
}

/// How the device counts: bundles with one header where it takes them as they are, else what is on the wire.
fn rules(device: &Device) -> [LinkRule; 2] {
    let rule = |bundles: bool| LinkRule {
        measure: if bundles {
            Measure::Device
        } else {
            Measure::Wire
        },
        link_header_bytes: device.link_header,
        skb_bytes_max: 65_536,
    };
    [rule(device.counts_bundles), rule(device.receives_bundles)]
}
