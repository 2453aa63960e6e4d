//! Each format by a small sample of its own, what is wrong with feeds, and what they do to a table.

use proptest::prelude::*;

use super::{merge::*, *};
use crate::identify::address::{
    AddressTable, EMBEDDED,
    contents::{Contents, TagKind},
    format,
};

const TOLD: Told<'static> = Told {
    name: "feed",
    owner: None,
    date: "2026-11-25",
};

fn named(name: &'static str) -> Told<'static> {
    Told { name, ..TOLD }
}

/// `network cloud front provider region geography network service`, a row a line.
fn in_words(feed: &Feed) -> Vec<String> {
    let line = |(prefix, c): &(Prefix, Claim)| {
        let words = [
            &c.cloud,
            &c.front,
            &c.provider,
            &c.region,
            &c.geography,
            &c.network,
            &c.service,
        ];
        let words = words.map(|word| if word.is_empty() { "-" } else { word });
        format!("{prefix} {}", words.join(" "))
    };
    feed.rows.iter().map(line).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_format_is_read() {
    for (text, told, source, rows) in [
        (
            r#"{"syncToken":"1","createDate":"2026-08-22-15-17-05","prefixes":[
              {"ip_prefix":"10.0.0.0/8","region":"us-west-2","service":"AMAZON","network_border_group":"us-west-2"},
              {"ip_prefix":"10.1.0.0/16","region":"us-west-2","service":"EC2","network_border_group":"us-west-2-lax-1"}],
              "ipv6_prefixes":[{"ipv6_prefix":"fc00::/16","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}]}"#,
            TOLD,
            "AWS ip-ranges 1 2026-08-22",
            &[
                "10.0.0.0/8 aws - - us-west-2 - amazon -",
                "10.1.0.0/16 aws - - us-west-2 - us-west-2-lax-1 ec2",
                "fc00::/16 aws cloudfront - global - - cloudfront",
            ][..],
        ),
        (
            r#"{"changeNumber":375,"cloud":"Public","values":[
              {"name":"AzureCloud.centralfrance","properties":{"region":"centralfrance","addressPrefixes":["10.0.0.0/8"]}},
              {"name":"Storage.NewPlace7","properties":{"region":"newplace","addressPrefixes":["10.0.0.0/9"]}},
              {"name":"ActionGroup","properties":{"region":"","addressPrefixes":["10.2.0.0/16","fc00::/48"]}}]}"#,
            TOLD,
            "Azure service tags 375 2026-11-25",
            &[
                "10.0.0.0/8 azure - - francecentral - azurecloud -",
                "10.0.0.0/9 azure - microsoft newplace - - storage",
                "10.2.0.0/16 azure - microsoft - - - actiongroup",
                "fc00::/48 azure - microsoft - - - actiongroup",
            ],
        ),
        (
            r#"{"syncToken":"7","creationTime":"2025-07-24T19:16:28.7","prefixes":[
              {"ipv4Prefix":"10.0.0.0/8","service":"Google Cloud","scope":"us-west1"},
              {"ipv6Prefix":"fc00::/48","service":"Google Cloud","scope":"global"}]}"#,
            TOLD,
            "Google cloud.json 7 2025-07-24",
            &[
                "10.0.0.0/8 gcp - - us-west1 - google-cloud -",
                "fc00::/48 gcp - - global - google-cloud -",
            ],
        ),
        (
            r#"{"syncToken":"7","creationTime":"2025-07-24T19:16:28.7","prefixes":[{"ipv4Prefix":"10.0.0.0/7"}]}"#,
            TOLD,
            "Google goog.json 7 2025-07-24",
            &["10.0.0.0/7 gcp - google - - google -"],
        ),
        (
            r#"{"last_updated_timestamp":"2025-07-21T07:13:25.4","regions":[{"region":"us-phoenix-1","cidrs":[
              {"cidr":"10.0.0.0/8","tags":["OCI"]},{"cidr":"10.1.0.0/16","tags":["OSN","OBJECT_STORAGE"]},
              {"cidr":"10.2.0.0/16","tags":["NEW"]}]}]}"#,
            TOLD,
            "OCI public_ip_ranges 2025-07-21T07:13:25.4 2025-07-21",
            &[
                "10.0.0.0/8 oci - - us-phoenix-1 - oci -",
                "10.1.0.0/16 oci - oracle us-phoenix-1 - osn object-storage",
                "10.2.0.0/16 oci - - us-phoenix-1 - new -",
            ],
        ),
        (
            r#"{"addresses":["10.0.0.0/8"],"ipv6_addresses":["fc00::/48"]}"#,
            TOLD,
            "Fastly public-ip-list  2026-11-25",
            &[
                "10.0.0.0/8 - fastly - - - - -",
                "fc00::/48 - fastly - - - - -",
            ],
        ),
        (
            r#"{"result":{"etag":"e","ipv4_cidrs":["10.0.0.0/8"],"ipv6_cidrs":[]},"success":true}"#,
            TOLD,
            "Cloudflare addresses e 2026-11-25",
            &["10.0.0.0/8 - cloudflare - - - - -"],
        ),
        (
            "10.0.0.0/8\n10.1.0.0/16\n",
            named("dir/cloudflare-v4.txt"),
            "cloudflare addresses  2026-11-25",
            &[
                "10.0.0.0/8 - cloudflare - - - - -",
                "10.1.0.0/16 - cloudflare - - - - -",
            ],
        ),
        (
            r#"{"keys":["ssh x"],"sha":{"a":"b"},"web":["10.0.0.0/8"],"api":[],"git":[],"actions":["10.3.0.0/16"],"ok":false}"#,
            TOLD,
            "GitHub meta  2026-11-25",
            &["10.0.0.0/8 - - github - - - github-web"],
        ),
        (
            "# geofeed\n10.0.0.0/8,NL,NL-NH,\"Amsterdam, x\",1098 XH\nfc00::/48,US,,,\n",
            named("linode.csv"),
            "linode geofeed  2026-11-25",
            &[
                "10.0.0.0/8 linode - - - nl-nh - -",
                "fc00::/48 linode - - - us - -",
            ],
        ),
        (
            "# ours\ncidr, cloud ,region,service\n10.0.0.0/8,dc,fra1,\n10.1.0.0/16,dc,fra1,backup\n",
            named("a/networks.csv"),
            "operator: networks.csv  2026-11-25",
            &[
                "10.0.0.0/8 dc - - fra1 - - -",
                "10.1.0.0/16 dc - - fra1 - - backup",
            ],
        ),
    ] {
        let feed = read(text.as_bytes(), &told).expect(source);
        let s = &feed.source;
        assert_eq!(format!("{} {} {}", s.name, s.version, s.date), source);
        assert_eq!(in_words(&feed), rows, "{source}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, parts) in [
        ("", &["has no network"][..]),
        ("# nothing\n", &["has no network"]),
        ("{}", &["no feed that is known"]),
        ("[1]", &["JSON"]),
        ("{\"syncToken\":", &["line 1"]),
        (
            "{\"syncToken\":\"1\",\"createDate\":\"x\",\"prefixes\":[\n{\"ip_prefix\":\"10.0.0.1/8\",\"region\":\"a\",\"service\":\"b\"}]}",
            &["AWS ip-ranges", "10.0.0.1/8", "bits are set", "line 2"],
        ),
        (
            "{\"syncToken\":\"1\",\"creationTime\":\"x\",\"prefixes\":[{\"ipv4Prefix\":\"10.0.0.0/8\"},{\"ipv4Prefix\":\"11.0.0.0/8\",\"scope\":\"a\"}]}",
            &["scope"],
        ),
        ("10.0.0.0/8\n", &["whose networks", "OWNER=FILE"]),
        (
            "cidr,colour\n10.0.0.0/8,red\n",
            &["line 1", "colour", "geography"],
        ),
        ("cidr,cidr\n", &["line 1", "twice"]),
        ("cidr,cloud\n10.0.0.0/8,a\nx,b\n", &["line 3", "no `/`"]),
        ("cidr,cloud\n10.0.0.0/8\n", &["line 2", "1 field", "2"]),
        (
            "cidr,cloud\n10.0.0.0/8,A B\n",
            &["line 2", "`cloud` is `A B`"],
        ),
        ("cidr,cloud\n10.0.0.0/8,\n", &["line 2", "says nothing"]),
        (
            "cidr,cloud,kind\n10.0.0.0/8,a,b\n",
            &["line 2", "`kind` is `b`"],
        ),
    ] {
        let error = read(text.as_bytes(), &TOLD).expect_err(text).to_string();
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains('\n'), "{error}");
    }
    assert_eq!(
        read(b"10.0.0.0/8 \xff", &TOLD),
        Err(FeedError::Encoding(11))
    );
}

