//! The order of trust as a table.

use super::*;
use crate::{identify::name::NameTable, model::signal::Asked};

/// Names as one of four patterns each; what is none of them is unknown.
struct Patterns;

fn word(text: &str) -> Option<Word> {
    (text != "-").then(|| text.into())
}

impl Names for Patterns {
    fn identify(&self, name: &HostName) -> Option<NameIdentity> {
        // name, provider, cloud, front, service, region, and a mark: private, control, unverified, dns
        let rows = [
            ("api.openai.com", "openai - cloudflare openai-api -", ""),
            ("files.openai.com", "openai - cloudflare openai-api -", ""),
            ("recalled.example", "acme - fastly acme-api -", "unverified"),
            (
                "bedrock-runtime.us-east-1.amazonaws.com",
                "amazon aws - bedrock-runtime us-east-1",
                "",
            ),
            (
                "vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
                "amazon aws - bedrock-runtime us-east-1",
                "private",
            ),
            (
                "bedrock.us-east-1.amazonaws.com",
                "amazon aws - bedrock us-east-1",
                "control",
            ),
            (
                "me.openai.azure.com",
                "microsoft azure - azure-openai -",
                "",
            ),
            ("d1.cloudfront.net", "amazon - cloudfront cloudfront -", ""),
            ("api.mistral.ai", "mistral - - llm-api -", ""),
            ("cloudflare-ech.com", "cloudflare - cloudflare - -", ""),
            ("dns.google", "google - - public-dns -", "dns"),
        ];
        let (_, row, mark) = rows.iter().find(|(known, _, _)| *known == name.as_str())?;
        let mut fields = row.split(' ').map(word);
        let mut next = || fields.next().flatten();
        Some(NameIdentity {
            provider: next(),
            cloud: next(),
            front: next(),
            service: next(),
            region: next(),
            is_control: *mark == "control",
            is_private_endpoint: *mark == "private",
            api_family: (*mark == "dns").then_some(ApiFamily::Dns),
            verified: *mark != "unverified",
            evidence: Some("pattern".into()),
            ..NameIdentity::default()
        })
    }

    fn is_ech_public_name(&self, name: &HostName) -> bool {
        name.as_str() == "cloudflare-ech.com"
    }
}

fn host(text: &str) -> HostName {
    HostName::from_wire(text.as_bytes()).expect("a name")
}

/// `cloud region front` as the address table says it.
fn address(text: &str) -> Identity {
    let mut fields = text.split(' ').map(word);
    let mut next = || fields.next().flatten();
    Identity {
        cloud: next(),
        region: next(),
        front: next(),
        basis: Some(Basis::Address),
        confidence: Some(Confidence::Certain),
        evidence: Some("address".into()),
        ..Identity::default()
    }
}

fn hello(name: &str) -> Asked {
    Asked {
        by: AskedBy::TlsHello,
        server_name: word(name).map(|name| host(&name)),
        address: None,
        alpn: Vec::new(),
        ech: Ech::Absent,
        tls_version: Some(0x0304),
    }
}

fn answers(names: &str) -> Vec<Resolved> {
    let names = names.split(' ').filter(|name| !name.is_empty());
    let resolved = names.map(|name| {
        let mut chain = name.split('>').map(host);
        Resolved {
            name: chain.next().expect("a name"),
            aliases: chain.collect(),
        }
    });
    resolved.collect()
}

/// `provider cloud region front service basis confidence`.
fn said(identity: &Identity) -> String {
    let word = |word: &Option<Word>| word.as_deref().unwrap_or("-").to_owned();
    [
        word(&identity.provider),
        word(&identity.cloud),
        word(&identity.region),
        word(&identity.front),
        word(&identity.service),
        identity.basis.map_or("-", Basis::word).to_owned(),
        identity.confidence.map_or("-", Confidence::word).to_owned(),
    ]
    .join(" ")
}

