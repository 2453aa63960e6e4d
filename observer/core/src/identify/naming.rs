//! Where each live flow goes: keeps what its client said and what DNS answered, and combines both with what the caller
//! knows of the address. Reads no packet and holds no table of names or networks.

mod fields;
mod requests;

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash},
    sync::Arc,
};

use observer_ebpf::abi::{EGRESS, flag};

pub use self::fields::{Blocks, Told};
use self::requests::{Kind, Requests};
use super::{
    combine::{Combined, Names, Resolved, Said, Signals, Unread, combine},
    dns::{DnsTable, LATE_NS},
    route::{Request, RouteTable, Typed},
};
use crate::model::{
    churn::clear_marks,
    flow::{Answer, FlowKey, FlowTotals, RemoteKey},
    host_name::HostName,
    identity::{Identity, Word},
    lookup::Beside,
    names::{BlindReason, Initiator, Protocol},
    signal::{Asked, AskedBy, DnsAnswer, Ech, FieldPart},
};

/// Flows of which something was said that are kept at the same time, as many as the table of flows has; what finds no
/// room is counted.
pub const NAMED_MAX: usize = 262_144;
/// Identities kept ready; they are made again when there are more.
pub const IDENTITIES_MAX: usize = 8_192;
/// Port of DNS over TLS and QUIC (RFC 7858, RFC 9250).
const ENCRYPTED_DNS_PORT: u16 = 853;
/// Flows that were never read, above which they are forgotten all the same.
const UNREAD_MAX: usize = NAMED_MAX / 4 * 3;
/// Turns of a connection before its rhythm is looked at.
const TURNS_LEAST: u32 = 20;
/// Bytes that a request of HTTP/1 with credentials has at the least, encrypted.
const REQUEST_BYTES_LEAST: u64 = 250;
/// Ticks for which a flow may be spoken of before its first reading.
const UNSEEN_TICKS: u32 = 2;

/// What is known of the names of all live flows.
#[derive(Debug, Default)]
pub struct Naming {
    sockets: HashMap<u64, Spoken>,
    remotes: HashMap<RemoteKey, Spoken>,
    dns: DnsTable,
    identities: HashMap<Alike, Arc<Combined>>,
    tick: u32,
    refused: u64,
}

/// What one flow's client said, and what it was answered.
#[derive(Debug, Default)]
struct Spoken {
    asked: Option<Arc<Asked>>,
    unread: Option<BlindReason>,
    resolved: Option<Arc<[Resolved]>>,
    requests: Requests,
    /// Of HTTP/2.
    blocks: Option<Box<Blocks>>,
    since: u32,
    /// The kernel has nothing more to count for it.
    is_over: bool,
}

/// Flows that agree in this have one identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    /// Tag set of the address.
    tag: u32,
    asked: Option<(AskedBy, Option<Word>, Ech)>,
    resolved: Vec<Word>,
    blind: Option<BlindReason>,
    request: Kind,
    /// Of requests that nobody read: see [`Unread`].
    unread: Option<bool>,
}

/// The tables that flows are named by.
#[derive(Debug)]
pub struct Tables<'t, N> {
    pub names: &'t N,
    pub routes: &'t RouteTable,
    /// Of requests that nobody read it may be said what they are as a rule.
    pub infers: bool,
}

impl Naming {
    /// Takes in what a flow's client said. What it says first counts.
    pub fn say(&mut self, key: FlowKey, asked: Asked) {
        if let Some(spoken) = self.spoken(key)
            && spoken.asked.is_none()
        {
            spoken.asked = Some(Arc::new(asked));
        }
    }

    /// Takes in why a flow's words could not be read.
    pub fn fail(&mut self, key: FlowKey, reason: BlindReason) {
        if let Some(spoken) = self.spoken(key) {
            spoken.unread = Some(reason);
        }
    }

