//! Dashboards and rules against real parts: names and labels are declared, promtool takes the rules and the exposition,
//! and a real Prometheus that scrapes the real agent finds data for every panel and every rule.

#[path = "../common/mod.rs"]
mod common;
mod live;
mod repository;

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use observer_tests::prometheus;
use serde_json::json;

use self::repository::{
    Declared, Pending, RULE_TESTS, RULES, dashboards, label_values, path, queries, substituted,
    variables,
};

#[test]
fn dashboards_name_what_is_declared() {
    if let Err(error) = dashboards_are_declared() {
        panic!("{error:#}");
    }
}

fn dashboards_are_declared() -> Result<()> {
    let (mut declared, pending) = (Declared::read()?, Pending::read()?);
    for (metric, labels) in pending.metrics {
        ensure!(
            !declared.has(&metric),
            "`{metric}` is declared: take it out of dashboards/pending.json"
        );
        declared.add(&metric, labels);
    }
    for (file, dashboard) in dashboards()? {
        let queries = queries(&dashboard);
        ensure!(queries.len() > 10, "`{file}` has hardly a query");
        for query in queries {
            let expression = substituted(&query.expression, 60)?;
            declared
                .check(&expression, &query.legend)
                .with_context(|| format!("`{file}`, panel `{}`", query.panel))?;
        }
        for (name, query) in variables(&dashboard) {
            let (selector, label) = label_values(&query)?;
            let counted = format!("count by ({label}) ({selector})");
            declared
                .check(&counted, &[])
                .with_context(|| format!("`{file}`, variable `{name}`"))?;
        }
    }
    Ok(())
}

#[test]
fn what_is_not_declared_is_found() {
    let mut declared = Declared::read().expect("the manual");
    declared.add("a_total", ["cloud".to_owned()].into());
    declared.add("h_seconds", ["cloud".to_owned()].into());
    let legend = |label: &str| vec![label.to_owned()];
    for (expression, shown, is_fine) in [
        (
            r#"sum by (cloud) (a_total{instance="x"})"#,
            legend("cloud"),
            true,
        ),
        (
            "sum by (le) (rate(h_seconds_bucket[5m]))",
            legend("le"),
            true,
        ),
        ("sum by (job) (up)", legend("job"), true),
        ("b_total", vec![], false),
        (r#"a_total{region="x"}"#, vec![], false),
        ("sum by (region) (a_total)", vec![], false),
        ("sum by (cloud) (a_total)", legend("instance"), false),
        ("a_total", legend("region"), false),
    ] {
        let found = declared.check(expression, &shown);
        assert_eq!(found.is_ok(), is_fine, "{expression}: {found:?}");
    }
}

#[test]
fn rules_are_right_by_promtool() {
    let Some(promtool) = prometheus::program("rules_are_right_by_promtool", "promtool") else {
        return;
    };
    for (what, file) in [("check", RULES), ("test", RULE_TESTS)] {
        let output = Command::new(&promtool)
            .args([what, "rules"])
            .arg(path(file))
            .stdin(Stdio::null())
            .output()
            .expect("promtool runs");
        assert!(
            output.status.success(),
            "promtool {what} rules: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A panel of Grafana's is one query or several; none of it is drawn here.
#[test]
fn queries_of_a_dashboard_are_found() {
    let dashboard = json!({"panels": [
        {"title": "row"},
        {"title": "p", "targets": [
            {"expr": "a", "instant": true, "legendFormat": "{{x}}/{{ y }}"},
            {"expr": "b", "instant": false},
        ]},
    ]});
    let found = queries(&dashboard);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].legend, ["x", "y"]);
    assert!(found[0].is_instant && !found[1].is_instant);
    assert!(substituted("rate(a[$__else])", 5).is_err());
    assert!(label_values("label_values(cloud)").is_err());
    assert_eq!(
        label_values("label_values(a{b=~\"$c\", d=\"e\"}, f)").expect("two arguments"),
        ("a{b=~\"$c\", d=\"e\"}", "f")
    );
}
