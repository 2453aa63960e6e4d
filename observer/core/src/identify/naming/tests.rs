//! Flows that are named in time, late, or not at all.

use super::*;
use crate::{
    identify::name::NameIdentity,
    model::{
        flow::{Endpoint, FlowFlags},
        host_name::HostName,
        sample::{remote, socket},
    },
};

/// Every name is a service of its own.
struct Names;

impl super::Names for Names {
    fn identify(&self, name: &HostName) -> Option<NameIdentity> {
        Some(NameIdentity {
            service: Some(name.word()),
            verified: true,
            ..NameIdentity::default()
        })
    }

    fn is_ech_public_name(&self, _: &HostName) -> bool {
        false
    }
}

const SECOND: u64 = 1_000_000_000;

fn name(text: &str) -> HostName {
    HostName::from_wire(text.as_bytes()).expect("a name")
}

fn asked(text: &str) -> Asked {
    Asked {
        by: AskedBy::TlsHello,
        server_name: Some(name(text)),
        address: None,
        alpn: Vec::new(),
        ech: Ech::Absent,
        tls_version: None,
    }
}

fn answer(text: &str, flow: &FlowTotals) -> DnsAnswer {
    DnsAnswer {
        question: name(text),
        addresses: flow
            .remote
            .map(|remote| (remote.address, 30))
            .into_iter()
            .collect(),
        aliases: Vec::new(),
        ech_public_names: Vec::new(),
        cut: false,
    }
}

/// A flow that has sent something.
fn sent(mut flow: FlowTotals) -> FlowTotals {
    flow.counters.payload_bytes = [100, 0];
    flow.flags = FlowFlags(flow.flags.0 | flag::FROM_START);
    flow
}

fn of(naming: &mut Naming, flow: &FlowTotals, now_s: u64) -> String {
    let address = Identity::default();
    let found = naming.of(flow, (flow.tag, &address), &Names, now_s * SECOND);
    let name = found.identity.server_name.as_deref().unwrap_or("-");
    let reason = found.identity.blind_reason.map_or("-", BlindReason::word);
    format!("{name} {reason}")
}

#[test]
fn a_flow_is_named_when_its_client_has_spoken() {
    let mut naming = Naming::default();
    let flow = sent(socket(1));
    assert_eq!(of(&mut naming, &flow, 1), "- no_handshake");
    naming.say(flow.key, asked("a.example"));
    naming.say(flow.key, asked("b.example"));
    assert_eq!(of(&mut naming, &flow, 1), "a.example -");
    let other = sent(remote(1, 443));
    assert_eq!(of(&mut naming, &other, 1), "- no_handshake");
    naming.say(other.key, asked("c.example"));
    assert_eq!(of(&mut naming, &other, 1), "c.example -");
}

#[test]
fn an_answer_stays_the_flow_s_when_its_time_is_over() {
    let mut naming = Naming::default();
    let flow = FlowTotals {
        start_ns: 100 * SECOND,
        ..sent(socket(1))
    };
    naming.answer(1, &answer("a.example", &flow), 99 * SECOND);
    assert_eq!(of(&mut naming, &flow, 101), "a.example -");
    for _ in 0..100 {
        naming.end_tick(10_000 * SECOND);
    }
    assert_eq!(of(&mut naming, &flow, 10_000), "a.example -");
    let later = FlowTotals {
        start_ns: 10_000 * SECOND,
        ..sent(socket(2))
    };
    assert_eq!(of(&mut naming, &later, 10_000), "- no_handshake");
    // Another program's answer, hours later.
    naming.answer(1, &answer("b.example", &flow), 20_000 * SECOND);
    assert_eq!(of(&mut naming, &flow, 20_001), "a.example -");
}