fn embedded() -> Contents {
    format::decode(EMBEDDED).expect("the embedded file is whole")
}

fn table(contents: &Contents) -> AddressTable {
    AddressTable::from_bytes(&format::encode(contents)).expect("what was encoded is whole")
}

fn csv(rows: &str) -> Feed {
    read(
        format!("cidr,cloud,region\n{rows}").as_bytes(),
        &named("own.csv"),
    )
    .expect("a feed")
}

fn at(contents: &Contents, address: &str) -> String {
    let found = table(contents).address_identity(address.parse().expect("an address"));
    [&found.cloud, &found.region, &found.provider, &found.front]
        .map(|word| word.as_deref().unwrap_or("-").to_owned())
        .join(" ")
}

#[test]
fn zones_are_told_of_regions() {
    let text =
        "cidr,cloud,region,zone\n10.0.1.0/24,aws,us-east-1,use1-az1\n10.0.2.0/24,aws,us-east-1,\n";
    let feed = read(text.as_bytes(), &named("own.csv")).expect("a feed");
    assert_eq!(feed.rows.len(), 2);
    let zones = feed.zones.iter();
    let zones: Vec<String> = zones
        .map(|(network, zone)| format!("{network} {zone}"))
        .collect();
    assert_eq!(zones, ["10.0.1.0/24 use1-az1"]);
    for text in [
        "cidr,cloud,zone\n10.0.1.0/24,aws,use1-az1\n",
        "cidr,cloud,region,zone\n10.0.1.0/24,,us-east-1,use1-az1\n",
    ] {
        let error = read(text.as_bytes(), &named("own.csv")).expect_err("half a place");
        let said = error.to_string();
        assert_eq!(said, "line 2: has a zone; say its `cloud` and `region` too");
    }
}

