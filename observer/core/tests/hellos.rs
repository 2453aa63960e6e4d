//! Hellos of rustls and quinn through the whole way from captures to names: cut anywhere, shuffled, doubled.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{net::SocketAddr, sync::Arc, time::Instant};

use observer_core::{
    decode::{Heard, Speech},
    model::{
        flow::{Endpoint, FlowKey},
        names::{BlindReason, Protocol},
        signal::{Asked, AskedBy, Capture, CaptureKind, Ech},
    },
};
use proptest::prelude::*;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

fn config(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// The handshake stream of the hello, without record headers.
fn hello(config: ClientConfig, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut records = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut records).unwrap();
    }
    let mut stream = Vec::new();
    let mut rest = &records[..];
    while let [22, 3, _, high, low, behind @ ..] = rest {
        let (body, next) = behind.split_at(u16::from_be_bytes([*high, *low]).into());
        stream.extend(body);
        rest = next;
    }
    assert!(rest.is_empty());
    stream
}

fn capture(kind: CaptureKind, cookie: u64, bytes: &[u8]) -> Capture<'_> {
    let end = |port| Endpoint {
        address: [192, 0, 2, 1].into(),
        port,
    };
    Capture {
        cookie,
        netns_cookie: Some(1),
        at_ns: 1,
        protocol: if kind == CaptureKind::Quic {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
        local: end(40_000),
        remote: end(443),
        kind,
        further: false,
        cut: false,
        bytes,
    }
}

fn take(speech: &mut Speech, capture: &Capture<'_>) -> Vec<Heard> {
    let mut heard = Vec::new();
    speech.take(capture, |said| heard.push(said));
    heard
}

/// What a stream comes to, cut at these places.
fn heard(stream: &[u8], cuts: &[usize]) -> Vec<Heard> {
    let (mut speech, mut all, mut from) = (Speech::default(), Vec::new(), 0);
    for to in cuts.iter().copied().chain([stream.len()]) {
        let kind = CaptureKind::Hello {
            offset: u32::try_from(from).unwrap(),
        };
        all.extend(take(&mut speech, &capture(kind, 7, &stream[from..to])));
        from = to;
    }
    all
}

fn asked(heard: &[Heard]) -> &Asked {
    let [Heard::Asked(FlowKey::Socket(7), asked)] = heard else {
        panic!("{heard:?}");
    };
    asked
}

#[test]
fn a_hello_is_read_wherever_it_is_cut() {
    for (versions, highest) in [
        (&[&TLS12][..], 0x0303),
        (&[&TLS13], 0x0304),
        (&[&TLS12, &TLS13], 0x0304),
    ] {
        let mut config = config(versions);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = hello(config, "API.OpenAI.com");
        for cut in 0..=stream.len() {
            let found = heard(&stream, &[cut]);
            let asked = asked(&found);
            assert_eq!(
                asked.server_name.as_deref(),
                Some("api.openai.com"),
                "{cut}"
            );
            assert_eq!(asked.by, AskedBy::TlsHello);
            assert_eq!(asked.tls_version, Some(highest));
            assert_eq!(asked.ech, Ech::Absent);
            let alpn: Vec<&[u8]> = asked.alpn.iter().map(|name| &**name).collect();
            assert_eq!(alpn, [&b"h2"[..], b"http/1.1"]);
        }
        let every: Vec<usize> = (1..stream.len()).collect();
        assert_eq!(
            asked(&heard(&stream, &every)).server_name.as_deref(),
            Some("api.openai.com")
        );
    }
}

#[test]
fn a_hello_without_a_name_names_nobody() {
    let mut without = config(&[&TLS13]);
    without.enable_sni = false;
    let found = heard(&hello(without, "a.example"), &[]);
    assert_eq!(asked(&found).server_name, None);
    let found = heard(&hello(config(&[&TLS13]), "192.0.2.1"), &[]);
    assert_eq!(asked(&found).server_name, None);
}

