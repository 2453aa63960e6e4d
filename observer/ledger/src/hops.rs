//! The chain that each workload's bytes go: who asks it, whom it asks, and what each hop adds in time, bytes and money. A hop to
//! another cloud is held against a peer in the workload's own one, where one is seen.

mod render;

use std::collections::BTreeMap;

use observer_core::model::{
    fact::{Fact, Facts as _, FieldId},
    money::Money,
};

use crate::judged::{Judged, OTHERS};

/// Workloads that are told apart; further ones are one.
pub const WORKLOADS_MAX: usize = 10_000;
/// Hops of one workload that are told apart; further ones are one.
pub const HOPS_MAX: usize = 1_000;
/// Addresses that are in no cloud.
const NO_CLOUDS: [&str; 3] = ["internet", "private", "cluster"];

/// Sums over records, by workload.
#[derive(Debug, Default)]
pub struct Hops {
    pub workloads: BTreeMap<Origin, BTreeMap<Hop, HopSum>>,
}

/// A workload, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub workload: String,
    pub cloud: String,
    pub region: String,
}

/// Where one hop leads, and by whom it was opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// The other end opened it: its requests come in, and answers go out.
    pub is_asked: bool,
    /// A front where there is one: what is behind it is not seen.
    pub cloud: String,
    pub region: String,
    pub service: String,
    pub api_state: String,
    pub path_kind: String,
}

/// What one hop carried.
#[derive(Clone, Debug, Default)]
pub struct HopSum {
    pub flows_ended: u64,
    /// Sent and received.
    pub wire_bytes: [u64; 2],
    pub cost: BTreeMap<String, Money>,
    /// Round-trip times of records, by their three highest bits.
    rtt_us: BTreeMap<u64, u64>,
    pub min_rtt_us: Option<u64>,
}

/// What a hop takes longer than one inside the workload's own cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    pub us: i64,
    /// The hop that it is held against.
    pub peer: Hop,
}

impl Hops {
    /// Counts a record that crossed an uplink.
    pub fn add(&mut self, record: &Judged) {
        if record.text("device").is_none() {
            return;
        }
        let text = |field: &str| record.text(field).unwrap_or("unknown").to_owned();
        let mut origin = Origin {
            workload: record.workload(),
            cloud: text("source_cloud"),
            region: text("source_region"),
        };
        if self.workloads.len() >= WORKLOADS_MAX && !self.workloads.contains_key(&origin) {
            OTHERS.clone_into(&mut origin.workload);
        }
        let cloud = record.text("cloud").or_else(|| record.text("front"));
        let mut hop = Hop {
            is_asked: record.text("initiator") == Some("remote"),
            cloud: cloud.unwrap_or("unknown").to_owned(),
            region: text("region"),
            service: text("service"),
            api_state: text("api_state"),
            path_kind: text("path_kind"),
        };
        let hops = self.workloads.entry(origin).or_default();
        if hops.len() >= HOPS_MAX && !hops.contains_key(&hop) {
            OTHERS.clone_into(&mut hop.service);
            OTHERS.clone_into(&mut hop.region);
        }
        hops.entry(hop).or_default().add(record);
    }

    /// How much longer a hop takes than the busiest one inside the workload's own cloud: the workload's own hops are asked first,
    /// then those of others at the same place.
    #[must_use]
    pub fn added(&self, origin: &Origin, hop: &Hop) -> Option<Added> {
        if !hop.leaves(origin) {
            return None;
        }
        let own = self.workloads.get(origin)?;
        let median = own.get(hop)?.rtt_us()?;
        let at_home = |hops: &BTreeMap<Hop, HopSum>| {
            let hops = hops
                .iter()
                .filter(|(peer, sum)| peer.cloud == origin.cloud && sum.rtt_us().is_some());
            let peer = hops.max_by_key(|(peer, sum)| (peer.region == origin.region, sum.bytes()));
            peer.and_then(|(peer, sum)| Some((peer.clone(), sum.rtt_us()?)))
        };
        let neighbours = self.workloads.iter().filter(|(other, _)| {
            other.cloud == origin.cloud && other.region == origin.region && *other != origin
        });
        let (peer, home) = at_home(own).or_else(|| {
            let mut neighbours = neighbours.filter_map(|(_, hops)| at_home(hops));
            neighbours.next()
        })?;
        let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        Some(Added {
            us: signed(median).saturating_sub(signed(home)),
            peer,
        })
    }
}

impl Hop {
    /// Whether it goes to another cloud than the workload's, both being known.
    #[must_use]
    pub fn leaves(&self, origin: &Origin) -> bool {
        let is_cloud = |cloud: &str| cloud != "unknown" && !NO_CLOUDS.contains(&cloud);
        is_cloud(&origin.cloud) && is_cloud(&self.cloud) && self.cloud != origin.cloud
    }
}

