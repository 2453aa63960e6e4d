//! QUIC Initials and DNS answers.

use observer_ebpf::{abi::capture, packet::protocol};

use super::{
    super::{
        endpoint::Endpoint,
        host::{DEVICE, NETNS},
        packet::{Packet, REMOTE, address, tcp, udp},
    },
    ACK, boot, captures, connected, pass,
};

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
fn what_nobody_asked_for_is_no_answer() {
    boot();
    let server = Endpoint::new(protocol::UDP);
    pass(&server, udp(REMOTE, 0), b"answer", DEVICE, false);
    pass(&server, udp(REMOTE, 0), b"answer", DEVICE, false);
    assert_eq!(captures(), []);
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
