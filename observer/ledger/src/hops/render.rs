//! Chains for people and for programs.

use std::fmt::Write as _;

use observer_core::model::size;
use serde_json::{Map, Value, json};

use super::{Hop, HopSum, Hops, Origin};
use crate::{report::DECIMALS, table::aligned};

/// Decimals for people.
const CENTS: u32 = 2;
/// Workloads that people are shown, those with the most bytes first.
const WORKLOADS_SHOWN: usize = 30;

impl Hops {
    /// For people: each workload, who asks it, whom it asks.
    #[must_use]
    pub fn table(&self) -> String {
        let mut order: Vec<(&Origin, u64)> = self
            .workloads
            .iter()
            .map(|(origin, hops)| {
                (
                    origin,
                    hops.values()
                        .map(HopSum::bytes)
                        .fold(0, u64::saturating_add),
                )
            })
            .collect();
        order.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let mut text = String::new();
        // Writing to a string cannot fail.
        for (origin, _) in order.iter().take(WORKLOADS_SHOWN) {
            let hops = &self.workloads[*origin];
            let abroad = hops.keys().filter(|hop| hop.leaves(origin)).count();
            let _ = writeln!(
                text,
                "{} in {}/{}: {} hops, {abroad} to other clouds",
                origin.workload,
                origin.cloud,
                origin.region,
                hops.len()
            );
            let heads = [
                "",
                "where",
                "what",
                "kind",
                "path",
                "flows",
                "out",
                "in",
                "cost",
                "rtt",
                "against one at home",
            ];
            let mut rows = vec![heads.map(str::to_owned).to_vec()];
            let mut chain: Vec<(&Hop, &HopSum)> = hops.iter().collect();
            chain.sort_by_key(|(hop, sum)| (!hop.is_asked, std::cmp::Reverse(sum.bytes())));
            rows.extend(
                chain
                    .into_iter()
                    .map(|(hop, sum)| self.row(origin, hop, sum)),
            );
            text.push_str(&aligned(&rows, 5));
            text.push('\n');
        }
        if let Some(more) = order
            .len()
            .checked_sub(WORKLOADS_SHOWN)
            .filter(|more| *more > 0)
        {
            let _ = writeln!(text, "{more} more workloads; `--output json` has them all");
        }
        if self.workloads.is_empty() {
            text.push_str("No record of these crossed an uplink.\n");
        }
        text
    }

    fn row(&self, origin: &Origin, hop: &Hop, sum: &HopSum) -> Vec<String> {
        let added = self.added(origin, hop).map(|added| {
            let sign = if added.us < 0 { "-" } else { "+" };
            format!(
                "{sign}{} ({})",
                shown(added.us.unsigned_abs()),
                added.peer.service
            )
        });
        let costs = sum.cost.iter();
        let costs = costs.map(|(currency, cost)| format!("{} {currency}", cost.fixed(CENTS)));
        vec![
            if hop.is_asked { "<-" } else { "->" }.to_owned(),
            format!("{}/{}", hop.cloud, hop.region),
            hop.service.clone(),
            hop.api_state.clone(),
            hop.path_kind.clone(),
            sum.flows_ended.to_string(),
            size::about(sum.wire_bytes[0]),
            size::about(sum.wire_bytes[1]),
            costs.collect::<Vec<_>>().join(" + "),
            sum.rtt_us().map_or_else(|| "-".to_owned(), shown),
            added.unwrap_or_else(|| "-".to_owned()),
        ]
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let workloads = self.workloads.iter().map(|(origin, hops)| {
            let hops = hops.iter().map(|(hop, sum)| {
                let costs = sum.cost.iter();
                let costs = costs.map(|(currency, cost)| (currency.clone(), cost.text(DECIMALS).into()));
                let added = self.added(origin, hop);
                json!({
                    "initiator": if hop.is_asked { "remote" } else { "local" },
                    "cloud": hop.cloud,
                    "region": hop.region,
                    "service": hop.service,
                    "api_state": hop.api_state,
                    "path_kind": hop.path_kind,
                    "leaves_cloud": hop.leaves(origin),
                    "flows_ended": sum.flows_ended,
                    "wire_bytes_egress": sum.wire_bytes[0],
                    "wire_bytes_ingress": sum.wire_bytes[1],
                    "cost_estimates": costs.collect::<Map<_, _>>(),
                    "rtt_us": sum.rtt_us(),
                    "min_rtt_us": sum.min_rtt_us,
                    "added_rtt_us": added.as_ref().map(|added| added.us),
                    "added_against": added.map(|added| format!("{}/{}/{}", added.peer.cloud, added.peer.region, added.peer.service)),
                })
            });
            json!({
                "workload": origin.workload,
                "source_cloud": origin.cloud,
                "source_region": origin.region,
                "hops": hops.collect::<Vec<_>>(),
            })
        });
        workloads.collect::<Vec<_>>().into()
    }
}

/// A time for people.
fn shown(us: u64) -> String {
    match us {
        ..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{} ms", us / 1_000),
    }
}
