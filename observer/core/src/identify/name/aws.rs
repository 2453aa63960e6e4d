//! AWS's host names, by rule: `SERVICE.REGION.SUFFIX` with `-fips`, `dualstack`, tenants' labels before it and the forms of
//! private endpoints. Services are known by their labels; what is not among them is a service that is not known.

use std::collections::HashMap;

use super::{NameIdentity, pattern::is_dashed_region};
use crate::model::{host_name::HostName, identity::Word};

#[derive(Debug, Default)]
pub struct Aws {
    suffixes: Vec<HostName>,
    /// By the labels before the region.
    services: HashMap<Box<str>, NameIdentity>,
}

/// Labels of one service's names at the most.
const SERVICE_LABELS_MAX: usize = 3;

impl Aws {
    pub fn identities(&self) -> impl Iterator<Item = &NameIdentity> {
        self.services.values()
    }

    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// `aws-suffix SUFFIX`, or `aws-service LABELS SERVICE WORDS`.
    pub fn add(
        &mut self,
        kind: &str,
        rest: &str,
        words: impl FnOnce(&str) -> Result<NameIdentity, String>,
    ) -> Result<(), String> {
        let mut parts = rest.splitn(3, char::is_whitespace);
        let name = parts.next().unwrap_or_default();
        let name = HostName::from_wire(name.as_bytes())
            .map_err(|error| format!("`{name}` is no host name: {error}"))?;
        if kind == "aws-suffix" {
            self.suffixes.push(name);
            // The longest is tried first.
            self.suffixes
                .sort_by_key(|suffix| std::cmp::Reverse(suffix.len()));
            return Ok(());
        }
        let service = parts.next().ok_or("`aws-service` without a service")?;
        let identity = NameIdentity {
            service: Some(service.into()),
            ..words(parts.next().unwrap_or_default())?
        };
        self.services.insert(name.as_str().into(), identity);
        Ok(())
    }

    pub fn identify(&self, name: &HostName) -> Option<NameIdentity> {
        let (labels, suffix) = self
            .suffixes
            .iter()
            .find_map(|suffix| Some((below(name, suffix)?, suffix)))?;
        let mut labels: Vec<&str> = labels.split('.').collect();
        let is_endpoint = labels.last() == Some(&"vpce");
        if is_endpoint {
            labels.pop();
        }
        let is_fips = labels.iter().any(|label| is_fips(label));
        let mut region = take_region(&mut labels);
        let mut found = self.service(&labels);
        if found.is_none()
            && let Some((legacy, dashed)) = legacy_region(&labels)
        {
            // `s3-eu-west-1`, `s3-website-eu-west-1`
            found = self.service(&[&labels[..labels.len() - 1], &[legacy]].concat());
            region = region.or(Some(dashed));
        }
        let known = found.cloned().unwrap_or_default();
        Some(NameIdentity {
            provider: known.provider.or(Some("amazon".into())),
            cloud: Some("aws".into()),
            region: region.map(Word::from),
            is_private_endpoint: is_endpoint || known.is_private_endpoint,
            is_fips,
            evidence: Some(format!("AWS's names below `{suffix}` [botocore 1.44.5]").into()),
            verified: true,
            ..known
        })
    }

    /// The service with the most labels that these end in.
    fn service(&self, labels: &[&str]) -> Option<&NameIdentity> {
        let plain: Vec<&str> = labels
            .iter()
            .filter(|label| **label != "dualstack" && **label != "fips")
            .map(|label| without_fips(label))
            .collect();
        let most = plain.len().min(SERVICE_LABELS_MAX);
        (1..=most).rev().find_map(|count| {
            let labels = plain.get(plain.len() - count..)?.join(".");
            self.services.get(labels.as_str())
        })
    }
}

/// The labels before a suffix; none where the name is the suffix itself.
fn below<'n>(name: &'n HostName, suffix: &HostName) -> Option<&'n str> {
    name.as_str()
        .strip_suffix(suffix.as_str())?
        .strip_suffix('.')
}

/// The region among the labels: the last of them, or the one before the service (`us-west-2.lambda-url`).
fn take_region<'n>(labels: &mut Vec<&'n str>) -> Option<&'n str> {
    // `m2.fips-us-east-1`
    let plain = |label: &&'n str| label.strip_prefix("fips-").unwrap_or(label);
    let at = labels
        .iter()
        .rposition(|label| is_dashed_region(plain(label)))?;
    // Further to the left a label is a tenant's own.
    if at + 2 < labels.len() {
        return None;
    }
    let label = labels.remove(at);
    Some(plain(&label))
}

fn is_fips(label: &str) -> bool {
    label == "fips" || label.ends_with("-fips") || label.starts_with("fips-")
}

fn without_fips(label: &str) -> &str {
    label
        .strip_suffix("-fips")
        .or_else(|| label.strip_prefix("fips-"))
        .unwrap_or(label)
}

/// A last label in which service and region are joined.
fn legacy_region<'n>(labels: &[&'n str]) -> Option<(&'n str, &'n str)> {
    let last = *labels.last()?;
    last.match_indices('-').find_map(|(at, _)| {
        let (service, region) = (last.get(..at)?, last.get(at + 1..)?);
        let is_region = is_dashed_region(region) && !region.starts_with("fips-");
        is_region.then_some((service, region))
    })
}
