//! Tables for tests: a small one by hand, and random ones whose networks nest and meet at their ends.

use proptest::prelude::*;

use super::{
    collect::{Claim, collect},
    contents::{Contents, Source, TagKind},
    prefix::Prefix,
};

/// `cloud region service` under a network; `-` is none. Rented machines have service `ec2`, none is the network.
pub fn table(rows: &[(&str, &str)]) -> Contents {
    let claim = |words: &str| {
        let words: Vec<&str> = words
            .split(' ')
            .map(|word| if word == "-" { "" } else { word })
            .collect();
        let kind = match words[2] {
            "" => TagKind::Network,
            "ec2" => TagKind::Compute,
            _ => TagKind::Service,
        };
        Claim {
            cloud: words[0].into(),
            region: words[1].into(),
            service: words[2].into(),
            ..Claim::new(0, kind)
        }
    };
    let rows = rows
        .iter()
        .map(|(network, words)| (network.parse().expect("a network"), claim(words)));
    collect("2026-10-26", sources(), rows.collect())
}

pub fn small() -> Contents {
    table(&[
        ("10.0.0.0/8", "aws us-east-1 -"),
        ("10.1.0.0/16", "aws us-east-1 s3"),
        ("2606:4700::/32", "azure eastus -"),
    ])
}

pub fn sources() -> Vec<Source> {
    let source = |name: &str, verified| Source {
        name: name.into(),
        version: "1".into(),
        date: "2026-10-26".into(),
        licence: "MIT".into(),
        verified,
        rows: 0,
    };
    vec![source("feed", true), source("recalled", false)]
}

/// Up to 40 networks. Half of them lie in one /112, so that they cover each other.
pub fn contents() -> impl Strategy<Value = Contents> {
    let word = || prop::sample::select(vec!["", "a", "b", "b-c", "global"]);
    let kind = prop::sample::select(vec![TagKind::Network, TagKind::Compute, TagKind::Service]);
    let claim = (0..2u32, kind, word(), word(), word(), word()).prop_map(
        |(source, kind, cloud, front, region, service)| Claim {
            cloud: cloud.into(),
            front: front.into(),
            region: region.into(),
            service: service.into(),
            ..Claim::new(source, kind)
        },
    );
    prop::collection::vec((network(), claim), 0..40)
        .prop_map(|rows| collect("2026-10-26", sources(), rows))
}

fn network() -> impl Strategy<Value = Prefix> {
    let near = (any::<u16>(), 108..=128u8)
        .prop_map(|(low, length)| (0xffff_0a00_0000 | u128::from(low), length));
    let far = (any::<u128>(), 0..=128u8);
    prop_oneof![near, far].prop_map(|(bits, length)| {
        let bits = bits.checked_shr(128 - u32::from(length)).unwrap_or(0);
        let bits = bits.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Prefix::new(bits, length).expect("the bits behind the length were shifted out")
    })
}
