//! Bills with known deviations: each is found, under its name.

use observer_core::price::{
    book::{Book, BookSettings, Layer},
    place::Places,
};

use super::*;
use crate::{flow::Flow, lines::Read, priced, tally::Tally};

const BOOK: &str = "version: b
rates: [{id: out, cloud: aws, kind: internet, price: '0.09', unit: GiB, source: [x]}]";

/// 100 GiB to the internet on each of these days of October, 9 each.
const DAYS: [u8; 6] = [1, 2, 3, 4, 6, 7];

fn estimate() -> Priced {
    let layer = Layer {
        name: "b",
        text: BOOK,
    };
    let book = Book::of(&[layer], &BookSettings::default()).expect("a book");
    let mut tally = Tally::new(BY.to_vec(), None, &[&book]);
    let lines = DAYS.map(|day| {
        format!(
            "{{\"schema_version\":3,\"interval_end\":\"2026-10-{day:02}T12:00:00.000000Z\",\"host\":\"n\",\"device\":\"eth0\",\
             \"wire_bytes_egress\":{},\"wire_bytes_ingress\":0,\"source_cloud\":\"aws\",\"source_region\":\"us-east-1\",\
             \"cloud\":\"internet\",\"path_kind\":\"internet\"}}\n",
            100_u64 << 30
        )
    });
    Read::default()
        .lines(
            "t",
            lines.concat().as_bytes(),
            |_| {},
            |flow: &Flow<'_>| tally.add(flow, &book),
        )
        .expect("read");
    priced::price(&tally, &book, &Places::default())
}

const CUR: &str = "lineItem/UsageStartDate,lineItem/UsageType,lineItem/UsageAmount,lineItem/UnblendedCost,lineItem/CurrencyCode,product/fromRegionCode
2026-10-01T00:00:00Z,USE1-DataTransfer-Out-Bytes,60,5.4,USD,us-east-1
2026-10-01T07:00:00Z,USE1-DataTransfer-Out-Bytes,40,3.6,USD,us-east-1
2026-10-02T00:00:00Z,USE1-DataTransfer-Out-Bytes,150,13.5,USD,us-east-1
2026-10-03T00:00:00Z,USE1-DataTransfer-Out-Bytes,100,8,USD,us-east-1
2026-10-05T00:00:00Z,USE1-DataTransfer-Out-Bytes,10,0.9,USD,us-east-1
2026-10-05T00:00:00Z,USE1-NatGateway-Hours,24,1.08,USD,us-east-1
2026-10-06T00:00:00Z,USE1-DataTransfer-Out-Bytes,50,4.5,USD,us-east-1
2026-10-05T00:00:00Z,USE1-DataTransfer-Strange,1,0.25,USD,us-east-1
2026-10-05T00:00:00Z,USE1-BoxUsage:m6i.large,24,2.304,USD,us-east-1
";

const FOCUS: &str = "ChargePeriodStart,BilledCost,BillingCurrency,ServiceProviderName,RegionId,ServiceCategory,SkuMeter,ConsumedQuantity,ConsumedUnit
2026-10-07T00:00:00Z,9.5,USD,AWS,us-east-1,Networking,Data Transfer Out,1,Units
2026-10-07T00:00:00Z,77,USD,AWS,us-east-1,Compute,Instance,1,Hours
";

#[test]
fn each_deviation_has_its_name() {
    let mut bill = Bill::default();
    bill.read("cur.csv", CUR.as_bytes())
        .expect("a report of AWS");
    bill.read("focus.csv", FOCUS.as_bytes())
        .expect("a FOCUS dataset");
    let priced = estimate();
    let found = reconcile(&priced, &bill);
    let cells: Vec<(i8, &str, [String; 6])> = found
        .cells
        .iter()
        .map(|(key, cell)| {
            let parts = cell.parts();
            let all = [
                cell.difference(),
                parts.not_seen,
                parts.not_billed,
                parts.bytes,
                parts.price,
                parts.unexplained,
            ];
            assert_eq!(parts.sum(), cell.difference());
            (
                key.day.day(),
                key.kind.word(),
                all.map(|money| money.text(6)),
            )
        })
        .collect();
    let expected = [
        // 60 and 40 GiB as estimated.
        (1, "internet", ["0", "0", "0", "0", "0", "0"]),
        // 50 GiB more.
        (2, "internet", ["4.5", "0", "0", "4.5", "0", "0"]),
        // At 0.08.
        (3, "internet", ["-1", "0", "0", "0", "-1", "0"]),
        (4, "internet", ["-9", "0", "-9", "0", "0", "0"]),
        (5, "internet", ["0.9", "0.9", "0", "0", "0", "0"]),
        // 50 GiB fewer.
        (6, "internet", ["-4.5", "0", "0", "-4.5", "0", "0"]),
        // The bill counts units.
        (7, "internet", ["0.5", "0", "0", "0", "0", "0.5"]),
        (5, "nat_gateway", ["1.08", "1.08", "0", "0", "0", "0"]),
        (
            5,
            "USE1-DataTransfer-Strange",
            ["0.25", "0.25", "0", "0", "0", "0"],
        ),
    ]
    .map(|(day, kind, parts)| (day, kind, parts.map(str::to_owned)));
    assert_eq!(cells, expected);
    assert_eq!(
        (bill.other_lines, bill.other_cost.text(6)),
        (2, "79.304".to_owned())
    );

    let table = render::table(&found, &bill, &priced);
    for expected in [
        "aws    us-east-1  internet                   45.40     54.00       -8.60      0.90       -9.00   0.00  -1.00         0.50",
        "2026-10-04 aws us-east-1 internet: bill -, estimate 9.00 for 100 GiB",
        "2 lines of the bill are of other things than transfer, 79.30 USD",
    ] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    let json = render::json(&found, &bill, &priced);
    assert_eq!(json["difference"], "-7.27");
}
