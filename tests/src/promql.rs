//! As much of Prometheus' query language as is needed to ask what an expression names, and what it looks at before it
//! compares. Whether an expression is right at all is Prometheus' own business.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

/// A metric that an expression selects, with the labels it selects by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub metric: String,
    pub labels: BTreeSet<String>,
}

/// What an expression names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub selectors: Vec<Selector>,
    /// Labels that it groups, joins or carries over by.
    pub groupings: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// Metric, function, label, keyword.
    Word(&'a str),
    /// A string, a number or a duration.
    Value,
    Sign(&'a str),
}

/// A token, and where it begins.
type Placed<'a> = (usize, Token<'a>);

const GROUPINGS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const SETS: [&str; 3] = ["and", "or", "unless"];
/// Words that are no metric wherever they stand.
const KEYWORDS: [&str; 5] = ["bool", "offset", "atan2", "inf", "nan"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">=", "<=", ">", "<"];

/// What `expression` names.
pub fn names(expression: &str) -> Result<Names> {
    let tokens = tokens(expression)?;
    let mut names = Names::default();
    let mut index = 0;
    while let Some((_, token)) = tokens.get(index) {
        index += 1;
        let Token::Word(word) = token else { continue };
        let next = tokens.get(index).map(|(_, token)| *token);
        if GROUPINGS.contains(word) {
            if next == Some(Token::Sign("(")) {
                let (labels, end) = words_until(&tokens, index + 1, ")");
                names.groupings.extend(labels);
                index = end;
            }
        } else if is_function(next) || SETS.contains(word) || KEYWORDS.contains(word) {
            // Nothing that is stored.
        } else {
            let mut labels = BTreeSet::new();
            if next == Some(Token::Sign("{")) {
                let (found, end) = words_until(&tokens, index + 1, "}");
                labels.extend(found);
                index = end;
            }
            names.selectors.push(Selector {
                metric: (*word).to_owned(),
                labels,
            });
        }
    }
    Ok(names)
}

/// By what follows the word: its arguments, or how an aggregation groups.
fn is_function(next: Option<Token<'_>>) -> bool {
    matches!(next, Some(Token::Sign("(") | Token::Word("by" | "without")))
}

/// What an alert looks at: `expression` without its outermost comparison, without what it is `unless`, and without
/// `absent`. An alert that joins two conditions has no single answer and is an error.
pub fn without_condition(expression: &str) -> Result<String> {
    let mut depth = 0_u32;
    let mut outermost = Vec::new();
    for (place, token) in tokens(expression)? {
        match token {
            Token::Sign("(" | "{" | "[") => depth += 1,
            Token::Sign(")" | "}" | "]") => depth = depth.saturating_sub(1),
            Token::Word(_) | Token::Value | Token::Sign(_) if depth == 0 => {
                outermost.push((place, token));
            }
            Token::Word(_) | Token::Value | Token::Sign(_) => {}
        }
    }
    if outermost
        .iter()
        .any(|(_, token)| matches!(token, Token::Word("and" | "or")))
    {
        bail!("`{expression}` joins two conditions: give each an alert of its own");
    }
    let condition = outermost.iter().find(|(_, token)| match token {
        Token::Word(word) => *word == "unless",
        Token::Sign(sign) => COMPARISONS.contains(sign),
        Token::Value => false,
    });
    if let Some((place, _)) = condition {
        return Ok(trimmed(&expression[..*place]));
    }
    match expression
        .trim()
        .strip_prefix("absent(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => Ok(trimmed(inner)),
        None => bail!("`{expression}` compares nothing: it would always fire"),
    }
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// The words from token `index` to the sign `end`, and the index behind it.
fn words_until(tokens: &[Placed<'_>], mut index: usize, end: &str) -> (Vec<String>, usize) {
    let mut words = Vec::new();
    while let Some((_, token)) = tokens.get(index) {
        index += 1;
        match token {
            Token::Word(word) => words.push((*word).to_owned()),
            Token::Sign(sign) if *sign == end => break,
            Token::Sign(_) | Token::Value => {}
        }
    }
    (words, index)
}

fn tokens(text: &str) -> Result<Vec<Placed<'_>>> {
    let mut tokens = Vec::new();
    let mut place = 0;
    while let Some(first) = text[place..].chars().next() {
        let rest = &text[place..];
        let (length, token) = match first {
            c if c.is_whitespace() => (c.len_utf8(), None),
            '#' => (rest.find('\n').unwrap_or(rest.len()), None),
            '"' | '\'' | '`' => (string_length(rest, first)?, Some(Token::Value)),
            c if c.is_ascii_digit() || c == '.' => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || c == '.');
                (length, Some(Token::Value))
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                (length, Some(Token::Word(&rest[..length])))
            }
            _ => {
                let two = ["==", "!=", ">=", "<=", "=~", "!~"];
                let length = if two.iter().any(|sign| rest.starts_with(sign)) {
                    2
                } else {
                    first.len_utf8()
                };
                (length, Some(Token::Sign(&rest[..length])))
            }
        };
        tokens.extend(token.map(|token| (place, token)));
        place += length;
    }
    Ok(tokens)
}

fn length_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Of a quoted string with its quotes; a backquoted one has no escapes.
fn string_length(text: &str, quote: char) -> Result<usize> {
    let mut escaped = false;
    for (place, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return Ok(place + 1),
            _ => {}
        }
    }
    bail!("a string in `{text}` does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_functions_keywords_and_strings() {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let selector = |metric: &str, labels: &[&str]| Selector {
            metric: metric.to_owned(),
            labels: set(labels),
        };
        for (expression, selectors, groupings) in [
            ("up", vec![selector("up", &[])], vec![]),
            (
                r#"sum by (cloud, region) (rate(a_total{cloud=~"x|y{z}", host!='b"c'}[5m] offset 1h))"#,
                vec![selector("a_total", &["cloud", "host"])],
                vec!["cloud", "region"],
            ),
            (
                "sum(a) without (le) / on (job) group_left (version) b:c:rate5m > bool 1e6",
                vec![selector("a", &[]), selector("b:c:rate5m", &[])],
                vec!["job", "le", "version"],
            ),
            (
                "a unless on () b and c # or d\n or histogram_quantile(0.95, e_bucket)",
                vec![
                    selector("a", &[]),
                    selector("b", &[]),
                    selector("c", &[]),
                    selector("e_bucket", &[]),
                ],
                vec![],
            ),
            ("a[5m:1m]", vec![selector("a", &[])], vec![]),
        ] {
            let found = names(expression).expect("tokens");
            assert_eq!(found.selectors, selectors, "{expression}");
            assert_eq!(found.groupings, set(&groupings), "{expression}");
        }
    }

    #[test]
    fn a_condition_is_taken_off_and_nothing_else() {
        for (expression, expected) in [
            ("up == 0", Some("up")),
            ("sum(a > 1) >= 2", Some("sum(a > 1)")),
            (r#"a{b!="c", d="e>f"} > 1"#, Some(r#"a{b!="c", d="e>f"}"#)),
            ("a / (b > 0) != bool 1", Some("a / (b > 0)")),
            ("a unless on (job) b", Some("a")),
            ("absent(a{b=\"c\"})", Some("a{b=\"c\"}")),
            ("a > 1 and b > 2", None),
            ("a and b > 2", None),
            ("sum(a > 1)", None),
            ("a", None),
            ("a == \"b", None),
        ] {
            assert_eq!(
                without_condition(expression).ok().as_deref(),
                expected,
                "{expression}"
            );
        }
    }
}