    /// Takes in a request of a flow's client, before which these payload bytes were sent and received, and this was answered.
    pub fn request(
        &mut self,
        key: FlowKey,
        begins: [u64; 2],
        answer: Answer,
        typed: Option<Arc<Typed>>,
    ) {
        if let Some(spoken) = self.spoken(key) {
            spoken.requests.answer(answer);
            spoken.requests.add(begins, typed);
        }
    }

    /// Takes in what is told of a flow's field blocks of HTTP/2, before which these payload bytes were sent and received; says how
    /// many requests began.
    pub fn fields<'a>(
        &mut self,
        key: FlowKey,
        begins: [u64; 2],
        parts: impl IntoIterator<Item = FieldPart<'a>>,
        typed: impl FnMut(&Request<'_>) -> Option<Arc<Typed>>,
    ) -> u64 {
        let mut begun = 0;
        if let Some(spoken) = self.spoken(key) {
            let blocks = spoken.blocks.get_or_insert_default();
            let requests = &mut spoken.requests;
            blocks.take(parts, typed, |told| match told {
                Told::Begins(typed) => {
                    requests.add_beside(begins, typed);
                    begun += 1;
                }
                Told::Sends(typed, bytes) => requests.send_beside(begins[0], typed, bytes),
            });
        }
        begun
    }

    /// Goes on to the next kind of requests that ran beside others; `None` where there are no more.
    pub fn begin_beside(&mut self, key: &FlowKey) -> Option<Beside> {
        find_mut(&mut self.sockets, &mut self.remotes, key)?
            .requests
            .begin_beside()
    }

    /// So many bytes of the kind that is being told were not counted yet.
    pub fn keep_beside(&mut self, key: &FlowKey, sent_bytes: u64) {
        if let Some(spoken) = find_mut(&mut self.sockets, &mut self.remotes, key) {
            spoken.requests.keep_beside(sent_bytes);
        }
    }

    /// Where requests of another kind begin, if some of their bytes are in this reading: payload bytes before them, sent and
    /// received.
    #[must_use]
    pub fn next_kind(&self, flow: &FlowTotals) -> Option<[u64; 2]> {
        let spoken = find(&self.sockets, &self.remotes, &flow.key)?;
        spoken.requests.next(flow.counters.payload_bytes)
    }

    /// The flow's bytes are of the next kind from now on.
    pub fn begin_next_kind(&mut self, key: &FlowKey) {
        if let Some(spoken) = find_mut(&mut self.sockets, &mut self.remotes, key) {
            spoken.requests.begin_next();
        }
    }

    /// Requests of the kind that is under way, since the last call; `None` where none was seen.
    pub fn requests(&mut self, key: &FlowKey) -> Option<u64> {
        find_mut(&mut self.sockets, &mut self.remotes, key)?
            .requests
            .tell()
    }

    /// What was answered to requests of the kind that is under way, since the last call; `None` where answers are not told by
    /// request.
    pub fn answers(&mut self, key: &FlowKey) -> Option<Vec<Answer>> {
        find_mut(&mut self.sockets, &mut self.remotes, key)?
            .requests
            .answers()
    }

    /// Takes in an answer that a socket of this namespace was given.
    pub fn answer(&mut self, netns_cookie: u64, answer: &DnsAnswer, at_ns: u64) {
        self.dns.take(netns_cookie, answer, at_ns);
    }

