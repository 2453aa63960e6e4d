//! The other ends of flows: beyond what this host translates, and whether they are sockets of this host.

use std::{collections::HashMap, net::SocketAddr};

use observer_core::{
    identify::path::Pairs,
    model::{
        churn::clear_marks,
        flow::{Endpoint, FlowKey, FlowTotals, Translation},
        kernel::Losses,
        names::{LossPlace, Protocol},
    },
};
use observer_ebpf::packet::protocol;

use crate::probe::conntrack::{Conntrack, Pair};

/// Flows whose translation is known at the same time, as many as the table of flows has.
const TRANSLATED_MAX: usize = 262_144;
/// Flows asked about in one reading; a question takes some microseconds.
const ASKED_MAX: usize = 20_000;
/// Ticks between two looks for flows that have ended.
const FORGET_TICKS: u32 = 6;

pub struct FarEnds {
    conntrack: Conntrack,
    /// It failed to answer, and that was said.
    has_failed: bool,
    /// Flows that were asked about.
    translated: HashMap<FlowKey, Option<Box<Translation>>>,
    pairs: Pairs,
    /// Flows that were not asked about, for lack of room or time.
    unasked: u64,
    ticks: u32,
}

impl FarEnds {
    pub fn new(conntrack: Conntrack) -> Self {
        Self {
            conntrack,
            has_failed: false,
            translated: HashMap::new(),
            pairs: Pairs::default(),
            unasked: 0,
            ticks: 0,
        }
    }

    /// Takes in the flows of one reading. `leaves` says whether a flow crosses an uplink.
    pub fn learn<'f>(
        &mut self,
        flows: impl Iterator<Item = &'f FlowTotals>,
        leaves: impl Fn(&FlowTotals) -> bool,
    ) {
        let tracking = self.conntrack.is_tracking();
        let has_nothing = matches!(tracking, Ok(false));
        let mut left = if tracking.is_ok() { ASKED_MAX } else { 0 };
        if let Err(error) = tracking {
            self.fail(&error);
        }
        for flow in flows {
            let (Some(local), Some(remote)) = (flow.local, flow.remote) else {
                continue;
            };
            if !has_nothing {
                left = self.ask(flow, [local, remote], left);
            }
            if !leaves(flow) {
                let remote = self.translation(flow).map_or(remote, |ends| ends.peer);
                self.pairs.add(flow.protocol, local, remote);
            }
        }
    }

    /// Says so once; it is tried again with the next reading.
    fn fail(&mut self, error: &anyhow::Error) {
        if !self.has_failed {
            eprintln!(
                "observer: connection tracking does not answer, translated addresses are missed: {error:#}"
            );
        }
        self.has_failed = true;
    }

    /// Asks about a flow that is new. Takes and gives back the questions that are left in this reading.
    fn ask(&mut self, flow: &FlowTotals, [local, remote]: [Endpoint; 2], left: usize) -> usize {
        if self.translated.contains_key(&flow.key) {
            return left;
        }
        if left == 0 || self.translated.len() >= TRANSLATED_MAX {
            self.unasked = self.unasked.saturating_add(1);
            return left;
        }
        let pair = Pair {
            protocol: match flow.protocol {
                Protocol::Tcp => protocol::TCP,
                Protocol::Udp => protocol::UDP,
            },
            from: SocketAddr::new(local.address, local.port),
            to: SocketAddr::new(remote.address, remote.port),
        };
        match self.conntrack.ends(&pair) {
            Ok(found) => {
                let ends = found.map(|ends| Translation {
                    target: endpoint(ends.target),
                    peer: endpoint(ends.peer),
                });
                self.translated.insert(flow.key, ends.map(Box::new));
                left - 1
            }
            Err(error) => {
                self.unasked = self.unasked.saturating_add(1);
                self.fail(&error);
                0
            }
        }
    }

    /// The remote ends of a flow that is translated.
    pub fn translation(&self, flow: &FlowTotals) -> Option<Translation> {
        self.translated.get(&flow.key)?.as_deref().copied()
    }

    /// Whether the other end is a socket of this host, met in this tick or the one before.
    pub fn is_here(&self, flow: &FlowTotals) -> bool {
        let (Some(local), Some(remote)) = (flow.local, flow.remote) else {
            return false;
        };
        let remote = self.translation(flow).map_or(remote, |ends| ends.peer);
        self.pairs.has_other_side(flow.protocol, local, remote)
    }

    /// Ends a tick. `follows` says whether a flow still lives.
    pub fn end_tick(&mut self, follows: impl Fn(&FlowKey) -> bool) {
        self.pairs.end_tick();
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(FORGET_TICKS) {
            self.translated.retain(|flow, _| follows(flow));
            clear_marks(&mut self.translated);
        }
    }

    /// What was lost here.
    pub fn losses(&self) -> Losses {
        [
            (LossPlace::Translation, self.unasked),
            (LossPlace::PairTable, self.pairs.refused()),
        ]
        .into()
    }
}

fn endpoint(end: SocketAddr) -> Endpoint {
    Endpoint {
        address: end.ip(),
        port: end.port(),
    }
}
