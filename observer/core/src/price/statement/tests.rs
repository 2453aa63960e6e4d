//! Months worked out by hand, and what holds for every month.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::{
    model::names::PathKind,
    price::{
        book::{BookSettings, Layer},
        commitment,
        place::{Place, Places},
        plan::Route,
    },
};

const GIB: u64 = 1 << 30;

fn shipped(own: &str, settings: &BookSettings) -> Book {
    let layers = [Layer {
        name: "own.yaml",
        text: own,
    }];
    let layers = if own.is_empty() { &[][..] } else { &layers[..] };
    Book::with_shipped(layers, settings).expect("a book")
}

/// One use: when, from, path, to, gateways, bytes sent and received, row.
#[derive(Clone, Copy)]
struct Use<'u> {
    at: &'u str,
    from: &'u str,
    path: PathKind,
    to: &'u str,
    service: Option<&'u str>,
    elements: &'u [&'u str],
    bytes: [u64; 2],
    row: u32,
}

const USE: Use<'static> = Use {
    at: "2026-11-10T00:00:00Z",
    from: "aws/us-east-1",
    path: PathKind::Internet,
    to: "internet",
    service: None,
    elements: &[],
    bytes: [0, 0],
    row: 0,
};

fn take(usage: &mut Usage<u32>, book: &Book, used: &Use<'_>) {
    let at = UnixUs::parse(used.at).expect("a time");
    let route = Route {
        from: Place::parse(used.from),
        to: Place::parse(used.to),
        service: used.service,
        path: used.path,
        elements: used.elements,
    };
    let charges = book.charges(&route, &Places::default(), at);
    assert_eq!(charges.unpriced, None, "{}", used.from);
    for (rate, _) in &charges.rates {
        let bytes = rate.facts.direction.count(used.bytes);
        usage.add(
            book,
            rate,
            route.from.region.unwrap_or(""),
            (at, bytes),
            &used.row,
        );
    }
}

