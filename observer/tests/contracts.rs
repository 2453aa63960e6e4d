//! `observer contract` and the reports over verdicts, as a user calls them.

mod common;

use common::{Folder, Verb};
use serde_json::{Value, json};

const CONTRACT: Verb = Verb("contract");
const REPORT: Verb = Verb("report");
const SPLIT: &str = include_str!("../contracts/openai-microsoft-2025-10.yaml");
const LATER: &str = include_str!("../contracts/openai-microsoft-2026-04.yaml");
const RECORD: &str = include_str!("../core/tests/golden/record.json");

fn presets() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/contracts").to_owned()
}

/// Records of stateless requests to a model on Bedrock, on these days; what was said of them then.
fn flows(folder: &Folder, name: &str, days: &[(&str, Value)]) -> String {
    let lines = days.iter().enumerate().map(|(nth, (day, verdicts))| {
        let mut record: Value = serde_json::from_str(RECORD).expect("a record");
        let changes = json!({
            "interval_start": format!("{day}T12:00:00.000000Z"), "interval_end": format!("{day}T12:00:05.000000Z"),
            "provider": "amazon", "vendor": "openai", "service": "bedrock-runtime", "cloud": "aws", "api_state": "stateless",
            "confidence": "certain", "flow_id": format!("{nth:032x}"), "verdicts": verdicts, "workload": "web", "namespace": "shop",
            "front": null, "path_kind": "internet",
        });
        for (field, value) in changes.as_object().expect("an object") {
            record[field] = value.clone();
        }
        record.to_string() + "\n"
    });
    folder.file(name, &lines.collect::<String>())
}

