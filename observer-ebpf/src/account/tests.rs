//! Packets, and what each adds.

use super::*;

fn segment(sequence: u32, payload: u64, tcp_flags: u8) -> (Headers, Size) {
    let headers = Headers {
        protocol: 6,
        ip_bytes: 20,
        transport_bytes: 32,
        sequence,
        tcp_flags,
        ..Headers::default()
    };
    let bytes = payload + 52;
    (
        headers,
        Size {
            device_bytes: bytes,
            bundled_bytes: 0,
            payload_bytes: payload,
            packets: 1,
        },
    )
}

fn send(sent: Sent, sequence: u32, payload: u64, flags: u8, record: [u8; 2]) -> (Sent, SentBytes) {
    let (headers, size) = segment(sequence, payload, flags);
    tcp_sent(sent, &headers, &size, || 77, || Some(record))
}

#[test]
fn payload_counts_once_and_repeats_are_retransmissions() {
    let start = u32::MAX - 100;
    let mut sent = Sent::default();
    let cases = [
        // sequence offset, payload, flags -> new payload, retransmitted
        (0, 0, tcp_flag::SYN, 0, 0),
        (0, 0, tcp_flag::SYN, 0, 52),
        (1, 0, tcp_flag::ACK, 0, 0),
        (1, 100, tcp_flag::ACK, 100, 0),
        (101, 200, tcp_flag::ACK, 200, 0),
        (1, 100, tcp_flag::ACK, 0, 152),
        (201, 150, tcp_flag::ACK, 50, 100),
        (351, 0, tcp_flag::FIN, 0, 0),
        (351, 0, tcp_flag::FIN, 0, 52),
        (350, 0, tcp_flag::ACK, 0, 0),
    ];
    for (index, (offset, payload, flags, new, repeated)) in cases.into_iter().enumerate() {
        let (next, bytes) = send(sent, start.wrapping_add(offset), payload, flags, [0, 0]);
        assert_eq!(
            (bytes.payload_bytes, bytes.retransmitted_wire_bytes),
            (new, repeated),
            "packet {index}"
        );
        sent = next;
    }
    assert_ne!(u32::from(sent.flags) & flag::SYN_RETRIED, 0);
}

#[test]
fn a_request_is_timed_after_the_tls_handshake() {
    let sent = Sent::default();
    let (sent, _) = send(sent, 1, 500, 0, [22, 3]);
    let (sent, _) = send(sent, 501, 64, 0, [20, 3]);
    assert_eq!(sent.request_ns, 0);
    let (sent, _) = send(sent, 565, 100, 0, [23, 3]);
    assert_eq!(sent.request_ns, 77);
    let (headers, size) = segment(0, 10, 0);
    let received = Received {
        request_ns: sent.request_ns,
        ..Received::default()
    };
    let received = tcp_received(received, &headers, &size, || 5_077);
    assert_eq!((received.first_byte_us, received.request_ns), (5, 0));
}

#[test]
fn the_longest_pause_is_behind_the_first() {
    const MS: u64 = 1_000_000;
    let mut pace = Pace::default();
    // When it came in ms, whether it is the first of an answer, and what is known then.
    for (at_ms, asked_ms, expected) in [
        (10, 3, (3, 10, 0, 0)),
        // One chunk in two packets.
        (10, 0, (3, 10, 0, 0)),
        (500, 0, (3, 500, 1, 0)),
        (520, 0, (3, 520, 2, 20_000)),
        (550, 0, (3, 550, 3, 30_000)),
        (560, 0, (3, 560, 4, 30_000)),
        // Another CPU's clock.
        (559, 0, (3, 560, 4, 30_000)),
        (900, 800, (800, 900, 0, 0)),
    ] {
        pace = answered(pace, asked_ms * MS, at_ms * MS);
        let found = (pace.asked_ns / MS, pace.answered_ns / MS);
        assert_eq!(
            (found.0, found.1, pace.pauses, pace.pause_us),
            expected,
            "{at_ms}"
        );
    }
    let flow = Flow {
        asked_ns: 800 * MS,
        answered_ns: 950 * MS,
        first_byte_us: 100_000,
        pause_us: 7,
        ..Flow::default()
    };
    let expected = Answer {
        first_byte_us: 100_000,
        last_byte_us: 150_000,
        chunk_gap_us: 7,
    };
    assert_eq!(answer(&flow), expected);
    assert_eq!(answer(&Flow::default()), Answer::default());
    // Another request is out: nobody has asked for what was before it, or its own note has.
    for (request_ns, before, told) in [
        (0, Answer::default(), expected),
        (1, expected, expected),
        (1, Answer::default(), Answer::default()),
    ] {
        let flow = Flow {
            request_ns,
            before,
            ..flow
        };
        assert_eq!(answer_untold(&flow), told);
    }
}

