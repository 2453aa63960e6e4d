//! A flow record as reports need it: borrowed from its line wherever JSON allows. Judges nothing.

use std::{borrow::Cow, fmt, ops::Deref};

use observer_core::model::{names::PathKind, record::SCHEMA_VERSION, time::UnixUs};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

/// One record; fields that no report asks for are left out.
#[derive(Clone, Debug, Deserialize)]
pub struct Flow<'l> {
    #[serde(deserialize_with = "schema")]
    pub schema_version: u32,
    #[serde(deserialize_with = "time")]
    pub interval_end: UnixUs,
    #[serde(borrow)]
    pub host: Text<'l>,
    #[serde(borrow, default)]
    pub cluster: Option<Text<'l>>,
    /// Interface that was crossed; nothing is charged where there is none.
    #[serde(borrow, default)]
    pub device: Option<Text<'l>>,
    pub wire_bytes_egress: u64,
    pub wire_bytes_ingress: u64,
    #[serde(borrow, default)]
    pub namespace: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub workload: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub workload_labels: Option<Labels<'l>>,
    #[serde(borrow, default)]
    pub source_cloud: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub source_account: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub source_region: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub provider: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub vendor: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub cloud: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub region: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub geography: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub service: Option<Text<'l>>,
    #[serde(borrow, default)]
    pub api_state: Option<Text<'l>>,
    #[serde(default)]
    pub path_kind: Option<PathKind>,
    #[serde(borrow, default)]
    pub path_elements: Option<Vec<Text<'l>>>,
}

/// A string that is copied only where JSON has it escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'l>(Cow<'l, str>);

/// The operator's choice of a workload's labels, in the record's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels<'l>(Vec<(Text<'l>, Text<'l>)>);

impl Labels<'_> {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| **key == *name);
        found.map(|(_, value)| &**value)
    }
}

impl<'l> From<&'l str> for Text<'l> {
    fn from(text: &'l str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Text<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Labels<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Labels<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut labels = Vec::new();
                while let Some(key) = map.next_key()? {
                    if labels.len() >= LABELS_MAX {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    labels.push((key, map.next_value()?));
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// More labels than these of one workload are not looked at.
const LABELS_MAX: usize = 64;

fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    match is_read(version.into()) {
        true => Ok(version),
        false => Err(D::Error::custom(not_read(&version))),
    }
}

/// Whether this program knows what a record of that version means.
pub fn is_read(version: u64) -> bool {
    (1..=u64::from(SCHEMA_VERSION)).contains(&version)
}

/// Says that it does not.
pub fn not_read(version: &impl fmt::Display) -> String {
    format!(
        "`schema_version` is {version}, and this version of observer reads 1 to {SCHEMA_VERSION}"
    )
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixUs, D::Error> {
    let text = Text::deserialize(deserializer)?;
    UnixUs::parse(&text)
        .ok_or_else(|| D::Error::custom(format_args!("`{}` is no time of RFC 3339", &*text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = include_str!("../../core/tests/golden/record.json");

    #[test]
    fn a_written_record_is_read_without_a_copy() {
        let flow: Flow<'_> = serde_json::from_str(RECORD).expect("a record");
        assert!(matches!(&flow.host, Text(Cow::Borrowed("node-1"))));
        assert_eq!(
            (flow.wire_bytes_egress, flow.wire_bytes_ingress),
            (1080, 2120)
        );
        assert_eq!(flow.path_kind, Some(PathKind::Internet));
        assert_eq!(flow.interval_end, UnixUs(1_772_150_405_000_250));
    }

    #[test]
    fn what_is_no_record_is_told_why() {
        for (from, to, expected) in [
            (
                "\"schema_version\":3",
                "\"schema_version\":99",
                "reads 1 to",
            ),
            (
                "2026-02-27T00:00:05.000250Z",
                "yesterday",
                "no time of RFC 3339",
            ),
            (
                "\"wire_bytes_egress\":1080",
                "\"wire_bytes_egress\":-1",
                "invalid value",
            ),
            (
                "\"wire_bytes_egress\":1080,",
                "",
                "missing field `wire_bytes_egress`",
            ),
            (
                "\"path_kind\":\"internet\"",
                "\"path_kind\":\"magic\"",
                "`magic` is none of",
            ),
        ] {
            let line = RECORD.replace(from, to);
            assert_ne!(line, RECORD, "{from}");
            let error = serde_json::from_str::<Flow<'_>>(&line).expect_err(to);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn labels_are_found_by_name() {
        let labels: Labels<'_> =
            serde_json::from_str(r#"{"team":"shop","a\"b":"c"}"#).expect("labels");
        assert_eq!(labels.get("team"), Some("shop"));
        assert_eq!(labels.get("a\"b"), Some("c"));
        assert_eq!(labels.get("x"), None);
    }
}
