//! One record as it is written: the exact line, and every value of it against its declaration. After a wanted change
//! `UPDATE_DOCS=1 cargo test -p observer-core` writes the line anew.

use std::{env, fs, path::Path, sync::Arc};

use observer_core::model::{
    cost::{CostPlan, PlanPart, RateFacts},
    counters::Counters,
    flow::{Comm, Endpoint, FlowFlags, FlowId, FlowKey, FlowTotals, Owner, Timing, Translation},
    identity::{Basis, Confidence, Identity, Word},
    money::{Price, Unit},
    names::{
        ApiFamily, ApiState, BilledDirection, BlindReason, CostAssumption, CostSide, Initiator,
        Outcome, OwnerBasis, OwnerMissing, PathKind, PriceStatus, Protocol, RateKind, RecordKind,
        Severity, UnpricedReason, Verdict,
    },
    record::{FIELDS, FieldKind, FlowRecord, RecordContext, SourcePlace},
    time::UnixUs,
    verdict::Judgement,
    workload::Workload,
};
use serde_json::Value;

/// A record that knows all that this version can know.
fn full() -> FlowRecord {
    FlowRecord {
        context: Arc::new(context()),
        flow_id: FlowId([0xab; 16]),
        sequence: 3,
        kind: RecordKind::Closed,
        outcome: Outcome::Reset,
        interval_start: UnixUs(1_772_150_400_000_000),
        interval_end: UnixUs(1_772_150_405_000_250),
        start: Some(UnixUs(1_772_150_390_123_456)),
        counters: Counters {
            device_bytes: [1_000, 2_000],
            wire_bytes: [1_080, 2_120],
            payload_bytes: [900, 1_800],
            packets: [3, 4],
            retransmitted_wire_bytes: 52,
        },
        totals: totals(),
        device: Some("eth0".into()),
        translation: Some(Translation {
            target: totals().remote.expect("a remote"),
            peer: Endpoint {
                address: "10.244.1.9".parse().expect("an address"),
                port: 8443,
            },
        }),
        identity: Arc::new(identity()),
        workload: Arc::new(workload()),
        requests: Some(2),
        cost: Some(Arc::new(cost())),
        verdicts: Some(Arc::new([
            judgement(Some("on-azure"), Verdict::Violation, Some("cloud=\"aws\"")),
            judgement(None, Verdict::NotCovered, None),
        ])),
    }
}

fn judgement(rule: Option<&str>, verdict: Verdict, reason: Option<&str>) -> Judgement {
    Judgement {
        contract: "sample".into(),
        rule: rule.map(Into::into),
        verdict,
        reason: reason.map(Into::into),
        severity: rule.map(|_| Severity::High),
    }
}

fn context() -> RecordContext {
    let text = |text: &str| Some(text.to_owned());
    RecordContext {
        host: "node-1".to_owned(),
        boot_id: "0f5a3c52-7d0e-4f6e-9a55-7a4b2f2a7a11".to_owned(),
        cluster: text("blue"),
        agent_version: "0.1.0".to_owned(),
        catalog_version: text("2026-10-26"),
        price_version: text("7"),
        rules_version: text("8"),
        config_version: text("9"),
        source: SourcePlace {
            cloud: text("aws"),
            account: text("123456789012"),
            region: text("us-east-1"),
            zone: text("use1-az1"),
            instance: text("i-0abc"),
        },
    }
}

fn totals() -> FlowTotals {
    let endpoint = |address: &str, port| Endpoint {
        address: address.parse().expect("an address"),
        port,
    };
    FlowTotals {
        key: FlowKey::Socket(1),
        counters: Counters {
            wire_bytes: [u64::MAX, 9_007_199_254_740_993],
            ..Counters::default()
        },
        protocol: Protocol::Tcp,
        ip_version: Some(6),
        local: Some(endpoint("2001:db8::1", 40_000)),
        remote: Some(endpoint("192.0.2.7", 443)),
        initiator: Initiator::Local,
        flags: FlowFlags::default(),
        start_ns: 1,
        netns_cookie: Some(1),
        netns_inode: Some(4_026_531_840),
        cgroup_id: Some(77),
        owner: Ok(Owner {
            pid: 4242,
            uid: 0,
            comm: Comm(*b"cu\"rl\xff\0\0\0\0\0\0\0\0\0\0"),
            process: 9,
            basis: OwnerBasis::Caller,
        }),
        ifindex: [2, 2],
        tag: 5,
        timing: Timing {
            connect_us: Some(1_500),
            rtt_us: Some(900),
            min_rtt_us: Some(800),
            first_byte_us: Some(30_000),
            last_byte_us: Some(90_000),
            chunk_gap_us: Some(20_000),
            ..Timing::default()
        },
        turns: 0,
    }
}

