//! Plain requests and dialogues with proxies: the target leaves, and no credential.

use observer_ebpf::{
    abi::{capture, flag, request::ROUTE_BYTES},
    request::line_hash,
};

use super::{
    super::super::{
        maps::{LEARNED, REQUESTS_ON, ROUTES},
        platform::{Key, load},
    },
    ACK, DEVICE, boot, captures, connected, flags, hello, pass, records, send, tcp,
};

#[test]
fn a_request_gives_its_host_alone() {
    for (request, expected) in [
        (
            "GET /secret HTTP/1.1\r\nCookie: a=b\r\nHost: shop.example:8080\r\n\r\n",
            Some("shop.example:8080"),
        ),
        (
            "POST / HTTP/1.1\r\nhOsT:\t  api.example\r\nX: y\r\n\r\nHost: no.example\r\n",
            Some("api.example"),
        ),
        ("GET / HTTP/1.1\nHost: a.example\n\n", Some("a.example")),
        (
            "GET / HTTP/1.1\r\nX-Host: no.example\r\nHostess: no\r\nHost: a.example\r\n\r\n",
            Some("a.example"),
        ),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\nHost: body.example\r\n", None),
        ("GET / HTTP/1.0\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost: cut.exam", None),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", None),
    ] {
        boot();
        let client = connected();
        send(&client, request.as_bytes(), &[]);
        let found: Vec<(u8, String)> = captures()
            .into_iter()
            .map(|(head, data)| (head.kind, String::from_utf8_lossy(&data).into_owned()))
            .collect();
        let expected: Vec<(u8, String)> = expected
            .map(|host| (capture::HOST, host.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "{request:?}");
        let cut = if expected.is_empty() {
            flag::LOOK_CUT
        } else {
            0
        };
        assert_eq!(flags(&client), flag::HTTP | flag::LOOKED | cut);
    }
}

#[test]
fn a_proxy_s_target_leaves_and_no_credential() {
    boot();
    let client = connected();
    let request =
        b"CONNECT api.example:443 HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n";
    let message = hello(300);
    let sent = [&request[..], &records(&message, 16_384)].concat();
    send(&client, &sent, &[request.len()]);
    let found = captures();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].0.kind, capture::CONNECT);
    assert_eq!(found[0].1, b"api.example:443");
    assert_eq!(found[1].0.kind, capture::HELLO);
    assert_eq!(found[1].1, message);
    assert_eq!(flags(&client), flag::PROXY | flag::TLS | flag::LOOKED);
}

#[test]
fn a_socks_request_leaves_and_no_password() {
    let greeting = b"\x05\x02\0\x02";
    let password = b"\x01\x04user\x07\x05\x01\0\x03pw!";
    let message = hello(300);
    let tls = records(&message, 16_384);
    for (request, expected) in [
        (
            &b"\x05\x01\0\x03\x09a.example\x01\xbb"[..],
            &b"\x03\x09a.example\x01\xbb"[..],
        ),
        (
            b"\x05\x01\0\x01\x0a\0\0\x09\0\x50",
            b"\x01\x0a\0\0\x09\0\x50",
        ),
    ] {
        for auth in [&password[..], b""] {
            boot();
            let client = connected();
            let sent = [&greeting[..], auth, request, &tls].concat();
            let mut ends = vec![greeting.len()];
            if !auth.is_empty() {
                ends.push(greeting.len() + auth.len());
            }
            ends.push(greeting.len() + auth.len() + request.len());
            send(&client, &sent, &ends);
            let found = captures();
            assert_eq!(found.len(), 2, "{request:?}");
            assert_eq!(found[0].0.kind, capture::SOCKS);
            assert_eq!(found[0].1, expected);
            assert_eq!(found[1].1, message);
        }
    }
    // A password that looks like a request, cut so that it begins a packet.
    boot();
    let client = connected();
    let sent = [
        &greeting[..],
        b"\x01\x04user\x0b",
        b"\x05\x01\0\x01\x0a\0\0\x09\0\x50!",
    ]
    .concat();
    send(&client, &sent, &[4, 11]);
    assert_eq!(captures(), []);
}

/// Method and path of each request that follows an answer, where it begins in both streams, and nothing else of it.
#[test]
fn requests_give_method_and_path_alone() {
    boot();
    load(&raw const REQUESTS_ON, 1);
    let client = connected();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(300));
    let asked = [
        "GET /v1/files?key=secret HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "POST /v1/responses HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n",
        &long,
        "not a request",
        "DELETE /v1/files/f_1 HTTP/1.1\r\n\r\n",
        "GET /v1/known?key=secret HTTP/1.1\r\n\r\n",
        "GET /v1/learned/secret HTTP/1.1\r\n\r\n",
        "GET /v1/learned/secreT HTTP/1.1\r\n\r\n",
    ];
    let known = b"GET /v1/known";
    let mut begins_so = [0; ROUTE_BYTES];
    begins_so[..known.len()].copy_from_slice(known);
    ROUTES.insert(&Key::new(8 * (known.len() as u32 + 1), begins_so), 3);
    let learned = line_hash([0; 2], b"GET /v1/learned/secret");
    LEARNED.insert(learned, 4, 0).expect("there is room");
    let (mut sent, mut received) = (0, 0);
    let mut begins = Vec::new();
    for request in asked {
        begins.push((sent, received));
        let ways = [(request.as_bytes(), true), (&[b'x'; 40][..], false)];
        for (payload, egress) in ways {
            let sequence = if egress { 101 + sent } else { 901 + received };
            let packet = tcp(ACK, sequence as u32, payload.len());
            pass(&client, packet, payload, DEVICE, egress);
            if egress {
                sent += payload.len() as u64;
            } else {
                received += payload.len() as u64;
                client.change(|socket| socket.tcp.bytes_received = received);
            }
        }
    }
    let found: Vec<(u64, u64, u64, String)> = captures()
        .into_iter()
        .filter(|(head, _)| head.kind == capture::REQUEST)
        .map(|(_, data)| {
            let number =
                |at: usize| u64::from_ne_bytes(data[at..at + 8].try_into().expect("eight bytes"));
            let line = String::from_utf8_lossy(&data[32..]).into_owned();
            (number(0), number(8), number(16) & 0xffff_ffff, line)
        })
        .collect();
    let lines = [
        (0, "GET /v1/files"),
        (0, "POST /v1/responses"),
        (0, &long[..256]),
        (0, ""),
        (0, "DELETE /v1/files/f_1"),
        (3, ""),
        (4, ""),
        (0, "GET /v1/learned/secreT"),
    ];
    let expected: Vec<(u64, u64, u64, String)> = begins
        .into_iter()
        .zip(lines)
        .filter(|(_, line)| *line != (0, ""))
        .map(|((sent, received), (route, line))| (sent, received, route, line.to_owned()))
        .collect();
    assert_eq!(found, expected);
}
