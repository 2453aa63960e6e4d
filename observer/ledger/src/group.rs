//! What a report's rows stand for.

use jiff::tz::TimeZone;
use observer_core::{
    model::names,
    price::month::{self, Month},
};

use crate::flow::Flow;

/// One column of a report's rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    SourceCloud,
    SourceRegion,
    Account,
    Cluster,
    Host,
    Namespace,
    Workload,
    Cloud,
    Region,
    Provider,
    Vendor,
    Service,
    ApiState,
    PathKind,
    /// Of the provider's time zone, as its bill has it.
    Day,
    Month,
    /// A label of the workload.
    Label(String),
}

/// Columns without an argument, by their word.
const WORDS: [(&str, By); 16] = [
    ("source_cloud", By::SourceCloud),
    ("source_region", By::SourceRegion),
    ("account", By::Account),
    ("cluster", By::Cluster),
    ("host", By::Host),
    ("namespace", By::Namespace),
    ("workload", By::Workload),
    ("cloud", By::Cloud),
    ("region", By::Region),
    ("provider", By::Provider),
    ("vendor", By::Vendor),
    ("service", By::Service),
    ("api_state", By::ApiState),
    ("path_kind", By::PathKind),
    ("day", By::Day),
    ("month", By::Month),
];

/// Before the name of a label.
const LABEL: &str = "label:";

impl By {
    /// Reads a column's word.
    ///
    /// # Errors
    /// Where it is none, with those that there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix(LABEL).filter(|name| !name.is_empty()) {
            return Ok(Self::Label(name.to_owned()));
        }
        let found = WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, by)| by.clone()).ok_or_else(|| {
            let words = WORDS.map(|(word, _)| word).join(", ");
            format!("none of {words}, {LABEL}NAME")
        })
    }

    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Label(name) => format!("{LABEL}{name}"),
            by => WORDS
                .iter()
                .find(|(_, other)| other == by)
                .map_or_else(String::new, |(word, _)| (*word).to_owned()),
        }
    }

    /// Writes the flow's value; `unknown` where it has none. Days and months are those of `zone`.
    pub fn write(&self, flow: &Flow<'_>, zone: &TimeZone, text: &mut String) {
        let value = match self {
            Self::SourceCloud => flow.source_cloud.as_deref(),
            Self::SourceRegion => flow.source_region.as_deref(),
            Self::Account => flow.source_account.as_deref(),
            Self::Cluster => flow.cluster.as_deref(),
            Self::Host => Some(&*flow.host),
            Self::Namespace => flow.namespace.as_deref(),
            Self::Workload => flow.workload.as_deref(),
            Self::Cloud => flow.cloud.as_deref(),
            Self::Region => flow.region.as_deref(),
            Self::Provider => flow.provider.as_deref(),
            Self::Vendor => flow.vendor.as_deref(),
            Self::Service => flow.service.as_deref(),
            Self::ApiState => flow.api_state.as_deref(),
            Self::PathKind => flow.path_kind.map(names::PathKind::word),
            Self::Day => return text.push_str(&month::day(flow.interval_end, zone).to_string()),
            Self::Month => return text.push_str(&Month::of(flow.interval_end, zone).to_string()),
            Self::Label(name) => {
                let labels = flow.workload_labels.as_ref();
                labels.and_then(|labels| labels.get(name))
            }
        };
        text.push_str(value.unwrap_or(UNKNOWN));
    }
}

/// Of what is not known.
pub const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_names_its_column() {
        for (word, by) in WORDS {
            assert_eq!(By::parse(word), Ok(by.clone()));
            assert_eq!(by.word(), word);
        }
        assert_eq!(
            By::parse("label:team").map(|by| by.word()),
            Ok("label:team".to_owned())
        );
        let error = By::parse("clod").expect_err("no such column");
        assert!(
            error.contains("cloud, region") && error.ends_with("label:NAME"),
            "{error}"
        );
    }

    #[test]
    fn values_are_the_records_and_days_the_providers() {
        let record = include_str!("../../core/tests/golden/record.json");
        let flow: Flow<'_> = serde_json::from_str(record).expect("a record");
        let pacific = TimeZone::get("America/Los_Angeles").expect("a zone");
        for (by, zone, expected) in [
            ("cloud", &TimeZone::UTC, "aws"),
            ("account", &TimeZone::UTC, "123456789012"),
            ("path_kind", &TimeZone::UTC, "internet"),
            ("label:team", &TimeZone::UTC, "unknown"),
            ("day", &TimeZone::UTC, "2026-02-27"),
            ("day", &pacific, "2026-02-26"),
            ("month", &pacific, "2026-02"),
        ] {
            let mut text = String::new();
            By::parse(by)
                .expect("a column")
                .write(&flow, zone, &mut text);
            assert_eq!(text, expected, "{by}");
        }
    }
}
