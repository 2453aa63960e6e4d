//! Answers the pipeline's questions: where a flow goes, which interface, which uplink. Holds the tables and what was found
//! out about the uplinks at the start.

use std::{cell::RefCell, path::PathBuf, sync::Arc};

use observer_core::{
    identify::path::{Asks, Leaving},
    model::{
        flow::{Answer, FlowTotals, Translation},
        identity::Identity,
        kernel::UplinkIndex,
        lookup::{Beside, Lookup},
        workload::Workload,
    },
};
use observer_ebpf::abi::EGRESS;

use super::{
    catalogue::Catalogue,
    ends::FarEnds,
    names::{FarEnd, Names},
};
use crate::{
    probe::{Uplink, route::Routes},
    workload::Workloads,
};

pub struct Tables {
    pub catalogue: Catalogue,
    interfaces: Vec<Interface>,
    /// What is known of processes and cgroups.
    pub workloads: RefCell<Workloads>,
    pub names: RefCell<Names>,
    pub ends: RefCell<FarEnds>,
    pub routes: RefCell<Routes>,
}

struct Interface {
    netns_cookie: Option<u64>,
    netns_inode: Option<u32>,
    netns: Option<PathBuf>,
    ifindex: u32,
    name: Arc<str>,
    uplink: UplinkIndex,
}

impl Tables {
    pub fn new(
        catalogue: Catalogue,
        names: Names,
        uplinks: &[Uplink],
        workloads: Workloads,
        ends: FarEnds,
    ) -> Self {
        let interfaces = uplinks
            .iter()
            .map(|uplink| Interface {
                netns_cookie: Some(uplink.device.netns_cookie).filter(|cookie| *cookie != 0),
                netns_inode: Some(uplink.device.netns_inode),
                netns: uplink.device.spec.netns.clone(),
                ifindex: uplink.device.ifindex,
                name: uplink.device.spec.to_string().into(),
                uplink: UplinkIndex(u16::try_from(uplink.index).unwrap_or(u16::MAX)),
            })
            .collect();
        Self {
            catalogue,
            interfaces,
            workloads: RefCell::new(workloads),
            names: RefCell::new(names),
            ends: RefCell::new(ends),
            routes: RefCell::default(),
        }
    }

    /// Takes in where the flows of one reading end.
    pub fn learn<'f>(&self, flows: impl Iterator<Item = &'f FlowTotals>) {
        let mut ends = self.ends.borrow_mut();
        ends.learn(flows, |flow| self.leaves(flow));
    }

    /// Whether a flow crosses an uplink.
    fn leaves(&self, flow: &FlowTotals) -> bool {
        let mut interfaces = flow.ifindex.into_iter();
        interfaces.any(|ifindex| {
            let interface = self.interface(flow.netns_cookie, flow.netns_inode, ifindex);
            interface.is_some()
        })
    }

    /// By what a flow leaves, as far as that is asked.
    fn leaving(&self, flow: &FlowTotals, far: &FarEnd, asks: Asks) -> Leaving<'_> {
        if asks == Asks::default() {
            return Leaving::default();
        }
        let uplink = self.interface(flow.netns_cookie, flow.netns_inode, flow.ifindex[EGRESS]);
        // What leaves a pod is routed where the agent is.
        let netns = uplink.and_then(|uplink| uplink.netns.as_deref());
        let mut routes = self.routes.borrow_mut();
        let next_hop = far.peer.filter(|_| asks.next_hops);
        let next_hop = next_hop.and_then(|peer| routes.next_hop(netns, peer));
        let tagged = uplink.filter(|_| asks.vlans);
        Leaving {
            next_hop,
            interface: uplink.map(|uplink| uplink.name.as_ref()),
            vlan: tagged.and_then(|uplink| routes.vlan(netns, uplink.ifindex)),
        }
    }

    /// Name of an uplink by its row.
    pub fn uplink_by_name(&self, name: &str) -> Option<UplinkIndex> {
        self.interfaces
            .iter()
            .find(|interface| *interface.name == *name)
            .map(|interface| interface.uplink)
    }

    fn interface(
        &self,
        netns_cookie: Option<u64>,
        netns_inode: Option<u32>,
        ifindex: u32,
    ) -> Option<&Interface> {
        // Older kernels know the cookie of new sockets only, and the inode of those that the iterator has visited.
        let same = |interface: &&Interface| match (netns_cookie, netns_inode) {
            (Some(_), _) => interface.netns_cookie == netns_cookie,
            (None, Some(_)) => interface.netns_inode == netns_inode,
            (None, None) => false,
        };
        self.interfaces
            .iter()
            .filter(|interface| interface.ifindex == ifindex)
            .find(same)
    }
}

impl Lookup for Tables {
    fn identity(&self, flow: &FlowTotals) -> Arc<Identity> {
        let ends = self.ends.borrow();
        let translation = ends.translation(flow);
        let number = match translation {
            Some(ends) => self.catalogue.number_of(ends.peer.address),
            None => self.catalogue.number(flow),
        };
        let address = self.catalogue.identity(number);
        let far = FarEnd {
            peer: translation
                .map(|ends| ends.peer)
                .or(flow.remote)
                .map(|end| end.address),
            target: translation.map(|ends| ends.target),
            is_here: !self.leaves(flow) && ends.is_here(flow),
        };
        let mut names = self.names.borrow_mut();
        let leaving = self.leaving(flow, &far, names.asks());
        names.of(flow, (number, &address), far, &leaving)
    }

    fn next_kind(&self, flow: &FlowTotals) -> Option<[u64; 2]> {
        self.names.borrow().next_kind(flow)
    }

    fn begin_next_kind(&self, flow: &FlowTotals) {
        self.names.borrow_mut().begin_next_kind(&flow.key);
    }

    fn begin_beside(&self, flow: &FlowTotals) -> Option<Beside> {
        self.names.borrow_mut().begin_beside(&flow.key)
    }

    fn keep_beside(&self, flow: &FlowTotals, sent_bytes: u64) {
        self.names.borrow_mut().keep_beside(&flow.key, sent_bytes);
    }

    fn requests(&self, flow: &FlowTotals) -> Option<u64> {
        self.names.borrow_mut().requests(&flow.key)
    }

    fn answers(&self, flow: &FlowTotals) -> Option<Vec<Answer>> {
        self.names.borrow_mut().answers(&flow.key)
    }

    fn translation(&self, flow: &FlowTotals) -> Option<Translation> {
        self.ends.borrow().translation(flow)
    }

    fn destination(&self, tag: u32) -> Arc<Identity> {
        self.catalogue.identity(tag)
    }

    fn workload(&self, flow: &FlowTotals) -> Arc<Workload> {
        self.workloads.borrow_mut().of(flow)
    }

    fn device(
        &self,
        netns_cookie: Option<u64>,
        netns_inode: Option<u32>,
        ifindex: u32,
    ) -> Option<Arc<str>> {
        self.interface(netns_cookie, netns_inode, ifindex)
            .map(|interface| Arc::clone(&interface.name))
    }

    fn uplink(
        &self,
        netns_cookie: Option<u64>,
        netns_inode: Option<u32>,
        ifindex: u32,
    ) -> Option<UplinkIndex> {
        self.interface(netns_cookie, netns_inode, ifindex)
            .map(|interface| interface.uplink)
    }
}
