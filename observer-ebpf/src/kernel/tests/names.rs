//! What leaves the kernel of a payload, byte for byte, and what never does.

mod datagrams;
mod plain;

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
    packet::{Packet, REMOTE, address, tcp},
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
    let segments: Vec<usize> = (536..sent.len()).step_by(536).collect();
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
    let segments: Vec<usize> = (1_400..sent.len()).step_by(1_400).collect();
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
fn switched_off_nothing_leaves() {
    boot_new_kernel();
    let client = connected();
    send(&client, &records(&hello(100), 16_384), &[]);
    assert_eq!(captures(), []);
    assert_eq!(flags(&client), 0);
}