#[test]
fn an_answer_after_the_connection_began_names_later_records() {
    let mut naming = Naming::default();
    let flow = FlowTotals {
        start_ns: 100 * SECOND,
        ..sent(socket(1))
    };
    assert_eq!(of(&mut naming, &flow, 101), "- no_handshake");
    naming.answer(1, &answer("a.example", &flow), 102 * SECOND);
    assert_eq!(of(&mut naming, &flow, 103), "a.example -");
    naming.answer(2, &answer("b.example", &flow), 102 * SECOND);
    assert_eq!(of(&mut naming, &flow, 104), "a.example -");
}

#[test]
fn each_silence_has_its_reason() {
    let base = sent(socket(1));
    let flags = |bits| FlowTotals {
        flags: FlowFlags(bits),
        ..base
    };
    let port = |port| FlowTotals {
        remote: base.remote.map(|remote| Endpoint { port, ..remote }),
        ..base
    };
    let from_start = flag::FROM_START;
    for (flow, expected) in [
        (socket(1), "- -"),
        (
            FlowTotals {
                initiator: Initiator::Remote,
                ..base
            },
            "- -",
        ),
        (flags(0), "- older_than_agent"),
        (flags(from_start | flag::LOOKED), "- no_handshake"),
        (flags(from_start | flag::TLS), "- -"),
        (
            flags(from_start | flag::TLS | flag::LOOKED | flag::LOOK_CUT),
            "- truncated_hello",
        ),
        (port(853), "- encrypted_dns"),
    ] {
        assert_eq!(of(&mut Naming::default(), &flow, 1), expected, "{flow:?}");
    }
    let mut naming = Naming::default();
    naming.fail(base.key, BlindReason::TruncatedHello);
    assert_eq!(of(&mut naming, &base, 1), "- truncated_hello");
}

#[test]
fn what_has_ended_is_forgotten_and_what_is_new_is_not() {
    let mut naming = Naming::default();
    for cookie in 1..=100 {
        naming.say(FlowKey::Socket(cookie), asked("a.example"));
    }
    naming.forget(true, |_| false);
    assert_eq!(naming.sockets.len(), 100, "none has been read yet");
    for _ in 0..=UNSEEN_TICKS {
        naming.end_tick(SECOND);
    }
    naming.say(remote(1, 443).key, asked("a.example"));
    naming.forget(true, |key| key.cookie() == 7);
    assert_eq!((naming.sockets.len(), naming.remotes.len()), (1, 1));
}

/// Some kernels refuse to let sockets be walked over: a flow is read when it ends, and has its name then.
#[test]
fn a_flow_that_is_not_read_before_its_end_keeps_its_name_until_then() {
    let mut naming = Naming::default();
    let flow = sent(socket(1));
    naming.say(flow.key, asked("a.example"));
    for _ in 0..100 {
        naming.end_tick(SECOND);
        naming.forget(false, |_| false);
    }
    assert_eq!(naming.sockets.len(), 1);
    let over = FlowTotals {
        flags: FlowFlags(flow.flags.0 | flag::CLOSED | flag::RELEASED),
        ..flow
    };
    let address = Identity::default();
    let found = naming.of(&over, (flow.tag, &address), &Names, SECOND);
    assert!(found.identity.server_name.is_some());
    naming.forget(false, |_| false);
    assert!(naming.sockets.is_empty());
}

#[test]
fn flows_alike_share_one_identity() {
    let mut naming = Naming::default();
    let address = Identity::default();
    let flows = [sent(socket(1)), sent(socket(2))];
    for flow in &flows {
        naming.say(flow.key, asked("a.example"));
    }
    let found = flows.map(|flow| naming.of(&flow, (flow.tag, &address), &Names, SECOND));
    assert!(Arc::ptr_eq(&found[0], &found[1]));
    for nth in 0..2 * u32::try_from(IDENTITIES_MAX).expect("a small number") {
        let _ = naming.of(&flows[0], (nth, &address), &Names, SECOND);
    }
    assert!(naming.identities.len() <= IDENTITIES_MAX);
}
