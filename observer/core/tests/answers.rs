//! DNS messages of hickory through the reader: aliases, hints, keys, whatever breaks them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{
            A, AAAA, CNAME, HTTPS, SVCB,
            svcb::{EchConfigList, IpHint, SvcParamKey, SvcParamValue},
        },
    },
    serialize::binary::BinEncodable as _,
};
use observer_core::{
    decode::dns::{DnsError, dns_answer},
    model::{
        host_name::HostName,
        signal::{ALIASES_MAX, DnsAnswer},
    },
};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, last)))
}

fn cname(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

fn message(question: &str, kind: RecordType, answers: Vec<Record>) -> Message {
    let mut message = Message::new(7, MessageType::Response, OpCode::Query);
    message.add_query(Query::query(name(question), kind));
    message.add_answers(answers);
    message
}

fn read(message: &Message) -> Result<DnsAnswer, DnsError> {
    dns_answer(&message.to_bytes().unwrap())
}

fn addresses(answer: &DnsAnswer) -> Vec<(String, u32)> {
    let address = |(address, ttl): &(IpAddr, u32)| (address.to_string(), *ttl);
    answer.addresses.iter().map(address).collect()
}

#[test]
fn a_chain_of_eight_is_followed_in_any_order() {
    let mut records: Vec<Record> = (0..8_u32)
        .map(|nth| {
            cname(
                &format!("n{nth}.example"),
                100 + nth,
                &format!("n{}.example", nth + 1),
            )
        })
        .collect();
    records.push(a("n8.example", 60, 1));
    records.push(a("n8.example", 300, 2));
    records.push(a("other.example", 5, 9));
    for turn in 0..records.len() {
        records.rotate_left(turn);
        let answer = read(&message("n0.example", RecordType::A, records.clone())).unwrap();
        assert_eq!(answer.question.as_str(), "n0.example");
        assert_eq!(answer.aliases.len(), 8);
        let mut found = addresses(&answer);
        found.sort();
        assert_eq!(
            found,
            [("192.0.2.1".to_owned(), 60), ("192.0.2.2".to_owned(), 100)]
        );
        assert!(!answer.cut);
    }
}

#[test]
fn chains_without_an_end_end() {
    let turn = vec![
        cname("a.example", 60, "b.example"),
        cname("b.example", 60, "a.example"),
    ];
    let answer = read(&message("a.example", RecordType::A, turn)).unwrap();
    assert!(answer.cut && answer.addresses.is_empty());
    let own = vec![cname("a.example", 60, "a.example")];
    assert!(read(&message("a.example", RecordType::A, own)).unwrap().cut);
    let long = (0..40).map(|nth| {
        cname(
            &format!("n{nth}.example"),
            60,
            &format!("n{}.example", nth + 1),
        )
    });
    let answer = read(&message("n0.example", RecordType::A, long.collect())).unwrap();
    assert_eq!((answer.aliases.len(), answer.cut), (ALIASES_MAX, true));
}

#[test]
fn services_give_hints_keys_and_aliases() {
    let public = b"cloudflare-ech.com";
    let mut contents = vec![
        1,
        0,
        0x20,
        0,
        4,
        1,
        2,
        3,
        4,
        0,
        4,
        0,
        1,
        0,
        1,
        0,
        u8::try_from(public.len()).unwrap(),
    ];
    contents.extend(public);
    contents.extend([0, 0]);
    let mut config = vec![0xfe, 0x0d];
    config.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
    config.extend(&contents);
    let mut list = u16::try_from(config.len()).unwrap().to_be_bytes().to_vec();
    list.extend(&config);
    let service = SVCB::new(
        1,
        Name::root(),
        vec![
            (
                SvcParamKey::Ipv4Hint,
                SvcParamValue::Ipv4Hint(IpHint(vec![A::new(192, 0, 2, 7)])),
            ),
            (
                SvcParamKey::EchConfigList,
                SvcParamValue::EchConfigList(EchConfigList(list)),
            ),
            (
                SvcParamKey::Ipv6Hint,
                SvcParamValue::Ipv6Hint(IpHint(vec![AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)])),
            ),
        ],
    );
    let records = vec![
        cname("shop.example", 60, "front.example"),
        Record::from_rdata(name("front.example"), 30, RData::HTTPS(HTTPS(service))),
    ];
    let answer = read(&message("shop.example", RecordType::HTTPS, records)).unwrap();
    assert_eq!(
        addresses(&answer),
        [("192.0.2.7".to_owned(), 30), ("2001:db8::7".to_owned(), 30)]
    );
    let names: Vec<&str> = answer
        .ech_public_names
        .iter()
        .map(HostName::as_str)
        .collect();
    assert_eq!(names, ["cloudflare-ech.com"]);
    let alias = SVCB::new(0, name("other.example"), Vec::new());
    let records = vec![Record::from_rdata(
        name("shop.example"),
        30,
        RData::HTTPS(HTTPS(alias)),
    )];
    let answer = read(&message("shop.example", RecordType::HTTPS, records)).unwrap();
    assert_eq!(answer.aliases[0].as_str(), "other.example");
}

#[test]
fn what_answers_nothing_is_refused() {
    let mut question = message("a.example", RecordType::A, Vec::new());
    question.metadata.message_type = MessageType::Query;
    assert_eq!(read(&question), Err(DnsError::NoAnswer));
    let mut refused = message("a.example", RecordType::A, Vec::new());
    refused.metadata.response_code = ResponseCode::NXDomain;
    assert_eq!(read(&refused), Err(DnsError::NoAnswer));
    let other = message("a.example", RecordType::MX, Vec::new());
    assert_eq!(read(&other), Err(DnsError::OtherQuestion));
    assert_eq!(dns_answer(b"short"), Err(DnsError::Malformed));
    let empty = read(&message("a.example", RecordType::A, Vec::new())).unwrap();
    assert!(empty.addresses.is_empty());
}

proptest! {
    #[test]
    fn what_is_broken_is_read_or_refused(
        lasts in prop::collection::vec(any::<u8>(), 0..100),
        places in prop::collection::vec((0..2_000_usize, any::<u8>()), 0..8),
        end in 0..2_000_usize,
    ) {
        let records = lasts.iter().map(|last| a("a.example", 60, *last)).collect();
        let whole = message("a.example", RecordType::A, records).to_bytes().unwrap();
        let answer = dns_answer(&whole).unwrap();
        prop_assert_eq!(answer.addresses.len(), lasts.len().min(64));
        let expected: Vec<IpAddr> = lasts.iter().take(64).map(|last| Ipv4Addr::new(192, 0, 2, *last).into()).collect();
        let found: Vec<IpAddr> = answer.addresses.iter().map(|(address, _)| *address).collect();
        prop_assert_eq!(found, expected);
        let mut broken = whole.clone();
        for (at, byte) in places {
            if let Some(place) = broken.get_mut(at) {
                *place = byte;
            }
        }
        let _ = dns_answer(&broken);
        let _ = dns_answer(&whole[..end.min(whole.len())]);
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = dns_answer(&bytes);
    }
}