impl HopSum {
    fn add(&mut self, record: &Judged) {
        let number = |field: &str| match FieldId::named(field).map(|field| record.facts.fact(field))
        {
            Some(Fact::Number(number)) => Some(number),
            _ => None,
        };
        self.flows_ended += u64::from(record.text("record") == Some("closed"));
        for (sum, field) in self
            .wire_bytes
            .iter_mut()
            .zip(["wire_bytes_egress", "wire_bytes_ingress"])
        {
            *sum = sum.saturating_add(number(field).unwrap_or_default());
        }
        if let Some((cost, currency)) = &record.cost {
            *self.cost.entry(currency.clone()).or_default() += *cost;
        }
        if let Some(us) = number("rtt_us") {
            *self.rtt_us.entry(rounded(us)).or_default() += 1;
        }
        self.min_rtt_us = match (self.min_rtt_us, number("min_rtt_us")) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.wire_bytes[0].saturating_add(self.wire_bytes[1])
    }

    /// The median of the records' round-trip times, to an eighth.
    #[must_use]
    pub fn rtt_us(&self) -> Option<u64> {
        let all: u64 = self.rtt_us.values().sum();
        let mut behind = 0;
        self.rtt_us.iter().find_map(|(us, count)| {
            behind += count;
            (behind * 2 >= all).then_some(*us)
        })
    }
}

/// The three highest bits of it, and the next one rounded.
fn rounded(us: u64) -> u64 {
    let shift = us.max(1).ilog2().saturating_sub(3);
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    (us.saturating_add(half) >> shift) << shift
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const RECORD: &str = include_str!("../../core/tests/golden/record.json");

    fn hops(records: &[Value]) -> Hops {
        let mut hops = Hops::default();
        for changes in records {
            let mut record: Value = serde_json::from_str(RECORD).expect("a record");
            for (name, value) in changes.as_object().expect("an object") {
                record[name] = value.clone();
            }
            hops.add(&Judged::parse(record.to_string().as_bytes()).expect("a record"));
        }
        hops
    }

    fn to(workload: &str, cloud: &str, service: &str, rtt_us: u64) -> Value {
        json!({"namespace": null, "workload": workload, "initiator": "local", "source_cloud": "aws", "source_region": "us-east-1",
            "cloud": cloud, "region": null, "service": service, "front": null, "api_state": "stateless", "rtt_us": rtt_us})
    }

    #[test]
    fn a_hop_to_another_cloud_is_held_against_one_at_home() {
        let hops = hops(&[
            to("web", "azure", "azure-openai", 40_000),
            to("web", "azure", "azure-openai", 40_000),
            to("web", "azure", "azure-openai", 90_000),
            to("web", "aws", "bedrock-runtime", 1_000),
            json!({"initiator": "remote", "cloud": "internet", "namespace": null, "workload": "web", "source_cloud": "aws", "source_region": "us-east-1"}),
            to("idle", "gcp", "vertex", 60_000),
        ]);
        let origin = Origin {
            workload: "web".to_owned(),
            cloud: "aws".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let own = &hops.workloads[&origin];
        assert_eq!(own.len(), 3);
        let (hop, sum) = own
            .iter()
            .find(|(hop, _)| hop.cloud == "azure")
            .expect("a hop");
        assert_eq!(
            (sum.flows_ended, sum.wire_bytes),
            (3, [3 * 1_080, 3 * 2_120])
        );
        assert_eq!(sum.rtt_us(), Some(rounded(40_000)));
        let added = hops.added(&origin, hop).expect("a peer");
        assert_eq!(
            (added.us, &*added.peer.service),
            (40_960 - 1_024, "bedrock-runtime")
        );
        // Of a workload without one of its own, a neighbour's.
        let idle = Origin {
            workload: "idle".to_owned(),
            ..origin
        };
        let (hop, _) = hops.workloads[&idle].iter().next().expect("a hop");
        assert_eq!(
            hops.added(&idle, hop).map(|added| added.peer.service),
            Some("bedrock-runtime".to_owned())
        );
        let asked = own.iter().find(|(hop, _)| hop.is_asked).expect("who asks");
        assert!(hops.added(&idle, asked.0).is_none());
    }

    #[test]
    fn times_are_kept_to_an_eighth() {
        for us in [0, 1, 7, 8, 100, 1_000, 40_000, u64::from(u32::MAX)] {
            let kept = rounded(us);
            assert!(kept.abs_diff(us) * 8 <= us.max(1), "{us} is kept as {kept}");
        }
    }

    #[test]
    fn what_stays_inside_the_host_is_no_hop() {
        assert!(hops(&[json!({"device": null})]).workloads.is_empty());
    }
}
