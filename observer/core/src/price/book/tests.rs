//! What a book takes, what it refuses, and which of several rates wins.

use super::*;
use crate::{
    model::{names::PriceStatus, time::UnixUs},
    price::place::Place,
};

fn book(text: &str) -> Result<Book, BookError> {
    let layer = Layer {
        name: "own.yaml",
        text,
    };
    Book::of(&[layer], &BookSettings::default())
}

fn at(day: &str) -> UnixUs {
    UnixUs::parse(&format!("{day}T12:00:00Z")).expect("a day")
}

fn way<'w>(kind: RateKind, from: &'w str, to: &'w str) -> Way<'w> {
    Way {
        kind,
        from: Place::parse(from),
        to: Place::parse(to),
        service: None,
    }
}

fn found<'b>(book: &'b Book, kind: RateKind, from: &str, to: &str, day: &str) -> &'b str {
    let rate = book.find(&way(kind, from, to), BilledDirection::Egress, at(day));
    rate.map_or("-", |rate| &*rate.facts.id)
}

#[test]
fn the_shipped_book_is_whole() {
    let settings = BookSettings {
        variants: [
            "aws-public-addresses",
            "azure-isp-routing",
            "gcp-standard-tier",
        ]
        .map(str::to_owned)
        .into(),
        ..BookSettings::default()
    };
    for settings in [BookSettings::default(), settings] {
        let book = Book::with_shipped(&[], &settings).expect("the shipped book");
        let of = |status| {
            book.rates()
                .iter()
                .filter(|rate| rate.facts.status == status)
                .count()
        };
        let all = [
            PriceStatus::Verified,
            PriceStatus::SecondHand,
            PriceStatus::Recalled,
        ]
        .map(of);
        assert_eq!(
            all.iter().sum::<usize>(),
            book.rates().len(),
            "a row lost its status"
        );
        assert!(
            book.rates()
                .iter()
                .all(|rate| !rate.facts.source.is_empty())
        );
        assert_eq!(&**book.currency(), "USD");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn shipped_rates_are_found_by_both_ends() {
    use RateKind::{InterRegion, InterZone, Interconnect, Internet, NatGateway};
    let book = Book::with_shipped(&[], &BookSettings::default()).expect("the shipped book");
    for (kind, from, to, expected) in [
        (
            Internet,
            "aws/us-east-1",
            "azure/eastus",
            "aws-internet-us-east-1",
        ),
        (
            Internet,
            "aws/ap-northeast-1",
            "internet",
            "aws-internet-ap-northeast-1",
        ),
        (Internet, "aws/cn-north-1", "internet", "-"),
        (
            Internet,
            "azure/westeurope",
            "aws/eu-west-1",
            "azure-internet-zone-1",
        ),
        (
            Internet,
            "gcp/us-east1",
            "country/cn",
            "gcp-internet-to-china",
        ),
        (Internet, "gcp/us-east1", "country/jp", "gcp-internet-na"),
        (
            Internet,
            "gcp/australia-southeast1",
            "country/cn",
            "gcp-internet-to-china",
        ),
        (
            Internet,
            "gcp/europe-west1",
            "aws/ap-southeast-2",
            "gcp-internet-to-australia",
        ),
        (
            Internet,
            "oci/eu-frankfurt-1",
            "internet",
            "oci-internet-na-eu-uk",
        ),
        (
            InterRegion,
            "aws/us-east-1",
            "aws/us-east-2",
            "aws-inter-region-us-east",
        ),
        (
            InterRegion,
            "aws/us-east-1",
            "aws/eu-west-1",
            "aws-inter-region-us-east-1",
        ),
        (
            InterRegion,
            "azure/eastus",
            "azure/westus",
            "azure-inter-region-in-na",
        ),
        (
            InterRegion,
            "azure/eastus",
            "azure/westeurope",
            "azure-inter-region-from-na",
        ),
        (
            InterRegion,
            "gcp/us-east1",
            "gcp/asia-southeast2",
            "gcp-inter-region-to-indonesia-oceania",
        ),
        (
            InterZone,
            "aws/us-east-1",
            "aws/us-east-1",
            "aws-inter-zone",
        ),
        (
            Interconnect,
            "aws/us-east-1",
            "private",
            "aws-direct-connect-us-east-1",
        ),
        (
            Interconnect,
            "aws/us-east-1",
            "gcp/us-east4",
            "aws-interconnect-multicloud",
        ),
        (
            NatGateway,
            "aws/us-east-1",
            "internet",
            "aws-nat-gateway-us-east-1",
        ),
        (NatGateway, "aws/eu-west-1", "internet", "-"),
    ] {
        let found = found(&book, kind, from, to, "2026-11-28");
        assert_eq!(found, expected, "{kind:?} {from} {to}");
    }
}

const TWO: &str = "
version: test
groups: {asia: [aws/ap-*]}
rates:
- {id: any, cloud: aws, kind: internet, price: '1'}
- {id: from-group, cloud: aws, kind: internet, from: ['@asia'], price: '2'}
- {id: from-listed, cloud: aws, kind: internet, from: [ap-south-1], price: '3'}
- {id: to-azure, cloud: aws, kind: internet, to: [azure/*], price: '4'}
- {id: to-service, cloud: aws, kind: internet, services: [bedrock], price: '5'}
- {id: until, cloud: aws, kind: inter_region, price: '6', effective_until: 2026-11-15}
- {id: from, cloud: aws, kind: inter_region, price: '7', effective_from: 2026-11-15}
";

#[test]
fn the_narrower_rate_wins_in_the_stated_order() {
    use RateKind::{InterRegion, Internet};
    let book = book(TWO).expect("a book");
    for (kind, from, to, day, expected) in [
        (Internet, "aws/us-east-1", "internet", "2026-11-01", "any"),
        (
            Internet,
            "aws/ap-east-1",
            "internet",
            "2026-11-01",
            "from-group",
        ),
        (
            Internet,
            "aws/ap-south-1",
            "internet",
            "2026-11-01",
            "from-listed",
        ),
        (
            Internet,
            "aws/ap-south-1",
            "azure/eastus",
            "2026-11-01",
            "to-azure",
        ),
        (
            InterRegion,
            "aws/ap-south-1",
            "aws/us-east-1",
            "2026-11-14",
            "until",
        ),
        (
            InterRegion,
            "aws/ap-south-1",
            "aws/us-east-1",
            "2026-11-15",
            "from",
        ),
        (Internet, "gcp/us-east1", "internet", "2026-11-01", "-"),
    ] {
        assert_eq!(
            found(&book, kind, from, to, day),
            expected,
            "{from} {to} {day}"
        );
    }
    let service = Way {
        service: Some("bedrock"),
        ..way(Internet, "aws/ap-south-1", "azure/eastus")
    };
    let rate = book.find(&service, BilledDirection::Egress, at("2026-11-01"));
    assert_eq!(rate.map(|rate| &*rate.facts.id), Some("to-service"));
}

#[test]
fn a_later_file_goes_first_and_replaces_by_name() {
    let own = "version: own\nrates:\n- {id: all, cloud: aws, kind: internet, price: '0.02'}\n\
               - {id: aws-inter-zone, cloud: aws, kind: inter_zone, price: '0', direction: both}\n\
               counts: {aws-nat-gateway-us-east-1: 2}\n\
               discounts:\n- {rates: ['azure-*'], percent: '10', source: EA 1, effective_from: 2026-12-01}\n";
    let layer = Layer {
        name: "own.yaml",
        text: own,
    };
    let book = Book::with_shipped(&[layer], &BookSettings::default()).expect("a book");
    assert_eq!(
        found(
            &book,
            RateKind::Internet,
            "aws/us-east-1",
            "internet",
            "2026-11-28"
        ),
        "all"
    );
    let zone = way(RateKind::InterZone, "aws/us-east-1", "aws/us-east-1");
    let rate = book
        .find(&zone, BilledDirection::Egress, at("2026-11-28"))
        .expect("a rate");
    assert_eq!(
        (rate.facts.status, &*rate.facts.source),
        (PriceStatus::Own, "own.yaml")
    );
    let nat = way(RateKind::NatGateway, "aws/us-east-1", "internet");
    assert_eq!(
        book.find(&nat, BilledDirection::Egress, at("2026-11-28"))
            .map(|rate| rate.count),
        Some(2)
    );
    let azure = way(RateKind::Internet, "azure/eastus", "internet");
    for (day, price, discount) in [
        ("2026-11-30", "0.087", None),
        ("2026-12-01", "0.0783", Some(1_000)),
    ] {
        let rate = book
            .find(&azure, BilledDirection::Egress, at(day))
            .expect("a rate");
        let first = crate::price::tier::first_price(&rate.tiers);
        assert_eq!(first.to_string(), price, "{day}");
        assert_eq!(
            rate.facts.discount.as_ref().map(|discount| discount.0),
            discount
        );
    }
    assert!(
        book.version().starts_with("shipped-2026-11-23+own+"),
        "{}",
        book.version()
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_wrong_is_told_with_file_and_line() {
    let rate = |row: &str| format!("version: t\nrates:\n- {row}\n");
    for (text, expected) in [
        ("rates: []", "own.yaml:1: missing field `version`"),
        (
            "version: t\nprices: []",
            "own.yaml:2: unknown field `prices`",
        ),
        (
            "version: t\ncurrency: usd",
            "own.yaml: currency `usd` is none of ISO 4217",
        ),
        (
            &rate("{id: a, cloud: aws, kind: egress, price: '1'}"),
            "`egress` is none of",
        ),
        (
            &rate("{id: a, cloud: aws, kind: internet}"),
            "own.yaml:3: rate `a`: has no price",
        ),
        (
            &rate("{id: a, cloud: aws, kind: internet, price: '-1'}"),
            "own.yaml:3: rate `a`: price `-1` is negative",
        ),
        (
            &rate("{id: a, cloud: aws, kind: internet, price: 0.1, unit: TB}"),
            "unit `TB` is neither",
        ),
        (
            &rate("{id: a, cloud: aws, kind: internet, price: 0.1, to: ['@x']}"),
            "no group is called `@x`",
        ),
        (
            &rate("{id: a, cloud: aws, kind: internet, tiers: [{up_to: 1, price: 0.1}]}"),
            "the last tier has `up_to`",
        ),
        (
            &rate("{id: a, cloud: aws, kind: internet, tiers: [{price: 0.1}, {price: 0.1}]}"),
            "tier 1 has no `up_to`",
        ),
        (
            &rate(
                "{id: a, cloud: aws, kind: internet, tiers: [{up_to: 2, price: 0.1}, {up_to: 2, price: 0.1}, {price: 0}]}",
            ),
            "tier 2 ends before",
        ),
        (
            &rate(
                "{id: a, cloud: aws, kind: internet, price: 1, effective_from: 2026-01-01, effective_until: 2026-01-01}",
            ),
            "which is never",
        ),
        (
            &rate(
                "{id: a, cloud: aws, kind: internet, price: 1}\n- {id: a, cloud: aws, kind: peering, price: 1}",
            ),
            "own.yaml:4: rate `a`: the name is there twice",
        ),
        (
            &rate(
                "{id: a, cloud: aws, kind: internet, price: 1}\n- {id: b, cloud: aws, kind: internet, price: 2}",
            ),
            "own.yaml:4: rate `b`: contends with rate `a` (line 3)",
        ),
        (
            &rate(
                "{id: a, cloud: aws, kind: internet, price: 1, effective_until: 2026-02-02}\n\
                 - {id: b, cloud: aws, kind: internet, price: 2, effective_from: 2026-02-01}",
            ),
            "rate `b`: contends with rate `a`",
        ),
        (
            "version: t\nrates: [{id: aws-x, cloud: aws, kind: internet, price: '1'}]\ndiscounts: [{rates: [aws-*], percent: '101', source: x}]",
            "discount of `aws-*`: `percent: 101` is no number from 0 to 100",
        ),
        (
            "version: t\ndiscounts: [{rates: [aws-intrenet*], percent: '10', source: x}]",
            "no rate is called `aws-intrenet*`; see `observer price show`",
        ),
        (
            "version: t\nrates: [{id: aws-x, cloud: aws, kind: internet, price: '1'}]\ncommitments:\n- {id: c, rates: [aws-*], per_month: '-5', source: x}",
            "own.yaml:4: commitment `c`: `per_month`: `-5` is negative",
        ),
        (
            "version: t\ncommitments:\n- {id: c, rates: [], per_month: '5', source: x}",
            "commitment `c`: names no rate",
        ),
        (
            "version: t\nrates: [{id: aws-x, cloud: aws, kind: internet, price: '1'}]\ncommitments:\n- {id: c, rates: [aws-*], per_month: '5', source: x}\n\
             - {id: c, rates: [aws-*], per_month: '6', source: x}",
            "own.yaml:5: commitment `c`: the name is there twice",
        ),
    ] {
        let error = book(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let eur = Layer {
        name: "eur.yaml",
        text: "version: e\ncurrency: EUR",
    };
    let error = Book::with_shipped(&[eur], &BookSettings::default()).expect_err("two currencies");
    assert!(
        error.to_string().contains("one book has one currency"),
        "{error}"
    );
}
