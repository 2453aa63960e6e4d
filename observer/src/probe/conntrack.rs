//! Whom a flow of this host really talks to where the host translates addresses: asks the kernel's connection tracking, one
//! flow a question. Loads no module, and asks nothing where no connection is tracked. Knows no BPF.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use netlink_packet_core::Nla as _;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    conntrack::{ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Protocol, Tuple},
};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::netlink::Netlink;

/// There where the kernel tracks connections, whichever namespace does.
const TRACKING: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// `IPCTNL_MSG_CT_GET_STATS` and its `CTA_STATS_GLOBAL_ENTRIES` (nfnetlink_conntrack.h).
const GET_STATS: u8 = 5;
const STATS_ENTRIES: u16 = 1;

/// The ends of a flow, the asking side first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub protocol: u8,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

/// The remote ends of a flow that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translated {
    /// Whom the socket talks to.
    pub target: SocketAddr,
    /// Who answers, or who really asked.
    pub peer: SocketAddr,
}

/// The connection tracking of some namespaces.
pub struct Conntrack {
    /// `None` for the agent's own.
    namespaces: Vec<Option<PathBuf>>,
    tracking: Vec<Tracking>,
}

/// The connection tracking of one namespace.
struct Tracking {
    netlink: Netlink,
    /// There are connections at all.
    has_any: bool,
}

impl Conntrack {
    pub fn new(namespaces: impl IntoIterator<Item = Option<PathBuf>>) -> Self {
        let mut all = vec![None];
        for namespace in namespaces {
            if !all.contains(&namespace) {
                all.push(namespace);
            }
        }
        Self {
            namespaces: all,
            tracking: Vec::new(),
        }
    }

    /// Whether any connections are tracked: to be called before the questions of one reading.
    ///
    /// # Errors
    /// Where they are and cannot be asked about.
    pub fn is_tracking(&mut self) -> Result<bool> {
        if self.tracking.is_empty() {
            if !fs::exists(TRACKING).unwrap_or(false) {
                return Ok(false);
            }
            let open = |namespace: &Option<PathBuf>| {
                Ok(Tracking {
                    netlink: Netlink::open(NETLINK_NETFILTER, namespace.as_deref())?,
                    has_any: false,
                })
            };
            self.tracking = self.namespaces.iter().map(open).collect::<Result<_>>()?;
        }
        for tracking in &mut self.tracking {
            tracking.has_any = has_any(&mut tracking.netlink)?;
        }
        Ok(self.tracking.iter().any(|tracking| tracking.has_any))
    }

    /// The ends of a flow that a namespace translates; `None` where none does.
    ///
    /// A packet has the socket's own remote end where another namespace translates it later. Where the socket's namespace does,
    /// what it sends has been translated before it was counted, and only what comes back to it is known by those ends.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub fn ends(&mut self, pair: &Pair) -> Result<Option<Translated>> {
        let back = Pair {
            from: pair.to,
            to: pair.from,
            ..*pair
        };
        let tracking = self.tracking.iter_mut();
        for tracking in tracking.filter(|tracking| tracking.has_any) {
            for (asked, read) in [(pair, sent as Reading), (&back, returned)] {
                let Some(connection) = ask(&mut tracking.netlink, asked)? else {
                    continue;
                };
                match read(&connection, asked) {
                    Some(ends) if ends.target != ends.peer => return Ok(Some(ends)),
                    Some(_) => break,
                    None => {}
                }
            }
        }
        Ok(None)
    }
}

fn ask(netlink: &mut Netlink, pair: &Pair) -> Result<Option<Connection>> {
    let answer = netlink
        .ask(question(pair))
        .context("ask for a connection")?;
    let inner = answer.map(|message| message.inner);
    let Some(NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes))) = inner else {
        return Ok(None);
    };
    Ok(connection(&attributes))
}

/// Whether the namespace tracks any connection now.
fn has_any(netlink: &mut Netlink) -> Result<bool> {
    let question = ConntrackMessage::Other {
        message_type: GET_STATS,
        attributes: Vec::new(),
    };
    let question = message(NetfilterProtoFamily::Unspec, question);
    let answer = netlink.ask(question).context("ask how many are tracked")?;
    let inner = answer.map(|message| message.inner);
    let Some(NetfilterMessageInner::Conntrack(ConntrackMessage::Other { attributes, .. })) = inner
    else {
        return Ok(false);
    };
    Ok(attributes.iter().any(|attribute| {
        let mut count = vec![0; attribute.value_len()];
        attribute.emit_value(&mut count);
        attribute.kind() == STATS_ENTRIES && count.iter().any(|byte| *byte != 0)
    }))
}

/// `IPCTNL_MSG_CT_GET` of one flow; it is found by either of its directions.
fn question(pair: &Pair) -> NetfilterMessage {
    let family = match pair.from.ip() {
        IpAddr::V4(_) => NetfilterProtoFamily::IPv4,
        IpAddr::V6(_) => NetfilterProtoFamily::IPv6,
    };
    let tuple = vec![
        Tuple::Ip(vec![
            IPTuple::SourceAddress(pair.from.ip()),
            IPTuple::DestinationAddress(pair.to.ip()),
        ]),
        Tuple::Proto(vec![
            ProtoTuple::Protocol(Protocol::from(pair.protocol)),
            ProtoTuple::SourcePort(pair.from.port()),
            ProtoTuple::DestinationPort(pair.to.port()),
        ]),
    ];
    let question = ConntrackMessage::Get(vec![ConntrackAttribute::CtaTupleOrig(tuple)]);
    message(family, question)
}