fn combined(asked: Option<&Asked>, resolved: &str, stated: &str) -> Combined {
    combine(
        &Signals {
            address: &address(stated),
            asked,
            resolved: &answers(resolved),
            blind: Some(BlindReason::NoHandshake),
            request: Said::Nothing,
        },
        &Patterns,
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn trust_is_as_stated() {
    let bedrock = "bedrock-runtime.us-east-1.amazonaws.com";
    // server name, names by DNS, address: provider cloud region front service basis confidence
    for (name, resolved, stated, expected) in [
        // Front and host are kept apart.
        (
            "api.openai.com",
            "",
            "- - cloudflare",
            "openai - - cloudflare openai-api server_name certain",
        ),
        // The address stands as it is.
        (
            "api.openai.com",
            "",
            "aws us-east-1 -",
            "openai aws us-east-1 - openai-api server_name ambiguous",
        ),
        (
            "api.openai.com",
            "",
            "internet - -",
            "openai - - cloudflare openai-api server_name likely",
        ),
        (
            "api.openai.com",
            "",
            "private - -",
            "openai private - - openai-api server_name likely",
        ),
        // A front that is only recalled contradicts nothing.
        (
            "recalled.example",
            "",
            "aws us-east-1 -",
            "acme aws us-east-1 - acme-api server_name likely",
        ),
        (
            bedrock,
            "",
            "aws us-east-1 -",
            "amazon aws us-east-1 - bedrock-runtime server_name certain",
        ),
        (
            bedrock,
            "",
            "aws global -",
            "amazon aws us-east-1 - bedrock-runtime server_name certain",
        ),
        (
            bedrock,
            "",
            "aws us-west-2 -",
            "amazon aws - - bedrock-runtime server_name ambiguous",
        ),
        (
            bedrock,
            "",
            "azure eastus -",
            "amazon azure eastus - bedrock-runtime server_name ambiguous",
        ),
        (
            bedrock,
            "",
            "- - cloudflare",
            "amazon - - cloudflare bedrock-runtime server_name ambiguous",
        ),
        (
            bedrock,
            "",
            "- - cloudfront",
            "amazon aws us-east-1 cloudfront bedrock-runtime server_name certain",
        ),
        // A private endpoint keeps the public name.
        (
            bedrock,
            "",
            "private - -",
            "amazon aws us-east-1 - bedrock-runtime server_name likely",
        ),
        // Azure's resource names have no region: it comes from the address.
        (
            "me.openai.azure.com",
            "",
            "azure eastus -",
            "microsoft azure eastus - azure-openai server_name certain",
        ),
        (
            "d1.cloudfront.net",
            "",
            "- - cloudfront",
            "amazon - - cloudfront cloudfront server_name certain",
        ),
        // The name says nothing of the place.
        (
            "api.mistral.ai",
            "",
            "gcp europe-west4 -",
            "mistral gcp europe-west4 - llm-api server_name likely",
        ),
        // What the client says goes before what DNS said.
        (
            "api.mistral.ai",
            "api.openai.com",
            "- - cloudflare",
            "mistral - - cloudflare llm-api server_name likely",
        ),
        (
            "nobody.example",
            "api.openai.com",
            "aws us-east-1 -",
            "- aws us-east-1 - - address certain",
        ),
        (
            "-",
            "api.openai.com",
            "- - cloudflare",
            "openai - - cloudflare openai-api dns likely",
        ),
        // Two names of the same service.
        (
            "-",
            "api.openai.com files.openai.com",
            "- - cloudflare",
            "openai - - cloudflare openai-api dns likely",
        ),
        (
            "-",
            "api.openai.com api.mistral.ai",
            "- - cloudflare",
            "- - - cloudflare - address ambiguous",
        ),
        // An alias is known where the name is not.
        (
            "-",
            "shop.example>x.example>d1.cloudfront.net",
            "- - cloudfront",
            "amazon - - cloudfront cloudfront dns likely",
        ),
        (
            "-",
            "nobody.example",
            "aws us-east-1 -",
            "- aws us-east-1 - - address certain",
        ),
        (
            "-",
            "",
            "aws us-east-1 -",
            "- aws us-east-1 - - address certain",
        ),
    ] {
        let asked = (name != "-").then(|| hello(name));
        let found = combined(asked.as_ref(), resolved, stated);
        assert_eq!(
            said(&found.identity),
            expected,
            "{name} [{resolved}] {stated}: {:?}",
            found.identity.evidence
        );
    }
}

#[test]
fn what_is_not_named_has_its_reason() {
    let outer = Asked {
        ech: Ech::Outer,
        ..hello("cloudflare-ech.com")
    };
    let grease = Asked {
        ech: Ech::Outer,
        ..hello("api.mistral.ai")
    };
    let literal = Asked {
        address: "192.0.2.1".parse().ok(),
        ..hello("-")
    };
    let proxy = Asked {
        by: AskedBy::Socks,
        ..literal.clone()
    };
    let resolver = hello("dns.google");
    let plain = Asked {
        by: AskedBy::Host,
        ..resolver.clone()
    };
    // what was said, names by DNS: server name, reason
    for (asked, resolved, expected) in [
        (Some(&outer), "", "- ech"),
        // DNS told the true name.
        (Some(&outer), "api.openai.com", "api.openai.com -"),
        (Some(&outer), "cloudflare-ech.com", "cloudflare-ech.com -"),
        (Some(&grease), "", "api.mistral.ai -"),
        (Some(&literal), "", "- no_server_name"),
        (Some(&literal), "nobody.example", "nobody.example -"),
        (Some(&proxy), "", "- -"),
        (Some(&resolver), "", "dns.google encrypted_dns"),
        // Resolved, and asked in plain text for all that is known.
        (None, "dns.google", "dns.google -"),
        (Some(&plain), "", "dns.google -"),
        (None, "", "- no_handshake"),
        (None, "api.openai.com api.mistral.ai", "- no_handshake"),
    ] {
        let found = combined(asked, resolved, "- - cloudflare").identity;
        let name = found.server_name.as_deref().unwrap_or("-");
        let reason = found.blind_reason.map_or("-", BlindReason::word);
        assert_eq!(format!("{name} {reason}"), expected, "{asked:?} {resolved}");
    }
}

#[test]
fn the_evidence_says_what_contradicts_what() {
    let found = combined(Some(&hello("api.openai.com")), "", "aws us-east-1 -");
    assert_eq!(
        found.identity.evidence.as_deref(),
        Some(
            "TLS server name `api.openai.com`: pattern; the name says cloudflare, the address aws: a proxy or a relay; address"
        )
    );
    let found = combined(None, "api.openai.com api.mistral.ai", "- - cloudflare");
    assert_eq!(
        found.identity.evidence.as_deref(),
        Some("DNS gave this address for `api.openai.com`, `api.mistral.ai`; address")
    );
}

#[test]
fn control_hosts_private_endpoints_and_proxies_are_told() {
    let control = combined(
        Some(&hello("bedrock.us-east-1.amazonaws.com")),
        "",
        "aws us-east-1 -",
    );
    assert_eq!(control.identity.api_state, Some(ApiState::ControlPlane));
    let endpoint = combined(
        Some(&hello(
            "vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        )),
        "",
        "private - -",
    );
    assert!(endpoint.is_private_endpoint && !endpoint.is_proxy);
    let asked = Asked {
        by: AskedBy::Connect,
        ..hello("api.openai.com")
    };
    let proxied = combined(Some(&asked), "", "private - -");
    assert!(proxied.is_proxy);
    assert_eq!(proxied.identity.provider.as_deref(), Some("openai"));
}

/// An operator's statement counts where a front hides the cloud, and nowhere else.
#[test]
fn what_stands_behind_a_front_can_be_stated() {
    let own = "hosting .openai.com cloud=azure region=eastus\n";
    let table = NameTable::with_overlay(own).expect("a line");
    for (stated, expected) in [
        (
            "- - cloudflare",
            "openai azure eastus cloudflare openai-api config likely",
        ),
        (
            "aws us-east-1 -",
            "openai aws us-east-1 - openai-api server_name ambiguous",
        ),
        (
            "private - -",
            "openai private - - openai-api server_name likely",
        ),
    ] {
        let signals = Signals {
            address: &address(stated),
            asked: Some(&hello("api.openai.com")),
            resolved: &[],
            blind: None,
            request: Said::Nothing,
        };
        assert_eq!(said(&combine(&signals, &table).identity), expected);
    }
}
