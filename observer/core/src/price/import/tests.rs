//! Small lists in the official form, and what is broken.

use super::*;
use crate::{
    model::{money::Unit, time::UnixUs},
    price::{
        book::{Book, BookSettings, Layer},
        place::Place,
        rate::{Pool, Way},
    },
};

const AWS_CSV: &str = include_str!("../../../tests/lists/aws.csv");

const AWS_JSON: &str = include_str!("../../../tests/lists/aws.json");

const AZURE: &str = include_str!("../../../tests/lists/azure.json");

const OCI: &str = include_str!("../../../tests/lists/oci.json");

const GCP: &str = include_str!("../../../tests/lists/google.json");

fn told(text: &str) -> Vec<String> {
    let imported = read(text).expect("a list");
    let rates = imported.rates.iter().map(|rate| {
        let tiers = rate.tiers.iter().map(|tier| {
            let end = tier.up_to.map(|units| format!("<{units}"));
            format!("{}{}", tier.price, end.unwrap_or_default())
        });
        let tiers: Vec<String> = tiers.collect();
        format!(
            "{} {} {}",
            rate.id,
            rate.direction.map_or("-", BilledDirection::word),
            tiers.join(" ")
        )
    });
    let unplaced = imported.unplaced.iter().cloned();
    rates
        .chain(unplaced)
        .chain([format!("{} passed over", imported.passed_over)])
        .collect()
}

#[test]
fn lists_in_the_official_form_are_read() {
    for (text, expected) in [
        (
            AWS_CSV,
            &[
                "aws-list-internet-us-east-1 egress 0.09<10240 0.085<51200 0.05",
                "aws-list-inter-zone-us-east-1 both 0.01",
                "aws-list-inter-region-us-east-1-to-eu-west-1 egress 0.02",
                "1 passed over",
            ][..],
        ),
        (
            AWS_JSON,
            &[
                "aws-list-internet-us-east-1 egress 0.09<10240 0.085",
                "1 passed over",
            ],
        ),
        (
            AZURE,
            &[
                "azure-list-internet-eastus egress 0<100 0.087",
                "azure-list-internet-eastus-isp egress 0.08",
                "1 passed over",
            ],
        ),
        (
            OCI,
            &[
                "oci-list-internet-na-eu-uk egress 0<10240 0.0085",
                "oci-list-inter-region-na-eu-uk egress 0<10240 0.0085",
                "1 passed over",
            ],
        ),
        (
            GCP,
            &[
                "gcp-list-internet-f274-1692-f213 egress 0<1 0.12<1024 0.11<10240 0.08",
                "gcp-list-internet-aaaa-0001 egress 0.12",
                "gcp-list-internet-aaaa-0002 egress 0.19",
                "gcp-list-inter-region-aaaa-0003 egress 0.02",
                "gcp-list-inter-zone-aaaa-0004 egress 0.01",
                "SKU AAAA-0005, Network Internet Data Transfer Out from Americas to Atlantis",
                "2 passed over",
            ],
        ),
    ] {
        assert_eq!(told(text), expected);
    }
}

