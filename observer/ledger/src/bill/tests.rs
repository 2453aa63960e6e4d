//! Bills of both forms, and what is none.

use super::*;

const CUR: &str = "identity/LineItemId,lineItem/UsageStartDate,lineItem/UsageType,lineItem/UsageAmount,lineItem/UnblendedCost,lineItem/CurrencyCode,product/fromRegionCode
a,2026-10-01T00:00:00Z,USE1-DataTransfer-Out-Bytes,512.5,46.125,USD,us-east-1
b,2026-10-01T05:00:00Z,USE1-USW2-AWS-Out-Bytes,10,0.2,USD,us-east-1
c,2026-10-02T00:00:00Z,USE1-NatGateway-Hours,24,1.08,USD,us-east-1
d,2026-10-02T00:00:00Z,USE1-BoxUsage:m6i.large,24,2.304,USD,us-east-1
e,2026-10-02T00:00:00Z,DataTransfer-Regional-Bytes,1.5E-3,0.000015,USD,us-east-1
";

fn read(text: &str) -> Result<Bill, BillError> {
    let mut bill = Bill::default();
    bill.read("bill.csv", text.as_bytes()).map(|()| bill)
}

#[test]
fn a_report_of_aws_is_read_by_either_kind_of_heads() {
    let new = CUR.lines().enumerate().map(|(nth, line)| match nth {
        0 => "identity_line_item_id,line_item_usage_start_date,line_item_usage_type,line_item_usage_amount,\
              line_item_unblended_cost,line_item_currency_code,product_from_region_code\n"
            .to_owned(),
        _ => format!("{line}\n"),
    });
    let new: String = new.collect();
    for text in [CUR, &new] {
        let bill = read(text).expect("a bill");
        let found: Vec<(&str, Option<RateKind>, Option<u64>, String)> = bill
            .charges
            .iter()
            .map(|charge| {
                (
                    &*charge.region,
                    charge.kind,
                    charge.bytes,
                    charge.cost.text(6),
                )
            })
            .collect();
        let gib = 1 << 30;
        assert_eq!(
            found,
            [
                (
                    "us-east-1",
                    Some(RateKind::Internet),
                    Some(gib * 1025 / 2),
                    "46.125".to_owned()
                ),
                (
                    "us-east-1",
                    Some(RateKind::InterRegion),
                    Some(gib * 10),
                    "0.2".to_owned()
                ),
                (
                    "us-east-1",
                    Some(RateKind::NatGateway),
                    None,
                    "1.08".to_owned()
                ),
                (
                    "us-east-1",
                    Some(RateKind::InterZone),
                    Some(1_610_613),
                    "0.000015".to_owned()
                ),
            ]
        );
        assert_eq!(
            (bill.other_lines, bill.other_cost.text(6)),
            (1, "2.304".to_owned())
        );
    }
}

#[test]
fn what_is_no_bill_is_told_where_and_nothing_of_it_is_used() {
    for (text, expected) in [
        ("a,b\n1,2\n".to_owned(), "neither FOCUS"),
        (
            CUR.replace("46.125", "much"),
            "bill.csv:2: `cost` is `much`, which is no decimal number",
        ),
        (
            CUR.replace("2026-10-01T05", "yesterday"),
            "bill.csv:3: `period` is `yesterday",
        ),
        (
            CUR.replacen("USD,us-east-1\nb", "EUR,us-east-1\nb", 1),
            "bill.csv:2: currency `EUR` after `USD`",
        ),
        (CUR.replacen("46.125,USD", "46.125", 1), "found record with"),
        (format!("{CUR}x,\"2026"), "found record with"),
        (String::new(), "neither FOCUS"),
    ] {
        let mut bill = read(CUR).expect("a bill");
        let before = bill.charges.clone();
        let error = bill
            .read("bill.csv", text.as_bytes())
            .expect_err(&text)
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert_eq!(bill.charges, before);
    }
}

#[test]
fn quantities_are_bytes_as_the_unit_has_them() {
    for (quantity, unit, cloud, expected) in [
        ("1", "GB", "aws", Some(1 << 30)),
        ("1", "GB", "gcp", Some(1_000_000_000)),
        ("2.5", "GiB", "gcp", Some(5 << 29)),
        ("7", "Bytes", "azure", Some(7)),
        ("1E3", "Bytes", "azure", Some(1000)),
        ("0.0000000001", "GiB", "gcp", Some(0)),
        ("24", "Hours", "aws", None),
        ("-1", "GB", "aws", None),
        ("1e99", "GB", "aws", None),
        ("", "GB", "aws", None),
    ] {
        assert_eq!(
            bytes(quantity, unit, Form::Focus, cloud),
            expected,
            "{quantity} {unit}"
        );
    }
}
