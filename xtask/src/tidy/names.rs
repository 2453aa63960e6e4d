//! Names that users see: a metric or record field that is mentioned is declared, and one that is declared is documented.
//! Says nothing of a kind of name whose declarations are not there.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use super::{Finding, files::Files};

const METRICS: &str = "observer/src/metrics/declare.rs";
/// Files of it.
const METRICS_PARTS: &str = "observer/src/metrics/declare/";
/// Metrics that dashboards ask for and that are not exported yet.
const PENDING: &str = "dashboards/pending.json";
/// Where Prometheus' rules record metrics under names of their own, with colons.
const RULES: &str = "dashboards/rules/";
const RECORD: &str = "observer/core/src/model/record.rs";
/// Its public struct is the record; its fields are the names.
const RECORD_STRUCT: &str = "Record";

/// Names that begin like a metric and are none: the workspace's crates.
const CRATES: [&str; 4] = [
    "observer_core",
    "observer_ebpf",
    "observer_ledger",
    "observer_tests",
];
/// What Prometheus adds to a histogram's name.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

pub fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(text) = files.text(METRICS) {
        let parts = files
            .texts()
            .filter(|(path, _)| path.starts_with(METRICS_PARTS));
        let mut declared = metric_names(text);
        declared.extend(parts.flat_map(|(_, text)| metric_names(text)));
        let pending = pending(files);
        findings.extend(declared.intersection(&pending).map(|name| {
            let what = format!("metric `{name}` is declared in `{METRICS}`: it is not pending");
            Finding::new(PENDING, 0, what)
        }));
        let mut known: BTreeSet<String> = declared.union(&pending).cloned().collect();
        known.extend(recorded(files));
        findings.extend(undeclared(files, &known));
        findings.extend(undocumented(files, METRICS, &declared));
    }
    if let Some(text) = files.text(RECORD) {
        findings.extend(undocumented(files, RECORD, &fields(text)));
    }
    findings
}

/// Documentation and dashboards mention declared metrics only.
fn undeclared(files: &Files, declared: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.texts().filter(|(path, _)| tells_users(path)) {
        for (i, line) in text.lines().enumerate() {
            for name in metrics_in(line) {
                let base = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
                let known = |name: &str| declared.contains(name) || CRATES.contains(&name);
                if !known(name) && !base.is_some_and(known) {
                    let what = format!("metric `{name}` is not declared in `{METRICS}`");
                    findings.push(Finding::new(path, i + 1, what));
                }
            }
        }
    }
    findings
}

/// Keys of `metrics` in the list of what is pending.
fn pending(files: &Files) -> BTreeSet<String> {
    let list: serde_json::Value = files
        .text(PENDING)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let metrics = list["metrics"].as_object();
    metrics
        .into_iter()
        .flat_map(|metrics| metrics.keys().cloned())
        .collect()
}

/// Names that rules record.
fn recorded(files: &Files) -> BTreeSet<String> {
    files
        .texts()
        .filter(|(path, _)| path.starts_with(RULES))
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .map(str::to_owned)
        .collect()
}

/// Every declared name stands in the manual, once there is one.
fn undocumented(files: &Files, path: &str, declared: &BTreeSet<String>) -> Vec<Finding> {
    let manual: Vec<&str> = files
        .texts()
        .filter(|(path, _)| path.starts_with("docs/"))
        .map(|(_, text)| text)
        .collect();
    if manual.is_empty() {
        return Vec::new();
    }
    let words: BTreeSet<&str> = manual.iter().flat_map(|text| words(text)).collect();
    declared
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .map(|name| Finding::new(path, 0, format!("`{name}` is not documented in `docs/`")))
        .collect()
}

fn tells_users(path: &str) -> bool {
    path == "README.md"
        || ["docs/", "dashboards/", "deploy/"]
            .iter()
            .any(|folder| path.starts_with(folder))
}

fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .map(|word| word.trim_matches(':'))
        // A recorded name has the metric's between its colons.
        .filter(|word| word.starts_with("observer_") || word.contains(":observer_"))
        .filter(|word| !word.ends_with('_'))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// String literals of the declarations that are metric names.
fn metric_names(text: &str) -> BTreeSet<String> {
    let stream: TokenStream = text.parse().unwrap_or_default();
    let mut names = BTreeSet::new();
    walk(stream, &mut |tree| {
        if let TokenTree::Literal(literal) = tree {
            let text = literal.to_string();
            let name = text.trim_matches('"');
            if text.starts_with("\"observer_") && metrics_in(name).next() == Some(name) {
                names.insert(name.to_owned());
            }
        }
    });
    names
}

