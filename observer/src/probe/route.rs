//! By which next hop the kernel would send to an address, and which VLAN an interface is of: asked of its routing, one address a
//! question, and only where the operator's paths depend on it. Knows no BPF.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{InfoData, InfoVlan, LinkAttribute, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::netns::within;

/// Answers kept; they are asked for anew when there are more.
const ANSWERS_MAX: usize = 16_384;
/// Time for which an answer is kept: routes change.
const ANSWER_NS: u64 = 60_000_000_000;
const ANSWER_BYTES_MAX: usize = 32 << 10;

/// The routing of some namespaces, as it was asked.
#[derive(Default)]
pub struct Routes {
    sockets: HashMap<Option<PathBuf>, Socket>,
    hops: HashMap<(Option<PathBuf>, IpAddr), Option<IpAddr>>,
    vlans: HashMap<(Option<PathBuf>, u32), Option<u16>>,
    asked_ns: u64,
    sequence: u32,
}

impl Routes {
    /// Forgets answers that are too old.
    pub fn begin(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.asked_ns) > ANSWER_NS || self.hops.len() >= ANSWERS_MAX {
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
            Ok(RouteNetlinkMessage::NewRoute(route)) => gateway(&route.attributes),
            Ok(_) | Err(_) => None,
        };
        if self.hops.len() < ANSWERS_MAX {
            self.hops.insert(key, hop);
        }
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
            Ok(RouteNetlinkMessage::NewLink(link)) => vlan_of(&link.attributes),
            Ok(_) | Err(_) => None,
        };
        if self.vlans.len() < ANSWERS_MAX {
            self.vlans.insert(key, vlan);
        }
        vlan
    }

    fn ask(
        &mut self,
        namespace: Option<&Path>,
        question: RouteNetlinkMessage,
    ) -> Result<RouteNetlinkMessage> {
        let key = namespace.map(Path::to_owned);
        if !self.sockets.contains_key(&key) {
            let socket = within(namespace, || {
                let mut socket = Socket::new(NETLINK_ROUTE).context("open a route socket")?;
                socket.bind_auto().context("bind a route socket")?;
                Ok(socket)
            })?;
            self.sockets.insert(key.clone(), socket);
        }
        let socket = self.sockets.get(&key).context("a socket that was opened")?;
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
        loop {
            answer.clear();
            socket.recv(&mut answer, 0)?;
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?;
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::InnerMessage(message) => return Ok(message),
                NetlinkPayload::Error(error) => bail!("routing answers: {}", error.to_io()),
                _ => bail!("routing answers nothing"),
            }
        }
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