#[test]
fn a_hole_or_an_end_that_never_comes_is_truncated() {
    let stream = hello(config(&[&TLS13]), "a.example");
    let mut speech = Speech::default();
    let head = capture(CaptureKind::Hello { offset: 0 }, 7, &stream[..50]);
    let tail = capture(CaptureKind::Hello { offset: 60 }, 7, &stream[60..]);
    assert_eq!(take(&mut speech, &head), []);
    assert_eq!(take(&mut speech, &tail), []);
    let mut heard = Vec::new();
    for _ in 0..10 {
        speech.end_tick(|said| heard.push(said));
    }
    let truncated = Heard::Unread(FlowKey::Socket(7), BlindReason::TruncatedHello);
    assert_eq!(heard, std::slice::from_ref(&truncated));
    let cut = Capture { cut: true, ..head };
    assert_eq!(take(&mut Speech::default(), &cut), [truncated]);
}

/// The datagrams that a client of quinn sends first.
fn initials(name: &str, protocols: usize) -> Vec<Vec<u8>> {
    let mut tls = config(&[&TLS13]);
    // What makes a hello long is the same to the reader.
    tls.alpn_protocols = (0..protocols)
        .map(|nth| format!("protocol-{nth:040}").into_bytes())
        .collect();
    let crypto = quinn_proto::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn_proto::ClientConfig::new(Arc::new(crypto));
    let endpoint = quinn_proto::EndpointConfig::default();
    let mut endpoint = quinn_proto::Endpoint::new(Arc::new(endpoint), None, true, None);
    let remote: SocketAddr = "192.0.2.1:443".parse().unwrap();
    let now = Instant::now();
    let (_, mut connection) = endpoint.connect(now, config, remote, name).unwrap();
    let mut datagrams = Vec::new();
    let mut buffer = Vec::new();
    while let Some(transmit) = connection.poll_transmit(now, 1, &mut buffer) {
        datagrams.push(buffer[..transmit.size].to_vec());
        buffer.clear();
    }
    datagrams
}

/// What datagrams come to in this order.
fn heard_quic(datagrams: &[&Vec<u8>]) -> Vec<Heard> {
    let mut speech = Speech::default();
    let all = datagrams
        .iter()
        .flat_map(|datagram| take(&mut speech, &capture(CaptureKind::Quic, 7, datagram)));
    all.collect()
}

#[test]
fn initials_are_read_in_any_order_and_doubled() {
    for protocols in [0, 40, 120] {
        let sent = initials("api.openai.com", protocols);
        let in_order: Vec<&Vec<u8>> = sent.iter().collect();
        assert_eq!(sent.len() > 1, protocols > 0, "{}", sent.len());
        let reversed: Vec<&Vec<u8>> = sent.iter().rev().collect();
        let doubled: Vec<&Vec<u8>> = sent.iter().flat_map(|one| [one, one]).collect();
        for order in [in_order, reversed, doubled] {
            let found = heard_quic(&order);
            let asked = asked(&found);
            assert_eq!(asked.server_name.as_deref(), Some("api.openai.com"));
            assert_eq!(asked.by, AskedBy::QuicHello);
        }
    }
}

#[test]
fn a_missing_initial_leaves_the_name_out() {
    let sent = initials("api.openai.com", 120);
    for missing in 0..sent.len() {
        let rest: Vec<&Vec<u8>> = sent
            .iter()
            .enumerate()
            .filter_map(|(nth, datagram)| (nth != missing).then_some(datagram))
            .collect();
        assert_eq!(heard_quic(&rest), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_is_read_from_any_pieces(
        name in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z][a-z0-9]{0,10}){1,4}",
        cuts in prop::collection::btree_set(1..200_usize, 0..6),
    ) {
        let stream = hello(config(&[&TLS12, &TLS13]), &name);
        let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < stream.len()).collect();
        let found = heard(&stream, &cuts);
        prop_assert_eq!(asked(&found).server_name.as_deref(), Some(&*name));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        pieces in prop::collection::vec((0..7_u8, 0..2_000_u32, prop::collection::vec(any::<u8>(), 0..300)), 0..20)
    ) {
        let mut speech = Speech::default();
        for (kind, offset, bytes) in &pieces {
            let kind = match kind {
                0 => CaptureKind::Hello { offset: *offset },
                1 => CaptureKind::Quic,
                2 => CaptureKind::Dns,
                3 => CaptureKind::DnsStream { sequence: *offset },
                4 => CaptureKind::Host,
                5 => CaptureKind::Connect,
                _ => CaptureKind::Socks,
            };
            let _ = take(&mut speech, &capture(kind, 7, bytes));
        }
        for _ in 0..10 {
            speech.end_tick(|_| ());
        }
    }
}
