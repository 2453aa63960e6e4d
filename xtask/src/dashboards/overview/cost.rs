//! Panels of cost: what bytes come to by the price book, for whom, and what has no price.

use super::{
    super::panel::{Draw, Panel, Step, Unit, curve, value},
    panel,
};

/// Traffic of the chosen hosts, clouds and workloads.
const TRAFFIC: &str = r#"instance=~"$instance", cloud=~"$cloud", workload=~"$workload""#;
const SECONDS_OF_30_DAYS: u32 = 30 * 86_400;

/// What it costs.
pub fn estimates() -> Vec<Panel> {
    [totals(), vec![without_price()], shares()]
        .into_iter()
        .flatten()
        .collect()
}

fn rate() -> String {
    format!("rate(observer_egress_cost_estimate_total{{{TRAFFIC}}}[$__rate_interval])")
}

fn amount() -> String {
    format!("increase(observer_egress_cost_estimate_total{{{TRAFFIC}}}[$__range])")
}

fn sent() -> String {
    format!(r#"increase(observer_wire_bytes_total{{{TRAFFIC}, direction="egress"}}[$__range])"#)
}

fn totals() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![value(
                format!("sum by (currency) ({})", amount()),
                "{{currency}}",
            )],
            ..panel(
                "Estimate over the range",
                "What was sent and received in the chosen time, by the price book and the configured assumption. Not a \
                 bill; what has no price is not in it. The month by real tiers: `observer report cost`.",
                Draw::Stat,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![curve(
                format!("sum by (currency) ({}) * {SECONDS_OF_30_DAYS}", rate()),
                "{{currency}}",
            )],
            ..panel(
                "30 days at this rate",
                "What 30 days would come to if all went on as now. A burst looks dear here for as long as it lasts.",
                Draw::Stat,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "sum by (currency) ({}) / on () group_left () sum({}) * 1e9",
                    amount(),
                    sent()
                ),
                "{{currency}}",
            )],
            ..panel(
                "Estimate per GB sent",
                "All of the estimate by what was sent. Above the list price of the way, gateways add to it; far below, \
                 much of it has no price or stays near.",
                Draw::Stat,
                Unit::Count,
            )
        },
    ]
}

fn without_price() -> Panel {
    Panel {
        queries: vec![value(
            r#"sum(increase(observer_unpriced_bytes_total{instance=~"$instance"}[$__range])) / sum(increase(observer_wire_bytes_total{instance=~"$instance", direction="egress"}[$__range]))"#,
            "unpriced",
        )],
        steps: &[
            Step {
                from: None,
                colour: "green",
            },
            Step {
                from: Some(0.05),
                colour: "orange",
            },
            Step {
                from: Some(0.2),
                colour: "red",
            },
        ],
        ..panel(
            "Without a price",
            "Share of what the chosen hosts sent that the estimate leaves out, for all clouds and workloads. The \
             panel below says why.",
            Draw::Stat,
            Unit::Share,
        )
    }
}

fn shares() -> Vec<Panel> {
    vec![
        Panel {
            queries: vec![curve(
                format!(
                    "sum by (source_cloud, cloud, currency) ({} * on (job, instance) group_left (source_cloud) \
                     observer_source_info) * 86400",
                    rate()
                ),
                "{{source_cloud}} to {{cloud}}, {{currency}} a day",
            )],
            ..panel(
                "Estimate by pair of clouds",
                "From where to where the money goes, as a day at this rate.",
                Draw::Stack,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "topk(10, sum by (namespace, workload, currency) ({}))",
                    amount()
                ),
                "{{namespace}} {{workload}}, {{currency}}",
            )],
            ..panel(
                "Dearest workloads",
                "Whose bytes cost most in the chosen time.",
                Draw::Bars,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![value(
                format!(
                    "topk(10, sum by (cloud, region, service, path_kind, currency) ({}))",
                    amount()
                ),
                "{{cloud}} {{region}} {{service}} {{path_kind}}, {{currency}}",
            )],
            ..panel(
                "Dearest ways",
                "Where the dearest bytes go and how. `internet` to a cloud with a private line, or `nat_gateway` before \
                 a service that has an endpoint, is money to save.",
                Draw::Bars,
                Unit::Count,
            )
        },
        Panel {
            queries: vec![curve(
                r#"sum by (reason) (rate(observer_unpriced_bytes_total{instance=~"$instance"}[$__rate_interval]))"#,
                "{{reason}}",
            )],
            ..panel(
                "Not priced, by reason",
                "`source_unknown`: say where the host stands. `path_unknown`: declare the path of private addresses. \
                 `no_rate`, `element_no_rate`: add a rate to a book of your own.",
                Draw::Stack,
                Unit::BytesPerSecond,
            )
        },
    ]
}
