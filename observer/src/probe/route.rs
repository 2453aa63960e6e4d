//! By which next hop the kernel would send to an address, and which VLAN an interface is of: asked of its routing, one address a
//! question, and only where the operator's paths depend on it. Knows no BPF.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{InfoData, InfoVlan, LinkAttribute, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::Netlink;

/// Next hops kept; they are asked for anew when there are more.
const ANSWERS_MAX: usize = 16_384;
/// Time for which an answer is kept: routes change.
const ANSWER_NS: u64 = 60_000_000_000;

/// The routing of some namespaces, as it was asked.
#[derive(Default)]
pub struct Routes {
    sockets: HashMap<Option<PathBuf>, Netlink>,
    hops: HashMap<(Option<PathBuf>, IpAddr), Option<IpAddr>>,
    /// As many as there are uplinks.
    vlans: HashMap<(Option<PathBuf>, u32), Option<u16>>,
    asked_ns: u64,
}

impl Routes {
    /// Forgets answers that are too old.
    pub fn begin(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.asked_ns) > ANSWER_NS {
            self.asked_ns = now_ns;
            self.hops.clear();
            self.vlans.clear();
        }
    }

    /// The gateway on the way to an address, in a namespace (`None`: the agent's own); `None` where there is none, or no way.
    pub fn next_hop(&mut self, namespace: Option<&Path>, to: IpAddr) -> Option<IpAddr> {
        let key = (namespace.map(Path::to_owned), to);
        if let Some(known) = self.hops.get(&key) {
            return *known;
        }
        let mut message = RouteMessage::default();
        (
            message.header.address_family,
            message.header.destination_prefix_length,
        ) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message.attributes = vec![RouteAttribute::Destination(to.into())];
        // No way there is an error.
        let answer = self.ask(namespace, RouteNetlinkMessage::GetRoute(message));
        let hop = match answer {
            Ok(Some(RouteNetlinkMessage::NewRoute(route))) => gateway(&route.attributes),
            Ok(_) | Err(_) => None,
        };
        if self.hops.len() >= ANSWERS_MAX {
            self.hops.clear();
        }
        self.hops.insert(key, hop);
        hop
    }

    /// The VLAN of an interface; `None` where it is of none.
    pub fn vlan(&mut self, namespace: Option<&Path>, ifindex: u32) -> Option<u16> {
        let key = (namespace.map(Path::to_owned), ifindex);
        if let Some(known) = self.vlans.get(&key) {
            return *known;
        }
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        let answer = self.ask(namespace, RouteNetlinkMessage::GetLink(message));
        let vlan = match answer {
            Ok(Some(RouteNetlinkMessage::NewLink(link))) => vlan_of(&link.attributes),
            Ok(_) | Err(_) => None,
        };
        self.vlans.insert(key, vlan);
        vlan
    }

    fn ask(
        &mut self,
        namespace: Option<&Path>,
        question: RouteNetlinkMessage,
    ) -> Result<Option<RouteNetlinkMessage>> {
        let netlink = match self.sockets.entry(namespace.map(Path::to_owned)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(none) => none.insert(Netlink::open(NETLINK_ROUTE, namespace)?),
        };
        netlink.ask(question)
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address))
        | RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address))
        | RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn vlan_of(attributes: &[LinkAttribute]) -> Option<u16> {
    let infos = attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(vlan)) => vlan.iter().find_map(|info| match info {
            InfoVlan::Id(id) => Some(*id),
            _ => None,
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_way_to_itself() {
        let mut routes = Routes::default();
        assert_eq!(routes.next_hop(None, [127, 0, 0, 1].into()), None);
        // The loopback interface is of no VLAN.
        assert_eq!(routes.vlan(None, 1), None);
        assert_eq!((routes.hops.len(), routes.vlans.len()), (1, 1));
        routes.begin(ANSWER_NS + 1);
        assert_eq!((routes.hops.len(), routes.vlans.len()), (0, 0));
    }

    #[test]
    fn the_tag_stands_in_the_link() {
        let vlan = LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(100)]));
        let attributes = [LinkAttribute::LinkInfo(vec![vlan])];
        assert_eq!(vlan_of(&attributes), Some(100));
        assert_eq!(vlan_of(&[LinkAttribute::LinkInfo(Vec::new())]), None);
    }
}
