//! Reports of made records: what they cost by hand, and what holds whatever the records are.

use std::{io, sync::Arc};

use observer_core::{
    model::money::Money,
    price::{
        book::{Book, BookSettings, Layer},
        month::Month,
        place::Places,
    },
};
use proptest::prelude::*;

use super::*;
use crate::{group::By, priced, tally::TallyError};

/// One record as an agent writes it, as far as reports look.
fn record(host: &str, at: &str, bytes: [u64; 2], rest: &str) -> String {
    let [sent, received] = bytes;
    format!(
        "{{\"schema_version\":3,\"interval_end\":\"{at}\",\"host\":\"{host}\",\"device\":\"eth0\",\
         \"wire_bytes_egress\":{sent},\"wire_bytes_ingress\":{received},\"source_cloud\":\"aws\",\
         \"source_region\":\"us-east-1\",{rest}}}\n"
    )
}

const TO_AZURE: &str =
    "\"workload\":\"a\",\"cloud\":\"azure\",\"region\":\"eastus\",\"path_kind\":\"internet\"";
const TO_GCP: &str = "\"workload\":\"b\",\"cloud\":\"gcp\",\"region\":\"us-east1\",\"path_kind\":\"internet\",\"path_elements\":[\"nat_gateway\"]";
const TO_NOWHERE: &str = "\"workload\":\"c\",\"cloud\":\"private\",\"path_kind\":\"unknown\"";

fn shipped() -> Arc<Book> {
    Arc::new(Book::with_shipped(&[], &BookSettings::default()).expect("the shipped book"))
}

fn tallied(text: &str, by: &[&str], month: Option<Month>, books: &[&Book]) -> (Tally, Read) {
    let by = by
        .iter()
        .map(|word| By::parse(word).expect("a column"))
        .collect();
    let mut tally = Tally::new(by, month, books);
    let mut read = Read::default();
    let book = books.first().copied().expect("a book");
    read.lines("t", text.as_bytes(), |_| {}, |flow| tally.add(flow, book))
        .expect("read");
    (tally, read)
}

fn report(text: &str, by: &[&str], month: Option<&str>) -> Report {
    let book = shipped();
    let month = month.map(|month| Month::parse(month).expect("a month"));
    let (tally, read) = tallied(text, by, month, &[&book]);
    let expected = ExpectedHosts::Names(["n1", "n2", "n3"].map(Word::from).to_vec());
    Report {
        by: tally.by().iter().map(By::word).collect(),
        priced: priced::price(&tally, &book, &Places::default()),
        against: None,
        coverage: Coverage::of(read, &tally, Some(&expected)),
    }
}

/// 8 TiB and 4 TiB of two hosts leave us-east-1 in one month, 1 TiB in the next.
fn fleet() -> String {
    [
        record(
            "n1",
            "2026-10-05T12:00:00.000000Z",
            [8 << 40, 1 << 30],
            TO_AZURE,
        ),
        record(
            "n2",
            "2026-10-06T12:00:00.000000Z",
            [4 << 40, 1 << 40],
            TO_GCP,
        ),
        record("n2", "2026-10-07T12:00:00.000000Z", [7, 0], TO_NOWHERE),
        record("n1", "2026-11-01T00:00:00.000000Z", [1 << 40, 0], TO_AZURE),
    ]
    .concat()
}

