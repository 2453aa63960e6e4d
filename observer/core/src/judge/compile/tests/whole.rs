//! Files that are right: together, with their own tests, and against the schema.

use super::*;
use crate::judge::case;

#[test]
fn contracts_are_named_once_and_every_file_says_what_is_wrong_with_it() {
    let other = WHOLE.replace("id: sample", "id: other");
    let broken = WHOLE.replace("severity: high", "severity: hig");
    let text = |name, text| ContractText { name, text };
    let twice = [text("a", WHOLE), text("b", &other), text("c", WHOLE)];
    let errors = RuleSet::of(&twice, &vocabulary()).expect_err("twice");
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "c:1:5: `id`: another file has a contract `sample` too"
    );
    let two = [text("a", &broken), text("b", &other), text("c", &broken)];
    let errors = RuleSet::of(&two, &vocabulary()).expect_err("two are broken");
    let files: Vec<&str> = errors.iter().map(|error| &*error.file).collect();
    assert_eq!(files, ["a", "c"]);
    // The version is of what is said, in whatever order.
    let one = RuleSet::of(&[text("a", WHOLE), text("b", &other)], &vocabulary()).expect("right");
    let same = RuleSet::of(&[text("x", &other), text("y", WHOLE)], &vocabulary()).expect("right");
    assert_eq!(one.version(), same.version());
    assert_eq!(one.version().len(), 32);
    let changed = other.replace("2026-07-01", "2026-07-02");
    let changed = RuleSet::of(&[text("a", WHOLE), text("b", &changed)], &vocabulary());
    assert_ne!(changed.expect("right").version(), one.version());
}

#[test]
fn shipped_examples_pass_their_own_tests() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts");
    let files = std::fs::read_dir(directory).expect("the examples");
    let mut seen = 0;
    for file in files {
        let path = file.expect("an example").path();
        let text = std::fs::read_to_string(&path).expect("an example");
        let name = path.display().to_string();
        let set = RuleSet::of(
            &[ContractText {
                name: &name,
                text: &text,
            }],
            &Vocabulary::default(),
        );
        let set = set.unwrap_or_else(|errors| panic!("{errors:?}"));
        for contract in set.contracts() {
            assert_eq!(
                path.file_stem().and_then(|stem| stem.to_str()),
                Some(&*contract.id)
            );
            let tested = case::test(contract);
            assert!(tested.is_good(), "{name}: {tested:#?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 7);
}

#[test]
fn a_schema_takes_what_is_read() {
    let validator =
        jsonschema::validator_for(crate::judge::spec::schema().as_value()).expect("a schema");
    let value = |text: &str| -> serde_json::Value { serde_norway::from_str(text).expect("YAML") };
    for (from, to, expected) in [
        ("owner: team", "owner: team", true),
        ("owner: team", "ower: team", false),
        ("severity: high", "severity: hig", false),
        ("per: day}\n", "per: week}\n", false),
        (
            "expect: {on-azure: compliant}",
            "expect: {on-azure: fine}",
            false,
        ),
        ("    until: 2026-03-01\n", "", false),
        ("parties: [a, b]", "parties: a", false),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_eq!(validator.is_valid(&value(&text)), expected, "{to}");
        assert_eq!(compiled(&text).is_ok(), expected, "{to}");
    }
}

#[test]
fn tests_notice_what_is_missing_and_what_survives() {
    let set = compiled(WHOLE).expect("right");
    let tested = case::test(&set.contracts()[0]);
    assert_eq!(tested.cases, 1);
    assert!(tested.failed.is_empty() && tested.survived.is_empty());
    let missing: Vec<&str> = tested
        .missing
        .iter()
        .map(|(_, verdict)| verdict.word())
        .collect();
    assert_eq!(missing, ["violation", "undetermined"]);
    let wrong = WHOLE
        .replace("cloud: azure}", "cloud: aws}")
        .replace("2026-01-02T", "2026-04-02T");
    let tested = case::test(&compiled(&wrong).expect("right").contracts()[0]);
    let [failed] = &*tested.failed else {
        panic!("{tested:?}");
    };
    assert_eq!((failed.line, failed.found.word()), (26, "in_grace"));
    // A case that expects nothing of the rule notices no change to it.
    let blind = WHOLE
        .replace(
            "expect: {on-azure: compliant}",
            "expect: {on-azure: not_covered}",
        )
        .replace("initiator: local, ", "initiator: remote, ");
    let tested = case::test(&compiled(&blind).expect("right").contracts()[0]);
    assert!(tested.failed.is_empty());
    assert_eq!(tested.survived.len(), 2);
}
