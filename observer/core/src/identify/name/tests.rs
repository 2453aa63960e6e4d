//! The table as it is shipped: every form once, and what only looks like one.

use super::*;

fn table() -> NameTable {
    NameTable::embedded().expect("the embedded table is whole")
}

/// `provider cloud front service region family`, and what is marked.
fn said(table: &NameTable, name: &str) -> String {
    let Ok(name) = HostName::from_wire(name.as_bytes()) else {
        return "no name".to_owned();
    };
    let Some(found) = table.identify(&name) else {
        return "unknown".to_owned();
    };
    let word = |word: &Option<Word>| word.as_deref().unwrap_or("-").to_owned();
    let families: Vec<&str> = found
        .api_family
        .iter()
        .chain(&found.api_families)
        .map(|family| family.word())
        .collect();
    let mut words = vec![
        word(&found.provider),
        word(&found.cloud),
        word(&found.front),
        word(&found.service),
        word(&found.region.or(found.geography)),
        if families.is_empty() {
            "-".to_owned()
        } else {
            families.join("|")
        },
    ];
    let marks = [
        (found.is_control, "control"),
        (found.is_private_endpoint, "private"),
        (found.is_fips, "fips"),
        (!found.verified, "unverified"),
    ];
    words.extend(
        marks
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, mark)| (*mark).to_owned()),
    );
    words.join(" ")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn names_are_what_the_table_says() {
    let table = table();
    for (name, expected) in [
        ("api.openai.com", "openai - cloudflare openai-api - openai"),
        ("API.OpenAI.com.", "openai - cloudflare openai-api - openai"),
        (
            "eu.api.openai.com",
            "openai - cloudflare openai-api eu openai",
        ),
        (
            "mtls-us.api.openai.com",
            "openai - cloudflare openai-api us openai",
        ),
        (
            "southcentralus.privatelink.api.openai.com",
            "openai azure - openai-private-link southcentralus openai private",
        ),
        (
            "privatelink.enterprise.unified-1.api.openai.com",
            "openai azure - openai-private-link-v1 - openai private",
        ),
        (
            "cdn.openai.com",
            "openai - cloudflare - - openai_app unverified",
        ),
        (
            "my-res.openai.azure.com",
            "microsoft azure - azure-openai - azure_openai",
        ),
        (
            "my-res.privatelink.openai.azure.com",
            "microsoft azure - azure-openai - azure_openai private",
        ),
        (
            "acc.services.ai.azure.com",
            "microsoft azure - azure-foundry - azure_foundry",
        ),
        (
            "bedrock-runtime.us-east-1.amazonaws.com",
            "amazon aws - bedrock-runtime us-east-1 bedrock|openai|anthropic",
        ),
        (
            "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
            "amazon aws - bedrock-runtime us-gov-west-1 bedrock|openai|anthropic fips",
        ),
        (
            "bedrock-runtime.eu-central-1.api.aws",
            "amazon aws - bedrock-runtime eu-central-1 bedrock|openai|anthropic",
        ),
        (
            "bedrock-mantle.us-west-2.api.aws",
            "amazon aws - bedrock-mantle us-west-2 openai|anthropic|agents",
        ),
        (
            "bedrock-agentcore-control.us-east-1.amazonaws.com",
            "amazon aws - bedrock-agentcore-control us-east-1 - control",
        ),
        (
            "bedrock.us-east-1.amazonaws.com",
            "amazon aws - bedrock us-east-1 - control",
        ),
        (
            "vpce-0a1b2c3d4e5f6a7b8-abcd1234-us-east-1a.bedrock-runtime.us-east-1.vpce.amazonaws.com",
            "amazon aws - bedrock-runtime us-east-1 bedrock|openai|anthropic private",
        ),
        (
            "bucket.vpce-0123456789abcdef0-12345678.s3.us-east-1.vpce.amazonaws.com",
            "amazon aws - s3 us-east-1 storage private",
        ),
        (
            "my.own.bucket.s3.eu-west-1.amazonaws.com",
            "amazon aws - s3 eu-west-1 storage",
        ),
        (
            "mybucket.s3.dualstack.eu-west-1.amazonaws.com",
            "amazon aws - s3 eu-west-1 storage",
        ),
        (
            "mybucket.s3-eu-west-1.amazonaws.com",
            "amazon aws - s3 eu-west-1 storage",
        ),
        ("mybucket.s3.amazonaws.com", "amazon aws - s3 - storage"),
        (
            "b.s3-website-us-east-1.amazonaws.com",
            "amazon aws - s3-website us-east-1 storage",
        ),
        (
            "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
            "amazon aws - s3-express us-east-1 storage",
        ),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "amazon aws - ecr us-east-1 registry",
        ),
        (
            "dynamodb.us-east-2.amazonaws.com",
            "amazon aws - dynamodb us-east-2 database",
        ),
        (
            "sts.cn-north-1.amazonaws.com.cn",
            "amazon aws - sts cn-north-1 auth control",
        ),
        (
            "kms.eusc-de-east-1.amazonaws.eu",
            "amazon aws - kms eusc-de-east-1 -",
        ),
        (
            "s3.us-iso-east-1.c2s.ic.gov",
            "amazon aws - s3 us-iso-east-1 storage",
        ),
        (
            "newthing.us-east-1.amazonaws.com",
            "amazon aws - - us-east-1 -",
        ),
        ("us-east-1.lambda-url.example", "unknown"),
        (
            "abc.lambda-url.us-east-1.on.aws",
            "- aws - lambda-url us-east-1 gateway unverified",
        ),
        (
            "aws-external-anthropic.us-east-1.api.aws",
            "anthropic aws - claude-platform-on-aws us-east-1 anthropic",
        ),
        (
            "us-central1-aiplatform.googleapis.com",
            "google gcp - vertex-ai us-central1 vertex",
        ),
        (
            "aiplatform.us.rep.googleapis.com",
            "google gcp - vertex-ai us vertex",
        ),
        (
            "generativelanguage.googleapis.com",
            "google gcp - gemini-api - gemini",
        ),
        ("b.storage.googleapis.com", "google gcp - gcs - storage"),
        ("other.googleapis.com", "google gcp - - - google unverified"),
        (
            "inference.generativeai.us-chicago-1.oci.oraclecloud.com",
            "oracle oci - oci-generative-ai us-chicago-1 oci_genai|openai",
        ),
        (
            "ns1.objectstorage.us-ashburn-1.oci.customer-oci.com",
            "oracle oci - oci-object-storage us-ashburn-1 storage unverified",
        ),
        ("api.anthropic.com", "anthropic - - claude-api - anthropic"),
        (
            "d111111abcdef8.cloudfront.net",
            "amazon - cloudfront cloudfront - cdn unverified",
        ),
        (
            "acct.blob.core.windows.net",
            "microsoft azure - azure-storage - storage",
        ),
        (
            "runtime.sagemaker.us-east-1.amazonaws.com",
            "amazon aws - sagemaker-runtime us-east-1 sagemaker",
        ),
        ("api.mistral.ai", "mistral - - llm-api - openai"),
        ("dns.google", "google - - public-dns - dns unverified"),
    ] {
        assert_eq!(said(&table, name), expected, "{name}");
    }
}

