//! What is tolerated, until it is used up.

use super::*;
use crate::judge::grace::{Graces, Used};

fn graced(grace: &str) -> RuleSet {
    let rules = format!(
        "rules: [{{id: r, when: 'true', require: cloud == \"azure\", severity: low, grace: {grace}, rationale: r}}]"
    );
    set(&[&contract(
        "graced",
        "{from: 2026-01-01, time_zone: Europe/Berlin}",
        &rules,
    )])
}

/// A flow, its id, and what is said of it.
type Step<'s> = (Value, u8, Verdict, &'s str);

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_grace_is_used_up_by_each_workload_and_tells_what_is_used() {
    use Verdict::{InGrace, Violation};
    let flow_of = |workload: &str, day: u8, second: u8, bytes: u64| {
        json!({"cloud": "aws", "workload": workload, "wire_bytes_egress": bytes, "wire_bytes_ingress": 0,
            "interval_start": format!("2026-03-{day:02}T12:00:{second:02}Z"), "interval_end": format!("2026-03-{day:02}T12:00:{second:02}Z")})
    };
    let cases: [(&str, Vec<Step<'_>>); 4] = [
        (
            "{bytes: 1000B}",
            vec![
                (
                    flow_of("a", 1, 0, 600),
                    1,
                    InGrace,
                    "grace 600 of 1000 bytes used: ",
                ),
                (
                    flow_of("b", 1, 0, 600),
                    2,
                    InGrace,
                    "grace 600 of 1000 bytes used: ",
                ),
                (
                    flow_of("a", 1, 1, 400),
                    1,
                    InGrace,
                    "grace 1000 of 1000 bytes used: ",
                ),
                (
                    flow_of("a", 1, 2, 1),
                    1,
                    Violation,
                    "grace 1001 of 1000 bytes used: ",
                ),
                (
                    flow_of("a", 2, 2, 0),
                    1,
                    Violation,
                    "grace 1001 of 1000 bytes used: ",
                ),
            ],
        ),
        (
            "{bytes: 1000B, per: day}",
            vec![
                (
                    flow_of("a", 1, 0, 1001),
                    1,
                    Violation,
                    "grace 1001 of 1000 bytes used: ",
                ),
                (
                    flow_of("a", 2, 0, 5),
                    1,
                    InGrace,
                    "grace 5 of 1000 bytes used: ",
                ),
            ],
        ),
        (
            "{flows: 2, per: month}",
            vec![
                (
                    flow_of("a", 1, 0, 5),
                    1,
                    InGrace,
                    "grace 1 of 2 flows used: ",
                ),
                (
                    flow_of("a", 1, 1, 5),
                    1,
                    InGrace,
                    "grace 1 of 2 flows used: ",
                ),
                (
                    flow_of("a", 1, 2, 5),
                    2,
                    InGrace,
                    "grace 2 of 2 flows used: ",
                ),
                (
                    flow_of("a", 1, 3, 5),
                    3,
                    Violation,
                    "grace 3 of 2 flows used: ",
                ),
                (
                    flow_of("a", 1, 4, 5),
                    1,
                    InGrace,
                    "grace 1 of 2 flows used: ",
                ),
                (
                    flow_of("a", 9, 4, 5),
                    3,
                    Violation,
                    "grace 3 of 2 flows used: ",
                ),
            ],
        ),
        (
            "{time: 30s}",
            vec![
                (
                    flow_of("a", 1, 0, 5),
                    1,
                    InGrace,
                    "grace 0 of 30 seconds used: ",
                ),
                (
                    flow_of("a", 1, 30, 5),
                    2,
                    InGrace,
                    "grace 30 of 30 seconds used: ",
                ),
                (
                    flow_of("a", 1, 31, 5),
                    3,
                    Violation,
                    "grace 31 of 30 seconds used: ",
                ),
            ],
        ),
    ];
    for (grace, steps) in cases {
        let set = graced(grace);
        let mut graces = Graces::default();
        for (fields, id, verdict, reason) in steps {
            let flow = flow(&fields);
            let occasion = Occasion::of(&flow, FlowId([id; 16])).expect("times");
            let found = judge(&flow, &occasion, &set, |contract, rule, count| {
                graces.count(&flow, contract, rule, count)
            });
            let told = found[0].reason.as_deref().unwrap_or_default();
            assert_eq!(found[0].verdict, verdict, "{grace}: {told}");
            assert!(told.starts_with(reason), "{grace}: {told}");
            // One record, judged again without its history.
            let (used, measure) = used_in(told).expect("it is told");
            let again = judge(&flow, &occasion, &set, |contract, rule, count| {
                let own = rule.grace.as_ref().expect("a grace");
                assert_eq!(measure, own.measure);
                assert_eq!(used <= own.limit, found[0].verdict == InGrace);
                count(&mut Used::until(own, &contract.zone, used, &occasion));
                true
            });
            assert_eq!(again, found, "{grace}");
        }
    }
}

#[test]
fn without_room_for_a_grace_nothing_is_claimed() {
    let set = graced("{bytes: 1000B}");
    let flow = flow(&json!({"cloud": "aws"}));
    let occasion = Occasion::of(&flow, FlowId([0; 16])).expect("times");
    let found = judge(&flow, &occasion, &set, |_, _, _| false);
    assert_eq!(found[0].verdict, Verdict::Undetermined);
    assert!(
        found[0]
            .reason
            .as_deref()
            .unwrap_or_default()
            .contains("no room")
    );
}

#[test]
fn a_record_that_tells_any_number_is_no_more_than_beyond_the_limit() {
    for (grace, reason) in [
        ("{flows: 2}", "grace 3 of 2 flows used: "),
        (
            "{bytes: 1000B}",
            "grace 18446744073709551615 of 1000 bytes used: ",
        ),
        ("{time: 30s}", "grace 9223372036854 of 30 seconds used: "),
    ] {
        let set = graced(grace);
        let flow = flow(&json!({"cloud": "aws"}));
        let occasion = Occasion::of(&flow, FlowId([0; 16])).expect("times");
        let found = judge(&flow, &occasion, &set, |contract, rule, count| {
            let own = rule.grace.as_ref().expect("a grace");
            count(&mut Used::until(own, &contract.zone, u64::MAX, &occasion));
            true
        });
        let told = found[0].reason.as_deref().unwrap_or_default();
        assert_eq!(found[0].verdict, Verdict::Violation);
        assert!(told.starts_with(reason), "{told}");
    }
}