#[test]
fn rows_of_a_table_collect_to_the_same_table() {
    let before = embedded();
    let after = merge(&before, Vec::new(), 0).expect("nothing to refuse").0;
    assert!(before == after);
}

#[test]
fn a_feed_replaces_what_it_speaks_for_alone() {
    let list = |text: &str| read(text.as_bytes(), &named("cloudflare")).expect("a list");
    let before = embedded();
    let v4 = list("104.16.0.0/13\n");
    let refused =
        merge(&before, vec![v4.clone()], SHRINK_MAX_PERCENT).expect_err("14 of 15 are gone");
    assert_eq!(
        refused,
        MergeError::Shrunk {
            name: "cloudflare addresses".into(),
            before: 15,
            after: 1,
            percent: 20
        }
    );
    let (after, merged) = merge(&before, vec![v4], 100).expect("allowed");
    assert_eq!((merged[0].before, merged[0].after), (15, 1));
    for (address, expected) in [
        ("104.16.0.1", "- - - cloudflare"),
        ("173.245.48.1", "internet - - -"),
        ("2606:4700::1", "- - - cloudflare"),
        ("20.42.65.88", "azure eastus microsoft -"),
    ] {
        assert_eq!(at(&after, address), expected, "{address}");
    }
    let again = merge(&after, vec![list("104.16.0.0/13\n173.245.48.0/20\n")], 20).expect("grows");
    assert_eq!(again.1[0].before, 1);
}