#[test]
fn presets_are_whole_and_tested() {
    let checked = CONTRACT.done(&["check", &presets()]);
    for part in [
        "openai-microsoft-2025-10: 1 rules",
        "it has ended",
        "budget: 0 rules, 0 exemptions, 1 budgets",
        "rules_version ",
    ] {
        assert!(checked.contains(part), "{part} in {checked}");
    }
    // A row that no catalogue knows is a note and no error.
    assert!(!checked.contains("nothing in the catalogue"), "{checked}");
    let tested = CONTRACT.done(&["test", "--output", "json", &presets()]);
    let tested: Value = serde_json::from_str(&tested).expect("JSON");
    let tested = tested.as_array().expect("a list");
    assert_eq!(tested.len(), 7);
    assert!(tested.iter().all(|one| one["ok"] == true), "{tested:?}");
    let schema: Value = serde_json::from_str(&CONTRACT.done(&["schema"])).expect("JSON");
    assert_eq!(schema["required"][0], "id");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_nothing_runs() {
    let folder = Folder::new("contract-check");
    let wrong = folder.file(
        "wrong.yaml",
        &SPLIT.replace("require: cloud == \"azure\"", "require: cloud == \"azur\""),
    );
    CONTRACT.refused(
        &["check", &wrong],
        &[
            "wrong.yaml:27:23: `require`: `cloud` is never `azur`",
            "did you mean `azure`?",
        ],
    );
    CONTRACT.refused(&["test", &wrong], &["wrong.yaml:27:23"]);
    let none = folder.path("none.yaml");
    CONTRACT.refused(&["check", &none], &["none.yaml"]);
    let empty = folder.path("empty");
    std::fs::create_dir(&empty).expect("a folder");
    CONTRACT.refused(&["check", &empty], &["no file in it ends in `.yaml`"]);
    let twice = folder.file("twice.yaml", SPLIT);
    CONTRACT.refused(
        &["check", &twice, &presets()],
        &["another file has a contract `openai-microsoft-2025-10` too"],
    );
}

#[test]
fn a_test_that_fails_is_told() {
    let folder = Folder::new("contract-test");
    let wrong = folder.file(
        "wrong.yaml",
        &SPLIT.replacen(
            "{stateless-on-azure: compliant}",
            "{stateless-on-azure: violation}",
            1,
        ),
    );
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["contract", "test", &wrong])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    for part in [
        "NOT ok, 9 of 10 cases",
        "stateless-on-azure is compliant, expected violation",
        "no case expects compliant",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn one_flow_is_explained() {
    let folder = Folder::new("contract-explain");
    let rules = folder.file("split.yaml", SPLIT);
    let flow = r#"{"provider": "amazon", "vendor": "openai", "service": "bedrock-runtime", "cloud": "aws", "api_state": "stateless"}"#;
    let said = CONTRACT.done(&[
        "explain",
        "--rules",
        &rules,
        "--at",
        "2026-03-01T00:00:00Z",
        flow,
    ]);
    for part in [
        "stateless-on-azure: violation",
        "no       cloud == \"azure\"    [cloud=\"aws\"]",
        "would be compliant with cloud=\"azure\"",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = CONTRACT.done(&[
        "explain",
        "--rules",
        &rules,
        "--at",
        "2026-05-01T00:00:00Z",
        flow,
    ]);
    assert_eq!(said, "No contract is in force at the time of this flow.\n");
    let records = flows(
        &folder,
        "flows.jsonl",
        &[("2026-05-01", Value::Null), ("2026-03-01", Value::Null)],
    );
    let said = CONTRACT.done(&[
        "explain", "--rules", &rules, "--output", "json", "--line", "2", &records,
    ]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said[0]["verdict"], "violation");
    CONTRACT.refused(
        &["explain", "--rules", &rules, r#"{"clud": "aws"}"#],
        &["no field is called `clud`; did you mean `cloud`?"],
    );
    CONTRACT.refused(
        &["explain", "--rules", &rules, r#"{"cloud": 5}"#],
        &["`cloud` is 5, and is to be a string"],
    );
}

#[test]
fn the_flows_own_time_decides_which_terms_hold() {
    let folder = Folder::new("contract-replay");
    let (split, later) = (
        folder.file("split.yaml", SPLIT),
        folder.file("later.yaml", LATER),
    );
    let violation = json!([{"contract": "openai-microsoft-2025-10", "rule": "stateless-on-azure", "verdict": "violation", "reason": ""}]);
    let compliant = json!([{"contract": "openai-microsoft-2026-04", "rule": "openai-on-approved-clouds", "verdict": "compliant", "reason": ""}]);
    let records = flows(
        &folder,
        "flows.jsonl",
        &[
            ("2026-04-20", violation.clone()),
            ("2026-04-25", violation),
            ("2026-05-02", compliant),
        ],
    );
    // Both terms together give each flow what it was given at its time.
    let same = CONTRACT.done(&["replay", "--rules", &split, "--rules", &later, &records]);
    assert_eq!(
        same,
        "0 of 3 records get another verdict; 3 verdicts stay.\n"
    );
    let without = CONTRACT.done(&[
        "replay",
        "--rules",
        &later,
        "--against",
        &split,
        "--output",
        "json",
        &records,
    ]);
    let without: Value = serde_json::from_str(&without).expect("JSON");
    assert_eq!(without["changed"], 3);
    let gone = without["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["before"] == "violation")
        .expect("a row");
    assert_eq!(
        (&gone["after"], &gone["records"], &gone["wire_bytes"]),
        (&Value::Null, &json!(2), &json!(6_400))
    );
    assert!(gone["cost_estimates"]["USD"].is_string(), "{gone}");
    CONTRACT.refused(
        &["replay", "--rules", &split, &folder.file("empty.jsonl", "")],
        &["no flow record in the files"],
    );
}

#[test]
fn reports_tell_verdicts_and_who_looked() {
    let folder = Folder::new("contract-report");
    let violation =
        json!([{"contract": "c", "rule": "r", "verdict": "violation", "reason": "cloud=\"aws\""}]);
    let records = flows(
        &folder,
        "flows.jsonl",
        &[
            ("2026-03-01", violation),
            ("2026-03-02", Value::Null),
            ("2026-04-01", json!([])),
        ],
    );
    let said = REPORT.done(&[
        "contract",
        "--until",
        "2026-03-31",
        "--rules",
        &presets(),
        &records,
    ]);
    for part in [
        "shop/web",
        "1 records of 3.12 KiB are violations; 50.0 % of the bytes were looked at.",
        "1 that nobody judged",
        "1 records are outside the period.",
        "Budget day of budget",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let page = folder.path("page.html");
    REPORT.done(&["contract", "--output", "html", "--into", &page, &records]);
    let page = String::from_utf8(folder.bytes("page.html")).expect("UTF-8");
    assert!(
        page.starts_with("<!doctype html>") && page.contains("shop/web"),
        "{page}"
    );
    let hops = REPORT.done(&["hops", "--output", "json", &records]);
    let hops: Value = serde_json::from_str(&hops).expect("JSON");
    assert_eq!(hops[0]["hops"][0]["service"], "bedrock-runtime");
    REPORT.refused(
        &[
            "contract",
            "--from",
            "2026-03-01",
            &folder.file("none.jsonl", "{}\n"),
        ],
        &["no flow record in the files", "`schema_version` is null"],
    );
}