#[test]
fn what_only_looks_like_a_name_is_unknown() {
    let table = table();
    let long = format!("{}.api.openai.com", "a".repeat(300));
    for name in [
        "evilopenai.com",
        "notopenai.com",
        "openai.com.evil.net",
        "api.openai.com.evil.net",
        "evil-openai.azure.com.example.org",
        "api-openai.com",
        "api.0penai.com",
        // Cyrillic letters, as they are on the wire.
        "xn--penai-0ve.com",
        "api.xn--openi-g4d.com",
        "amazonaws.com.evil.net",
        "s3.us-east-1.amazonaws.com.evil.net",
        "xamazonaws.com",
        "com",
        "openai",
        "localhost",
        "example.com",
        "myamazonaws.eu",
    ] {
        assert_eq!(said(&table, name), "unknown", "{name}");
    }
    for name in [
        &long,
        "",
        ".",
        "192.0.2.1",
        "a..openai.com",
        "\u{43e}penai.com",
        "api.openai.com/x",
    ] {
        assert_eq!(said(&table, name), "no name", "{name}");
    }
    // The suffix alone is no service of AWS's.
    assert_eq!(said(&table, "amazonaws.com"), "unknown");
}

#[test]
fn an_overlay_goes_before_what_it_lies_over() {
    let overlay = "source own 2026-11-25 verified own\n\
        api.openai.com provider=relay service=own-relay @own\n\
        *.corp.example provider=corp family=openai control @own\n";
    let table = NameTable::from_texts(&[EMBEDDED_AWS, EMBEDDED, overlay]).expect("a table");
    assert_eq!(said(&table, "api.openai.com"), "relay - - own-relay - -");
    assert_eq!(
        said(&table, "llm.corp.example"),
        "corp - - - - openai control"
    );
    assert_eq!(
        said(&table, "eu.api.openai.com"),
        "openai - cloudflare openai-api eu openai"
    );
}

