//! Why a verdict is what it is, in one line: the values that the rule looked at, what is not known and what it would decide, and
//! what was used of a grace. The last can be read again.

use std::fmt::Write as _;

use super::{
    super::{
        contract::{Contract, Grace, Measure, Rule, Within},
        expression::{FieldSet, Literal, Reading, Source, Supposing, ToldApart, Truth},
    },
    Occasion, Ruled, outcome,
};
use crate::model::{
    fact::{Fact, FieldId},
    names::Verdict,
    time::UnixUs,
};

/// Of one reason; what is longer is cut.
pub const REASON_BYTES_MAX: usize = 512;
/// Of one value in it.
const VALUE_BYTES_MAX: usize = 96;
/// Values of a field that are tried to say what they would decide.
const CANDIDATES_MAX: usize = 12;
/// Ways to fill in several fields that are tried.
const READINGS_MAX: usize = 128;

/// What a verdict is about.
pub struct Because<'a, S> {
    pub flow: &'a S,
    pub occasion: &'a Occasion,
    pub contract: &'a Contract,
    pub rule: &'a Rule,
}

impl<S: Source> Because<'_, S> {
    /// The fields that the rule names, as they are.
    pub fn values(&self) -> String {
        let fields = self.rule.when.fields().and(self.rule.require.fields());
        let valued = self.rule.when.valued().and(self.rule.require.valued());
        let mut text = String::new();
        for field in fields.iter() {
            let comma = if text.is_empty() { "" } else { ", " };
            let name = field.name();
            let _ = match self.flow.read(field) {
                Reading::Known(_) if !valued.has(field) => write!(text, "{comma}{name} known"),
                Reading::Known(fact) => write!(text, "{comma}{name}={}", value(fact)),
                Reading::Doubt(doubt) => write!(text, "{comma}{name} {}", doubt.word()),
            };
        }
        cut(text)
    }

    pub fn exempt(&self, by: usize) -> String {
        let Some(exemption) = self.rule.exemptions.get(by) else {
            return self.values();
        };
        let until = exemption.span.until.map(moment).unwrap_or_default();
        cut(format!(
            "exempt by {} until {until}: {}",
            exemption.ticket,
            self.values()
        ))
    }

    /// What is not known, and what it would decide.
    pub fn undetermined(&self) -> String {
        let doubts = self.doubts();
        let mut fields = doubts.iter();
        let text = match (fields.next(), fields.next()) {
            (None, _) => self.edge(),
            (Some(field), None) => self.one(field),
            (Some(_), Some(_)) => self.several(doubts),
        };
        cut(text)
    }

    fn doubts(&self) -> FieldSet {
        let Self { flow, rule, .. } = self;
        let mut doubts = rule.when.doubts(*flow);
        if let Some(scope) = &self.contract.scope {
            doubts = doubts.and(scope.doubts(*flow));
        }
        doubts = doubts.and(rule.require.doubts(*flow));
        if rule.require.truth(*flow) == Truth::No {
            for exemption in &rule.exemptions {
                if let Some(when) = &exemption.when {
                    doubts = doubts.and(when.doubts(*flow));
                }
            }
        }
        doubts
    }

    /// Everything is known, but the record is on both sides of a date.
    fn edge(&self) -> String {
        let Occasion { start, end, .. } = *self.occasion;
        let exemptions = self.rule.exemptions.iter().map(|exemption| exemption.span);
        let mut spans = std::iter::once(self.contract.span).chain(exemptions);
        let edge = spans.find_map(|span| match span.holds(start, end) {
            Within::Crosses(edge) => Some(edge),
            Within::Inside | Within::Outside => None,
        });
        match edge {
            Some(edge) => format!(
                "the record is from before and after {}: {}",
                moment(edge),
                self.values()
            ),
            None => format!("a number has no room in 64 bits: {}", self.values()),
        }
    }

    fn one(&self, field: FieldId) -> String {
        let mut text = format!("{} {}", field.name(), self.doubted(field));
        let told = self.told_apart(field);
        if !told.is_closed || told.literals.len() > CANDIDATES_MAX {
            return text;
        }
        // Values by what they would decide, in the order in which they are written.
        let mut decided: Vec<(&str, Vec<String>)> = Vec::new();
        for (literal, kept) in told.candidates() {
            let supposed = Supposing {
                flow: self.flow,
                values: vec![(field, kept)],
            };
            let word = self.word(&supposed);
            let literal = literal.map_or("any other".to_owned(), Literal::to_string);
            match decided.iter_mut().find(|(own, _)| *own == word) {
                Some((_, literals)) => literals.push(literal),
                None => decided.push((word, vec![literal])),
            }
        }
        let decided = decided
            .iter()
            .map(|(word, literals)| format!("{} would be {word}", literals.join(" or ")));
        let _ = write!(text, ": {}", decided.collect::<Vec<_>>().join(", "));
        text
    }

    fn several(&self, doubts: FieldSet) -> String {
        let names: Vec<String> = doubts
            .iter()
            .map(|field| format!("{} {}", field.name(), self.doubted(field)))
            .collect();
        let mut text = names.join(", ");
        let words = self.readings(doubts);
        if !words.is_empty() {
            let _ = write!(text, ": could be {}", words.join(" or "));
        }
        text
    }

    /// What all ways to fill in the fields come to; nothing where they are too many.
    fn readings(&self, doubts: FieldSet) -> Vec<&'static str> {
        let mut ways: Vec<Vec<_>> = vec![Vec::new()];
        for field in doubts.iter() {
            let told = self.told_apart(field);
            let candidates = told.candidates();
            if !told.is_closed || ways.len() * candidates.len() > READINGS_MAX {
                return Vec::new();
            }
            let longer = |way: &Vec<_>| {
                let filled = candidates.iter().map(|(_, kept)| {
                    let mut way = way.clone();
                    way.push((field, kept.clone()));
                    way
                });
                filled.collect::<Vec<_>>()
            };
            ways = ways.iter().flat_map(longer).collect();
        }
        let mut words: Vec<&str> = Vec::new();
        for values in ways {
            let word = self.word(&Supposing {
                flow: self.flow,
                values,
            });
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.sort_unstable();
        words
    }

    fn word(&self, flow: &impl Source) -> &'static str {
        outcome(flow, self.occasion, self.contract, self.rule)
            .verdict()
            .word()
    }

    fn told_apart(&self, field: FieldId) -> ToldApart {
        let Self { rule, contract, .. } = self;
        let exemptions = rule.exemptions.iter().filter_map(|own| own.when.as_ref());
        let others = contract
            .scope
            .iter()
            .chain([&rule.require])
            .chain(exemptions);
        others.fold(rule.when.told_apart(field), |all, one| {
            all.and(one.told_apart(field))
        })
    }

    fn doubted(&self, field: FieldId) -> &'static str {
        match self.flow.read(field) {
            Reading::Doubt(doubt) => doubt.word(),
            Reading::Known(_) => "",
        }
    }
}