/// October by hand: 12,288 GiB leave together. 100 are free, 10,140 cost 0.09, 2,048 cost 0.085: 912.60 + 174.08 =
/// 1,086.68. The gateway takes 0.045 for 4,096 + 1,024 GiB: 230.40. `a` has two thirds of the first: 724.453333...
#[test]
fn a_month_fills_the_tiers_of_all_hosts_together() {
    let report = report(&fleet(), &["workload"], Some("2026-10"));
    let costs: Vec<String> = report
        .priced
        .rows
        .iter()
        .map(|row| row.cost.text(6))
        .collect();
    assert_eq!(costs, ["724.453333", "592.626667", "0"]);
    assert_eq!(report.priced.total.cost.text(12), "1317.08");
    assert_eq!(report.priced.total.unpriced_bytes, 7);
    let lines: Vec<(String, u64, u64)> = report
        .priced
        .lines
        .iter()
        .map(|line| {
            (
                line.rate.id.to_string(),
                line.bytes >> 30,
                line.free_bytes >> 30,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("aws-internet-us-east-1".to_owned(), 12_288, 100),
            ("aws-nat-gateway-us-east-1".to_owned(), 5_120, 0)
        ]
    );
    assert_eq!(report.coverage.of_other_months, 1);
}

#[test]
fn a_commitment_is_told_apart_from_what_bytes_cost() {
    let layer = Layer {
        name: "own.yaml",
        text: "version: own\ncommitments: [{id: edp, rates: [aws-internet-*], per_month: '2000', source: EDP}]",
    };
    let book = Book::with_shipped(&[layer], &BookSettings::default()).expect("a book");
    let month = Month::parse("2026-10");
    let (tally, read) = tallied(&fleet(), &["workload"], month, &[&book]);
    let report = Report {
        by: vec!["workload".to_owned()],
        priced: priced::price(&tally, &book, &Places::default()),
        against: None,
        coverage: Coverage::of(read, &tally, None),
    };
    // As without it; 2,000 less 1,086.68.
    assert_eq!(report.priced.total.cost.text(12), "1317.08");
    let due = &report.json()["commitments"][0];
    assert_eq!(
        (&due["used"], &due["shortfall"]),
        (&"1086.68".into(), &"913.32".into())
    );
    for text in [report.table(), report.html()] {
        assert!(text.contains("edp") && text.contains("913.32"), "{text}");
    }
    let without = self::report(&fleet(), &["workload"], None);
    assert!(!without.html().contains("committed to") && !without.table().contains("commitment"));
}

#[test]
fn every_form_has_the_same_total_and_says_what_is_missing() {
    let report = report(&fleet(), &["cloud", "workload", "month"], None);
    // November: 1,024 GiB less 100 at 0.09.
    let total = "1400.24";
    let table = report.table();
    for expected in [
        total,
        "unpriced: 7 B sent, path_unknown",
        "of 3 expected 1 did not: n3",
        "4 records",
        "not a bill",
        "aws-internet-us-east-1",
        "verified",
    ] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    let json = report.json();
    assert_eq!(json["total"]["cost_estimate"], total);
    assert_eq!(json["coverage"]["hosts_missing"][0], "n3");
    assert_eq!(json["coverage"]["is_whole"], false);
    let csv = report.csv().expect("written");
    let mut sum = Money::ZERO;
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    for line in reader.records() {
        let line = line.expect("a line");
        sum += Money::parse(&line[6]).expect("an amount");
    }
    assert_eq!(sum.text(DECIMALS), total);
    let html = report.html();
    assert!(
        html.contains(total) && html.contains("did not: n3"),
        "{html}"
    );
}

#[test]
fn a_page_holds_whatever_names_there_are_and_loads_nothing() {
    let ugly = TO_AZURE.replace("\"a\"", "\"<script src='//x'>&\"");
    let text = record("n1", "2026-10-05T12:00:00.000000Z", [1 << 30, 0], &ugly);
    let html = report(&text, &["workload"], None).html();
    assert!(
        html.contains("&lt;script src=&#39;//x&#39;&gt;&amp;"),
        "{html}"
    );
    for foreign in ["<script", "http:", "https:", "url(", "<link", "<img"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_same_bytes_under_another_book_stand_beside() {
    let half = Layer {
        name: "agreed.yaml",
        text: "version: agreed\ndiscounts: [{rates: [aws-internet-*], percent: '50', source: x, effective_from: 2026-10-06}]",
    };
    let (old, new) = (
        shipped(),
        Book::with_shipped(&[half], &BookSettings::default()).expect("a book"),
    );
    let (tally, read) = tallied(
        &fleet(),
        &["workload"],
        Month::parse("2026-10"),
        &[&old, &new],
    );
    let own = Places::default();
    let report = Report {
        by: vec!["workload".to_owned()],
        priced: priced::price(&tally, &old, &own),
        against: Some(("agreed".to_owned(), priced::price(&tally, &new, &own))),
        coverage: Coverage::of(read, &tally, None),
    };
    // The first 8,192 GiB as before, with the free band inside: 728.28. Then 2,048 at half of 0.09 and as many at half of
    // 0.085: 179.20. The gateway as before.
    assert_eq!(report.json()["against"]["cost_estimate"], "1137.88");
    assert_eq!(report.json()["total"]["cost_estimate"], "1317.08");
    assert!(report.table().contains("agreed"), "{}", report.table());
}

#[test]
fn bounds_are_told() {
    let book = shipped();
    let mut tally = Tally::new(vec![By::Host], None, &[&book]);
    let mut read = Read::default();
    let mut text = String::new();
    for nth in 0..=crate::tally::ROUTES_MAX {
        let rest = format!("\"cloud\":\"c{nth}\",\"path_kind\":\"internet\"");
        text += &record("n", "2026-10-05T12:00:00.000000Z", [1, 0], &rest);
    }
    let error = read
        .lines("t", text.as_bytes(), |_| {}, |flow| tally.add(flow, &book))
        .expect_err("too many ways");
    assert!(matches!(error, TallyError::TooMany { .. }), "{error}");
    assert!(error.to_string().contains("65536 ways"), "{error}");
    let error = TallyError::from(io::Error::other("disk"));
    assert_eq!(error.to_string(), "disk");
}

/// Records of some hosts, ways, times and sizes.
fn records() -> impl Strategy<Value = Vec<(usize, u8, u64, u64)>> {
    prop::collection::vec(
        (0..3_usize, 1..28_u8, 0..(20_u64 << 40), 0..(1_u64 << 40)),
        1..24,
    )
}

fn written(records: &[(usize, u8, u64, u64)]) -> Vec<String> {
    let ways = [TO_AZURE, TO_GCP, TO_NOWHERE];
    let lines = records.iter().map(|(way, day, sent, received)| {
        let at = format!("2026-10-{day:02}T23:59:59.999999Z");
        record(&format!("n{day}"), &at, [*sent, *received], ways[*way])
    });
    lines.collect()
}

fn total(text: &str, by: &[&str]) -> Money {
    report(text, by, None).priced.total.cost
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn order_and_splitting_never_change_the_month(records in records(), turn in any::<prop::sample::Index>()) {
        let mut lines = written(&records);
        let whole = report(&lines.concat(), &["workload", "cloud"], None);
        lines.rotate_left(turn.index(records.len()));
        let turned = report(&lines.concat(), &["workload", "cloud"], None);
        prop_assert_eq!(&whole.priced.rows, &turned.priced.rows);
        let halves: Vec<(usize, u8, u64, u64)> = records
            .iter()
            .flat_map(|(way, day, sent, received)| {
                let (some, part) = (sent / 3, received / 2);
                [(*way, *day, some, part), (*way, *day, sent - some, received - part)]
            })
            .collect();
        let split = report(&written(&halves).concat(), &["workload", "cloud"], None);
        prop_assert_eq!(&whole.priced.rows, &split.priced.rows);
    }

    #[test]
    fn any_grouping_sums_to_the_total_to_the_last_digit(records in records()) {
        let text = written(&records).concat();
        let alone = total(&text, &["source_cloud"]);
        for by in [&["workload"][..], &["host", "day"], &["cloud", "region", "path_kind", "label:x"]] {
            let report = report(&text, by, None);
            prop_assert_eq!(report.priced.total.cost, alone);
            let rows: Money = report.priced.rows.iter().map(|row| row.cost).sum();
            let charges: Money = report.priced.charges.iter().map(|charge| charge.cost).sum();
            let lines: Money = report.priced.lines.iter().map(|line| line.cost).sum();
            prop_assert_eq!([rows, charges, lines], [alone; 3]);
            let written: Money = Amounts::of(&report.priced, 2).rows.iter().copied().sum();
            prop_assert_eq!(written, alone.rounded(2));
        }
    }

    #[test]
    fn more_bytes_never_cost_less(records in records(), which in any::<prop::sample::Index>(), more in 1..(1_u64 << 42)) {
        let before = total(&written(&records).concat(), &["workload"]);
        let mut records = records;
        let nth = which.index(records.len());
        records[nth].2 += more;
        prop_assert!(total(&written(&records).concat(), &["workload"]) >= before);
    }
}

/// Lines as maps of their heads.
fn lines_of(csv: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let lines = reader.deserialize().collect::<Result<_, _>>();
    lines.expect("lines of strings")
}

#[test]
fn a_focus_dataset_has_every_charge_and_bills_nothing() {
    let hourly = Layer {
        name: "line.yaml",
        text: "version: line\nrates: [{id: line, cloud: aws, kind: nat_gateway, price: '0', per_hour: '1', source: [x]}]\n\
               counts: {line: 2}\ndiscounts: [{rates: [aws-internet-us-east-1], percent: '20', source: y}]",
    };
    let book = Book::with_shipped(&[hourly], &BookSettings::default()).expect("a book");
    let by: Vec<String> = focus::BY.iter().map(By::word).collect();
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    let (tally, read) = tallied(&fleet(), &by, None, &[&book]);
    let own = Places::parse(&["gcp/*".to_owned()], "", |_| None).expect("places");
    let report = Report {
        by: Vec::new(),
        priced: priced::price(&tally, &book, &own),
        against: None,
        coverage: Coverage::of(read, &tally, None),
    };
    let old = report.focus(focus::Focus::V1_2, &book).expect("written");
    let new = report.focus(focus::Focus::V1_4, &book).expect("written");
    assert_eq!(
        old.replace(
            "ProviderName,PublisherName",
            "ServiceProviderName,HostProviderName"
        ),
        new
    );

    let lines = lines_of(&new);
    let sum: Money = lines
        .iter()
        .map(|line| Money::parse(&line["x_EstimatedCost"]).expect("an amount"))
        .sum();
    let total: Money = [report.priced.total.cost, report.priced.total.hourly]
        .into_iter()
        .sum();
    assert_eq!(sum, total.rounded(DECIMALS));
    assert!(
        lines
            .iter()
            .all(|line| line["BilledCost"] == "0.0" && line["x_IsEstimate"] == "true")
    );
    let line = |rate: &str, frequency: &str| {
        let found = lines
            .iter()
            .find(|line| line["x_RateId"] == rate && line["ChargeFrequency"] == frequency);
        found.unwrap_or_else(|| panic!("a line of {rate}: {new}"))
    };
    let sent = line("aws-internet-us-east-1", "Usage-Based");
    assert_eq!(sent["ChargePeriodStart"], "2026-10-05T00:00:00.000000Z");
    assert_eq!(sent["BillingPeriodEnd"], "2026-11-01T00:00:00.000000Z");
    assert_eq!(
        (&*sent["PricingQuantity"], &*sent["PricingUnit"]),
        ("8192.000000000000", "GiB")
    );
    // A fifth is off the list price.
    let amount = |column: &str| Money::parse(&sent[column]).expect("an amount").to_f64();
    assert!((amount("ListCost") * 0.8 - amount("EffectiveCost")).abs() < 1e-9);
    // Two gateways for the 24 hours between the first and the last byte of October.
    assert_eq!(
        line("line", "Recurring")["EffectiveCost"],
        "48.000000000000"
    );
    // What gcp sends back, in its own region and Pacific days.
    let back = line("gcp-internet-na", "Usage-Based");
    assert_eq!(
        [
            &*back["x_RateSide"],
            &*back["RegionId"],
            &*back["ServiceProviderName"],
            &*back["BillingAccountId"]
        ],
        ["remote", "us-east1", "Google Cloud", "unknown"]
    );
    assert_eq!(back["BillingPeriodStart"], "2026-10-01T07:00:00.000000Z");
}
