//! What the repository itself says: the dashboards, the metrics that the manual declares, and what is asked for and not
//! exported yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::promql::names;
use serde::Deserialize;
use serde_json::Value;

pub const RULES: &str = "dashboards/rules/observer.yaml";
pub const RULE_TESTS: &str = "dashboards/rules/tests.yaml";
const MANUAL: &str = "docs/metrics.md";
const PENDING: &str = "dashboards/pending.json";

/// What Prometheus itself adds to each series, or makes of a histogram.
const ADDED: [&str; 3] = ["instance", "job", "le"];
/// Metrics of Prometheus itself.
const OF_PROMETHEUS: [&str; 1] = ["up"];
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// One panel's query, as Grafana would send it but for the variables.
pub struct Query {
    pub panel: String,
    pub expression: String,
    /// A value at the end of the range, and no curve.
    pub is_instant: bool,
    /// `{{label}}` in its legend.
    pub legend: Vec<String>,
}

/// One list: `dashboards/pending.json`. Who exports a metric takes its line away.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    pub metrics: BTreeMap<String, BTreeSet<String>>,
    /// Labels that every metric has and that nothing fills in yet.
    pub unfilled_labels: BTreeSet<String>,
    /// Of the DaemonSet: the test group `manifests` reads them.
    #[serde(rename = "run_options")]
    _run_options: BTreeSet<String>,
    #[serde(rename = "run_paths")]
    _run_paths: BTreeSet<String>,
}

impl Pending {
    pub fn read() -> Result<Self> {
        serde_json::from_str(&read(PENDING)?).with_context(|| format!("read `{PENDING}`"))
    }

    /// Whether `expression` asks for something that is not exported yet.
    pub fn holds(&self, expression: &str) -> Result<bool> {
        Ok(names(expression)?
            .selectors
            .iter()
            .any(|selector| self.metrics.contains_key(base(&selector.metric))))
    }
}

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(path(name)).with_context(|| format!("read `{name}`"))
}

/// Every dashboard by its file's name.
pub fn dashboards() -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path("dashboards"))? {
        let file = entry?.path();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if name.ends_with(".json") && !PENDING.ends_with(&name) {
            let text = fs::read_to_string(&file)?;
            let json = serde_json::from_str(&text).with_context(|| name.clone())?;
            found.push((name, json));
        }
    }
    ensure!(!found.is_empty(), "no dashboard in `dashboards/`");
    Ok(found)
}

/// The queries of all panels of a dashboard.
pub fn queries(dashboard: &Value) -> Vec<Query> {
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                panel: text(&panel["title"]),
                expression: text(&target["expr"]),
                is_instant: target["instant"] == true,
                legend: placeholders(&text(&target["legendFormat"])),
            });
        }
    }
    queries
}

/// Name and query of each variable that asks for a label's values.
pub fn variables(dashboard: &Value) -> Vec<(String, String)> {
    dashboard["templating"]["list"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|variable| variable["type"] == "query")
        .map(|variable| (text(&variable["name"]), text(&variable["query"]["query"])))
        .collect()
}

/// Metric selector and label of `label_values(SELECTOR, LABEL)`.
pub fn label_values(query: &str) -> Result<(&str, &str)> {
    query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|rest| rest.rsplit_once(','))
        .map(|(selector, label)| (selector.trim(), label.trim()))
        .with_context(|| format!("`{query}` is no `label_values(SELECTOR, LABEL)`"))
}

/// Whatever is chosen as `All`; windows as short as a test's traffic.
pub fn substituted(expression: &str, range_seconds: u32) -> Result<String> {
    let range = format!("{range_seconds}s");
    let text = expression
        .replace("$__rate_interval", "5s")
        .replace("$__range", &range)
        .replace("$instance", ".*")
        .replace("$cloud", ".*")
        .replace("$workload", ".*");
    ensure!(
        !text.contains('$'),
        "a variable in `{expression}` is not known here"
    );
    Ok(text)
}

/// Labels by metric.
pub struct Declared(BTreeMap<String, BTreeSet<String>>);

impl Declared {
    /// Of the manual's tables, which are written from the declarations.
    pub fn read() -> Result<Self> {
        let declared = Self(rows(&read(MANUAL)?));
        ensure!(declared.0.len() > 10, "`{MANUAL}` has no tables of metrics");
        Ok(declared)
    }

    pub fn has(&self, metric: &str) -> bool {
        self.0.contains_key(metric)
    }

    /// Takes what a recording rule makes, and what is pending, as declared.
    pub fn add(&mut self, metric: &str, labels: BTreeSet<String>) {
        self.0.insert(metric.to_owned(), labels);
    }

    /// That every metric and label of `expression` is declared; `legend` names labels of the result.
    pub fn check(&self, expression: &str, legend: &[String]) -> Result<()> {
        let names = names(expression)?;
        let mut known: BTreeSet<&str> = ADDED.into();
        for selector in &names.selectors {
            if OF_PROMETHEUS.contains(&selector.metric.as_str()) {
                continue;
            }
            let labels = self
                .0
                .get(base(&selector.metric))
                .with_context(|| format!("metric `{}` is not declared", selector.metric))?;
            for label in &selector.labels {
                ensure!(
                    labels.contains(label) || ADDED.contains(&label.as_str()),
                    "`{}` has no label `{label}`",
                    selector.metric
                );
            }
            known.extend(labels.iter().map(String::as_str));
        }
        for label in &names.groupings {
            ensure!(
                known.contains(label.as_str()),
                "nothing in `{expression}` has the label `{label}`"
            );
        }
        for label in legend {
            ensure!(
                known.contains(label.as_str()),
                "`{{{{{label}}}}}` in a legend is no label of `{expression}`"
            );
            ensure!(
                names.groupings.is_empty() || names.groupings.contains(label),
                "`{{{{{label}}}}}` in a legend is aggregated away by `{expression}`"
            );
        }
        Ok(())
    }
}

/// A histogram's own name.
fn base(metric: &str) -> &str {
    OF_HISTOGRAMS
        .iter()
        .find_map(|suffix| metric.strip_suffix(suffix))
        .unwrap_or(metric)
}

/// Name and labels out of rows `| \`name\` | kind | unit | \`label\`, ... | meaning |`.
fn rows(manual: &str) -> BTreeMap<String, BTreeSet<String>> {
    manual
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let name = cells.first()?.strip_prefix("| `")?.strip_suffix('`')?;
            let [_, kind, _, labels, ..] = cells.as_slice() else {
                return None;
            };
            let is_metric = ["counter", "gauge", "histogram"].contains(kind);
            let labels = labels
                .split(", ")
                .map(|label| label.trim_matches('`').to_owned())
                .filter(|label| !label.is_empty());
            is_metric.then(|| (name.to_owned(), labels.collect()))
        })
        .collect()
}

fn placeholders(legend: &str) -> Vec<String> {
    legend
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"))
        .map(|(label, _)| label.trim().to_owned())
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