#[test]
fn customers_in_googles_own_network_are_not_google() {
    let goog = r#"{"syncToken":"7","creationTime":"2026-07-24","prefixes":[{"ipv4Prefix":"203.0.112.0/23"}]}"#;
    let cloud = r#"{"syncToken":"7","creationTime":"2026-07-24","prefixes":[{"ipv4Prefix":"203.0.112.0/25","scope":"us-west1"}]}"#;
    let feeds = [goog, cloud].map(|text| read(text.as_bytes(), &TOLD).expect("a feed"));
    let (after, _) = merge(&embedded(), feeds.into(), 100).expect("allowed");
    assert_eq!(at(&after, "203.0.112.1"), "gcp us-west1 - -");
    assert_eq!(at(&after, "203.0.112.200"), "gcp - google -");
}

#[test]
fn a_service_in_nobodys_network_is_on_the_internet() {
    let text = r#"{"web":["140.82.112.0/20","20.42.65.88/32"],"api":[],"git":[]}"#;
    let feed = read(text.as_bytes(), &TOLD).expect("a feed");
    let (after, _) = merge(&embedded(), vec![feed], 100).expect("allowed");
    assert_eq!(at(&after, "140.82.112.3"), "internet - github -");
    assert_eq!(at(&after, "20.42.65.88"), "azure eastus github -");
}

#[test]
fn the_operators_networks_go_before_all_others() {
    let own = csv("20.42.0.0/16,dc,fra1\n");
    let after = overlay(&embedded(), vec![own]).expect("room");
    assert_eq!(at(&after, "20.42.65.88"), "dc fra1 - -");
    assert_eq!(at(&after, "20.43.0.1").split(' ').next(), Some("azure"));
}

fn a_claim() -> impl Strategy<Value = (Prefix, Claim)> {
    (any::<u32>(), 8_u8..=32, 0..3_usize).prop_map(|(bits, length, cloud)| {
        let bits = (u128::from(bits) >> (32 - length) << (32 - length)) | 0xffff << 32;
        let prefix = Prefix::new(bits, length + MAPPED_BITS).expect("bits behind are zero");
        let cloud = ["a", "b", "c"][cloud].to_owned();
        (
            prefix,
            Claim {
                cloud,
                ..Claim::new(0, TagKind::Network)
            },
        )
    })
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, &named("linode"));
    }

    #[test]
    fn an_address_of_the_operator_is_the_operators(
        base in prop::collection::vec(a_claim(), 1..40),
        own in prop::collection::vec(a_claim(), 1..10),
        inside in any::<u32>(),
    ) {
        let feed = |rows: Vec<(Prefix, Claim)>, name: &str| Feed {
            source: source(name, String::new(), "2026-11-25"),
            scope: Scope::default(),
            rows,
            zones: Vec::new(),
            passed_over: 0,
        };
        let empty = Contents::default();
        let (base, _) = merge(&empty, vec![feed(base, "base")], 0).expect("nothing before");
        let mine: Vec<Prefix> = own.iter().map(|(prefix, _)| *prefix).collect();
        let own: Vec<_> = own
            .into_iter()
            .map(|(prefix, claim)| (prefix, Claim { cloud: "own".into(), ..claim }))
            .collect();
        let table = table(&overlay(&base, vec![feed(own, "own")]).expect("room"));
        for prefix in mine {
            let host = 128 - u32::from(prefix.prefix_length());
            let bits = prefix.bits() | (u128::from(inside) & ((1_u128 << host) - 1));
            let address = std::net::Ipv6Addr::from_bits(bits);
            let found = table.address_identity(address.into());
            prop_assert_eq!(found.cloud.as_deref(), Some("own"));
        }
    }
}
