//! TCP connections from their first call to their last packet.

use std::mem::offset_of;

use observer_ebpf::{
    abi::{Flow, Home, Lost, flag, initiator},
    packet::{protocol, tcp_flag},
};

use super::{
    super::{
        maps::{NET_COOKIE_OFFSET, SOCK_NET_OFFSET},
        platform::{Net, Socket, change_world, leak, load},
    },
    endpoint::{
        CLOSE, CLOSE_WAIT, ESTABLISHED, Endpoint, FIN_WAIT1, LAST_ACK, LISTEN,
        OP_ACTIVE_ESTABLISHED, OP_CONNECT, OP_PASSIVE_ESTABLISHED, SYN_SENT, pass_bytes,
    },
    host::{NETNS, TAG, boot, boot_new_kernel, ends, home, lost, slots, wait_us},
    packet::{LOCAL, Packet, REMOTE, address, tcp},
};

const ACK: u8 = tcp_flag::ACK;
const SYN: u8 = tcp_flag::SYN;
const FIN: u8 = tcp_flag::FIN | tcp_flag::ACK;
const RST: u8 = tcp_flag::RST;

/// connect, SYN, SYN-ACK, established, last ACK.
fn connected() -> Endpoint {
    let client = Endpoint::new(protocol::TCP);
    client.connect();
    client.go(CLOSE, SYN_SENT);
    client.callback(OP_CONNECT);
    client.send(tcp(SYN, 100, 0));
    wait_us(250);
    client.receive(tcp(SYN | ACK, 900, 0));
    client.go(SYN_SENT, ESTABLISHED);
    client.callback(OP_ACTIVE_ESTABLISHED);
    client.send(tcp(ACK, 101, 0));
    client
}

fn flow(endpoint: &Endpoint) -> Flow {
    endpoint.flow().expect("the socket has storage")
}

/// The flow has counted what passed, and the slots what the flow has (payload received excepted: TCP's own).
fn assert_balanced(endpoint: &Endpoint) {
    let (flow, slots) = (flow(endpoint), home(Home::Flow));
    assert_eq!(flow.counters().device_bytes, endpoint.device_bytes.get());
    assert_eq!(flow.counters().device_bytes, slots.device_bytes);
    assert_eq!(flow.counters().bundled_bytes, slots.bundled_bytes);
    assert_eq!(flow.counters().packets, slots.packets);
    assert_eq!(flow.counters().payload_bytes[0], slots.payload_bytes[0]);
    assert_eq!(
        flow.counters().retransmitted_wire_bytes,
        slots.retransmitted_wire_bytes
    );
}

#[test]
fn a_client_connection_is_one_flow_with_one_end() {
    boot();
    let client = connected();
    client.send(tcp(ACK, 101, 300));
    wait_us(400);
    client.receive(tcp(ACK, 901, 1000));
    client.release();
    client.go(ESTABLISHED, FIN_WAIT1);
    client.send(tcp(FIN, 401, 0));
    client.receive(tcp(FIN, 1901, 0));
    assert!(ends().is_empty(), "the connection is not closed yet");
    client.bytes_received.set(1001);
    client.go(FIN_WAIT1, CLOSE);

    assert_balanced(&client);
    let [(end, _)] = ends()[..] else {
        panic!("one end, not {}", ends().len());
    };
    assert_eq!(end, flow(&client));
    assert_eq!(end.counters().payload_bytes, [300, 1000]);
    assert_eq!(end.counters().packets, [4, 3]);
    assert_eq!(
        end.flags() & !(flag::SEQ | flag::TLS_PASSED),
        flag::FROM_START
            | flag::ESTABLISHED
            | flag::STATE_FOLLOWED
            | flag::CLOSED
            | flag::FIN_OUT
            | flag::FIN_IN
            | flag::RELEASED
            | flag::OWNER
    );
    assert_eq!((end.connect_us, end.first_byte_us), (250, 400));
    assert_eq!((end.rtt_us, end.min_rtt_us), (1000, 900));
    assert_eq!(
        (end.pid, end.uid, &end.comm[..5]),
        (4321, 1000, &b"curl\0"[..])
    );
    assert_eq!(
        (end.cookie, end.cgroup_id, end.netns_cookie, end.tag),
        (77, 5, NETNS, TAG)
    );
    assert_eq!(end.local_address, address(4, LOCAL));
    assert_eq!(end.remote_address, address(4, REMOTE));
    assert_eq!((end.local_port, end.remote_port), (40_000, 443));
    assert_eq!(end.initiator, initiator::LOCAL);
    let [(key, _)] = slots()[..] else {
        panic!("one slot");
    };
    assert_eq!((key.uplink, key.home, key.tag), (1, Home::Flow as u8, TAG));
}