/// Fields of [`RECORD_STRUCT`].
fn fields(text: &str) -> BTreeSet<String> {
    let stream: TokenStream = text.parse().unwrap_or_default();
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut names = BTreeSet::new();
    for window in trees.windows(3) {
        let [
            TokenTree::Ident(keyword),
            TokenTree::Ident(name),
            TokenTree::Group(body),
        ] = window
        else {
            continue;
        };
        if keyword == "struct" && name == RECORD_STRUCT {
            let body: Vec<TokenTree> = body.stream().into_iter().collect();
            names.extend(body.windows(3).filter_map(field));
        }
    }
    names
}

/// The name in `pub NAME :`.
fn field(window: &[TokenTree]) -> Option<String> {
    let [
        TokenTree::Ident(public),
        TokenTree::Ident(name),
        TokenTree::Punct(colon),
    ] = window
    else {
        return None;
    };
    (public == "pub" && colon.as_char() == ':').then(|| name.to_string())
}

fn walk(stream: TokenStream, visit: &mut impl FnMut(&TokenTree)) {
    for tree in stream {
        visit(&tree);
        if let TokenTree::Group(group) = tree {
            walk(group.stream(), visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARE: &str = r#"
        //! Metrics; not `observer_comment_total`.
        pub const BYTES: Metric = Metric { name: "observer_wire_bytes_total", help: "observer_ is a prefix" };
        pub const RTT: Metric = metric("observer_rtt_seconds", "round trips");
    "#;

    fn findings(docs: &str) -> Vec<String> {
        let files = [(METRICS, DECLARE), ("docs/metrics.md", docs)];
        check(&Files::of(&files))
            .into_iter()
            .map(|f| f.what)
            .collect()
    }

    #[test]
    fn declared_and_documented_is_fine() {
        let docs = "`observer_wire_bytes_total`, `observer_rtt_seconds_bucket`, `observer_rtt_seconds`; \
                    crate observer_core; names begin with observer_";
        assert_eq!(findings(docs), [""; 0]);
    }

    #[test]
    fn a_name_in_the_manual_must_be_declared() {
        let found =
            findings("observer_wire_bytes_total observer_rtt_seconds observer_comment_total");
        assert_eq!(
            found,
            [format!(
                "metric `observer_comment_total` is not declared in `{METRICS}`"
            )]
        );
    }

    #[test]
    fn a_declared_name_must_be_in_the_manual() {
        let found = findings("observer_wire_bytes_total");
        assert_eq!(
            found,
            ["`observer_rtt_seconds` is not documented in `docs/`"]
        );
    }

    #[test]
    fn what_is_pending_or_recorded_may_be_named() {
        let pending = r#"{"metrics": {"observer_series": [], "observer_rtt_seconds": []}}"#;
        let rules = "  - record: a:observer_wire_bytes:rate5m\n    expr: observer_none_total\n";
        let docs = "observer_wire_bytes_total observer_rtt_seconds observer_series \
                    `a:observer_wire_bytes:rate5m` b:observer_wire_bytes:rate5m runbook: observer_x:";
        let files = [
            (METRICS, DECLARE),
            ("docs/metrics.md", docs),
            (PENDING, pending),
            ("dashboards/rules/a.yaml", rules),
        ];
        let found: Vec<String> = check(&Files::of(&files))
            .into_iter()
            .map(|f| f.what)
            .collect();
        assert_eq!(
            found,
            [
                "metric `observer_rtt_seconds` is declared in `observer/src/metrics/declare.rs`: it is not pending",
                "metric `observer_none_total` is not declared in `observer/src/metrics/declare.rs`",
                "metric `b:observer_wire_bytes:rate5m` is not declared in `observer/src/metrics/declare.rs`",
                "metric `observer_x` is not declared in `observer/src/metrics/declare.rs`",
            ]
        );
    }

    #[test]
    fn record_fields_must_be_in_the_manual() {
        let record = "pub struct Record {\n/// Doc: x.\npub flow_id: String,\n#[serde(flatten)]\npub pid: Option<u32>,\n}";
        let files = Files::of(&[(RECORD, record), ("docs/record.md", "| `pid` |")]);
        let found: Vec<String> = check(&files).into_iter().map(|f| f.what).collect();
        assert_eq!(found, ["`flow_id` is not documented in `docs/`"]);
    }

    #[test]
    fn without_declarations_nothing_is_said() {
        assert!(check(&Files::of(&[("docs/a.md", "observer_unknown_total")])).is_empty());
    }
}
