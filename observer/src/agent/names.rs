//! Where flows go by name: gives what the kernel handed over to the stages that read and combine it, and keeps the results
//! that many records share.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use observer_core::{
    decode::{self, Fields, Heard, Speech},
    identify::{
        combine::Combined,
        naming::{Naming, Tables},
        path::{Asks, Declared, Ends, Leaving, SayingId, Zones, path_kind},
        route::Request,
    },
    model::{
        flow::{Answer, Endpoint, FlowKey, FlowTotals},
        identity::{Basis, Identity},
        kernel::Losses,
        lookup::Beside,
        names::{LossPlace, PathKind, TypedWhere},
        record::SourcePlace,
        signal::{CaptureKind, FieldPart, RequestNote, RequestWhat},
        time::Moment,
    },
};

use super::{
    Agent,
    typing::{Typing, WHERE},
};
use crate::{
    catalog::NameTables,
    probe::{Learned, Told},
};

/// Identities with their paths that are kept ready; they are made again when there are more.
const IDENTITIES_MAX: usize = 8_192;
/// Ticks between two looks for flows that have ended.
const FORGET_TICKS: u32 = 6;

pub struct Names {
    tables: NameTables,
    speech: Speech,
    naming: Naming,
    source: SourcePlace,
    /// Of requests that nobody read it may be said what they are as a rule.
    infers: bool,
    declared: Declared,
    zones: Zones,
    /// By the address of what was combined, which is held, and the path.
    requests: Typing,
    identities: HashMap<(usize, PathKind, Option<SayingId>), (Arc<Combined>, Arc<Identity>)>,
    undecoded: u64,
    now_ns: u64,
    ticks: u32,
}

/// The other end of a flow.
#[derive(Clone, Copy, Debug)]
pub struct FarEnd {
    /// Beyond any translation on this host.
    pub peer: Option<IpAddr>,
    /// Whom the socket talks to, where that is somebody else.
    pub target: Option<Endpoint>,
    /// It is a socket of this host.
    pub is_here: bool,
}

impl Names {
    pub fn new(tables: NameTables, zones: Zones, declared: Declared) -> Self {
        Self {
            tables,
            speech: Speech::default(),
            naming: Naming::default(),
            source: SourcePlace::default(),
            infers: true,
            declared,
            zones,
            // Before there are programs, there is nothing to hash.
            requests: Typing::new([0; 2]),
            identities: HashMap::new(),
            undecoded: 0,
            now_ns: 0,
            ticks: 0,
        }
    }

    /// Goes by other names and requests from now on, and by other networks; gives what the kernel half is to know of requests.
    pub fn replace(&mut self, tables: NameTables, zones: Zones) -> Vec<Told> {
        self.tables = tables;
        self.zones = zones;
        self.naming.forget_identities();
        self.identities.clear();
        self.requests.replace(&self.tables.routes)
    }

    pub const fn tables(&self) -> &NameTables {
        &self.tables
    }

    /// Goes by other zones from now on.
    pub fn set_zones(&mut self, zones: Zones) {
        self.zones = zones;
    }

    /// Says where this host stands, which decides the paths.
    pub fn stand(&mut self, source: SourcePlace) {
        self.source = source;
        self.identities.clear();
    }

    /// Whether it may be said what requests are as a rule that nobody read.
    pub fn infer(&mut self, infers: bool) {
        self.infers = infers;
        self.naming.forget_identities();
        self.identities.clear();
    }

    /// Goes by what the operator says of paths from now on.
    pub fn declare(&mut self, declared: Declared) {
        self.declared = declared;
        self.identities.clear();
    }

    /// What decides a path besides both ends.
    pub fn asks(&self) -> Asks {
        self.declared.asks()
    }

    /// Takes in one record of the ring of captures.
    pub fn take(&mut self, record: &[u8]) {
        let Ok(capture) = decode::capture(record) else {
            self.undecoded += 1;
            return;
        };
        match capture.kind {
            CaptureKind::Request => match decode::request(&capture) {
                Some(note) => self.request(capture.flow(), &note),
                None => self.undecoded += 1,
            },
            CaptureKind::Fields => match decode::fields(&capture) {
                Some(fields) => self.fields(capture.flow(), fields),
                None => self.undecoded += 1,
            },
            _ => {
                let naming = &mut self.naming;
                self.speech.take(&capture, |heard| hear(naming, heard));
            }
        }
    }

    /// Takes in requests of HTTP/2; their paths end here.
    fn fields(&mut self, flow: FlowKey, mut fields: Fields<'_>) {
        let (begins, is_cut) = (fields.begins, fields.is_cut);
        let end = is_cut.then_some(FieldPart::Lost);
        let (requests, routes) = (&mut self.requests, &self.tables.routes);
        let parts = fields.by_ref().chain(end);
        let begun = self.naming.fields(flow, begins, parts, |request| {
            requests.typed(routes, request)
        });
        self.requests.count(TypedWhere::User, begun);
        if is_cut || !fields.is_at_end() {
            self.undecoded += 1;
        }
    }

    /// Takes in one request; its path ends here.
    fn request(&mut self, flow: FlowKey, note: &RequestNote<'_>) {
        let typed = match note.what {
            RequestWhat::Line {
                method,
                path,
                is_cut,
            } => {
                let request = Request {
                    method,
                    path,
                    is_cut,
                };
                self.requests.line(&self.tables.routes, &request)
            }
            RequestWhat::Known(number) => {
                let typed = self.requests.known(number);
                self.undecoded += u64::from(typed.is_none());
                typed
            }
        };
        self.naming.request(flow, note.begins, note.answer, typed);
    }