#[test]
fn an_answer_is_timed_once_and_acks_are_none() {
    let (ack, none) = segment(0, 0, 0);
    let waiting = Received {
        request_ns: 9,
        ..Received::default()
    };
    assert_eq!(tcp_received(waiting, &ack, &none, || 99).first_byte_us, 0);
    let (data, some) = segment(0, 1, tcp_flag::RST);
    let idle = tcp_received(Received::default(), &data, &some, || 99);
    assert_eq!(
        (idle.first_byte_us, u32::from(idle.flags) << 16),
        (0, flag::RESET_IN)
    );
}

#[test]
fn a_fin_is_no_payload() {
    let fin = (flag::FIN_IN >> 16) as u8;
    let cases = [
        (100, 0, 0, 100),
        (101, 0, fin, 100),
        (1_001, 1_000, fin, 0),
        (0, 0, fin, 0),
    ];
    for (received, base, flags, payload) in cases {
        assert_eq!(received_payload(received, base, flags), payload);
    }
}

#[test]
fn homes_at_the_uplink() {
    let tcp = Headers {
        protocol: 6,
        source_port: 5,
        ..Headers::default()
    };
    let udp = Headers {
        protocol: 17,
        source_port: 5,
        destination_port: 53,
        ..Headers::default()
    };
    let vxlan = Headers {
        protocol: 17,
        source_port: 9,
        destination_port: 4789,
        ..Headers::default()
    };
    let icmp = |kind| Headers {
        protocol: 58,
        sequence: kind,
        ..Headers::default()
    };
    let outer = Some(Home::Encapsulation);
    let full = |family, kind, protocol| Sender::Full {
        family,
        kind,
        protocol,
        source_port: 5,
    };
    let cases = [
        (
            Sender::None { forwarded: false },
            tcp,
            Some(Home::KernelSent),
        ),
        (Sender::None { forwarded: true }, tcp, Some(Home::Forwarded)),
        (Sender::TimeWait, tcp, Some(Home::KernelSent)),
        (Sender::Request { hooked: true }, tcp, None),
        (
            Sender::Request { hooked: false },
            tcp,
            Some(Home::Handshake),
        ),
        (full(AF_INET, SOCK_STREAM, 6), tcp, None),
        (full(AF_INET6, SOCK_DGRAM, 17), udp, None),
        (full(AF_INET, SOCK_STREAM, 6), vxlan, outer),
        (full(AF_INET, SOCK_DGRAM, 17), vxlan, outer),
        (full(AF_INET, SOCK_RAW, 6), tcp, Some(Home::ControlSocket)),
        (
            full(AF_INET6, SOCK_RAW, 58),
            icmp(135),
            Some(Home::ControlSocket),
        ),
        (full(AF_INET6, SOCK_RAW, 58), icmp(128), Some(Home::Raw)),
        (full(AF_INET6, SOCK_DGRAM, 58), icmp(128), Some(Home::Raw)),
        (full(17, SOCK_RAW, 768), tcp, Some(Home::Raw)),
    ];
    for (sender, headers, home) in cases {
        assert_eq!(
            home_at_uplink(sender, &headers),
            home,
            "{sender:?} {headers:?}"
        );
    }
}

#[test]
fn fragment_headers_are_named() {
    let cases = [
        (4, false, false, 0),
        (4, true, false, 0),
        (4, true, true, 20),
        (6, true, false, 8),
        (6, true, true, 48),
    ];
    for (ip_version, fragment, later_fragment, bytes) in cases {
        let ip_bytes = if ip_version == 4 { 20 } else { 48 };
        let headers = Headers {
            ip_version,
            later_fragment,
            fragment,
            ip_bytes,
            ..Headers::default()
        };
        assert_eq!(fragment_bytes(&headers), bytes, "{headers:?}");
    }
}

#[test]
fn a_failed_connect_says_why() {
    assert_eq!(u32::from(closed_flags(0, false)), flag::CLOSED);
    assert_eq!(
        u32::from(closed_flags(0, true)),
        flag::CLOSED | flag::CONNECT_FAILED
    );
    let given_up = flag::CLOSED | flag::CONNECT_FAILED | flag::GIVEN_UP;
    assert_eq!(u32::from(closed_flags(flag::RELEASED, true)), given_up);
}
