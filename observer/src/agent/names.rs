//! Where flows go by name: gives what the kernel handed over to the stages that read and combine it, and keeps the results
//! that many records share.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::Arc,
};

use observer_core::{
    decode::{self, Fields, Heard, Speech},
    identify::{
        combine::Combined,
        naming::Naming,
        path::{Asks, Declared, Ends, Leaving, SayingId, Zones, path_kind},
        route::{Request, RouteTable, Typed},
    },
    model::{
        flow::{Endpoint, FlowKey, FlowTotals},
        identity::Identity,
        kernel::Losses,
        names::{LossPlace, PathKind},
        record::SourcePlace,
        signal::{CaptureKind, FieldPart, RequestLine},
        time::Moment,
    },
};

use super::Agent;
use crate::catalog::NameTables;

/// Identities with their paths that are kept ready; they are made again when there are more.
const IDENTITIES_MAX: usize = 8_192;
/// What requests came to, kept to be shared; begun anew when there is more.
const REQUESTS_MAX: usize = 4_096;
/// Ticks between two looks for flows that have ended.
const FORGET_TICKS: u32 = 6;

pub struct Names {
    tables: NameTables,
    speech: Speech,
    naming: Naming,
    source: SourcePlace,
    declared: Declared,
    zones: Zones,
    /// By the address of what was combined, which is held, and the path.
    requests: Shared,
    identities: HashMap<(usize, PathKind, Option<SayingId>), (Arc<Combined>, Arc<Identity>)>,
    undecoded: u64,
    now_ns: u64,
    ticks: u32,
}

/// What requests came to, by what their lines hash to: paths are not kept.
#[derive(Default)]
struct Shared {
    by_line: HashMap<[u64; 2], Option<Arc<Typed>>>,
    all: HashSet<Arc<Typed>>,
    /// Each made with keys of its own, which nobody knows.
    hashers: [RandomState; 2],
}

impl Shared {
    fn typed(&mut self, routes: &RouteTable, request: &Request<'_>) -> Option<Arc<Typed>> {
        let line = (request.method, request.path, request.is_cut);
        let hash = [0, 1].map(|nth: usize| self.hashers[nth].hash_one(line));
        if let Some(known) = self.by_line.get(&hash) {
            return known.clone();
        }
        if self.by_line.len() >= REQUESTS_MAX {
            *self = Self::default();
        }
        let typed = routes.typed(request).map(Arc::new);
        // One copy for all that are alike.
        let typed = typed.map(|typed| match self.all.get(&typed) {
            Some(known) => Arc::clone(known),
            None => {
                self.all.insert(Arc::clone(&typed));
                typed
            }
        });
        self.by_line.insert(hash, typed.clone());
        typed
    }
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
            declared,
            zones,
            requests: Shared::default(),
            identities: HashMap::new(),
            undecoded: 0,
            now_ns: 0,
            ticks: 0,
        }
    }

    /// Goes by other names and requests from now on, and by other networks.
    pub fn replace(&mut self, tables: NameTables, zones: Zones) {
        self.tables = tables;
        self.requests = Shared::default();
        self.zones = zones;
        self.naming.forget_identities();
        self.identities.clear();
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
                Some(line) => self.request(capture.flow(), &line),
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
        self.naming.fields(flow, begins, parts, |request| {
            requests.typed(routes, request)
        });
        if is_cut || !fields.is_at_end() {
            self.undecoded += 1;
        }
    }

    /// Takes in one request; its path ends here.
    fn request(&mut self, flow: FlowKey, line: &RequestLine<'_>) {
        let request = Request {
            method: line.method,
            path: line.path,
            is_cut: line.is_cut,
        };
        let typed = self.requests.typed(&self.tables.routes, &request);
        self.naming.request(flow, line.begins, typed);
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
    pub fn begin_beside(&mut self, key: &FlowKey) -> bool {
        self.naming.begin_beside(key)
    }

    /// See [`Naming::requests`].
    pub fn requests(&mut self, key: &FlowKey) -> Option<u64> {
        self.naming.requests(key)
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
        let combined = self
            .naming
            .of(&asked, (tag, address), &self.tables.names, self.now_ns);
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