fn statement(book: &Book, uses: &[Use<'_>]) -> Statement<u32> {
    let mut usage = Usage::new();
    for used in uses {
        take(&mut usage, book, used);
    }
    usage.statement()
}

fn total(statement: &Statement<u32>) -> Money {
    let charges = statement.charges.iter();
    let total = charges.map(|charge| charge.cost + charge.hourly).sum();
    let lines = statement
        .lines
        .iter()
        .map(|line| line.cost + line.hourly)
        .sum();
    assert_eq!(total, lines, "rows and lines are the same money");
    total
}

fn month(own: &str, uses: &[Use<'_>]) -> String {
    total(&statement(&shipped(own, &BookSettings::default()), uses)).text(9)
}

#[test]
fn aws_55_tib_over_three_tiers_with_the_free_band_inside_the_first() {
    // 55 TiB = 56,320 GiB: 100 free, then 10,140 at .09 = 912.60, 40,960 at .085 = 3,481.60, 5,120 at .07 = 358.40
    let used = Use {
        bytes: [56_320 * GIB, 0],
        ..USE
    };
    assert_eq!(month("", &[used]), "4752.6");
    // Tiers are of a region, the free band of all: 100 GiB in each of two, 50 of each free, 50 at .09, 50 at .114
    let tokyo = Use {
        from: "aws/ap-northeast-1",
        bytes: [100 * GIB, 0],
        ..USE
    };
    assert_eq!(
        month(
            "",
            &[
                Use {
                    bytes: [100 * GIB, 0],
                    ..USE
                },
                tokyo
            ]
        ),
        "10.2"
    );
}

#[test]
fn azure_zone_2_has_a_free_tier_of_its_own() {
    // 20,000: 100 at 0, 10,235 at .12 = 1,228.20, 9,665 at .085 = 821.525; regions of a zone count together
    let used = |from, gib: u64| Use {
        from,
        bytes: [gib * GIB, 0],
        ..USE
    };
    let uses = [
        used("azure/japaneast", 15_000),
        used("azure/southeastasia", 5_000),
    ];
    assert_eq!(month("", &uses), "2049.725");
    // The setting: a GB of 10^9 bytes. 20,000 * 2^30 / 10^9 = 21,474.83648 GB; 100 free, 10,235 at .12, 11,139.83648 at .085
    let settings = BookSettings {
        units: BTreeMap::from([("azure".to_owned(), crate::model::money::Unit::Gigabyte)]),
        ..BookSettings::default()
    };
    let book = shipped("", &settings);
    assert_eq!(total(&statement(&book, &uses)).text(9), "2175.0861008");
    // The setting: no free tier.
    let own = "version: own\nrates:\n- {id: azure-internet-zone-2, cloud: azure, kind: internet, from: ['@azure-zone-2'], \
               tiers: [{up_to: 10240, price: '0.12'}, {price: '0.085'}]}\n";
    // 10,240 at .12 = 1,228.80, 9,760 at .085 = 829.60
    assert_eq!(month(own, &uses), "2058.4");
}

#[test]
fn gcp_premium_to_china_and_asia_are_meters_of_their_own() {
    // China: 1,024 at .23 = 235.52, 976 at .22 = 214.72. Japan: 1 at 0, 1,023 at .12 = 122.76, 976 at .11 = 107.36
    let to = |to| Use {
        from: "gcp/us-east1",
        to,
        bytes: [2_000 * GIB, 0],
        ..USE
    };
    assert_eq!(month("", &[to("country/cn"), to("country/jp")]), "680.36");
}

#[test]
fn oci_12_tib() {
    // 12,288: 10,240 free, 2,048 at .0085 = 17.408; to another region it is the same pool
    let used = Use {
        from: "oci/eu-frankfurt-1",
        bytes: [6_144 * GIB, 0],
        ..USE
    };
    let other = Use {
        path: PathKind::InterRegion,
        to: "oci/us-ashburn-1",
        ..used
    };
    assert_eq!(month("", &[used, other]), "17.408");
}

#[test]
fn aws_between_zones_is_charged_at_both_ends() {
    // One end sends 1,000 and receives 500: 1,500 * .01; the other sends 500 and receives 1,000: the same
    let end = |sent: u64, received: u64, row| Use {
        path: PathKind::InterZone,
        to: "aws/us-east-1",
        bytes: [sent * GIB, received * GIB],
        row,
        ..USE
    };
    assert_eq!(month("", &[end(1_000, 500, 0), end(500, 1_000, 1)]), "30");
}

#[test]
fn bedrock_through_a_nat_gateway_and_by_a_private_endpoint() {
    // In one region: 300 sent and 200 received through the gateway, 500 * .045 = 22.50, and nothing for the way
    let nat = Use {
        path: PathKind::Unknown,
        to: "aws/us-east-1",
        service: Some("bedrock-runtime"),
        elements: &["nat_gateway"],
        bytes: [300 * GIB, 200 * GIB],
        ..USE
    };
    assert_eq!(month("", &[nat]), "22.5");
    // By the endpoint: 500 * .01 = 5.00
    let endpoint = Use {
        path: PathKind::PrivateEndpoint,
        elements: &[],
        ..nat
    };
    assert_eq!(month("", &[endpoint]), "5");
    // Two gateways for 10 days: 240 h * .045 * 2 = 21.60 more, shared by bytes: 3 to 1
    let own = "version: own\ncounts: {aws-nat-gateway-us-east-1: 2}\n";
    let half = |at, bytes, row| Use {
        at,
        bytes,
        row,
        ..nat
    };
    let uses = [
        half("2026-11-01T00:00:00Z", [375 * GIB, 0], 1),
        half("2026-11-11T00:00:00Z", [125 * GIB, 0], 2),
    ];
    let statement = statement(&shipped(own, &BookSettings::default()), &uses);
    assert_eq!(total(&statement).text(9), "44.1");
    let hourly: Vec<String> = statement
        .charges
        .iter()
        .filter(|charge| !charge.hourly.is_zero())
        .map(|charge| format!("{} {}", charge.row, charge.hourly.text(6)))
        .collect();
    assert_eq!(hourly, ["1 16.2", "2 5.4"]);
}

#[test]
fn an_interconnect_by_the_hour_has_no_price_a_byte() {
    // 30 days but for a second: 720 begun hours * 1.25
    let own = "version: own\nrates:\n- {id: aws-interconnect-multicloud, cloud: aws, kind: interconnect, to: [gcp/*], \
               price: '0', per_hour: '1.25'}\ncounts: {aws-interconnect-multicloud: 1}\n";
    let used = |at| Use {
        at,
        path: PathKind::Interconnect,
        to: "gcp/us-east4",
        bytes: [7_000 * GIB, 0],
        ..USE
    };
    let uses = [used("2026-11-01T00:00:00Z"), used("2026-11-30T23:59:59Z")];
    assert_eq!(month(own, &uses), "900");
}

#[test]
fn a_rate_changes_in_mid_month_and_the_tiers_go_on() {
    // 8,000 at .09 before; then 2,240 to the bound at .08, and 5,760 at .05: 720 + 179.20 + 288
    let own = "version: own\nrates:\n\
               - {id: old, cloud: aws, kind: internet, pool: p, effective_until: 2026-11-15, tiers: [{up_to: 10240, price: '0.09'}, {price: '0.06'}]}\n\
               - {id: new, cloud: aws, kind: internet, pool: p, effective_from: 2026-11-15, tiers: [{up_to: 10240, price: '0.08'}, {price: '0.05'}]}\n";
    let used = |at| Use {
        at,
        bytes: [8_000 * GIB, 0],
        ..USE
    };
    let uses = [used("2026-11-15T00:00:00Z"), used("2026-11-14T23:59:59Z")];
    assert_eq!(month(own, &uses), "1187.2");
}

#[test]
fn a_discount_is_off_every_tier() {
    // 900 at .09 less 12.5 % = .07875: 70.875
    let own =
        "version: own\ndiscounts: [{rates: ['aws-internet-*'], percent: '12.5', source: EDP}]\n";
    let used = Use {
        bytes: [1_000 * GIB, 0],
        ..USE
    };
    assert_eq!(month(own, &[used]), "70.875");
}

/// November: 900 GiB at 0.09 are 81, of 100 agreed on; the gateway's bytes count towards no commitment of the internet's. December
/// has one byte. In January it has ended.
#[test]
fn what_was_committed_to_and_not_used_is_told_month_by_month() {
    let own = "version: own\ncommitments:\n- {id: c, rates: ['aws-internet-*'], per_month: '100', source: EDP, \
               effective_from: 2026-10-15, effective_until: 2027-01-01}\n";
    let used = |at, gib| Use {
        at,
        elements: &["nat_gateway"],
        bytes: [gib, 0],
        ..USE
    };
    let book = shipped(own, &BookSettings::default());
    let uses = [
        used("2026-10-20T00:00:00Z", 1),
        used("2026-11-10T00:00:00Z", 1_000 * GIB),
        used("2026-12-31T23:59:59Z", 1),
        used("2027-01-01T00:00:00Z", GIB),
    ];
    let lines = statement(&book, &uses).lines;
    let due = commitment::due(book.commitments(), &lines);
    let told: Vec<String> = due
        .iter()
        .map(|due| {
            format!(
                "{} {} {}",
                due.month,
                due.used.text(6),
                due.shortfall().text(6)
            )
        })
        .collect();
    assert_eq!(told, ["2026-11 81 19", "2026-12 0 100"]);
}

#[test]
fn months_end_at_the_provider_s_midnight() {
    // Pacific: 07:59:59Z on December 1 is November still. 600 + 600 in one month: 1 at 0, 1,023 at .12, 176 at .11
    let used = |at| Use {
        at,
        from: "gcp/us-east1",
        bytes: [600 * GIB, 0],
        ..USE
    };
    let november = [used("2026-11-02T00:00:00Z"), used("2026-12-01T07:59:59Z")];
    assert_eq!(month("", &november), "142.12");
    // An hour later it is another month: twice 1 at 0 and 599 at .12
    let both = [used("2026-11-02T00:00:00Z"), used("2026-12-01T08:00:00Z")];
    assert_eq!(month("", &both), "143.76");
    // By the setting: in UTC both are other months too.
    let settings = BookSettings {
        zones: BTreeMap::from([("gcp".to_owned(), TimeZone::UTC)]),
        ..BookSettings::default()
    };
    assert_eq!(
        total(&statement(&shipped("", &settings), &november)).text(9),
        "143.76"
    );
    // A leap day is one of February: 100 of 200 free.
    let used = |at| Use {
        at,
        bytes: [100 * GIB, 0],
        ..USE
    };
    assert_eq!(
        month(
            "",
            &[used("2028-02-01T00:00:00Z"), used("2028-02-29T23:59:59Z")]
        ),
        "9"
    );
    assert_eq!(
        month(
            "",
            &[used("2028-02-29T23:59:59Z"), used("2028-03-01T00:00:00Z")]
        ),
        "0"
    );
}

const FROM: [&str; 4] = [
    "aws/us-east-1",
    "aws/ap-northeast-1",
    "gcp/us-east1",
    "oci/eu-frankfurt-1",
];
const AT: [&str; 3] = [
    "2026-11-02T00:00:00Z",
    "2026-11-20T00:00:00Z",
    "2026-12-02T00:00:00Z",
];

fn any_use() -> impl Strategy<Value = (usize, usize, u64, u32)> {
    (0..FROM.len(), 0..AT.len(), 0_u64..(40 << 40), 0_u32..5)
}

fn used((from, at, bytes, row): (usize, usize, u64, u32)) -> Use<'static> {
    Use {
        from: FROM[from],
        at: AT[at],
        bytes: [bytes, 0],
        row,
        ..USE
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cuts_and_order_never_change_a_month(
        uses in proptest::collection::vec(any_use(), 1..12),
        cut in 0_u64..100,
    ) {
        let book = shipped("", &BookSettings::default());
        let whole: Vec<Use<'_>> = uses.iter().copied().map(used).collect();
        let mut parts = Vec::new();
        for (from, at, bytes, row) in uses {
            let first = bytes / 100 * cut;
            parts.push(used((from, at, bytes - first, row)));
            parts.push(used((from, at, first, row)));
        }
        parts.reverse();
        let (whole, parts) = (statement(&book, &whole), statement(&book, &parts));
        prop_assert_eq!(whole.charges, parts.charges);
        prop_assert_eq!(whole.lines, parts.lines);
    }

    #[test]
    fn more_bytes_never_cost_less(from in 0..FROM.len(), bytes in 0_u64..(300 << 40), more in 0_u64..(9 << 40)) {
        let book = shipped("", &BookSettings::default());
        let cost = |bytes| total(&statement(&book, &[used((from, 0, bytes, 0))]));
        prop_assert!(cost(bytes) <= cost(bytes + more));
    }

    #[test]
    fn any_grouping_sums_to_the_whole(uses in proptest::collection::vec(any_use(), 1..12)) {
        let book = shipped("", &BookSettings::default());
        let by = |row: fn(u32) -> u32| {
            let uses = uses.iter().map(|(from, at, bytes, of)| used((*from, *at, *bytes, row(*of))));
            total(&statement(&book, &uses.collect::<Vec<_>>()))
        };
        let whole = by(|_| 0);
        prop_assert_eq!(by(|row| row), whole);
        prop_assert_eq!(by(|row| row % 2), whole);
    }
}
