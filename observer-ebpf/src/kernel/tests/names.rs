//! What leaves the kernel of a payload, byte for byte, and what never does.

use std::{mem::size_of, ptr};

use observer_ebpf::{
    abi::{
        Lost,
        capture::{self, CAPTURES_BYTES, Head, LOOK_BYTES_MAX},
        flag,
    },
    packet::{protocol, tcp_flag},
};

use super::{
    super::{
        maps::{CAPTURES, CAPTURES_ON, PENDING},
        platform::{Records, contents, load},
    },
    endpoint::{
        CLOSE, ESTABLISHED, Endpoint, OP_ACTIVE_ESTABLISHED, OP_CONNECT, OP_PASSIVE_ESTABLISHED,
        SYN_SENT, pass_bytes,
    },
    host::{DEVICE, NETNS, boot_new_kernel, lost},
    packet::{Packet, REMOTE, address, tcp, udp},
};

const ACK: u8 = tcp_flag::ACK;
const SYN: u8 = tcp_flag::SYN;

fn boot() {
    boot_new_kernel();
    load(&raw const CAPTURES_ON, 1);
}

fn connected() -> Endpoint {
    let client = Endpoint::new(protocol::TCP);
    client.connect();
    client.go(CLOSE, SYN_SENT);
    client.callback(OP_CONNECT);
    client.send(tcp(SYN, 100, 0));
    client.receive(tcp(SYN | ACK, 900, 0));
    client.go(SYN_SENT, ESTABLISHED);
    client.callback(OP_ACTIVE_ESTABLISHED);
    client
}

/// A packet with this payload through the hook.
fn pass(endpoint: &Endpoint, packet: Packet, payload: &[u8], ifindex: u32, egress: bool) {
    let packet = Packet {
        payload_bytes: payload.len(),
        ..packet
    };
    let mut bytes = packet.bytes(egress);
    let at = bytes.len() - payload.len();
    bytes[at..].copy_from_slice(payload);
    pass_bytes(&bytes, packet.gso, endpoint, ifindex, egress);
}

/// Sends a stream in pieces, whose ends are given.
fn send(client: &Endpoint, stream: &[u8], ends: &[usize]) {
    let mut from = 0;
    for to in ends.iter().copied().chain([stream.len()]) {
        let sequence = 101 + from as u32;
        pass(
            client,
            tcp(ACK, sequence, 0),
            &stream[from..to],
            DEVICE,
            true,
        );
        from = to;
    }
}

/// Every capture: its head and data.
fn captures() -> Vec<(Head, Vec<u8>)> {
    let records = contents(ptr::from_ref(&CAPTURES).addr(), |records: &mut Records| {
        std::mem::take(&mut records.captures)
    });
    let taken_apart = records.into_iter().map(|record| {
        let (head, data) = record.split_at(size_of::<Head>());
        // SAFETY: the record begins with a head.
        let head = unsafe { ptr::read_unaligned(head.as_ptr().cast::<Head>()) };
        assert_eq!(head.bytes as usize, data.len());
        (head, data.to_vec())
    });
    taken_apart.collect()
}

/// The handshake stream that was handed over, put together; each piece follows the one before.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for (head, data) in captures() {
        assert_eq!(head.kind, capture::HELLO);
        assert_eq!(head.offset as usize, stream.len());
        stream.extend(data);
    }
    stream
}

fn flags(endpoint: &Endpoint) -> u32 {
    let all = flag::TLS | flag::HTTP | flag::PROXY | flag::LOOKED | flag::LOOK_CUT;
    endpoint.flow().expect("the socket has storage").flags() & all
}

/// A hello of so many bytes after its header, every byte another than its neighbours.
fn hello(bytes: u32) -> Vec<u8> {
    let mut message = bytes.to_be_bytes().to_vec();
    message[0] = 1;
    message.extend((0..bytes).map(|byte| (byte % 251) as u8));
    message
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for body in message.chunks(size) {
        stream.extend([22, 3, 1]);
        stream.extend((body.len() as u16).to_be_bytes());
        stream.extend(body);
    }
    stream
}

