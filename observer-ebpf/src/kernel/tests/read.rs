//! The storage iterator: which flows it hands over, and when.

use std::{mem::offset_of, ptr};

use observer_ebpf::{
    abi::{Flow, control},
    packet::{protocol, tcp_flag},
};

use super::{
    super::{
        maps::{BYTES_RECEIVED_OFFSET, CONTROL, READS, RTT_MIN_US_OFFSET, SRTT_US_OFFSET},
        platform::{Records, Socket, bpf_tcp_sock, contents, load},
        read::{Context, read_flows},
    },
    endpoint::{ESTABLISHED, Endpoint},
    host::boot,
    packet::tcp,
};

/// One pass over one socket; the flows handed over so far.
fn pass(endpoint: &Endpoint) -> Vec<Flow> {
    let mut context = Context {
        meta: ptr::null_mut(),
        map: ptr::null_mut(),
        sk: endpoint.sk().cast(),
        value: endpoint.storage().unwrap_or(ptr::null_mut()),
    };
    assert_eq!(read_flows(&raw mut context), 0);
    contents(ptr::from_ref(&READS).addr(), |records: &mut Records| {
        records.flows.iter().map(|(flow, _)| *flow).collect()
    })
}

/// Offsets as the loader takes them from BTF.
fn load_offsets() {
    let tcp = offset_of!(Socket, tcp);
    let at = |field: usize| u32::try_from(tcp + field).expect("a small struct");
    load(
        &raw const BYTES_RECEIVED_OFFSET,
        at(offset_of!(bpf_tcp_sock, bytes_received)),
    );
    load(
        &raw const SRTT_US_OFFSET,
        at(offset_of!(bpf_tcp_sock, srtt_us)),
    );
    load(
        &raw const RTT_MIN_US_OFFSET,
        at(offset_of!(bpf_tcp_sock, rtt_min)),
    );
}

#[test]
fn a_flow_is_handed_over_once_a_change_and_once_a_generation() {
    boot();
    load_offsets();
    let server = Endpoint::new(protocol::TCP);
    server.set_state(ESTABLISHED);
    assert!(pass(&server).is_empty(), "no flow yet");
    server.receive(tcp(tcp_flag::ACK, 1, 100));
    assert_eq!(pass(&server)[0].counters().payload_bytes, [0, 0]);
    // TCP takes the packet in after the pass: the next one has it
    server.change(|socket| {
        socket.tcp.bytes_received = 100;
        socket.tcp.srtt_us = 800;
        socket.tcp.rtt_min = 70;
    });
    let seen = pass(&server);
    let last = seen.last().expect("handed over");
    assert_eq!((seen.len(), last.counters().payload_bytes), (2, [0, 100]));
    assert_eq!((last.rtt_us, last.min_rtt_us), (100, 70));
    for _ in 0..3 {
        assert_eq!(pass(&server).len(), 2, "nothing is new");
    }
    // another agent reads everything once
    // SAFETY: a live map value.
    unsafe { *CONTROL.get_ptr_mut(control::GENERATION).expect("a word") = 2 };
    assert_eq!(pass(&server).len(), 3);
    assert_eq!(pass(&server).len(), 3);
    server.send(tcp(tcp_flag::ACK, 1, 1));
    assert_eq!(pass(&server).len(), 4);
}
