//! How many series the agent may expose, for how long an idle one stays, and which labels each metric keeps.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;

use crate::model::names::{Label, SeriesMetric};

/// Series of one agent unless the operator says otherwise, of all its metrics together.
pub const SERIES_MAX: usize = 5_000;
/// Fewer leave no room for the metrics of the agent itself and for the sets named `other`.
pub const SERIES_MAX_LEAST: usize = 1_000;
/// How long a series stays without a change unless the operator says otherwise.
pub const IDLE_EXPIRY: Duration = Duration::from_mins(30);
/// Shorter than that, a series could go between two scrapes.
pub const IDLE_EXPIRY_LEAST: Duration = Duration::from_mins(1);

/// Limits of what is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSettings {
    /// Series of all metrics together, the agent's own included; less than [`SERIES_MAX_LEAST`] counts as that.
    pub series_max: usize,
    pub idle_expiry: Duration,
    pub labels: LabelChoice,
    /// Whether there is the metric that OpenCost reads.
    pub opencost: bool,
    /// Whether flows are judged, so that there are the metrics of verdicts.
    pub contracts: bool,
}

impl Default for SeriesSettings {
    fn default() -> Self {
        Self {
            series_max: SERIES_MAX,
            idle_expiry: IDLE_EXPIRY,
            labels: LabelChoice::default(),
            opencost: false,
            contracts: false,
        }
    }
}

/// Which labels each metric keeps: all that it has, unless it is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChoice(BTreeMap<SeriesMetric, Vec<Label>>);

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    #[error("`series_max` is `{0}`; give {SERIES_MAX_LEAST} or more")]
    SeriesMax(usize),
    #[error("`idle_expiry` is `{} s`; give {} s or more", .0.as_secs_f64(), IDLE_EXPIRY_LEAST.as_secs())]
    IdleExpiry(Duration),
    #[error(
        "metric `{name}` has no labels to choose from; those that have are `{}`",
        SeriesMetric::WORDS.join("`, `")
    )]
    Metric { name: String },
    #[error("metric `{}` has no label `{label}`; it has `{}`", .metric.word(), words(.metric.labels()))]
    Label { metric: SeriesMetric, label: String },
}

impl SeriesSettings {
    /// Settings as an operator gives them.
    ///
    /// # Errors
    /// Where a limit is too low, or a metric or label is not there.
    pub fn check(
        series_max: usize,
        idle_expiry: Duration,
        labels: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, SettingsError> {
        if series_max < SERIES_MAX_LEAST {
            return Err(SettingsError::SeriesMax(series_max));
        }
        if idle_expiry < IDLE_EXPIRY_LEAST {
            return Err(SettingsError::IdleExpiry(idle_expiry));
        }
        Ok(Self {
            series_max,
            idle_expiry,
            labels: LabelChoice::check(labels)?,
            opencost: false,
            contracts: false,
        })
    }

    /// The metrics that there are.
    pub fn metrics(&self) -> impl Iterator<Item = SeriesMetric> {
        let is_there = |metric: &SeriesMetric| match metric {
            SeriesMetric::PodNetworkEgress => self.opencost,
            SeriesMetric::ContractBytes | SeriesMetric::ContractFlows => self.contracts,
            _ => true,
        };
        SeriesMetric::ALL.iter().copied().filter(is_there)
    }
}

impl LabelChoice {
    /// The labels to keep by metric. They are written in the declared order, whatever the order here.
    ///
    /// # Errors
    /// Where a metric or label is not there; the message lists what is.
    pub fn check(choice: &BTreeMap<String, Vec<String>>) -> Result<Self, SettingsError> {
        let mut chosen = BTreeMap::new();
        for (name, labels) in choice {
            let metric = SeriesMetric::from_word(name)
                .ok_or_else(|| SettingsError::Metric { name: name.clone() })?;
            let mut kept = Vec::new();
            for label in labels {
                let known = Label::from_word(label).filter(|known| metric.labels().contains(known));
                kept.push(known.ok_or_else(|| SettingsError::Label {
                    metric,
                    label: label.clone(),
                })?);
            }
            kept.sort_unstable();
            kept.dedup();
            chosen.insert(metric, kept);
        }
        Ok(Self(chosen))
    }

    /// The labels that `metric` keeps, in the order in which they are written.
    #[must_use]
    pub fn of(&self, metric: SeriesMetric) -> &[Label] {
        self.0
            .get(&metric)
            .map_or_else(|| metric.labels(), Vec::as_slice)
    }
}

fn words(labels: &[Label]) -> String {
    let words: Vec<&str> = labels.iter().map(|label| label.word()).collect();
    words.join("`, `")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(metric: &str, labels: &[&str]) -> BTreeMap<String, Vec<String>> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        BTreeMap::from([(metric.to_owned(), labels)])
    }

    #[test]
    fn labels_are_kept_in_their_declared_order() {
        let chosen = choice("observer_flows_total", &["outcome", "cloud", "cloud"]);
        let chosen = LabelChoice::check(&chosen).expect("declared");
        let kept = [Label::Cloud, Label::Outcome];
        assert_eq!(chosen.of(SeriesMetric::Flows), kept);
        let untouched = chosen.of(SeriesMetric::RttSeconds);
        assert_eq!(untouched, SeriesMetric::RttSeconds.labels());
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let none = BTreeMap::new();
        let cases = [
            (
                SeriesSettings::check(10, IDLE_EXPIRY, &none),
                "`series_max` is `10`; give 1000 or more",
            ),
            (
                SeriesSettings::check(SERIES_MAX, Duration::from_millis(500), &none),
                "`idle_expiry` is `0.5 s`; give 60 s or more",
            ),
            (
                SeriesSettings::check(SERIES_MAX, IDLE_EXPIRY, &choice("observer_nothing", &[])),
                "metric `observer_nothing` has no labels to choose from; those that have are \
                 `observer_wire_bytes_total`, `observer_payload_bytes_total`, `observer_packets_total`, \
                 `observer_retransmitted_bytes_total`, `observer_flows_total`, `observer_requests_total`, `observer_connect_seconds`, \
                 `observer_rtt_seconds`, `observer_first_byte_seconds`, `observer_last_byte_seconds`, `observer_chunk_gap_seconds`, `observer_egress_cost_estimate_total`, \
                 `observer_contract_bytes_total`, `observer_contract_flows_total`, `kubecost_pod_network_egress_bytes_total`",
            ),
            (
                SeriesSettings::check(
                    SERIES_MAX,
                    IDLE_EXPIRY,
                    &choice("observer_rtt_seconds", &["workload"]),
                ),
                "metric `observer_rtt_seconds` has no label `workload`; it has `cloud`, `region`, `provider`, \
                 `service`, `api_state`, `path_kind`",
            ),
        ];
        for (settings, message) in cases {
            assert_eq!(
                settings.map_err(|error| error.to_string()),
                Err(message.to_owned())
            );
        }
    }
}