#[test]
fn a_hello_in_one_packet_is_handed_over_once() {
    boot();
    let client = connected();
    let message = hello(500);
    let mut sent = records(&message, 16_384);
    // Early data behind it, and the next flight.
    sent.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 4, b'k', b'e', b'y', b'!']);
    send(&client, &sent, &[]);
    send(&client, &sent, &[]);
    let found = captures();
    let [(head, data)] = &found[..] else {
        panic!("{} captures", found.len());
    };
    assert_eq!(data, &message);
    assert_eq!(
        *head,
        Head {
            cookie: 77,
            netns_cookie: NETNS,
            at_ns: head.at_ns,
            local_address: address(4, 1),
            remote_address: address(4, REMOTE),
            local_port: 40_000,
            remote_port: 443,
            kind: capture::HELLO,
            protocol: protocol::TCP,
            flags: 0,
            _pad: 0,
            offset: 0,
            bytes: 504,
        }
    );
    assert_eq!(flags(&client), flag::TLS | flag::LOOKED);
    assert!(PENDING.entries().is_empty());
}

#[test]
fn a_hello_is_whole_wherever_it_is_cut() {
    let message = hello(60);
    for size in [7, 64, 16_384] {
        let sent = records(&message, size);
        for cut in 1..sent.len() {
            boot();
            let client = connected();
            send(&client, &sent, &[cut]);
            assert_eq!(stream(), message, "records of {size} cut at {cut}");
            assert_eq!(flags(&client), flag::TLS | flag::LOOKED);
            assert!(PENDING.entries().is_empty());
        }
        boot();
        let client = connected();
        let every: Vec<usize> = (1..sent.len()).collect();
        send(&client, &sent, &every);
        assert_eq!(stream(), message, "records of {size} by the byte");
    }
}

#[test]
fn a_large_hello_comes_in_chunks() {
    boot();
    let client = connected();
    let message = hello(9_000);
    send(&client, &records(&message, 16_384), &[]);
    assert_eq!(stream(), message);
    boot();
    let client = connected();
    let sent = records(&message, 16_384);
    let segments: Vec<usize> = (1..)
        .map(|nth| nth * 536)
        .take_while(|at| *at < sent.len())
        .collect();
    send(&client, &sent, &segments);
    assert_eq!(stream(), message, "segments of 536");
}

#[test]
fn what_is_sent_again_is_not_handed_over_again() {
    boot();
    let client = connected();
    let message = hello(400);
    let sent = records(&message, 16_384);
    pass(&client, tcp(ACK, 101, 0), &sent[..100], DEVICE, true);
    pass(&client, tcp(ACK, 101, 0), &sent[..100], DEVICE, true);
    // Old and new in one packet.
    pass(&client, tcp(ACK, 151, 0), &sent[50..], DEVICE, true);
    assert_eq!(stream(), message);
}

#[test]
fn a_hello_in_the_syn_counts() {
    boot();
    let client = Endpoint::new(protocol::TCP);
    client.connect();
    client.go(CLOSE, SYN_SENT);
    client.callback(OP_CONNECT);
    let message = hello(200);
    let sent = records(&message, 16_384);
    pass(&client, tcp(SYN, 100, 0), &sent, DEVICE, true);
    client.receive(tcp(SYN | ACK, 900, 0));
    client.go(SYN_SENT, ESTABLISHED);
    client.callback(OP_ACTIVE_ESTABLISHED);
    // It was not taken, and is sent again.
    pass(&client, tcp(ACK, 101, 0), &sent, DEVICE, true);
    assert_eq!(stream(), message);
}

#[test]
fn what_is_no_hello_stays() {
    for (sent, expected) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], flag::LOOKED),
        (b"\x16\x02\x01\0\x04hell", flag::LOOKED),
        (b"\x17\x03\x03\0\x04data", flag::LOOKED),
        (
            b"\x16\x03\x03\0\x04\x02\0\0\0",
            flag::TLS | flag::LOOKED | flag::LOOK_CUT,
        ),
        (b"\x05", flag::LOOKED),
        (b"\x05\x02\0", flag::LOOKED),
        (b"G", flag::LOOKED),
        (b"CONNECT", flag::LOOKED),
    ] {
        boot();
        let client = connected();
        send(&client, sent, &[]);
        send(&client, &[sent, b"secret"].concat(), &[sent.len()]);
        assert_eq!(captures(), [], "{sent:?}");
        assert_eq!(flags(&client), expected, "{sent:?}");
    }
}

