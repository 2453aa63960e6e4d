//! What the operator says of prices: files, choices and volumes. Whether a book has what they name is not known here.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use observer_core::model::{money::Unit, names::CostAssumption};
use serde::{Deserialize, Deserializer};

use super::{Value, cited};

/// Words of a list, and rows of a mapping.
const ROWS_MAX: usize = 1_024;
const WORD_BYTES_MAX: usize = 256;

/// Paths, or names that a price book knows, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Value for Words {
    const WANTED: &'static str = "a list of words such as `[a, b]`";

    /// As YAML has it.
    fn parse(text: &str) -> Result<Self, String> {
        let yaml = serde_norway::Deserializer::from_str(text);
        Self::read(yaml).map_err(|error| error.to_string())
    }

    fn shown(&self) -> serde_json::Value {
        self.0.clone().into()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let wrong = |what: String| Err(serde::de::Error::custom(what));
        if words.len() > ROWS_MAX {
            return wrong(format!("more than {ROWS_MAX} words"));
        }
        for (nth, word) in words.iter().enumerate() {
            if word.is_empty() || word.len() > WORD_BYTES_MAX || word.contains(char::is_control) {
                return wrong(format!(
                    "word {} is empty, longer than {WORD_BYTES_MAX} bytes, or no text",
                    nth + 1
                ));
            }
            if words.iter().take(nth).any(|earlier| earlier == word) {
                return wrong(format!("`{}` is named twice", cited(word)));
            }
        }
        Ok(Self(words))
    }
}

/// A value for each of several names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByName<T>(pub BTreeMap<String, T>);

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// What stands behind a name.
pub trait Term: Sized {
    const WANTED: &'static str;

    fn parse(text: &str) -> Result<Self, String>;

    fn text(&self) -> String;
}

impl<T: Term> Value for ByName<T> {
    const WANTED: &'static str = T::WANTED;

    /// As YAML has it.
    fn parse(text: &str) -> Result<Self, String> {
        let yaml = serde_norway::Deserializer::from_str(text);
        Self::read(yaml).map_err(|error| error.to_string())
    }

    fn shown(&self) -> serde_json::Value {
        let rows = self.0.iter();
        let rows = rows.map(|(name, term)| (name.clone(), serde_json::Value::from(term.text())));
        serde_json::Value::Object(rows.collect())
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = BTreeMap::<String, String>::deserialize(deserializer)?;
        let wrong = |what: String| Err(serde::de::Error::custom(what));
        if rows.len() > ROWS_MAX {
            return wrong(format!("more than {ROWS_MAX} names"));
        }
        let mut all = BTreeMap::new();
        for (name, text) in rows {
            match T::parse(&text) {
                Ok(term) => all.insert(name, term),
                Err(what) => return wrong(format!("`{}`: {what}", cited(&name))),
            };
        }
        Ok(Self(all))
    }
}

/// Bytes in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume(pub u64);

impl Term for Volume {
    const WANTED: &'static str = "volumes by cloud or rate, such as `{aws: 12TiB}`";

    fn parse(text: &str) -> Result<Self, String> {
        observer_core::model::size::parse(text).map(Self)
    }

    fn text(&self) -> String {
        observer_core::model::size::text(self.0)
    }
}

impl Term for Unit {
    const WANTED: &'static str = "what a gigabyte is, by cloud, such as `{azure: GB}`";

    fn parse(text: &str) -> Result<Self, String> {
        let known = [Self::Gibibyte, Self::Gigabyte].into_iter();
        let found = known.into_iter().find(|unit| unit.word() == text);
        found.ok_or_else(|| format!("`{}` is neither `GiB` nor `GB`", cited(text)))
    }

    fn text(&self) -> String {
        self.word().to_owned()
    }
}

/// A time zone by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(pub TimeZone);

impl Term for Zone {
    const WANTED: &'static str = "time zones by cloud, such as `{gcp: America/Los_Angeles}`";

    fn parse(text: &str) -> Result<Self, String> {
        TimeZone::get(text).map(Self).map_err(|_| {
            format!(
                "`{}` is no time zone such as `America/Los_Angeles`",
                cited(text)
            )
        })
    }

    fn text(&self) -> String {
        self.0.iana_name().unwrap_or("UTC").to_owned()
    }
}

/// What an agent may assume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumption(pub CostAssumption);

impl Default for Assumption {
    fn default() -> Self {
        Self(CostAssumption::FirstTier)
    }
}

impl Value for Assumption {
    const WANTED: &'static str = "`first_tier`, `marginal` or `blended`";

    fn parse(text: &str) -> Result<Self, String> {
        CostAssumption::from_word(text)
            .filter(|assumption| *assumption != CostAssumption::Month)
            .map(Self)
            .ok_or_else(|| format!("`{}` is not {}", cited(text), Self::WANTED))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.word().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_prices_are_read_back_as_they_are_shown() {
        fn check<T: Value + PartialEq + std::fmt::Debug>(text: &str, wrong: &str) {
            match T::parse(text) {
                Ok(value) => {
                    assert_eq!(wrong, "", "{text}");
                    assert_eq!(T::parse(&value.shown().to_string()), Ok(value), "{text}");
                }
                Err(error) => assert!(
                    !wrong.is_empty() && error.contains(wrong),
                    "{text}: {error}"
                ),
            }
        }
        check::<Words>("[a, b]", "");
        check::<Words>("[a, a]", "`a` is named twice");
        check::<Words>("a", "invalid type");
        check::<ByName<Volume>>("{aws: 12TiB, azure-internet-zone-1: 5 GB}", "");
        check::<ByName<Volume>>("{aws: much}", "`aws`: `much` is no size");
        check::<ByName<Unit>>("{azure: GB}", "");
        check::<ByName<Unit>>("{azure: TB}", "`azure`: `TB` is neither");
        check::<ByName<Zone>>("{gcp: America/Los_Angeles, aws: UTC}", "");
        check::<ByName<Zone>>("{gcp: Mars}", "`Mars` is no time zone");
        for (text, right) in [("blended", true), ("month", false), ("cheap", false)] {
            assert_eq!(Assumption::parse(text).is_ok(), right, "{text}");
        }
    }
}