    /// Where a flow goes, as far as is known now, given the tag set of the address that is judged and what the address table
    /// says of it. Flows that go to the same place by the same evidence are given the same value.
    pub fn of(
        &mut self,
        flow: &FlowTotals,
        (tag, address): (u32, &Identity),
        tables: &Tables<'_, impl Names>,
        now_ns: u64,
    ) -> Arc<Combined> {
        let resolved = self.resolved(flow, now_ns);
        if flow.flags.is_final(flow.protocol) {
            self.end(&flow.key);
        }
        let spoken = find(&self.sockets, &self.remotes, &flow.key);
        let asked = spoken.and_then(|spoken| spoken.asked.clone());
        let blind = spoken
            .and_then(|spoken| spoken.unread)
            .or_else(|| unsaid(flow));
        let name = |asked: &Asked| asked.server_name.as_ref().map(HostName::word);
        let alike = Alike {
            tag,
            asked: asked
                .as_deref()
                .map(|asked| (asked.by, name(asked), asked.ech)),
            resolved: resolved.iter().map(|found| found.name.word()).collect(),
            blind,
            request: spoken.map_or_else(Kind::default, |spoken| spoken.requests.kind().clone()),
            unread: unread(flow, asked.as_deref()),
        };
        if let Some(known) = self.identities.get(&alike) {
            return Arc::clone(known);
        }
        let signals = Signals {
            address,
            asked: asked.as_deref(),
            resolved: &resolved,
            blind,
            request: match &alike.request {
                Kind::Unseen => match alike.unread {
                    None => Said::Nothing,
                    Some(is_framed) => Said::Unread(Unread {
                        routes: tables.routes,
                        infers: tables.infers,
                        is_framed,
                    }),
                },
                Kind::One(None) => Said::Unknown,
                Kind::One(Some(typed)) => Said::One(typed),
                Kind::Mixed => Said::Mixed,
            },
        };
        let combined = Arc::new(combine(&signals, tables.names));
        if self.identities.len() >= IDENTITIES_MAX {
            self.identities.clear();
        }
        self.identities.insert(alike, Arc::clone(&combined));
        combined
    }

    /// The names, or the networks, are others from now on.
    pub fn forget_identities(&mut self) {
        self.identities.clear();
    }

    /// Ends a tick.
    pub fn end_tick(&mut self, now_ns: u64) {
        self.tick = self.tick.saturating_add(1);
        self.dns.end_tick(now_ns);
    }

    /// Forgets the flows that have ended. Not each tick: all are asked about. Where open flows are not read none is known to live, and
    /// each is kept until its end was seen, or there are too many.
    pub fn forget(&mut self, reads_open_flows: bool, lives: impl Fn(&FlowKey) -> bool) {
        let tick = self.tick;
        let keeps_unread =
            !reads_open_flows && self.sockets.len() + self.remotes.len() <= UNREAD_MAX;
        let is_new = |spoken: &Spoken| {
            let is_fresh = spoken.since.saturating_add(UNSEEN_TICKS) >= tick;
            is_fresh || (keeps_unread && !spoken.is_over)
        };
        self.sockets
            .retain(|cookie, spoken| is_new(spoken) || lives(&FlowKey::Socket(*cookie)));
        self.remotes
            .retain(|remote, spoken| is_new(spoken) || lives(&FlowKey::Remote(*remote)));
        clear_marks(&mut self.sockets);
        clear_marks(&mut self.remotes);
    }

    /// Flows whose words found no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Addresses of DNS answers that found no room.
    #[must_use]
    pub const fn answers_refused(&self) -> u64 {
        self.dns.refused()
    }

    fn end(&mut self, key: &FlowKey) {
        if let Some(spoken) = find_mut(&mut self.sockets, &mut self.remotes, key) {
            spoken.is_over = true;
        }
    }

    fn spoken(&mut self, key: FlowKey) -> Option<&mut Spoken> {
        let room = self.sockets.len() + self.remotes.len() < NAMED_MAX;
        let spoken = match key {
            FlowKey::Socket(cookie) => entry(&mut self.sockets, cookie, room, self.tick),
            FlowKey::Remote(remote) => entry(&mut self.remotes, remote, room, self.tick),
        };
        if spoken.is_none() {
            self.refused = self.refused.saturating_add(1);
        }
        spoken
    }