#[test]
fn a_packet_after_close_ends_the_flow_once_more() {
    boot();
    let client = connected();
    client.release();
    client.go(ESTABLISHED, CLOSE);
    client.send(tcp(RST, 101, 0));
    let flags: Vec<_> = ends()
        .iter()
        .map(|(end, _)| end.flags() & flag::RESET_OUT != 0)
        .collect();
    assert_eq!(flags, [false, true]);
    assert_balanced(&client);
}

#[test]
fn a_connection_that_was_reset_ends_again_when_the_process_lets_go() {
    boot();
    let client = connected();
    client.receive(tcp(RST, 901, 0));
    client.go(ESTABLISHED, CLOSE);
    client.release();
    let flags: Vec<_> = ends()
        .iter()
        .map(|(end, _)| end.flags() & (flag::RESET_IN | flag::RELEASED))
        .collect();
    assert_eq!(flags, [flag::RESET_IN, flag::RESET_IN | flag::RELEASED]);
}

#[test]
fn a_listener_counts_handshakes_and_the_accepted_socket_the_rest() {
    boot();
    let listener = Endpoint::new(protocol::TCP);
    listener.set_state(LISTEN);
    listener.receive(tcp(SYN, 1, 0));
    listener.send(tcp(SYN | ACK, 500, 0));
    listener.receive(tcp(ACK, 2, 0));
    let server = listener.accepted();
    server.callback(OP_PASSIVE_ESTABLISHED);
    server.set_state(ESTABLISHED);
    server.receive(tcp(ACK, 2, 64));
    server.send(tcp(ACK, 501, 2000));

    assert!(listener.flow().is_none());
    let handshake = home(Home::Handshake);
    assert_eq!(handshake.device_bytes, listener.device_bytes.get());
    assert_eq!(handshake.packets, [1, 2]);
    assert_balanced(&server);
    let flow = flow(&server);
    assert_eq!(flow.initiator, initiator::REMOTE);
    assert_eq!(flow.netns_cookie, NETNS, "cloned from the listener");
    assert_eq!((flow.request_ns, flow.flags() & flag::OWNER), (0, 0));
    assert_eq!((flow.local_port, flow.remote_port), (40_000, 443));
}

#[test]
fn bundles_have_their_headers_once_and_repeats_are_retransmissions() {
    boot_new_kernel();
    let client = connected();
    let bundle = Packet {
        gso: (1000, 5),
        ..tcp(ACK, 101, 5000)
    };
    client.send(bundle);
    client.send(tcp(ACK, 101, 1000));
    client.receive(Packet {
        // virtio says a size and no number
        gso: (1000, 0),
        ..tcp(ACK, 901, 2500)
    });
    let counters = flow(&client).counters();
    assert_eq!(counters.bundled_bytes, [4 * 52, 2 * 52]);
    assert_eq!(counters.packets, [2 + 5 + 1, 1 + 3]);
    assert_eq!(counters.payload_bytes[0], 5000);
    assert_eq!(counters.retransmitted_wire_bytes, 1052);
    assert_balanced(&client);
}

#[test]
fn a_rival_that_wipes_the_flag_hides_no_end() {
    boot();
    let client = connected();
    client.wipe_callback_flags();
    client.change(|socket| {
        socket.tcp.bytes_received = 11;
        socket.tcp.srtt_us = 1600;
    });
    client.receive(tcp(ACK, 901, 10));
    client.receive(tcp(FIN, 911, 0));
    assert!(ends().is_empty(), "the process still holds the socket");
    client.release();
    client.go(CLOSE_WAIT, LAST_ACK);
    client.send(tcp(FIN, 101, 0));
    client.receive(tcp(ACK, 912, 0));
    let ends = ends();
    assert_eq!(ends.len(), 2, "our FIN, and its ACK");
    for (end, _) in &ends {
        let flags = end.flags() & (flag::CLOSED | flag::RELEASED | flag::STATE_FOLLOWED);
        assert_eq!(flags, flag::RELEASED);
        assert_eq!((end.counters().payload_bytes[1], end.rtt_us), (10, 200));
    }
    assert_eq!(ends[1].0.counters(), flow(&client).counters());
}

/// After it the kernel may keep no more than a time-wait socket (FIN_WAIT2), and the other end's FIN meets that.
#[test]
fn a_rival_that_wipes_the_flag_hides_no_ack_of_our_fin() {
    boot();
    let client = connected();
    client.wipe_callback_flags();
    client.release();
    client.go(ESTABLISHED, FIN_WAIT1);
    client.send(tcp(FIN, 101, 0));
    client.receive(tcp(ACK, 901, 0));
    let ends = ends();
    assert_eq!(ends.len(), 2, "our FIN, and its ACK");
    assert_eq!(ends[1].0.counters(), flow(&client).counters());
}

