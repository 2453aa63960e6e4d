//! Records with verdicts, summed; and what is said where nobody looked.

use observer_core::judge::{compile::ContractText, expression::Vocabulary};
use serde_json::{Value, json};

use super::*;

const RECORD: &str = include_str!("../../../core/tests/golden/record.json");
const BUDGET: &str = include_str!("../../../contracts/budget.yaml");

fn record(changes: &Value) -> Judged {
    let mut record: Value = serde_json::from_str(RECORD).expect("a record");
    for (name, value) in changes.as_object().expect("an object") {
        record[name] = value.clone();
    }
    Judged::parse(record.to_string().as_bytes()).expect("a record")
}

fn verdicts(entries: &[(&str, Option<&str>, &str, &str)]) -> Value {
    let entries = entries.iter().map(|(contract, rule, verdict, reason)| {
        json!({"contract": contract, "rule": rule, "verdict": verdict, "reason": reason})
    });
    entries.collect::<Vec<_>>().into()
}

fn conduct() -> Conduct {
    let mut conduct = Conduct::default();
    let unknown = "cloud not known: \"azure\" would be compliant, any other would be violation";
    for (workload, said) in [
        ("a", json!([])),
        ("a", Value::Null),
        (
            "a",
            verdicts(&[
                ("c", Some("r"), "violation", "cloud=\"aws\""),
                ("d", None, "not_covered", ""),
            ]),
        ),
        (
            "a",
            verdicts(&[("c", Some("r"), "violation", "cloud=\"aws\"")]),
        ),
        (
            "b",
            verdicts(&[("c", Some("r"), "violation", "cloud=\"aws\"")]),
        ),
        (
            "b",
            verdicts(&[(
                "c",
                Some("r"),
                "exempt",
                "exempt by T-1 until 2027-01-01T00:00:00Z: cloud=\"aws\"",
            )]),
        ),
        ("b", verdicts(&[("c", Some("r"), "undetermined", unknown)])),
        ("b", verdicts(&[("c", Some("r"), "undetermined", unknown)])),
        (
            "b",
            verdicts(&[("c", Some("r"), "in_grace", "grace 5 of 9 bytes used: ")]),
        ),
    ] {
        let changes = json!({"workload": workload, "namespace": null, "verdicts": said, "host": format!("host-{workload}")});
        conduct.add(&record(&changes), Stretch::default());
    }
    conduct
}

#[test]
fn verdicts_workloads_exemptions_and_doubts_are_counted() {
    let conduct = conduct();
    let name = RuleName {
        contract: "c".to_owned(),
        rule: Some("r".to_owned()),
    };
    let rule = &conduct.rules[&name];
    let records = Verdict::ALL.iter().map(|verdict| rule.of(*verdict).records);
    assert_eq!(records.collect::<Vec<_>>(), [0, 3, 1, 1, 2, 0]);
    assert_eq!(rule.of(Verdict::Violation).wire_bytes, 3 * 3_200);
    let workloads = rule
        .workloads
        .iter()
        .map(|(name, offence)| (&**name, offence.count.records));
    assert_eq!(workloads.collect::<Vec<_>>(), [("a", 2), ("b", 1)]);
    assert_eq!(rule.exemptions["T-1"].records, 1);
    assert_eq!(rule.reasons["cloud not known"].records, 2);
    let (cost, _) = record(&json!({})).cost.expect("it is priced");
    assert_eq!(rule.cost["USD"], cost + cost + cost);
    let coverage = &conduct.coverage;
    assert_eq!(
        (
            coverage.judged.records,
            coverage.about_nothing.records,
            coverage.by_nobody.records
        ),
        (7, 1, 1)
    );
    assert_eq!(
        (coverage.hosts.len(), coverage.hosts_by_nobody.len()),
        (2, 1)
    );
}

