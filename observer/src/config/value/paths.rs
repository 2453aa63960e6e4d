//! The operator's paths: lines and gateways that no address tells of.

use std::{fmt, net::IpAddr, ops::RangeInclusive};

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

/// Tags of VLANs (IEEE 802.1Q); 0 and 4095 are none.
const VLANS: RangeInclusive<u16> = 1..=4_094;

/// One path: where it applies, and what is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeclaredPath {
    /// Of the remote address.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub cidr: Option<Prefix>,
    /// Uplink that the bytes leave by.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub interface: Option<Uplink>,
    /// Gateway that the kernel's routes send the bytes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// Tag of the uplink that the bytes leave by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
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
        let cidr = self.cidr.map(|cidr| format!("cidr: {cidr}"));
        let interface = self.interface.as_ref();
        let interface = interface.map(|interface| format!("interface: {interface}"));
        let next_hop = self
            .next_hop
            .map(|next_hop| format!("next_hop: {next_hop}"));
        let vlan = self.vlan.map(|vlan| format!("vlan: {vlan}"));
        let place = cidr.or(next_hop).or(interface).or(vlan);
        place.unwrap_or_default()
    }
}

/// As a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    cidr: Option<String>,
    interface: Option<String>,
    next_hop: Option<IpAddr>,
    vlan: Option<u16>,
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
    let places = [
        row.cidr.is_some(),
        row.next_hop.is_some(),
        row.interface.is_some(),
        row.vlan.is_some(),
    ];
    if places.iter().filter(|is_there| **is_there).count() != 1 {
        return Err(
            "a path has one of `cidr`, `next_hop`, `interface` and `vlan`, to say where it applies"
                .into(),
        );
    }
    if let Some(vlan) = row.vlan.filter(|vlan| !VLANS.contains(vlan)) {
        return Err(format!("`{vlan}` is no VLAN; they are 1 to 4094"));
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
        next_hop: row.next_hop,
        vlan: row.vlan,
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
            let place = |path: &DeclaredPath| (path.cidr, path.next_hop, path.vlan);
            place(other) == place(&path) && other.interface == path.interface
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
            ("[{kind: peering}]", "one of `cidr`, `next_hop`"),
            ("[{next_hop: 10.0.0.1, kind: interconnect}]", ""),
            ("[{next_hop: 'fe80::1', elements: [firewall]}]", ""),
            ("[{vlan: 100, kind: interconnect}]", ""),
            ("[{vlan: 4095, kind: interconnect}]", "`4095` is no VLAN"),
            ("[{vlan: 1, next_hop: 10.0.0.1, kind: peering}]", "one of"),
            ("[{next_hop: gateway, kind: peering}]", "IP address"),
            (
                "[{vlan: 1, kind: peering}, {vlan: 1, kind: internet}]",
                "both for `vlan: 1`",
            ),
            (
                "[{cidr: 10.0.0.0/8, interface: a, kind: peering}]",
                "one of",
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