#[test]
fn a_line_that_cannot_be_taken_is_named() {
    let source = "source own 2026-11-25 verified own\n";
    for (line, what) in [
        ("a.example provider=x", "no source"),
        (
            "a.example provider=x @other",
            "no line `source other ...` stands above",
        ),
        ("a.example colour=red @own", "`colour` is none of provider"),
        ("a.example provider= @own", "neither `key=value`"),
        ("a.example family=cobol @own", "`cobol` is no API family"),
        (
            "a.**.example provider=x @own",
            "`**` stands at the front alone",
        ),
        ("*.{region} provider=x @own", "does not end in a domain"),
        ("com provider=x @own", "does not end in a domain"),
        (
            "a.{colour}.example provider=x @own",
            "`{colour}` is none of {region}",
        ),
        ("a.{region.example provider=x @own", "without `}`"),
        ("a_b!.example provider=x @own", "no host name"),
        (
            "<oci>.example provider=x @own",
            "no line `set oci ...` stands above",
        ),
        // Stood for itself without end.
        ("set s <s>", "write out what it stands for"),
        ("source x yesterday verified x", "`yesterday` is no date"),
        ("source x 2026-11-25 maybe x", "neither `verified` nor"),
        ("aws-service s3", "without a service"),
    ] {
        let text = format!("{source}{line}\n");
        let error = NameTable::from_texts(&[&text]).expect_err(line).to_string();
        assert!(error.starts_with("name file 1, line 2: "), "{error}");
        assert!(error.contains(what), "{line}: {error}");
    }
    let twice = format!("{source}a.example provider=x @own\na.example provider=y @own\n");
    let error = NameTable::from_texts(&[&twice]).expect_err("twice");
    assert_eq!(error.line, 3);
}

#[test]
fn the_outer_names_of_encrypted_hellos_are_known() {
    let table = table();
    let is = |name: &str| {
        HostName::from_wire(name.as_bytes())
            .is_ok_and(|name| Names::is_ech_public_name(&table, &name))
    };
    assert!(is("cloudflare-ech.com"));
    assert!(!is("api.openai.com"));
}

#[test]
fn resolvers_are_known_by_whole_labels() {
    let table = table();
    for (name, expected) in [
        ("dns.google", true),
        ("DNS.Google.", true),
        ("8888.dns.google", true),
        ("abc123.dns.nextdns.io", true),
        ("mozilla.cloudflare-dns.com", true),
        ("dns11.quad9.net", true),
        ("doh.familyshield.opendns.com", true),
        // Their own pages.
        ("adguard-dns.com", false),
        ("www.opendns.com", false),
        ("evildns.google", false),
        ("dns.google.evil.example", false),
        ("google", false),
        ("api.openai.com", false),
    ] {
        let host = HostName::from_wire(name.as_bytes()).expect("a name");
        let family = table.identify(&host).and_then(|known| known.api_family);
        assert_eq!(family == Some(ApiFamily::Dns), expected, "{name}");
    }
}

#[test]
fn hosting_is_stated_by_name() {
    let own = "hosting api.openai.com cloud=azure region=eastus\nhosting .openai.com cloud=gcp\n";
    let table = NameTable::with_overlay(own).expect("lines");
    for (name, expected) in [
        ("api.openai.com", Some(("azure", Some("eastus")))),
        ("us.api.openai.com", Some(("gcp", None))),
        ("chatgpt.com", None),
    ] {
        let host = HostName::from_wire(name.as_bytes()).expect("a name");
        let found = table.identify(&host).expect("a pattern");
        let stated = found.hosted.as_ref();
        let stated = stated.map(|hosted| (hosted.cloud.as_str(), hosted.region.as_deref()));
        assert_eq!(stated, expected, "{name}");
    }
    for (line, expected) in [
        ("hosting", "`hosting` without a name"),
        ("hosting a.example", "`hosting` without `cloud=`"),
        (
            "hosting a.example azure",
            "`azure` is neither `cloud=` nor `region=`",
        ),
        (
            "hosting a.example cloud=",
            "`cloud=` is neither `cloud=` nor `region=`",
        ),
        (
            "hosting a.example cloud=aws cloud=gcp",
            "`cloud=gcp` is the second of its kind",
        ),
        (
            "hosting a.example cloud=aws\nhosting a.example cloud=gcp",
            "`hosting a.example` stands twice",
        ),
    ] {
        let error = NameTable::with_overlay(line).expect_err(line);
        assert_eq!(error.what, expected);
    }
}