/// `grace 1200 of 100000 bytes used: ...`
pub fn grace(used: u64, grace: &Grace, rest: &str) -> String {
    let Grace { measure, limit, .. } = grace;
    cut(format!(
        "grace {used} of {limit} {} used: {rest}",
        measure.word()
    ))
}

pub fn no_room() -> Ruled {
    Ruled {
        verdict: Verdict::Undetermined,
        reason: "grace not known: no room was left to keep what is used of it".to_owned(),
    }
}

/// What a recorded reason says is used of a grace, this record included.
#[must_use]
pub fn used_in(reason: &str) -> Option<(u64, Measure)> {
    let mut words = reason.strip_prefix("grace ")?.split(' ');
    let used = words.next()?.parse().ok()?;
    let measure = words.nth(2)?;
    let measure = Measure::ALL.into_iter().find(|own| own.word() == measure)?;
    Some((used, measure))
}

/// A field's value for people.
pub fn value(fact: Fact<'_>) -> String {
    match fact {
        Fact::Unknown => "null".to_owned(),
        Fact::Text(text) => format!("\"{}\"", short(text)),
        Fact::Number(number) => number.to_string(),
        Fact::Address(address) => address.to_string(),
        Fact::Time(time) => moment(time),
        Fact::List(list) => format!("[{}]", short(&list.join(","))),
        Fact::Labels(labels) => {
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{{{}}}", short(&labels.join(",")))
        }
    }
}

fn moment(time: UnixUs) -> String {
    jiff::Timestamp::from_microsecond(time.0)
        .map_or_else(|_| time.0.to_string(), |time| time.to_string())
}

fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(VALUE_BYTES_MAX))
        .unwrap_or_default()
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}