#[test]
fn callback_flags_of_others_stay() {
    boot();
    let client = Endpoint::new(protocol::TCP);
    client.wipe_callback_flags();
    client.connect();
    client.callback(OP_CONNECT);
    assert_eq!(client.callback_flags(), 1 | 4);
}

#[test]
fn a_refused_connect_fails_and_a_second_one_is_another_flow() {
    boot();
    let client = Endpoint::new(protocol::TCP);
    client.connect();
    client.go(CLOSE, SYN_SENT);
    client.callback(OP_CONNECT);
    client.send(tcp(SYN, 100, 0));
    client.receive(tcp(RST | ACK, 0, 0));
    client.go(SYN_SENT, CLOSE);
    client.connect();
    let ends = ends();
    assert_eq!(ends.len(), 2, "at CLOSE, and as the first flow's last word");
    let wanted = flag::CONNECT_FAILED | flag::CLOSED | flag::RESET_IN;
    for (end, _) in &ends {
        assert_eq!(end.flags() & (wanted | flag::GIVEN_UP), wanted);
    }
    let second = flow(&client);
    assert_eq!(second.counters().device_bytes, [0, 0]);
    assert_eq!(second.flags(), flag::FROM_START | flag::OWNER);
}

#[test]
fn a_connection_older_than_the_agent_starts_at_what_it_had() {
    boot();
    let older = Endpoint::older(protocol::TCP);
    older.set_state(ESTABLISHED);
    older.change(|socket| socket.tcp.bytes_received = 5_000);
    older.receive(tcp(ACK, 1, 100));
    let flow = flow(&older);
    assert_eq!((flow.received_base, flow.netns_cookie), (5_000, 0));
    assert_eq!(flow.initiator, initiator::UNKNOWN);
    assert_eq!(slots()[0].0.uplink, 0, "its namespace is not known");
}

#[test]
fn an_older_sockets_namespace_is_looked_up() {
    boot();
    let at = |offset| u32::try_from(offset).expect("a small struct");
    load(&raw const SOCK_NET_OFFSET, at(offset_of!(Socket, net)));
    load(
        &raw const NET_COOKIE_OFFSET,
        at(offset_of!(Net, net_cookie)),
    );
    let net = leak(Net {
        inum: 3,
        net_cookie: NETNS,
    });
    let older = Endpoint::older(protocol::TCP);
    older.set_state(ESTABLISHED);
    older.change(|socket| socket.net = net.expose_provenance() as u64);
    older.send(tcp(ACK, 1, 100));
    assert_eq!(flow(&older).netns_cookie, NETNS);
    assert_eq!(slots()[0].0.uplink, 1);
}

#[test]
fn ipv6_extension_headers_go_the_unusual_way() {
    boot_new_kernel();
    let client = connected();
    let extended = Packet {
        extension_units: 2,
        ..tcp(ACK, 101, 700)
    };
    client.send(extended.v6());
    assert_eq!(flow(&client).counters().payload_bytes[0], 700);
    assert_eq!(lost(Lost::Headers), 0);
    assert_balanced(&client);
    // more headers than the programs follow
    let mut endless = tcp(ACK, 801, 600).v6().bytes(true);
    endless[6] = 60;
    for header in endless[40..].chunks_mut(8) {
        header[0] = 60;
    }
    pass_bytes(&endless, (0, 0), &client, 2, true);
    assert_eq!(lost(Lost::Headers), 1);
    assert_balanced(&client);
}

#[test]
fn loopback_and_sockets_of_other_kinds_are_left_alone() {
    boot();
    let client = Endpoint::new(protocol::TCP);
    client.pass(tcp(ACK, 1, 100), 1, true);
    let raw = Endpoint::older(protocol::ICMP);
    raw.send(tcp(ACK, 1, 100));
    let closed = Endpoint::older(protocol::TCP);
    closed.set_state(super::endpoint::TIME_WAIT);
    closed.send(tcp(ACK, 1, 100));
    assert!(client.flow().is_none() && raw.flow().is_none() && closed.flow().is_none());
    assert!(slots().is_empty());
}

#[test]
fn the_time_of_a_request_is_the_departure() {
    boot();
    let client = connected();
    change_world(|world| world.now_ns = 5_000_000);
    client.send(tcp(ACK, 101, 10));
    assert_eq!(flow(&client).request_ns, 5_000_000);
    wait_us(30);
    client.receive(tcp(ACK, 901, 1));
    client.receive(tcp(ACK, 902, 1));
    let flow = flow(&client);
    assert_eq!((flow.request_ns, flow.first_byte_us), (0, 30));
}