#[test]
fn only_connections_of_this_host_are_looked_at() {
    boot();
    let message = records(&hello(100), 16_384);
    let server = Endpoint::new(protocol::TCP);
    server.callback(OP_PASSIVE_ESTABLISHED);
    server.set_state(ESTABLISHED);
    send(&server, &message, &[]);
    let older = Endpoint::older(protocol::TCP);
    older.set_state(ESTABLISHED);
    send(&older, &message, &[]);
    assert_eq!(captures(), []);
    assert_eq!(
        (flags(&server), flags(&older)),
        (flag::LOOKED, flag::LOOKED)
    );
}

#[test]
fn the_search_has_an_end() {
    boot();
    let client = connected();
    let message = hello(0x00ff_ffff - 4);
    let sent = records(&message[..40_000], 16_384);
    let segments: Vec<usize> = (1..)
        .map(|nth| nth * 1_400)
        .take_while(|at| *at < sent.len())
        .collect();
    send(&client, &sent, &segments);
    let found = stream();
    assert!(found.len() <= LOOK_BYTES_MAX as usize + 1_400);
    assert_eq!(found, message[..found.len()]);
    assert_eq!(flags(&client), flag::TLS | flag::LOOKED | flag::LOOK_CUT);
}

#[test]
fn a_full_ring_is_counted() {
    boot();
    let message = records(&hello(2_000), 16_384);
    let room = CAPTURES_BYTES as usize / (size_of::<Head>() + 2_004 + 8);
    let clients: Vec<Endpoint> = (0..room + 3).map(|_| connected()).collect();
    for client in &clients {
        send(client, &message, &[]);
    }
    assert_eq!(captures().len(), room);
    assert_eq!(lost(Lost::CaptureRing), 3);
    let last = clients.last().expect("one");
    assert_eq!(flags(last), flag::TLS | flag::LOOKED | flag::LOOK_CUT);
}

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

/// An Initial of this version and size with this token, as far as it can be read without keys.
fn initial(version: u32, token: usize, body: usize) -> Vec<u8> {
    let mut packet = vec![if version == 1 { 0xc3 } else { 0xd3 }];
    packet.extend(version.to_be_bytes());
    packet.push(8);
    packet.extend([1; 8]);
    packet.push(3);
    packet.extend([2; 3]);
    if token < 64 {
        packet.push(token as u8);
    } else {
        packet.extend((token as u16 | 0x4000).to_be_bytes());
    }
    packet.extend(vec![3; token]);
    packet.extend((body as u16 | 0x4000).to_be_bytes());
    packet.extend((0..body).map(|byte| byte as u8));
    packet
}

#[test]
fn initials_leave_and_what_is_behind_them_stays() {
    for version in [1, 0x6b33_43cf] {
        for token in [0, 40, 200] {
            boot();
            let client = Endpoint::new(protocol::UDP);
            client.sendmsg();
            let packet = initial(version, token, 900);
            let coalesced = [&packet[..], b"\xd0early data"].concat();
            pass(
                &client,
                Packet {
                    remote_port: 443,
                    ..udp(REMOTE, 0)
                },
                &coalesced,
                DEVICE,
                true,
            );
            let found = captures();
            assert_eq!(found.len(), 1, "{version:x} {token}");
            assert_eq!((found[0].0.kind, found[0].0.flags), (capture::QUIC, 0));
            assert_eq!(found[0].1, packet);
            // A further remote of the same socket.
            pass(
                &client,
                Packet {
                    remote_port: 443,
                    ..udp(5, 0)
                },
                &packet,
                DEVICE,
                true,
            );
            let found = captures();
            assert_eq!(found[0].0.flags, capture::FURTHER);
            assert_eq!(found[0].0.remote_address, address(4, 5));
        }
    }
}