#[test]
fn all_forms_say_the_same() {
    let conduct = conduct();
    let table = conduct.table();
    for part in [
        "3 records of 9.37 KiB are violations; 77.7 % of the bytes were looked at.",
        "Looked at 7 records; 1 that no contract is about; 1 that nobody judged (3.12 KiB), of 1 of 2 hosts.",
        "cloud not known",
        "T-1",
    ] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    let json = conduct.json();
    assert_eq!(json["rules"][0]["verdicts"]["violation"]["records"], 3);
    assert_eq!(json["rules"][0]["violations"][0]["workload"], "a");
    assert_eq!(json["coverage"]["by_nobody"]["records"], 1);
    let html = conduct.html();
    assert!(html.starts_with("<!doctype html>") && html.contains("3 records in violation"));
    assert!(!html.contains("src=") && !html.contains("<script"));
}

#[test]
fn what_records_say_is_escaped_in_a_page() {
    let mut conduct = Conduct::default();
    let said = verdicts(&[("c", Some("r"), "violation", "")]);
    conduct.add(
        &record(&json!({"workload": "<script>x</script>", "verdicts": said})),
        Stretch::default(),
    );
    let html = conduct.html();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script"));
}

#[test]
fn nobody_looked_is_not_no_violation() {
    let mut conduct = Conduct::default();
    conduct.add(&record(&json!({"verdicts": null})), Stretch::default());
    conduct.add(&record(&json!({"verdicts": []})), Stretch::default());
    assert!(
        conduct.lines()[0].starts_with("Nobody looked"),
        "{:?}",
        conduct.lines()
    );
    let said = verdicts(&[("c", Some("r"), "compliant", "")]);
    conduct.add(&record(&json!({"verdicts": said})), Stretch::default());
    assert_eq!(
        conduct.lines()[0],
        "No violation in what was looked at, which is 33.3 % of the bytes."
    );
}

#[test]
fn a_period_is_from_after_its_begin_to_its_end() {
    let record = record(&json!({}));
    let at = record.at();
    for (from, until, has) in [
        (None, None, true),
        (Some(at.0 - 1), Some(at.0), true),
        (Some(at.0), None, false),
        (None, Some(at.0 - 1), false),
    ] {
        let stretch = Stretch {
            from: from.map(UnixUs),
            until: until.map(UnixUs),
        };
        let mut conduct = Conduct::default();
        conduct.add(&record, stretch);
        assert_eq!(conduct.coverage.outside == 0, has, "{from:?} {until:?}");
    }
}

#[test]
fn budgets_are_summed_by_workload_and_day() {
    let text = ContractText {
        name: "budget.yaml",
        text: BUDGET,
    };
    let set = RuleSet::of(&[text], &Vocabulary::default()).expect("right");
    let mut conduct = Conduct::new(Some(&set));
    for (workload, day, cost, currency, cloud) in [
        ("a", 1, "20", "USD", "aws"),
        ("a", 1, "5.000000000001", "USD", "azure"),
        ("a", 2, "25", "USD", "aws"),
        ("b", 1, "24", "USD", "aws"),
        ("b", 1, "24", "EUR", "aws"),
        ("b", 1, "24", "USD", "private"),
    ] {
        let time = format!("2026-03-{day:02}T12:00:00.000000Z");
        let changes = json!({"workload": workload, "namespace": null, "cost_estimate": cost, "currency": currency,
            "cloud": cloud, "provider": null, "interval_start": time, "interval_end": time});
        conduct.add(&record(&changes), Stretch::default());
    }
    let spent = conduct.budgets.spent();
    let [day] = &*spent else {
        panic!("{spent:?}");
    };
    assert_eq!((day.looked_at, day.unknown), (3, 1));
    let over: Vec<_> = day
        .over
        .iter()
        .map(|(period, workload, cost)| (&**period, &**workload, cost.text(12)))
        .collect();
    assert_eq!(over, [("2026-03-01", "a", "25.000000000001".to_owned())]);
    assert!(
        conduct.table().contains("Over budget"),
        "{}",
        conduct.table()
    );
}