    /// The names that DNS gave for the flow's address. An answer that is found stays the flow's when its time is over.
    fn resolved(&mut self, flow: &FlowTotals, now_ns: u64) -> Arc<[Resolved]> {
        let spoken = find(&self.sockets, &self.remotes, &flow.key);
        let known = spoken.and_then(|spoken| spoken.resolved.clone());
        let is_settled = now_ns > flow.start_ns.saturating_add(LATE_NS);
        if let Some(known) = known.filter(|_| is_settled) {
            return known;
        }
        let (Some(netns_cookie), Some(remote)) = (flow.netns_cookie, flow.remote) else {
            return Arc::default();
        };
        let found = self.dns.names(netns_cookie, remote.address, flow.start_ns);
        let found: Arc<[Resolved]> = found.into();
        if !found.is_empty()
            && let Some(spoken) = self.spoken(flow.key)
        {
            spoken.resolved = Some(Arc::clone(&found));
        }
        found
    }
}

fn find<'s>(
    sockets: &'s HashMap<u64, Spoken>,
    remotes: &'s HashMap<RemoteKey, Spoken>,
    key: &FlowKey,
) -> Option<&'s Spoken> {
    match key {
        FlowKey::Socket(cookie) => sockets.get(cookie),
        FlowKey::Remote(remote) => remotes.get(remote),
    }
}

fn find_mut<'s>(
    sockets: &'s mut HashMap<u64, Spoken>,
    remotes: &'s mut HashMap<RemoteKey, Spoken>,
    key: &FlowKey,
) -> Option<&'s mut Spoken> {
    match key {
        FlowKey::Socket(cookie) => sockets.get_mut(cookie),
        FlowKey::Remote(remote) => remotes.get_mut(remote),
    }
}

fn entry<K: Eq + Hash, S: BuildHasher>(
    table: &mut HashMap<K, Spoken, S>,
    key: K,
    room: bool,
    tick: u32,
) -> Option<&mut Spoken> {
    match table.entry(key) {
        Entry::Occupied(held) => Some(held.into_mut()),
        Entry::Vacant(free) if room => Some(free.insert(Spoken {
            since: tick,
            ..Spoken::default()
        })),
        Entry::Vacant(_) => None,
    }
}

/// Whether a client has sent what nobody could read and was answered, and if so whether it was too short for requests.
fn unread(flow: &FlowTotals, asked: Option<&Asked>) -> Option<bool> {
    let [sent, received] = flow.counters.payload_bytes;
    if flow.initiator == Initiator::Remote || sent == 0 || received == 0 {
        return None;
    }
    let is_encrypted = match flow.protocol {
        Protocol::Tcp => flow.flags.has(flag::TLS | flag::TLS_PASSED),
        Protocol::Udp => asked.is_some_and(|asked| asked.by == AskedBy::QuicHello),
    };
    // Fields of HTTP/2 may be as short.
    let may_be_short = asked.is_none_or(|asked| asked.alpn.iter().any(|name| **name == *b"h2"));
    let is_framed = !may_be_short
        && flow.turns >= TURNS_LEAST
        && sent < u64::from(flow.turns) * REQUEST_BYTES_LEAST;
    is_encrypted.then_some(is_framed)
}

/// Why a flow whose client was not heard has no name of its own; `None` where it needs none, or has said nothing yet.
fn unsaid(flow: &FlowTotals) -> Option<BlindReason> {
    let sent = flow.counters.payload_bytes.get(EGRESS).copied();
    if flow.initiator == Initiator::Remote || sent.unwrap_or_default() == 0 {
        return None;
    }
    if flow
        .remote
        .is_some_and(|remote| remote.port == ENCRYPTED_DNS_PORT)
    {
        return Some(BlindReason::EncryptedDns);
    }
    let flags = flow.flags;
    if flow.protocol == Protocol::Tcp && !flags.has(flag::FROM_START) {
        return Some(BlindReason::OlderThanAgent);
    }
    if flags.has(flag::LOOK_CUT) {
        return Some(BlindReason::TruncatedHello);
    }
    if flags.has(flag::TLS) && !flags.has(flag::LOOKED) {
        // The hello is under way.
        return None;
    }
    Some(BlindReason::NoHandshake)
}

#[cfg(test)]
mod tests;