#[test]
fn bundled_initials_leave_one_by_one() {
    boot();
    let client = Endpoint::new(protocol::UDP);
    client.sendmsg();
    let packet = initial(1, 0, 1_100);
    let bundle = packet.repeat(3);
    let gso = (packet.len() as u32, 3);
    pass(
        &client,
        Packet {
            remote_port: 443,
            gso,
            ..udp(REMOTE, 0)
        },
        &bundle,
        DEVICE,
        true,
    );
    let found = captures();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(_, data)| *data == packet));
}

#[test]
fn other_datagrams_stay() {
    let short = [0x40; 1_200];
    let mut other_version = initial(1, 0, 900);
    other_version[4] = 2;
    let mut handshake = initial(1, 0, 900);
    handshake[0] = 0xe3;
    let mut too_long = initial(1, 0, 900);
    too_long.truncate(800);
    for datagram in [
        &short[..],
        &other_version,
        &handshake,
        &too_long,
        b"\xc3\0\0\0\x01",
    ] {
        boot();
        let client = Endpoint::new(protocol::UDP);
        client.sendmsg();
        pass(
            &client,
            Packet {
                remote_port: 443,
                ..udp(REMOTE, 0)
            },
            datagram,
            DEVICE,
            true,
        );
        assert_eq!(captures(), []);
    }
    // A server's.
    boot();
    let server = Endpoint::new(protocol::UDP);
    pass(
        &server,
        Packet {
            remote_port: 443,
            ..udp(REMOTE, 0)
        },
        &short,
        DEVICE,
        false,
    );
    pass(
        &server,
        Packet {
            remote_port: 443,
            ..udp(REMOTE, 0)
        },
        &initial(1, 0, 900),
        DEVICE,
        true,
    );
    assert_eq!(captures(), []);
}

#[test]
fn answers_leave_also_those_of_a_stub_on_loopback() {
    const LOOPBACK: u32 = 1;
    for ifindex in [DEVICE, LOOPBACK] {
        for v6 in [false, true] {
            boot();
            let client = Endpoint::new(protocol::UDP);
            client.sendmsg();
            let packet = if v6 {
                udp(REMOTE, 0).v6()
            } else {
                udp(REMOTE, 0)
            };
            pass(&client, packet, b"question", ifindex, true);
            assert_eq!(captures(), []);
            pass(&client, packet, b"answer", ifindex, false);
            let found = captures();
            assert_eq!(found.len(), 1, "{ifindex} {v6}");
            assert_eq!(found[0].0.kind, capture::DNS);
            assert_eq!(found[0].0.netns_cookie, NETNS);
            assert_eq!(found[0].1, b"answer");
            let other = Packet {
                remote_port: 5_353,
                ..packet
            };
            pass(&client, other, b"answer", ifindex, false);
            assert_eq!(captures(), []);
        }
    }
}

#[test]
fn answers_over_tcp_leave_with_their_place() {
    boot();
    let client = connected();
    let packet = Packet {
        remote_port: 53,
        ..tcp(ACK, 901, 0)
    };
    let answer: Vec<u8> = (0..5_000_u32).map(|byte| byte as u8).collect();
    pass(&client, packet, &answer, DEVICE, false);
    pass(
        &client,
        Packet {
            sequence: 5_901,
            ..packet
        },
        b"",
        DEVICE,
        false,
    );
    let found = captures();
    let offsets: Vec<(u32, usize)> = found
        .iter()
        .map(|(head, data)| (head.offset, data.len()))
        .collect();
    assert_eq!(offsets, [(901, 2_048), (2_949, 2_048), (4_997, 904)]);
    assert!(
        found
            .iter()
            .all(|(head, _)| head.kind == capture::DNS_STREAM)
    );
    let data: Vec<u8> = found.into_iter().flat_map(|(_, data)| data).collect();
    assert_eq!(data, answer);
}

#[test]
fn switched_off_nothing_leaves() {
    boot_new_kernel();
    let client = connected();
    send(&client, &records(&hello(100), 16_384), &[]);
    assert_eq!(captures(), []);
    assert_eq!(flags(&client), 0);
}
