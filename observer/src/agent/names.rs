//! Where flows go by name: gives what the kernel handed over to the stages that read and combine it, and keeps the results
//! that many records share.

use std::{collections::HashMap, sync::Arc};

use observer_core::{
    decode::{self, Heard, Speech},
    identify::{combine::Combined, name::NameTable, naming::Naming, path::path_kind},
    model::{
        flow::{FlowKey, FlowTotals},
        identity::Identity,
        kernel::Losses,
        names::{LossPlace, PathKind},
        record::SourcePlace,
        time::Moment,
    },
};

use super::Agent;

/// Identities with their paths that are kept ready; they are made again when there are more.
const IDENTITIES_MAX: usize = 8_192;
/// Ticks between two looks for flows that have ended.
const FORGET_TICKS: u32 = 6;

pub struct Names {
    table: NameTable,
    speech: Speech,
    naming: Naming,
    source: SourcePlace,
    /// By the address of what was combined, which is held, and the path.
    identities: HashMap<(usize, PathKind), (Arc<Combined>, Arc<Identity>)>,
    undecoded: u64,
    now_ns: u64,
    ticks: u32,
}

impl Names {
    pub fn new(table: NameTable) -> Self {
        Self {
            table,
            speech: Speech::default(),
            naming: Naming::default(),
            source: SourcePlace::default(),
            identities: HashMap::new(),
            undecoded: 0,
            now_ns: 0,
            ticks: 0,
        }
    }

    /// Goes by other names from now on, and by other networks.
    pub fn replace(&mut self, table: NameTable) {
        self.table = table;
        self.naming.forget_identities();
        self.identities.clear();
    }

    pub const fn table(&self) -> &NameTable {
        &self.table
    }

    /// Says where this host stands, which decides the paths.
    pub fn stand(&mut self, source: SourcePlace) {
        self.source = source;
        self.identities.clear();
    }

    /// Takes in one record of the ring of captures.
    pub fn take(&mut self, record: &[u8]) {
        let Ok(capture) = decode::capture(record) else {
            self.undecoded += 1;
            return;
        };
        let naming = &mut self.naming;
        self.speech.take(&capture, |heard| hear(naming, heard));
    }

    /// Where a flow goes, given the tag set of its address and what the address table says of it.
    pub fn of(&mut self, flow: &FlowTotals, (tag, address): (u32, &Identity)) -> Arc<Identity> {
        let combined = self
            .naming
            .of(flow, (tag, address), &self.table, self.now_ns);
        let ends = [flow.local, flow.remote].map(|end| end.map(|end| end.address));
        let path = path_kind(&self.source, ends, &combined);
        let key = (Arc::as_ptr(&combined).addr(), path);
        if let Some((_, identity)) = self.identities.get(&key) {
            return Arc::clone(identity);
        }
        let identity = Arc::new(Identity {
            path_kind: Some(path),
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

    /// Ends a tick. `follows` says whether a flow still lives.
    pub fn end_tick(&mut self, follows: impl Fn(&FlowKey) -> bool) {
        let naming = &mut self.naming;
        self.speech.end_tick(|heard| hear(naming, heard));
        self.naming.end_tick(self.now_ns);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(FORGET_TICKS) {
            self.naming.forget(follows);
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
