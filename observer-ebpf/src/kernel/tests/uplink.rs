//! The account of an uplink: everything that passes is counted, and what no socket hook saw has a home.

use observer_ebpf::{
    abi::{Home, Lost, UplinkTotals},
    packet::{protocol, tcp_flag},
};

use super::{
    endpoint::{ESTABLISHED, Endpoint, LISTEN, NEW_SYN_RECV, TIME_WAIT},
    host::{AtUplink, boot, configure, enter, frame, home, leave, lost, slots, uplink_totals},
    packet::{Packet, REMOTE, tcp, udp},
};

const ACK: u8 = tcp_flag::ACK;
const NOBODY: AtUplink<'static> = AtUplink {
    endpoint: None,
    forwarded: false,
    padding: 0,
};

fn by(endpoint: &Endpoint) -> AtUplink<'_> {
    AtUplink {
        endpoint: Some(endpoint),
        ..NOBODY
    }
}

/// Sent bytes by home at the uplink, besides those the egress hook has.
fn homes() -> Vec<(u8, u64)> {
    let mut homes: Vec<_> = slots()
        .into_iter()
        .map(|(key, counters)| {
            assert_eq!(key.uplink, 1);
            (key.home, counters.device_bytes[0])
        })
        .collect();
    homes.sort_unstable();
    homes
}

/// Sent: interface = hooked + remainders.
fn assert_balanced(totals: &UplinkTotals) {
    let aside: u64 = homes().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(totals.device_bytes[0], totals.hooked_device_bytes + aside);
}

#[test]
fn what_the_egress_hook_counted_is_hooked() {
    boot();
    let client = Endpoint::new(protocol::TCP);
    client.set_state(ESTABLISHED);
    let bundle = Packet {
        gso: (1000, 3),
        ..tcp(ACK, 1, 3000)
    };
    leave(bundle, &by(&client));
    leave(tcp(ACK, 1, 10).v6(), &by(&client));
    assert_eq!(
        uplink_totals(),
        UplinkTotals {
            device_bytes: [3052 + 82, 0],
            bundled_bytes: [104, 0],
            frames: [2, 0],
            hooked_device_bytes: 3052 + 82,
            hooked_bundled_bytes: 104,
        }
    );
    assert!(homes().is_empty());
    configure(1);
    let datagrams = Endpoint::older(protocol::UDP);
    let cut = Packet {
        gso: (1000, 3),
        ..udp(REMOTE, 3000)
    };
    leave(cut, &by(&datagrams));
    assert_eq!(uplink_totals().hooked_device_bytes, 3052 + 82 + 3084);
    assert_eq!(uplink_totals().bundled_bytes[0], 104);
}

#[test]
fn packets_without_a_full_socket_have_a_home() {
    boot();
    let time_wait = Endpoint::older(protocol::TCP);
    time_wait.set_state(TIME_WAIT);
    leave(tcp(ACK, 1, 0), &by(&time_wait));
    leave(tcp(tcp_flag::RST, 1, 0), &NOBODY);
    let forwarded = AtUplink {
        forwarded: true,
        ..NOBODY
    };
    leave(udp(REMOTE, 100), &forwarded);
    let raw = Endpoint::older(protocol::ICMP);
    raw.change(|socket| socket.sock.type_ = 3);
    let icmp = |kind| Packet {
        protocol: protocol::ICMP,
        sequence: kind,
        ..udp(REMOTE, 56)
    };
    leave(icmp(8), &by(&raw));
    leave(icmp(3), &by(&raw));
    let tunnel = Endpoint::older(protocol::UDP);
    leave(
        Packet {
            local_port: 50_000,
            remote_port: 4789,
            ..udp(REMOTE, 100)
        },
        &by(&tunnel),
    );
    assert_eq!(
        homes(),
        [
            (Home::ControlSocket as u8, 84),
            (Home::KernelSent as u8, 52 + 52),
            (Home::Forwarded as u8, 128),
            (Home::Encapsulation as u8, 128),
            (Home::Raw as u8, 84),
        ]
    );
    assert_balanced(&uplink_totals());
    assert_eq!(uplink_totals().hooked_device_bytes, 0);
}

#[test]
fn a_syn_ack_is_hooked_where_the_kernel_runs_the_hook_for_it() {
    boot();
    let request = Endpoint::older(protocol::TCP);
    request.set_state(NEW_SYN_RECV);
    let syn_ack = tcp(tcp_flag::SYN | ACK, 1, 0);
    leave(syn_ack, &by(&request));
    assert_eq!(home(Home::Handshake).device_bytes, [52, 0]);
    let listener = Endpoint::new(protocol::TCP);
    listener.set_state(LISTEN);
    listener.send(syn_ack);
    leave(syn_ack, &by(&request));
    leave(syn_ack.v6(), &by(&request));
    assert_eq!(uplink_totals().hooked_device_bytes, 52, "IPv4 alone");
    assert_eq!(home(Home::Handshake).device_bytes, [52 + 52 + 72, 0]);
}

#[test]
fn fragments_leave_their_headers_aside() {
    boot();
    let socket = Endpoint::new(protocol::UDP);
    let fragment = |fragment| Packet {
        fragment,
        ..udp(REMOTE, 800)
    };
    leave(fragment(0x2000), &by(&socket));
    leave(fragment(100), &by(&socket));
    let totals = uplink_totals();
    assert_eq!(totals.device_bytes[0], 828 + 820);
    assert_eq!(totals.hooked_device_bytes, 828 + 800);
    assert_eq!(homes(), [(Home::FragmentHeaders as u8, 20)]);
    assert_balanced(&totals);
    leave(fragment(100).v6(), &by(&socket));
    assert_eq!(
        homes(),
        [(Home::FragmentHeaders as u8, 20 + 48)].map(|h| h).to_vec()
    );
    enter(fragment(100), &NOBODY);
    assert_eq!(home(Home::FragmentHeaders).device_bytes, [68, 20]);
}

#[test]
fn frames_that_are_not_ip_and_padding_are_named() {
    const ARP: u16 = 0x0806;
    boot();
    frame(&[0; 28], ARP, (0, 0), &NOBODY, true);
    frame(&[0; 46], ARP, (0, 0), &NOBODY, false);
    assert_eq!(home(Home::NonIp).device_bytes, [28, 46]);
    let padded = AtUplink {
        padding: 46 - 28,
        ..NOBODY
    };
    enter(udp(REMOTE, 0), &padded);
    assert_eq!(home(Home::NonIp).device_bytes, [28, 46 + 18]);
    let totals = uplink_totals();
    assert_eq!(totals.device_bytes, [28, 46 + 46]);
    assert_eq!(totals.frames, [1, 2]);
}

#[test]
fn headers_that_cannot_be_read_count_as_they_stand() {
    boot();
    let socket = Endpoint::new(protocol::TCP);
    socket.set_state(ESTABLISHED);
    frame(&[0x45; 9], 0x0800, (0, 0), &by(&socket), true);
    frame(&[0x45; 9], 0x0800, (0, 0), &NOBODY, false);
    assert_eq!(lost(Lost::Headers), 2);
    assert_eq!(uplink_totals().device_bytes, [9, 9]);
    assert_balanced(&uplink_totals());
}
