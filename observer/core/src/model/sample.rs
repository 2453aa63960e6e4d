//! Flows for the tables of cases beside the code.

use std::net::Ipv4Addr;

use super::{
    counters::Counters,
    flow::{Endpoint, FlowFlags, FlowKey, FlowTotals, RemoteKey, Timing},
    names::{Initiator, Protocol},
};

/// A TCP flow that has counted nothing yet.
pub fn socket(cookie: u64) -> FlowTotals {
    let endpoint = |last, port| Endpoint {
        address: Ipv4Addr::new(192, 0, 2, last).into(),
        port,
    };
    FlowTotals {
        key: FlowKey::Socket(cookie),
        counters: Counters::default(),
        protocol: Protocol::Tcp,
        ip_version: Some(4),
        local: Some(endpoint(1, 40_000)),
        remote: Some(endpoint(2, 443)),
        initiator: Initiator::Local,
        flags: FlowFlags::default(),
        start_ns: 1_000,
        netns_cookie: Some(1),
        netns_inode: Some(4_026_531_840),
        cgroup_id: Some(1),
        owner: Err(crate::model::names::OwnerMissing::Unseen),
        ifindex: [2, 2],
        tag: 0,
        timing: Timing::default(),
        turns: 0,
    }
}

/// A further remote of a UDP socket that has counted nothing yet.
pub fn remote(cookie: u64, port: u16) -> FlowTotals {
    let flow = socket(cookie);
    let local = Endpoint {
        address: Ipv4Addr::new(192, 0, 2, 1).into(),
        port: 53,
    };
    let remote = Endpoint {
        address: Ipv4Addr::new(198, 51, 100, 1).into(),
        port,
    };
    FlowTotals {
        key: FlowKey::Remote(RemoteKey {
            cookie,
            local,
            remote,
        }),
        protocol: Protocol::Udp,
        local: Some(local),
        remote: Some(remote),
        ..flow
    }
}

/// `flow` with `wire` bytes in each direction and `flags`.
pub fn counted(flow: FlowTotals, wire: [u64; 2], flags: u32) -> FlowTotals {
    let counters = Counters {
        wire_bytes: wire,
        device_bytes: wire,
        ..Counters::default()
    };
    FlowTotals {
        counters,
        flags: FlowFlags(flags),
        ..flow
    }
}
