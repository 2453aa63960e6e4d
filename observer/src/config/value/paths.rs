//! The operator's paths: lines and gateways that no address tells of.

use std::fmt;

use observer_core::{
    identify::address::prefix::Prefix,
    model::names::{PathElement, PathKind},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

use super::{Uplink, Value};

/// Paths that one file may have.
pub const PATHS_MAX: usize = 1_024;
/// Gateways on one path.
const ELEMENTS_MAX: usize = 8;

/// One path: where it applies, and what is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeclaredPath {
    /// Of the remote address.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub cidr: Option<Prefix>,
    /// Uplink that the bytes leave by.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub interface: Option<Uplink>,
    /// As it follows from both ends where `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<PathKind>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<PathElement>,
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn as_text<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl DeclaredPath {
    /// Where it applies, in words.
    fn place(&self) -> String {
        match (&self.cidr, &self.interface) {
            (Some(cidr), _) => format!("cidr: {cidr}"),
            (None, Some(interface)) => format!("interface: {interface}"),
            (None, None) => String::new(),
        }
    }
}

/// As a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    cidr: Option<String>,
    interface: Option<String>,
    kind: Option<PathKind>,
    #[serde(default)]
    elements: Vec<PathElement>,
}

impl<'de> Deserialize<'de> for DeclaredPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = Row::deserialize(deserializer)?;
        checked(row).map_err(D::Error::custom)
    }
}

fn checked(row: Row) -> Result<DeclaredPath, String> {
    if row.cidr.is_some() == row.interface.is_some() {
        return Err("a path has either `cidr` or `interface`, to say where it applies".into());
    }
    if row.kind.is_none() && row.elements.is_empty() {
        return Err("a path says nothing; give `kind` or `elements`".into());
    }
    if row.kind == Some(PathKind::Unknown) {
        return Err("`kind: unknown` says nothing; leave `kind` out".into());
    }
    if row.elements.len() > ELEMENTS_MAX {
        return Err(format!("more than {ELEMENTS_MAX} elements on one path"));
    }
    let cidr = row.cidr.map(|cidr| cidr.parse::<Prefix>());
    let cidr = cidr.transpose().map_err(|error| error.to_string())?;
    let interface = row.interface.as_deref().map(Uplink::parse).transpose()?;
    Ok(DeclaredPath {
        cidr,
        interface,
        kind: row.kind,
        elements: row.elements,
    })
}

/// No two for the same addresses or the same interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<DeclaredPath>);

impl Paths {
    pub fn into_vec(self) -> Vec<DeclaredPath> {
        self.0
    }

    fn add(&mut self, path: DeclaredPath) -> Result<(), String> {
        let same = |other: &&DeclaredPath| {
            (&other.cidr, &other.interface) == (&path.cidr, &path.interface)
        };
        if let Some(at) = self.0.iter().position(|other| same(&other)) {
            return Err(format!(
                "paths {} and {} are both for `{}`",
                at + 1,
                self.0.len() + 1,
                path.place()
            ));
        }
        if self.0.len() == PATHS_MAX {
            return Err(format!("more than {PATHS_MAX} paths"));
        }
        self.0.push(path);
        Ok(())
    }
}

impl Value for Paths {
    const WANTED: &'static str =
        "a list of paths such as `[{cidr: 10.20.0.0/16, kind: interconnect}]`";

    /// As YAML has it.
    fn parse(text: &str) -> Result<Self, String> {
        let yaml = serde_norway::Deserializer::from_str(text);
        Self::read(yaml).map_err(|error| error.to_string())
    }

    fn shown(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PathsVisitor)
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Paths::WANTED)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Paths, A::Error> {
        let mut all = Paths::default();
        while let Some(path) = items.next_element()? {
            all.add(path).map_err(A::Error::custom)?;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_where_they_apply_and_what_they_are() {
        for (text, wrong) in [
            ("[{cidr: 10.0.0.0/8, kind: interconnect}]", ""),
            ("[{interface: eth1, elements: [vpn, nat_gateway]}]", ""),
            ("[]", ""),
            ("[{kind: peering}]", "either `cidr` or `interface`"),
            (
                "[{cidr: 10.0.0.0/8, interface: a, kind: peering}]",
                "either",
            ),
            ("[{cidr: 10.0.0.0/8}]", "says nothing"),
            ("[{cidr: 10.0.0.0/8, kind: unknown}]", "says nothing"),
            ("[{cidr: 10.0.0.1/8, kind: peering}]", "bits are set"),
            ("[{cidr: 10.0.0.0/8, kind: tunnel}]", "`tunnel` is none of"),
            ("[{cidr: 10.0.0.0/8, elements: [nat]}]", "`nat` is none of"),
            (
                "[{interface: a/b, kind: peering}]",
                "`a/b` has no interface name",
            ),
            ("[{interface: '/run/netns/blue:eth1', kind: peering}]", ""),
            ("[{cidr: 10.0.0.0/8, kind: peering, via: x}]", "via"),
            (
                "[{cidr: 0.0.0.0/0, kind: peering}, {cidr: 0.0.0.0/0, kind: internet}]",
                "paths 1 and 2 are both for `cidr: 0.0.0.0/0`",
            ),
        ] {
            match Paths::parse(text) {
                Ok(paths) => {
                    assert_eq!(wrong, "", "{text}");
                    let again = Paths::parse(&paths.shown().to_string());
                    assert_eq!(again, Ok(paths), "{text}");
                }
                Err(error) => assert!(!wrong.is_empty() && error.contains(wrong), "{error}"),
            }
        }
    }
}