fn identity() -> Identity {
    let word = |word: &str| Some(Word::from(word));
    Identity {
        server_name: word("bucket.s3.us-east-1.amazonaws.com"),
        provider: word("amazon"),
        vendor: word("openai"),
        cloud: word("aws"),
        region: word("us-east-1"),
        geography: word("us"),
        service: word("s3"),
        api_family: Some(ApiFamily::Storage),
        api_state: Some(ApiState::ControlPlane),
        method: word("POST"),
        route: word("/model/{model}/converse"),
        model: word("us.openai.gpt-5.5"),
        residency_flags: word("us").into_iter().collect(),
        front: word("cloudflare"),
        path_kind: Some(PathKind::Internet),
        path_elements: word("nat_gateway").into_iter().collect(),
        blind_reason: Some(BlindReason::Ech),
        basis: Some(Basis::Address),
        confidence: Some(Confidence::Likely),
        evidence: word("192.0.2.0/24 s3 us-east-1"),
    }
}

fn cost() -> CostPlan {
    CostPlan {
        currency: "USD".into(),
        assumption: CostAssumption::FirstTier,
        parts: vec![PlanPart {
            rate: Arc::new(RateFacts {
                id: "aws-internet-us-east-1".into(),
                cloud: "aws".into(),
                kind: RateKind::Internet,
                direction: BilledDirection::Egress,
                unit: Unit::Gibibyte,
                status: PriceStatus::Verified,
                source: "an offer file".into(),
                as_of: Some("2026-07-20".into()),
                discount: None,
            }),
            price: Price::parse("0.09").expect("a price"),
            side: CostSide::Local,
        }],
        unpriced: Some(UnpricedReason::ElementNoRate),
    }
}

fn workload() -> Workload {
    let word = |word: &str| Some(Word::from(word));
    Workload {
        executable: word("/usr/bin/curl"),
        container_id: word(&"c0ffee42".repeat(8)),
        systemd_unit: word("nginx.service"),
        namespace: word("shop"),
        kind: word("Deployment"),
        name: word("cart"),
        pod: word("cart-5d5f7b9c4-x2x7k"),
    }
}

/// The same record with nothing known that need not be.
fn bare() -> FlowRecord {
    let full = full();
    FlowRecord {
        context: Arc::default(),
        start: None,
        totals: FlowTotals {
            ip_version: None,
            local: None,
            remote: None,
            netns_inode: None,
            cgroup_id: None,
            owner: Err(OwnerMissing::Unseen),
            timing: Timing::default(),
            ..full.totals
        },
        device: None,
        translation: None,
        identity: Arc::default(),
        workload: Arc::default(),
        requests: None,
        cost: None,
        verdicts: None,
        ..full
    }
}

fn line(record: &FlowRecord) -> String {
    let mut line = Vec::new();
    record.write_json(&mut line).expect("a record is JSON");
    String::from_utf8(line).expect("JSON is UTF-8")
}

#[test]
fn a_record_is_this_line() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/record.json");
    let line = line(&full()) + "\n";
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, &line).expect("the repository can be written to");
    }
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), line);
}

#[test]
fn fields_are_written_in_the_declared_order() {
    for record in [full(), bare()] {
        let line = line(&record);
        let mut rest = line.as_str();
        for field in FIELDS {
            let key = format!("\"{}\":", field.name);
            let at = rest
                .find(&key)
                .unwrap_or_else(|| panic!("`{}` is not in its place", field.name));
            rest = &rest[at + key.len()..];
        }
        let object: Value = serde_json::from_str(&line).expect("a line is JSON");
        assert_eq!(
            object.as_object().map(serde_json::Map::len),
            Some(FIELDS.len())
        );
    }
}

#[test]
fn values_are_of_the_declared_kind() {
    let value = |record: &FlowRecord| -> Value {
        serde_json::from_str(&line(record)).expect("a record is JSON")
    };
    let (full, bare) = (value(&full()), value(&bare()));
    for field in FIELDS {
        // This one says that something is not known.
        let is_null = field.nullable && field.name != "owner_missing";
        assert_eq!(
            bare[field.name].is_null(),
            is_null,
            "`{}` with nothing known",
            field.name
        );
        for value in [&full[field.name], &bare[field.name]] {
            assert!(
                value.is_null() || is_of_kind(value, field.kind),
                "`{}` is {value}",
                field.name
            );
            let is_word = |word: &str| field.words.is_empty() || field.words.contains(&word);
            assert!(
                value.as_str().is_none_or(is_word),
                "`{}` is {value}",
                field.name
            );
        }
    }
}

fn is_of_kind(value: &Value, kind: FieldKind) -> bool {
    match kind {
        FieldKind::Unsigned => value.is_u64(),
        FieldKind::Text => value.is_string(),
        FieldKind::Time => value
            .as_str()
            .is_some_and(|text| UnixUs::parse(text).is_some()),
        FieldKind::Address => value
            .as_str()
            .is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
        FieldKind::Decimal => value
            .as_str()
            .is_some_and(|text| text.parse::<f64>().is_ok()),
        FieldKind::TextList | FieldKind::ObjectList => value.is_array(),
        FieldKind::TextMap => value.is_object(),
    }
}
