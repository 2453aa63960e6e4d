//! Files that are wrong, each in one place.

mod whole;

use super::*;

/// A contract that is right, and that each case breaks in one place.
const WHOLE: &str = r#"id: sample
title: A sample
parties: [a, b]
reference: {document: agreement, clause: "4.2"}
owner: team
contact: team@example.com
effective: {from: 2026-01-01, until: 2026-07-01, time_zone: America/Los_Angeles}
scope: initiator == "local"
rules:
  - id: on-azure
    when: provider == "openai"
    require: cloud == "azure"
    severity: high
    grace: {bytes: 10MB, per: day}
    rationale: because
exemptions:
  - ticket: T-1
    approver: boss
    rules: [on-azure]
    when: workload == "shop"
    until: 2026-03-01
    reason: because
budgets:
  - {id: day, when: cloud == "aws", amount: "25", currency: USD, per: day, severity: low, rationale: because}
tests:
  - name: right
    at: 2026-01-02T00:00:00
    flow: {initiator: local, provider: openai, cloud: azure}
    expect: {on-azure: compliant}
"#;

pub fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    vocabulary.extend(
        "cloud",
        words(&["aws", "azure", "gcp", "oci", "internet", "private"]),
    );
    vocabulary.extend(
        "provider",
        words(&["openai", "microsoft", "amazon", "anthropic"]),
    );
    vocabulary
}

