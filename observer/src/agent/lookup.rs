//! Answers the pipeline's questions: where a flow goes, which interface, which uplink. Holds the tables and what was found
//! out about the uplinks at the start.

use std::{cell::RefCell, sync::Arc};

use observer_core::model::{
    flow::{FlowTotals, Translation},
    identity::Identity,
    kernel::UplinkIndex,
    lookup::Lookup,
    workload::Workload,
};

use observer_ebpf::abi::EGRESS;

use super::{
    catalogue::Catalogue,
    ends::FarEnds,
    names::{FarEnd, Names},
};
use crate::{probe::Uplink, workload::Workloads};

pub struct Tables {
    pub catalogue: Catalogue,
    interfaces: Vec<Interface>,
    /// What is known of processes and cgroups.
    pub workloads: RefCell<Workloads>,
    pub names: RefCell<Names>,
    pub ends: RefCell<FarEnds>,
}

struct Interface {
    netns_cookie: Option<u64>,
    netns_inode: Option<u32>,
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
            is_here: ends.is_here(flow) && !self.leaves(flow),
        };
        let mut names = self.names.borrow_mut();
        let interface = if names.asks_interfaces() {
            self.device(flow.netns_cookie, flow.netns_inode, flow.ifindex[EGRESS])
        } else {
            None
        };
        names.of(flow, (number, &address), far, interface.as_deref())
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
