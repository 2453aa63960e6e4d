//! Inode numbers of network namespaces by their cookies: the hooks know the cookie, the iterator the number as well, and a
//! short flow has met the hooks alone.

use std::collections::HashMap;

use observer_core::model::flow::FlowTotals;

use crate::probe::{Uplink, device::own_namespace};

/// Namespaces remembered; a host has a few hundred. Beyond, short flows of further ones have no number.
const NAMESPACES_MAX: usize = 4_096;

#[derive(Default)]
pub struct Namespaces {
    inodes: HashMap<u64, u32>,
}

impl Namespaces {
    /// Knows the agent's own namespace and the uplinks' from the start.
    pub fn of(uplinks: &[Uplink]) -> Self {
        let inodes = uplinks
            .iter()
            .map(|uplink| (uplink.device.netns_cookie, uplink.device.netns_inode))
            .filter(|(cookie, _)| *cookie != 0)
            .chain(own_namespace())
            .collect();
        Self { inodes }
    }

    /// Learns from a flow that knows both, and completes one that does not.
    pub fn complete(&mut self, flow: &mut FlowTotals) {
        match (flow.netns_cookie, flow.netns_inode) {
            (Some(cookie), Some(inode)) => {
                if self.inodes.len() < NAMESPACES_MAX {
                    self.inodes.insert(cookie, inode);
                }
            }
            (Some(cookie), None) => flow.netns_inode = self.inodes.get(&cookie).copied(),
            (None, _) => {}
        }
    }
}
