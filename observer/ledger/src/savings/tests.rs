//! Changes of made months, by hand.

use observer_core::price::book::{BookSettings, Layer};

use super::*;
use crate::{flow::Flow, group::By, lines::Read};

const LINE: Layer<'static> = Layer {
    name: "line.yaml",
    text: "version: line\nrates: [{id: line, cloud: aws, kind: interconnect, to: ['azure/*'], price: '0.02', unit: GiB, per_hour: '0.5', source: [x]}]\n\
           counts: {line: 2}",
};

fn tallied(records: &[(&str, u64, u64)], book: &Book, chosen: &[(By, &str)]) -> Tally {
    let chosen = chosen
        .iter()
        .map(|(by, value)| (by.clone(), (*value).to_owned()));
    let mut tally = Tally::new(vec![By::Workload], None, &[book]).choosing(chosen.collect());
    let lines = records.iter().map(|(rest, sent, received)| {
        format!(
            "{{\"schema_version\":3,\"interval_end\":\"2026-10-05T12:00:00.000000Z\",\"host\":\"n\",\"device\":\"eth0\",\
             \"wire_bytes_egress\":{sent},\"wire_bytes_ingress\":{received},\"source_cloud\":\"aws\",\
             \"source_region\":\"us-east-1\",{rest}}}\n"
        )
    });
    let text: String = lines.collect();
    let mut read = Read::default();
    read.lines(
        "t",
        text.as_bytes(),
        |_| {},
        |flow: &Flow<'_>| tally.add(flow, book),
    )
    .expect("read");
    assert_eq!(read.records, records.len() as u64);
    tally
}

const TO_S3: &str = "\"workload\":\"a\",\"cloud\":\"aws\",\"region\":\"us-east-1\",\"service\":\"s3\",\"path_kind\":\"unknown\",\
                     \"path_elements\":[\"nat_gateway\"]";
const TO_AZURE: &str =
    "\"workload\":\"b\",\"cloud\":\"azure\",\"region\":\"eastus\",\"path_kind\":\"internet\"";
const TO_ZONE: &str =
    "\"workload\":\"c\",\"cloud\":\"aws\",\"region\":\"us-east-1\",\"path_kind\":\"inter_zone\"";

/// Through the gateway 1,024 GiB x 0.045 = 46.08, through the endpoint of S3 nothing. To Azure (5,120 - 100) x 0.09 = 451.80, by the
/// line 102.40 and two lines of one hour 1. Between zones both ways 3,072 x 0.01 = 30.72, in one nothing.
#[test]
fn what_would_save_is_told_with_its_arithmetic() {
    let book = Book::with_shipped(&[LINE], &BookSettings::default()).expect("a book");
    let records = [
        (TO_S3, 1 << 40, 0),
        (TO_AZURE, 5 << 40, 0),
        (TO_ZONE, 2 << 40, 1 << 40),
    ];
    let tally = tallied(&records, &book, &[]);
    let (now, found) = savings(&tally, &book, &Places::default());
    let saved: Vec<(String, String)> = found
        .iter()
        .map(|saving| (saving.saved().text(6), saving.what.clone()))
        .collect();
    assert_eq!(
        saved,
        [
            (
                "348.4",
                "a private line to azure/eastus instead of the internet"
            ),
            (
                "46.08",
                "a private endpoint for s3 instead of the NAT gateway"
            ),
            ("30.72", "keep it in one zone"),
        ]
        .map(|(saved, what)| (saved.to_owned(), what.to_owned()))
    );
    let text = render::table(&now, &found, 2);
    for expected in [
        "1. 348.40 USD less: a private line to azure/eastus",
        "aws us-east-1 to azure eastus, internet: 5.00 TiB out, 0 B in",
        "aws-internet-us-east-1: 451.80 -> 0.00",
        "line: 0.00 -> 103.40",
        "1 more save less",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(render::json(&now, &found)["savings"][1]["saved"], "46.08");
}

#[test]
fn what_is_chosen_alone_is_changed() {
    let book = Book::with_shipped(&[LINE], &BookSettings::default()).expect("a book");
    let records = [(TO_AZURE, 5 << 40, 0), (TO_ZONE, 2 << 40, 1 << 40)];
    let tally = tallied(&records, &book, &[(By::Workload, "b")]);
    let cost = |change: &Change| {
        let own = Places::default();
        let then = price_changed(&tally, &book, &own, |summed| {
            summed.is_chosen.then_some(change)
        });
        let rows = then
            .rows
            .iter()
            .map(|row| row.cost.text(6))
            .collect::<Vec<_>>();
        (rows, then.total.bytes, then.total.unpriced_bytes)
    };
    let as_is = price(&tally, &book, &Places::default());
    assert_eq!(as_is.total.cost.text(6), "482.52");
    for (change, rows, sent, unpriced) in [
        // Between zones Azure takes nothing.
        (Change::to("azure/eastus"), ["0", "30.72"], 7 << 40, 0),
        // (2,560 - 100) x 0.09, as the free band stays.
        (Change::compress("0.5"), ["221.4", "30.72"], 9 << 39, 0),
        (Change::path("interconnect"), ["102.4", "30.72"], 7 << 40, 0),
        (Change::path("unknown"), ["0", "30.72"], 7 << 40, 5 << 40),
    ] {
        let change = change.expect("a change");
        let (found, bytes, left) = cost(&change);
        assert_eq!(
            (&found[..], bytes[0], left),
            (&rows.map(str::to_owned)[..], sent, unpriced),
            "{change:?}"
        );
    }
}