fn message(family: NetfilterProtoFamily, message: ConntrackMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message)
}

/// What a connection says of one of its packets.
type Reading = fn(&Connection, &Pair) -> Option<Translated>;

/// Source and destination of the packets that opened a connection, and of those that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    original: (SocketAddr, SocketAddr),
    reply: (SocketAddr, SocketAddr),
}

fn connection(attributes: &[ConntrackAttribute]) -> Option<Connection> {
    let (mut original, mut reply) = (None, None);
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => original = ends(tuple),
            ConntrackAttribute::CtaTupleReply(tuple) => reply = ends(tuple),
            _ => {}
        }
    }
    Some(Connection {
        original: original?,
        reply: reply?,
    })
}

/// The flow is one of the two directions as it was sent; the packets of the other one come from whom it really talks to.
fn sent(connection: &Connection, pair: &Pair) -> Option<Translated> {
    let ours = (pair.from, pair.to);
    let peer = match (connection.original == ours, connection.reply == ours) {
        (true, _) => connection.reply.0,
        (false, true) => connection.original.0,
        (false, false) => return None,
    };
    Some(Translated {
        target: pair.to,
        peer,
    })
}

/// What comes back to the flow answers a packet that was for somebody else before it was translated.
fn returned(connection: &Connection, back: &Pair) -> Option<Translated> {
    (connection.reply == (back.from, back.to)).then_some(Translated {
        target: connection.original.1,
        peer: back.from,
    })
}

fn ends(tuple: &[Tuple]) -> Option<(SocketAddr, SocketAddr)> {
    let (mut addresses, mut ports) = ([None; 2], [None; 2]);
    for part in tuple {
        match part {
            Tuple::Ip(parts) => {
                for part in parts {
                    match part {
                        IPTuple::SourceAddress(address) => addresses[0] = Some(*address),
                        IPTuple::DestinationAddress(address) => addresses[1] = Some(*address),
                        _ => {}
                    }
                }
            }
            Tuple::Proto(parts) => {
                for part in parts {
                    match part {
                        ProtoTuple::SourcePort(port) => ports[0] = Some(*port),
                        ProtoTuple::DestinationPort(port) => ports[1] = Some(*port),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let end = |at: usize| Some(SocketAddr::new(addresses[at]?, ports[at]?));
    Some((end(0)?, end(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(from: &str, to: &str) -> Vec<Tuple> {
        let (from, to) = (at(from), at(to));
        vec![
            Tuple::Ip(vec![
                IPTuple::SourceAddress(from.ip()),
                IPTuple::DestinationAddress(to.ip()),
            ]),
            Tuple::Proto(vec![
                ProtoTuple::SourcePort(from.port()),
                ProtoTuple::DestinationPort(to.port()),
            ]),
        ]
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address and a port")
    }

    #[test]
    fn the_ends_follow_from_both_directions() {
        let read = |original: (&str, &str), reply: (&str, &str)| {
            connection(&[
                ConntrackAttribute::CtaTupleOrig(tuple(original.0, original.1)),
                ConntrackAttribute::CtaTupleReply(tuple(reply.0, reply.1)),
            ])
            .expect("both directions")
        };
        // A service's address, the pod behind it, and the reply to the node's own address.
        let tracked = read(
            ("10.0.0.1:4000", "10.96.0.1:443"),
            ("10.244.1.9:8443", "10.0.0.7:61000"),
        );
        for (from, to, expected) in [
            ("10.0.0.1:4000", "10.96.0.1:443", Some("10.244.1.9:8443")),
            ("10.244.1.9:8443", "10.0.0.7:61000", Some("10.0.0.1:4000")),
            ("10.0.0.1:4001", "10.96.0.1:443", None),
            ("10.96.0.1:443", "10.0.0.1:4000", None),
        ] {
            let pair = Pair {
                protocol: 6,
                from: at(from),
                to: at(to),
            };
            let expected = expected.map(|peer| Translated {
                target: at(to),
                peer: at(peer),
            });
            assert_eq!(sent(&tracked, &pair), expected, "{from} {to}");
        }
        // Translated where the socket is: it is counted as sent to the pod.
        let tracked = read(
            ("10.0.0.1:4000", "10.96.0.1:443"),
            ("10.244.1.9:8443", "10.0.0.1:4000"),
        );
        let back = Pair {
            protocol: 6,
            from: at("10.244.1.9:8443"),
            to: at("10.0.0.1:4000"),
        };
        let expected = Translated {
            target: at("10.96.0.1:443"),
            peer: at("10.244.1.9:8443"),
        };
        assert_eq!(returned(&tracked, &back), Some(expected));
        assert_eq!(returned(&tracked, &pair_of("10.0.0.1:4000")), None);
        assert_eq!(
            connection(&[ConntrackAttribute::CtaTupleOrig(tuple(
                "10.0.0.1:4000",
                "10.96.0.1:443"
            ))]),
            None
        );
    }

    fn pair_of(from: &str) -> Pair {
        Pair {
            protocol: 17,
            from: at(from),
            to: at("10.96.0.1:443"),
        }
    }

    #[test]
    fn a_flow_that_is_not_tracked_is_no_error() {
        let mut conntrack = Conntrack::new([None, None]);
        if conntrack.is_tracking().expect("a socket") {
            let found = conntrack.ends(&pair_of("192.0.2.1:4000"));
            assert_eq!(found.expect("an answer"), None);
        }
    }
}
