//! Expressions that were written to take time, memory or stack. Each ends in an error or an expression, on a thread with the
//! stack that threads have; times are printed (`--nocapture`), and bounded by nothing but the texts' own bounds.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::{
    judge::expression::{Expression, Flow, Truth},
    model::fact::{FlowFacts, Kept},
};

fn repeated(part: &str, between: &str) -> String {
    let mut text = part.to_owned();
    while text.len() + between.len() + part.len() <= EXPRESSION_BYTES_MAX {
        text.push_str(between);
        text.push_str(part);
    }
    text
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn hostile() -> Vec<(&'static str, String)> {
    let brackets = |open: &str, close: &str, times: usize| {
        format!("{}true{}", open.repeat(times), close.repeat(times))
    };
    let longest = "a".repeat(EXPRESSION_BYTES_MAX - 16);
    vec![
        ("brackets to the bound", brackets("(", ")", NESTING_MAX)),
        ("brackets beyond it", brackets("(", ")", 2_000)),
        ("brackets without an end", "(".repeat(2_000)),
        ("ends without brackets", ")".repeat(2_000)),
        ("lists in lists", brackets("[", "]", NESTING_MAX)),
        ("negations to the bound", "!".repeat(16) + "true"),
        ("negations beyond it", "!".repeat(4_000) + "true"),
        (
            "negations in brackets",
            format!(
                "{}true{}",
                "!(".repeat(NESTING_MAX),
                ")".repeat(NESTING_MAX)
            ),
        ),
        ("minuses", format!("0 < {}1", "-".repeat(4_000))),
        (
            "sums to the bound",
            format!(
                "0 < {}",
                repeated("remote_port", " + ")
                    .split_at(100)
                    .0
                    .trim_end_matches([' ', '+', 'r', 'e'])
            ),
        ),
        ("a sum beyond it", format!("0 < {}", repeated("1", "+"))),
        ("ternaries", format!("{}true", "true ? true : ".repeat(250))),
        (
            "ternaries in brackets",
            format!(
                "{}true{}",
                "(true ? true : ".repeat(NESTING_MAX),
                ")".repeat(NESTING_MAX)
            ),
        ),
        ("fields of fields", repeated("cloud", ".")),
        (
            "indexes of indexes",
            format!("cloud{}", "[0]".repeat(1_000)),
        ),
        ("calls of calls", format!("cloud{}", ".size()".repeat(500))),
        ("comparisons of comparisons", repeated("cloud", " == ")),
        ("alternatives", repeated("cloud == \"aws\"", " || ")),
        ("conditions", repeated("cloud == \"aws\"", " && ")),
        (
            "both in turn",
            repeated("cloud == \"aws\" || region == \"x\"", " && "),
        ),
        (
            "a long list",
            format!(
                "cloud in [{}]",
                repeated("\"a\"", ",")
                    .split_at(4_000)
                    .0
                    .trim_end_matches(['"', 'a', ','])
                    .to_owned()
                    + "\""
            ),
        ),
        (
            "a long text",
            format!("cloud == \"{}\"", "a".repeat(EXPRESSION_BYTES_MAX - 12)),
        ),
        (
            "a text without an end",
            format!("cloud == \"{}", "a".repeat(4_000)),
        ),
        ("a long name", longest),
        (
            "a long number",
            format!("remote_port == {}", "9".repeat(4_000)),
        ),
        ("escapes", format!("cloud == \"{}\"", "\\u0041".repeat(600))),
        ("half an escape", "cloud == \"\\u00".to_owned()),
        (
            "macros in macros",
            format!(
                "{}true{}",
                "path_elements.exists(e, ".repeat(NESTING_MAX),
                ")".repeat(NESTING_MAX)
            ),
        ),
        (
            "a map of maps",
            format!("{}1{}", "{1: ".repeat(NESTING_MAX), "}".repeat(NESTING_MAX)),
        ),
        (
            "a pattern that backtracks elsewhere",
            "server_name.matches(\"(a+)+(a+)+(a+)+$\")".to_owned(),
        ),
        (
            "a pattern that grows",
            "server_name.matches(\"((((a{100}){100}){100}){100})\")".to_owned(),
        ),
        (
            "a pattern of classes",
            format!("server_name.matches(\"{}\")", "\\\\w".repeat(1_300)),
        ),
        ("nothing but signs", "<>=!&|".repeat(600)),
        ("zero bytes", "\0".repeat(4_000)),
        ("wide letters", "é".repeat(2_000)),
        ("letters that combine", "e\u{301}".repeat(1_000)),
        ("blanks", " ".repeat(4_000)),
        ("comments", repeated("// x", "\n")),
    ]
}

#[test]
fn each_ends() {
    let mut facts = FlowFacts::default();
    let name = FieldId::named("server_name").expect("a field");
    facts.set(name, Kept::Text(Word::from("a".repeat(253).as_str())));
    for (what, text) in hostile() {
        let start = Instant::now();
        let parsed = Expression::parse(&text, &Vocabulary::default());
        let parsing = start.elapsed();
        let start = Instant::now();
        let answer = parsed
            .as_ref()
            .map(|expression| expression.truth(&Flow(&facts)));
        let told = match &answer {
            Ok(truth) => format!("{truth:?}"),
            Err(fault) => {
                assert!(fault.offset <= text.len(), "{what}: {}", fault.offset);
                assert!(
                    text.is_char_boundary(fault.offset),
                    "{what}: {}",
                    fault.offset
                );
                assert!(
                    fault.what.len() <= 512,
                    "{what}: {} bytes of message",
                    fault.what.len()
                );
                fault.what.chars().take(60).collect()
            }
        };
        println!(
            "{what}: {parsing:?} to parse, {:?} to answer: {told}",
            start.elapsed()
        );
    }
}

#[test]
fn a_pattern_takes_time_linear_in_the_text() {
    let text = "server_name.matches(\"^(a+)+$\")";
    let expression = Expression::parse(text, &Vocabulary::default()).expect("a pattern");
    let mut facts = FlowFacts::default();
    let name = FieldId::named("server_name").expect("a field");
    // A backtracking engine would need 2^100000 steps.
    facts.set(
        name,
        Kept::Text(Word::from(("a".repeat(100_000) + "!").as_str())),
    );
    assert_eq!(expression.truth(&Flow(&facts)), Truth::No);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn anything_is_an_expression_or_a_fault(text in "\\PC{0,80}") {
        if let Err(fault) = Expression::parse(&text, &Vocabulary::default()) {
            prop_assert!(text.is_char_boundary(fault.offset), "{} in {}", fault.offset, text);
        }
    }

    #[test]
    fn what_looks_like_cel_is_an_expression_or_a_fault(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "cloud", "remote_port", "known", "(", ")", "[", "]", "==", "!=", "<", "in", "&&", "||", "!", "?", ":", ".", ",", "\"aws\"",
            "'x'", "443", "-1", "1.5", "true", "null", "matches", "size", "timestamp", "namespace", "exists", "has", "{", "}", "//", "\n",
        ]), 0..24),
    ) {
        let text = parts.join(" ");
        if let Ok(expression) = Expression::parse(&text, &Vocabulary::default()) {
            let shown = expression.root().to_string();
            prop_assert!(Expression::parse(&shown, &Vocabulary::default()).is_ok(), "{text} is shown as {shown}");
        }
    }
}
