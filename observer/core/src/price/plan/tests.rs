//! What is charged on a route, and at which price a host takes it.

use super::*;
use crate::{
    model::{counters::Counters, identity::Word, names::PriceStatus},
    price::book::{BookSettings, Layer},
};

fn shipped(layers: &[Layer<'_>]) -> Arc<Book> {
    Arc::new(Book::with_shipped(layers, &BookSettings::default()).expect("a book"))
}

fn source(cloud: &str, region: &str) -> SourcePlace {
    SourcePlace {
        cloud: Some(cloud.to_owned()),
        region: Some(region.to_owned()),
        ..SourcePlace::default()
    }
}

fn identity(path: PathKind, place: &str, elements: &[&str]) -> Arc<Identity> {
    let (cloud, region) = place.split_once('/').unwrap_or((place, ""));
    Arc::new(Identity {
        cloud: Some(cloud.into()),
        region: Some(Word::from(region)).filter(|region| !region.is_empty()),
        path_kind: Some(path),
        path_elements: elements
            .iter()
            .map(|element| Word::from(*element))
            .collect(),
        ..Identity::default()
    })
}

fn at() -> UnixUs {
    UnixUs::parse("2026-11-28T12:00:00Z").expect("a time")
}

/// `RATE PRICE SIDE` of each part, the reason for what has no price, and the cost of a GiB each way.
fn planned(from: (&str, &str), to: &Arc<Identity>, settings: PricingSettings) -> String {
    let mut pricing = Pricing::new(shipped(&[]), settings, source(from.0, from.1));
    let plan = pricing.of(to, at());
    let counters = Counters {
        wire_bytes: [1 << 30, 1 << 30],
        ..Counters::default()
    };
    let parts = plan
        .parts
        .iter()
        .map(|part| format!("{} {} {}", part.rate.id, part.price, part.side.word()));
    let parts: Vec<String> = parts.collect();
    let reason = plan.unpriced.map_or("-", UnpricedReason::word);
    let cost = plan
        .cost(&counters)
        .map_or("-".to_owned(), |cost| cost.text(6));
    format!("{} | {reason} | {cost}", parts.join(", "))
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_route_has_its_charges() {
    use PathKind::{
        InterRegion, InterZone, Internet, Peering, PrivateEndpoint, SameHost, SameZone, Unknown,
    };
    let us = ("aws", "us-east-1");
    for (from, path, to, elements, expected) in [
        (
            us,
            Internet,
            "azure/eastus",
            &[][..],
            "aws-internet-us-east-1 0.09 local | - | 0.09",
        ),
        // Sent 0.045 + 0.09, received 0.045.
        (
            us,
            Internet,
            "internet",
            &["nat_gateway", "internet_gateway"],
            "aws-internet-us-east-1 0.09 local, aws-nat-gateway-us-east-1 0.045 local | - | 0.18",
        ),
        // Both ends, this one's sent and received.
        (
            us,
            InterZone,
            "aws/us-east-1",
            &[],
            "aws-inter-zone 0.01 local | - | 0.02",
        ),
        (
            us,
            SameZone,
            "aws/us-east-1",
            &[],
            "aws-same-zone 0 local | - | 0",
        ),
        (
            us,
            InterRegion,
            "aws/eu-west-1",
            &[],
            "aws-inter-region-us-east-1 0.02 local | - | 0.02",
        ),
        (
            us,
            Peering,
            "aws/us-east-1",
            &[],
            "aws-peering 0.01 local | - | 0.02",
        ),
        (
            us,
            PrivateEndpoint,
            "aws/us-east-1",
            &[],
            "aws-private-endpoint 0.01 local | - | 0.02",
        ),
        (us, SameHost, "private", &["nat_gateway"], " | - | 0"),
        (us, Unknown, "private", &[], " | path_unknown | -"),
        (
            us,
            Internet,
            "internet",
            &["vpn"],
            "aws-internet-us-east-1 0.09 local | element_no_rate | 0.09",
        ),
        (
            ("aws", "xx-new-1"),
            Internet,
            "internet",
            &[],
            " | no_rate | -",
        ),
        (("", ""), Internet, "internet", &[], " | source_unknown | -"),
        (
            ("ownplace", "room-1"),
            Internet,
            "internet",
            &[],
            " | no_rate | -",
        ),
        (
            ("gcp", "us-east1"),
            Internet,
            "country/cn",
            &[],
            "gcp-internet-na 0.12 local | - | 0.12",
        ),
        (
            ("oci", "uk-london-1"),
            Internet,
            "internet",
            &[],
            "oci-internet-na-eu-uk 0.0085 local | - | 0.0085",
        ),
    ] {
        let mut place = source(from.0, from.1);
        place.cloud = place.cloud.filter(|cloud| !cloud.is_empty());
        let to = identity(path, to, elements);
        let mut pricing = Pricing::new(shipped(&[]), PricingSettings::default(), place);
        let _ = pricing.of(&to, at());
        let planned = match from.0 {
            "" => {
                let plan = pricing.of(&to, at());
                format!(" | {} | -", plan.unpriced.map_or("-", UnpricedReason::word))
            }
            _ => planned(from, &to, PricingSettings::default()),
        };
        assert_eq!(planned, expected, "{from:?} {path:?}");
    }
}

#[test]
fn a_service_of_the_own_region_needs_no_zone() {
    let to = Arc::new(Identity {
        service: Some("s3".into()),
        ..(*identity(PathKind::Unknown, "aws/us-east-1", &[])).clone()
    });
    let planned = planned(("aws", "us-east-1"), &to, PricingSettings::default());
    assert_eq!(planned, "aws-service-same-region 0 local | - | 0");
}

#[test]
fn the_far_end_is_charged_where_it_is_the_operator_s() {
    let own = Places::parse(&["azure/*".to_owned()], "", |_| None).expect("places");
    let settings = PricingSettings {
        own,
        ..PricingSettings::default()
    };
    let to = identity(PathKind::Internet, "azure/eastus", &[]);
    // Sent at 0.09, and what came was sent there at 0.087.
    assert_eq!(
        planned(("aws", "us-east-1"), &to, settings),
        "aws-internet-us-east-1 0.09 local, azure-internet-zone-1 0.087 remote | - | 0.177"
    );
}

#[test]
fn the_assumption_chooses_the_tier() {
    let to = identity(PathKind::Internet, "azure/eastus", &[]);
    let price = |assumption, volume_gib: u64| {
        let volumes = BTreeMap::from([("aws".to_owned(), volume_gib << 30)]);
        let settings = PricingSettings {
            assumption,
            volumes,
            ..PricingSettings::default()
        };
        planned(("aws", "us-east-1"), &to, settings)
    };
    for (assumption, volume, expected) in [
        (CostAssumption::FirstTier, 0, "0.09"),
        (CostAssumption::Marginal, 50, "0"),
        (CostAssumption::Marginal, 100, "0.09"),
        (CostAssumption::Marginal, 10_240, "0.085"),
        // (10,140 * .09 + 10,240 * .085) / 20,480 = 0.087060546875
        (CostAssumption::Blended, 20_480, "0.087060546875"),
    ] {
        let planned = price(assumption, volume);
        let wanted = format!("aws-internet-us-east-1 {expected} local");
        assert!(
            planned.starts_with(&wanted),
            "{assumption:?} {volume}: {planned}"
        );
    }
}

#[test]
fn a_plan_ends_where_a_rate_does_and_where_the_host_moves() {
    let text = "version: t\nrates:\n\
                - {id: old, cloud: aws, kind: internet, price: '0.08', effective_until: 2026-12-01}\n\
                - {id: new, cloud: aws, kind: internet, price: '0.07', effective_from: 2026-12-01}\n";
    let book = shipped(&[Layer {
        name: "own.yaml",
        text,
    }]);
    let mut pricing = Pricing::new(book, PricingSettings::default(), source("aws", "us-east-1"));
    let to = identity(PathKind::Internet, "internet", &[]);
    for (time, expected) in [
        ("2026-11-30T23:59:59Z", "old"),
        ("2026-12-01T00:00:00Z", "new"),
        ("2026-11-30T23:59:59Z", "new"),
    ] {
        let plan = pricing.of(&to, UnixUs::parse(time).expect("a time"));
        let id = plan
            .parts
            .first()
            .map(|part| (&*part.rate.id, part.rate.status));
        assert_eq!(id, Some((expected, PriceStatus::Own)), "{time}");
    }
    pricing.stand(&SourcePlace::default());
    assert_eq!(
        pricing.of(&to, at()).unpriced,
        Some(UnpricedReason::SourceUnknown)
    );
}