fn compiled(text: &str) -> Result<RuleSet, Vec<ContractError>> {
    let text = ContractText {
        name: "c.yaml",
        text,
    };
    RuleSet::of(&[text], &vocabulary())
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_malformed_file_is_one_error_with_its_place() {
    assert!(compiled(WHOLE).is_ok(), "{:?}", compiled(WHOLE));
    let deep = format!("id: {}x{}", "[".repeat(5_000), "]".repeat(5_000));
    let bomb = {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (one, next) in "abcdefghi".chars().zip("bcdefghij".chars()) {
            let nine = vec![format!("*{one}"); 9].join(", ");
            let _ = writeln!(text, "{next}: &{next} [{nine}]");
        }
        text
    };
    for (from, to, place, what) in [
        // No YAML, or another document.
        (WHOLE, "", (1, 1), "unexpected end of input"),
        (WHOLE, "- a\n- b\n", (1, 1), "expected"),
        (WHOLE, "just words", (1, 1), "expected"),
        (WHOLE, &*deep, (1, 5), ""),
        (WHOLE, &*bomb, (1, 1), "unknown field `a`"),
        ("parties: [a, b]", "parties: [a, b", (4, 10), ""),
        ("title: A sample", "title: A: sample", (2, 9), ""),
        (
            "owner: team\n",
            "owner: team\n\towner: x\n",
            (5, 8),
            "found a tab",
        ),
        (
            "owner: team\n",
            "owner: team\nowner: again\n",
            (6, 1),
            "duplicate mapping key",
        ),
        ("owner: team\n", "", (24, 1), "missing field `owner`"),
        (
            "owner: team\n",
            "ower: team\n",
            (5, 1),
            "unknown field `ower`",
        ),
        (
            "parties: [a, b]",
            "parties: a",
            (3, 10),
            "expected sequence",
        ),
        (
            "parties: [a, b]",
            "parties: []",
            (1, 5),
            "`parties` is empty",
        ),
        // Ids.
        ("id: sample", "id: a sample", (1, 5), "`a sample` is no id"),
        ("id: sample", "id: \"\"", (1, 5), "is no id"),
        (
            "id: on-azure",
            "id: on/azure",
            (10, 9),
            "`on/azure` is no id",
        ),
        // Dates.
        (
            "from: 2026-01-01",
            "from: January",
            (7, 19),
            "`effective.from`: `January` is no time",
        ),
        (
            "from: 2026-01-01",
            "from: 2026-13-01",
            (7, 19),
            "is no time",
        ),
        (
            "until: 2026-07-01",
            "until: 2025-07-01",
            (7, 38),
            "can never hold: it ends `2025-07-01`, and begins `2026-01-01`",
        ),
        (
            "until: 2026-07-01",
            "until: 2026-01-01",
            (7, 38),
            "can never hold",
        ),
        (
            "until: 2026-07-01",
            "until: 2026-03-08T02:30:00",
            (7, 38),
            "the clocks are set forward over it",
        ),
        (
            "America/Los_Angeles",
            "America/Los_Angels",
            (7, 61),
            "no zone is called `America/Los_Angels`",
        ),
        // Conditions.
        (
            "provider == \"openai\"",
            "provder == \"openai\"",
            (11, 11),
            "`when`: no field is called `provder`; did you mean `provider`?",
        ),
        (
            "provider == \"openai\"",
            "provider == \"openia\"",
            (11, 23),
            "did you mean `openai`?",
        ),
        (
            "cloud == \"azure\"\n",
            "cloud == \"azur\"\n",
            (12, 23),
            "`require`: `cloud` is never `azur`",
        ),
        (
            "cloud == \"azure\"\n",
            "cloud == 5\n",
            (12, 23),
            "is a string and is never 5",
        ),
        (
            "cloud == \"azure\"\n",
            "cloud = \"azure\"\n",
            (12, 20),
            "is no CEL",
        ),
        (
            "cloud == \"azure\"\n",
            "cloud\n",
            (12, 14),
            "is no condition",
        ),
        ("cloud == \"azure\"\n", "\"\"\n", (12, 15), "is empty"),
        (
            "cloud == \"azure\"\n",
            ">-\n      cloud == \"azure\" &&\n      clud == \"aws\"\n",
            (14, 7),
            "no field is called `clud`",
        ),
        (
            "initiator == \"local\"",
            "initiator == \"locale\"",
            (8, 21),
            "did you mean `local`?",
        ),
        (
            "workload == \"shop\"",
            "wrkload == \"shop\"",
            (20, 11),
            "did you mean `workload`?",
        ),
        (
            "provider == \"openai\"",
            "provider == \"openai\" && provider == \"amazon\"",
            (11, 11),
            "`when` can never be: `provider` would be",
        ),
        (
            "provider == \"openai\"",
            "provider == \"openai\" && provider != \"openai\"",
            (11, 11),
            "is not to be",
        ),
        (
            "provider == \"openai\"",
            "initiator == \"remote\"",
            (11, 11),
            "`when` can never be: `initiator` would be",
        ),
        (
            "provider == \"openai\"",
            "false && provider == \"openai\"",
            (11, 11),
            "it is `false`",
        ),
        (
            "cloud == \"azure\"\n",
            "cloud == \"azure\" && cloud == \"aws\"\n",
            (12, 14),
            "`require` can never be",
        ),
        // Rules.
        (
            "severity: high",
            "severity: hig",
            (13, 15),
            "`hig` is none of",
        ),
        (
            "    rationale: because\nexe",
            "exe",
            (14, 5),
            "missing field `rationale`",
        ),
        (
            "grace: {bytes: 10MB, per: day}",
            "grace: {bytes: ten}",
            (14, 12),
            "`ten` is no size",
        ),
        (
            "grace: {bytes: 10MB, per: day}",
            "grace: {}",
            (14, 12),
            "one of `bytes`, `flows` and `time`",
        ),
        (
            "grace: {bytes: 10MB, per: day}",
            "grace: {bytes: 1MB, flows: 2}",
            (14, 12),
            "and no second one",
        ),
        (
            "grace: {bytes: 10MB, per: day}",
            "grace: {bytes: 0B}",
            (14, 12),
            "tolerates nothing",
        ),
        (
            "grace: {bytes: 10MB, per: day}",
            "grace: {flows: 5000}",
            (14, 12),
            "more than 1024 flows",
        ),
        (
            "grace: {bytes: 10MB, per: day}",
            "grace: {time: soon}",
            (14, 12),
            "`soon` is no duration",
        ),
        ("per: day}", "per: week}", (14, 31), "week"),
        // Exemptions.
        (
            "    until: 2026-03-01\n",
            "",
            (21, 5),
            "missing field `until`",
        ),
        (
            "    approver: boss\n",
            "",
            (21, 5),
            "missing field `approver`",
        ),
        (
            "until: 2026-03-01",
            "until: 2025-03-01",
            (21, 12),
            "`exemption` can never hold",
        ),
        (
            "until: 2026-03-01",
            "from: 2026-07-01\n    until: 2026-08-01",
            (21, 11),
            "the contract has ended when it begins",
        ),
        (
            "rules: [on-azure]",
            "rules: [on-azur]",
            (19, 13),
            "no rule is called `on-azur`; did you mean `on-azure`?",
        ),
        (
            "rules: [on-azure]",
            "rules: []",
            (17, 13),
            "`rules` is empty",
        ),
        // Budgets.
        (
            "amount: \"25\"",
            "amount: \"-25\"",
            (24, 45),
            "`-25` is no amount above 0",
        ),
        (
            "amount: \"25\"",
            "amount: \"0\"",
            (24, 45),
            "is no amount above 0",
        ),
        (
            "currency: USD",
            "currency: dollars",
            (24, 45),
            "`dollars` is no currency",
        ),
        // Tests.
        (
            "cloud: azure}",
            "clud: azure}",
            (28, 11),
            "`flow`: no field is called `clud`; did you mean `cloud`?",
        ),
        (
            "cloud: azure}",
            "cloud: azur}",
            (28, 11),
            "`cloud` is never `azur`",
        ),
        (
            "cloud: azure}",
            "remote_port: https}",
            (28, 11),
            "is to be a unsigned integer",
        ),
        (
            "cloud: azure}",
            "interval_end: 2026-01-02T00:00:00Z}",
            (28, 11),
            "say when it happens by `at`",
        ),
        (
            "at: 2026-01-02T00:00:00",
            "at: noon",
            (27, 9),
            "`at`: `noon` is no time",
        ),
        (
            "expect: {on-azure: compliant}",
            "expect: {on-azur: compliant}",
            (26, 11),
            "no rule is called `on-azur`",
        ),
        (
            "expect: {on-azure: compliant}",
            "expect: {on-azure: fine}",
            (29, 24),
            "`fine` is none of",
        ),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let errors = compiled(&text).expect_err(to);
        let [error] = &*errors else {
            panic!("{to}: {errors:?}");
        };
        assert_eq!(error.file, "c.yaml");
        assert!(error.what.contains(what), "{from} -> {to}: {error}");
        assert_eq!(error.place, Some(place), "{from} -> {to}: {error}");
        assert!(!error.what.contains('\n'), "{error}");
    }
    let long = format!("{WHOLE}# {}\n", "x".repeat(FILE_BYTES_MAX));
    let errors = compiled(&long).expect_err("too long");
    assert_eq!(errors[0].to_string(), "c.yaml: longer than 1048576 bytes");
}