#[test]
fn what_was_imported_is_a_book_over_the_shipped_one() {
    let lists = [AWS_CSV, AZURE, OCI, GCP].map(|text| read(text).expect("a list"));
    let text = book("lists", &lists).expect("a book");
    let layer = Layer {
        name: "lists.yaml",
        text: &text,
    };
    let book = Book::with_shipped(&[layer], &BookSettings::default()).expect("whole");
    let rate = book
        .rates()
        .iter()
        .find(|rate| &*rate.facts.id == "aws-list-internet-us-east-1");
    let rate = rate.expect("the rate");
    assert_eq!(rate.free.as_ref().map(|free| free.bytes), Some(100 << 30));
    assert_eq!(rate.facts.as_of.as_deref(), Some("2026-07-20"));
    assert_eq!(rate.facts.status, PriceStatus::Verified);
    // Regions of one meter fill its tiers together.
    let pool = |id: &str| {
        let rate = book.rates().iter().find(|rate| &*rate.facts.id == id);
        rate.map(|rate| rate.pool.clone())
    };
    let meter = Some(Pool::Named("azure-meter-9995d93a".into()));
    assert_eq!(pool("azure-list-internet-eastus"), meter);
    // What Azure's gigabyte is stays the operator's to say.
    let settings = BookSettings {
        units: BTreeMap::from([("azure".to_owned(), Unit::Gigabyte)]),
        ..BookSettings::default()
    };
    for (settings, expected) in [
        (BookSettings::default(), 100 << 30),
        (settings, 100_000_000_000),
    ] {
        let book = Book::with_shipped(&[layer], &settings).expect("whole");
        let rate = |id: &str| {
            let rate = book.rates().iter().find(|rate| &*rate.facts.id == id);
            rate.and_then(|rate| rate.tiers.first()?.up_to_bytes)
        };
        assert_eq!(rate("azure-list-internet-eastus"), Some(expected));
        assert_eq!(rate("aws-list-internet-us-east-1"), Some(10_240 << 30));
    }
    // Korea is of the narrower SKU alone.
    for (to, expected) in [
        ("country/jp", "aaaa-0001"),
        ("country/kr", "aaaa-0002"),
        ("country/br", "f274-1692-f213"),
    ] {
        let way = Way {
            kind: RateKind::Internet,
            from: Place::parse("gcp/us-central1"),
            to: Place::parse(to),
            service: None,
        };
        let rate = book
            .find(&way, BilledDirection::Egress, UnixUs(0))
            .expect("a rate");
        assert_eq!(*rate.facts.id, *format!("gcp-list-internet-{expected}"));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_broken_list_is_refused_whole() {
    let cut = |text: &str, lines: usize| {
        let lines: Vec<&str> = text.lines().take(lines).collect();
        lines.join("\n")
    };
    for (text, expected) in [
        (String::new(), "none of the price lists"),
        ("{}".to_owned(), "none of the price lists"),
        (AWS_JSON[..AWS_JSON.len() - 9].to_owned(), "no whole JSON"),
        // Two tiers of three.
        (
            cut(AWS_CSV, 8),
            "SKU HQEH3ZWJVT46JHRG: its tiers do not follow",
        ),
        (
            AWS_CSV.replace("0.0850000000", "-0.085"),
            "line 8: price `-0.085` is negative",
        ),
        (
            AWS_CSV.replace("\"51200\",\"GB\"", "\"51201\",\"GB\""),
            "its tiers do not follow",
        ),
        (
            AWS_CSV.replace("\"51200\",\"Inf\"", "\"10240\",\"Inf\""),
            "line 9: two tiers of SKU",
        ),
        (
            AWS_CSV.replace("\"0\",\"10240\"", "\"some\",\"10240\""),
            "`some` is no bound of a tier",
        ),
        (
            AWS_CSV.replace("\"EffectiveDate\",", "\"Since\","),
            "no column `EffectiveDate`",
        ),
        (
            AWS_CSV.replacen("\"USD\"", "\"CNY\"", 1),
            "line 8: a price in USD after CNY",
        ),
        (
            AZURE.replace("\"tierMinimumUnits\":100.0", "\"tierMinimumUnits\":0.0"),
            "two tiers of `eastus` begin at 0",
        ),
        (
            AZURE.replace("0.087,\"unit", "-0.087,\"unit"),
            "item 2: price `-0.087` is negative",
        ),
        (
            AZURE.replace("\"retailPrice\":0.087", "\"retailPrice\":null"),
            "item 2: `retailPrice` is no number",
        ),
        (
            AZURE.replace("9995d93a", ""),
            "item 1: `meterId` is missing",
        ),
        (AZURE.replace("1 GB", "1 MB"), "`1 MB` is no `1 GB`"),
        (
            OCI.replace("\"rangeMin\":10240", "\"rangeMin\":0"),
            "B88327: two tiers begin at 0",
        ),
        (
            OCI.replace("0.0085", "-1"),
            "B88327: price `-1` is negative",
        ),
        (
            GCP.replace("\"GiBy\"", "\"By\""),
            "SKU F274-1692-F213: `By` is no `GiBy`",
        ),
        (
            GCP.replace("\"nanos\":190000000", "\"nanos\":-190000000"),
            "SKU AAAA-0002: price of 0 and -190000000 nanos is none",
        ),
        (
            GCP.replace("\"startUsageAmount\":1024", "\"startUsageAmount\":1"),
            "SKU F274-1692-F213: two tiers begin at 1",
        ),
        (
            GCP.replace("\"startUsageAmount\":0,", "\"startUsageAmount\":7,"),
            "SKU F274-1692-F213: no tier begins at 0",
        ),
        (
            GCP.replace("AAAA-0001", "AAAA-0002"),
            "two rows are for the same bytes",
        ),
        (GCP.replace("AAAA-0001", ""), "SKU 2: `skuId` is missing"),
    ] {
        let error = read(&text).expect_err(&text).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let nothing = OCI.replace("B88327", "B1");
    let nothing = book("v", &[read(&nothing).expect("a list")]);
    let error = nothing.expect_err("nothing").to_string();
    assert!(
        error.contains("no rate of data transfer in it; 2 rows"),
        "{error}"
    );
    let twice = format!(
        "{AWS_CSV}{}",
        AWS_CSV
            .lines()
            .last()
            .expect("a line")
            .replace("INBOUND", "X")
    );
    assert!(read(&twice).is_ok(), "another product that is passed over");
}

#[test]
fn pages_are_taken_together_or_not_at_all() {
    let first = AZURE.replace(
        "\"NextPageLink\":null",
        "\"NextPageLink\":\"https://x/?skip=100\"",
    );
    let last = AZURE.replace("eastus", "westus");
    let [first, last] = [first, last].map(|text| read(&text).expect("a page"));
    let error = book("v", std::slice::from_ref(&first)).expect_err("the last page is missing");
    assert!(
        error.to_string().contains("goes on beyond its last page"),
        "{error}"
    );
    assert_eq!(
        first.next,
        Some(Next::Link("https://x/?skip=100".to_owned()))
    );
    let token = read(&GCP.replace("\"nextPageToken\":\"\"", "\"nextPageToken\":\"AB/=\""));
    assert_eq!(
        token.expect("a page").next,
        Some(Next::Token("AB/=".to_owned()))
    );
    assert!(book("v", &[first.clone(), last]).is_ok());
    let error = book("v", &[read(AZURE).expect("a page"), first]).expect_err("twice");
    assert!(error.to_string().contains("it is in two files"), "{error}");
}
