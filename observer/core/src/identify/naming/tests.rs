//! Flows that are named in time, late, or not at all.

use std::sync::OnceLock;

use super::*;
use crate::{
    identify::name::NameIdentity,
    model::{
        flow::{Endpoint, FlowFlags},
        host_name::HostName,
        identity::{Basis, Confidence},
        names::{ApiFamily, ApiState},
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
            api_family: match name.as_str() {
                "bedrock.example" => Some(ApiFamily::Bedrock),
                "openai.example" => Some(ApiFamily::Openai),
                _ => None,
            },
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

fn tables() -> Tables<'static, Names> {
    static ROUTES: OnceLock<RouteTable> = OnceLock::new();
    let routes =
        ROUTES.get_or_init(|| RouteTable::embedded().expect("the embedded table is whole"));
    Tables {
        names: &Names,
        routes,
        infers: true,
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
    let found = naming.of(flow, (flow.tag, &address), &tables(), now_s * SECOND);
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
    let found = naming.of(&over, (flow.tag, &address), &tables(), SECOND);
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
    let found = flows.map(|flow| naming.of(&flow, (flow.tag, &address), &tables(), SECOND));
    assert!(Arc::ptr_eq(&found[0], &found[1]));
    for nth in 0..2 * u32::try_from(IDENTITIES_MAX).expect("a small number") {
        let _ = naming.of(&flows[0], (nth, &address), &tables(), SECOND);
    }
    assert!(naming.identities.len() <= IDENTITIES_MAX);
}

/// Of a connection that is encrypted and of which no request was read: why, and what is so as a rule.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_nobody_read_is_blind_and_may_be_inferred() {
    let tls = flag::FROM_START | flag::TLS | flag::TLS_PASSED | flag::LOOKED;
    let no_alpn: &[&[u8]] = &[];
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let one: &[&[u8]] = &[b"http/1.1"];
    let blind = Some(BlindReason::NoPlaintextProbe);
    let stateless = Some(ApiState::Stateless);
    for (name, flags, alpn, turns, sent, infers, expected) in [
        (
            "bedrock.example",
            tls,
            no_alpn,
            1,
            900,
            true,
            (blind, stateless),
        ),
        (
            "bedrock.example",
            tls,
            no_alpn,
            1,
            900,
            false,
            (blind, None),
        ),
        // Two kinds of requests are as usual: nothing is said.
        ("openai.example", tls, both, 1, 900, true, (blind, None)),
        // A session in which both sides speak when they like.
        (
            "openai.example",
            tls,
            one,
            30,
            4_000,
            true,
            (blind, Some(ApiState::Realtime)),
        ),
        ("openai.example", tls, one, 30, 4_000, false, (blind, None)),
        ("openai.example", tls, one, 30, 9_000, true, (blind, None)),
        ("openai.example", tls, one, 19, 400, true, (blind, None)),
        ("openai.example", tls, both, 30, 4_000, true, (blind, None)),
        // No requests are known of it, or nothing was asked yet, or nothing is encrypted.
        ("a.example", tls, no_alpn, 1, 900, true, (None, None)),
        ("bedrock.example", tls, no_alpn, 0, 0, true, (None, None)),
        (
            "bedrock.example",
            tls & !flag::TLS_PASSED,
            no_alpn,
            1,
            900,
            true,
            (None, None),
        ),
        (
            "bedrock.example",
            flag::FROM_START | flag::HTTP,
            no_alpn,
            1,
            900,
            true,
            (None, None),
        ),
    ] {
        let mut flow = socket(1);
        flow.counters.payload_bytes = [sent, sent];
        flow.flags = FlowFlags(flags);
        flow.turns = turns;
        let mut naming = Naming::default();
        let alpn = alpn.iter().map(|name| Box::from(*name)).collect();
        naming.say(
            flow.key,
            Asked {
                alpn,
                ..asked(name)
            },
        );
        let address = Identity::default();
        let tables = Tables { infers, ..tables() };
        let found = naming.of(&flow, (flow.tag, &address), &tables, SECOND);
        let identity = &found.identity;
        assert_eq!(
            (identity.blind_reason, identity.api_state),
            expected,
            "{name} {turns} {sent}"
        );
        let is_inferred = identity.basis == Some(Basis::Inferred);
        assert_eq!(is_inferred, expected.1.is_some());
        assert!(!is_inferred || identity.confidence < Some(Confidence::Certain));

        // A request that is read says more.
        naming.request(flow.key, [0, 0], Answer::default(), None);
        let found = naming.of(&flow, (flow.tag, &address), &tables, SECOND);
        assert_eq!(
            (found.identity.blind_reason, found.identity.api_state),
            (None, None)
        );
    }
}