    /// Says which requests the kernel half, which hashes lines by these keys, is to know by itself.
    pub fn begin_typing(&mut self, keys: [u64; 2]) -> Vec<Told> {
        self.requests = Typing::new(keys);
        self.requests.replace(&self.tables.routes)
    }

    /// What the kernel half has to be told of lines since the last call.
    pub fn learned(&mut self) -> Learned {
        self.requests.learned()
    }

    /// Requests by what typed them, in the order of [`TypedWhere::ALL`].
    pub const fn typed(&self) -> [u64; WHERE] {
        self.requests.counts()
    }

    /// See [`Naming::next_kind`].
    pub fn next_kind(&self, flow: &FlowTotals) -> Option<[u64; 2]> {
        self.naming.next_kind(flow)
    }

    /// See [`Naming::begin_next_kind`].
    pub fn begin_next_kind(&mut self, key: &FlowKey) {
        self.naming.begin_next_kind(key);
    }

    /// See [`Naming::begin_beside`].
    pub fn begin_beside(&mut self, key: &FlowKey) -> Option<Beside> {
        self.naming.begin_beside(key)
    }

    /// See [`Naming::keep_beside`].
    pub fn keep_beside(&mut self, key: &FlowKey, sent_bytes: u64) {
        self.naming.keep_beside(key, sent_bytes);
    }

    /// See [`Naming::requests`].
    pub fn requests(&mut self, key: &FlowKey) -> Option<u64> {
        self.naming.requests(key)
    }

    /// See [`Naming::answers`].
    pub fn answers(&mut self, key: &FlowKey) -> Option<Vec<Answer>> {
        self.naming.answers(key)
    }

    /// Where a flow goes, given its other end with the tag set of that address and what the address table says of it, and
    /// by what it leaves.
    pub fn of(
        &mut self,
        flow: &FlowTotals,
        (tag, address): (u32, &Identity),
        far: FarEnd,
        leaving: &Leaving<'_>,
    ) -> Arc<Identity> {
        // DNS told of whom the socket talks to.
        let asked = FlowTotals {
            remote: far.target.or(flow.remote),
            ..*flow
        };
        let tables = Tables {
            names: &self.tables.names,
            routes: &self.tables.routes,
            infers: self.infers,
        };
        let combined = self.naming.of(&asked, (tag, address), &tables, self.now_ns);
        let is_over = flow.flags.is_final(flow.protocol);
        if is_over && combined.identity.basis == Some(Basis::Inferred) {
            self.requests.count(TypedWhere::Inferred, 1);
        }
        let zone = far.peer.and_then(|address| self.zones.find(address));
        let ends = Ends {
            local: flow.local.map(|end| end.address),
            remote: far.peer,
            is_here: far.is_here,
            zone: zone.map(AsRef::as_ref),
        };
        let said = self.declared.find(ends.remote, leaving);
        let path = path_kind(&self.source, &ends, &combined, (&self.declared, said));
        let key = (Arc::as_ptr(&combined).addr(), path, said);
        if let Some((_, identity)) = self.identities.get(&key) {
            return Arc::clone(identity);
        }
        let identity = Arc::new(Identity {
            path_kind: Some(path),
            path_elements: self.declared.elements(said),
            ..combined.identity.clone()
        });
        if self.identities.len() >= IDENTITIES_MAX {
            self.identities.clear();
        }
        self.identities
            .insert(key, (combined, Arc::clone(&identity)));
        identity
    }

    /// Begins a tick, or a reading between two.
    pub const fn begin(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Ends a tick. `follows` says whether a flow still lives, as far as open flows are read.
    pub fn end_tick(&mut self, reads_open_flows: bool, follows: impl Fn(&FlowKey) -> bool) {
        let naming = &mut self.naming;
        self.speech.end_tick(|heard| hear(naming, heard));
        self.naming.end_tick(self.now_ns);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(FORGET_TICKS) {
            self.naming.forget(reads_open_flows, follows);
        }
    }

    /// What was lost here.
    pub fn losses(&self) -> Losses {
        [
            (
                LossPlace::CaptureUnread,
                self.undecoded.saturating_add(self.speech.unread()),
            ),
            (LossPlace::NameTable, self.naming.refused()),
            (LossPlace::DnsTable, self.naming.answers_refused()),
        ]
        .into()
    }
}

impl Agent {
    /// Takes in what clients said and DNS answered. After the flows: what one of them said was handed over before.
    pub(super) fn read_captures(&mut self, now: Moment) {
        self.tables.routes.get_mut().begin(now.monotonic_ns);
        let names = self.tables.names.get_mut();
        names.begin(now.monotonic_ns);
        self.probe.read_captures(|record| names.take(record));
        self.probe.learn_routes(&names.learned());
    }
}

fn hear(naming: &mut Naming, heard: Heard) {
    match heard {
        Heard::Asked(flow, asked) => naming.say(flow, *asked),
        Heard::Unread(flow, reason) => naming.fail(flow, reason),
        Heard::Answer {
            netns_cookie,
            answer,
            at_ns,
        } => naming.answer(netns_cookie, &answer, at_ns),
    }
}
