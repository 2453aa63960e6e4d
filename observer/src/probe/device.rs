//! One uplink's device as the host sees it: its counters, its link-layer header, whether the driver is handed whole
//! bundles or segments, and what its queue threw away. Knows no BPF.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcMessage, TcStats2},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netns::within;

/// Which interface of which namespace is an uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkSpec {
    /// Path of the namespace; `None` = the agent's own.
    pub netns: Option<PathBuf>,
    pub device: String,
}

/// `DEVICE`, or `NAMESPACE:DEVICE` with a path to a network namespace.
impl std::str::FromStr for UplinkSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (netns, device) = match text.rsplit_once(':') {
            Some((netns, device)) => (Some(PathBuf::from(netns)), device),
            None => (None, text),
        };
        if device.is_empty() || device.len() > 15 {
            return Err(format!(
                "`{device}` is no interface name; write `eth0` or `/run/netns/blue:eth0`"
            ));
        }
        Ok(Self {
            netns,
            device: device.to_owned(),
        })
    }
}

impl std::fmt::Display for UplinkSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.netns {
            Some(netns) => write!(f, "{}:{}", netns.display(), self.device),
            None => f.write_str(&self.device),
        }
    }
}

/// What the interface counts, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    /// Packets that the driver threw away on the way out.
    pub tx_dropped: u64,
    /// Packets that the queue threw away.
    pub queue_dropped: u64,
}

/// One uplink's device, with what it takes to read it again and again without entering its namespace.
pub struct Device {
    pub spec: UplinkSpec,
    pub ifindex: u32,
    /// Bytes before the IP header.
    pub link_header: u32,
    /// The driver is handed bundles and counts them with one header; else it counts segments.
    pub counts_bundles: bool,
    /// Bundles of UDP datagrams are cut in software before the driver.
    pub cuts_udp: bool,
    /// Received packets are counted as they are handed to the stack; else (NIC, GRO) as they were on the wire.
    pub receives_bundles: bool,
    /// Cookie of its namespace as the hooks report it.
    pub netns_cookie: u64,
    /// Inode number of its namespace.
    pub netns_inode: u32,
    counters: File,
    netlink: Socket,
    sequence: u32,
}

/// ARPHRD_* numbers (if_arp.h) of devices without a link-layer header.
const HEADERLESS: [u32; 5] = [65534, 768, 776, 778, 512];
const ARPHRD_ETHER: u32 = 1;
const ARPHRD_LOOPBACK: u32 = 772;

impl Device {
    /// Opens the device, in its namespace.
    ///
    /// # Errors
    /// Where the namespace or the device is not there, or the device's link layer is not known.
    pub fn open(spec: &UplinkSpec) -> Result<Self> {
        within(spec.netns.as_deref(), || Self::open_here(spec))
            .with_context(|| format!("open uplink `{spec}`"))
    }

    fn open_here(spec: &UplinkSpec) -> Result<Self> {
        let probe = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .context("open a socket in the namespace")?;
        let ifindex = nix::net::if_::if_nametoindex(spec.device.as_str())
            .with_context(|| format!("no interface `{}` here", spec.device))?;
        let kind = super::ethtool::hardware_type(&probe, &spec.device)?;
        let link_header = match kind {
            ARPHRD_ETHER | ARPHRD_LOOPBACK => 14,
            kind if HEADERLESS.contains(&kind) => 0,
            kind => bail!(
                "interface `{}` has link type {kind}, whose header length is not known",
                spec.device
            ),
        };
        let mut netlink = Socket::new(NETLINK_ROUTE).context("open a route netlink socket")?;
        netlink.bind_auto().context("bind a route netlink socket")?;
        netlink
            .connect(&SocketAddr::new(0, 0))
            .context("connect a route netlink socket")?;
        Ok(Self {
            ifindex,
            link_header,
            counts_bundles: super::ethtool::counts_bundles(&probe, &spec.device),
            cuts_udp: super::ethtool::feature(&probe, &spec.device, "tx-udp-segmentation")
                != Some(true),
            receives_bundles: !super::ethtool::merges_received(&probe, &spec.device),
            netns_cookie: super::ethtool::namespace_cookie(&probe).unwrap_or(0),
            netns_inode: namespace_inode()?,
            counters: File::open("/proc/thread-self/net/dev")
                .context("open `/proc/thread-self/net/dev`")?,
            netlink,
            sequence: 0,
            spec: spec.clone(),
        })
    }

    /// The counters now.
    ///
    /// # Errors
    /// Where the device is gone.
    pub fn counters(&mut self) -> Result<InterfaceCounters> {
        let mut text = String::new();
        self.counters.rewind().context("rewind `/proc/net/dev`")?;
        self.counters
            .read_to_string(&mut text)
            .context("read `/proc/net/dev`")?;
        let mut counters = parse_counters(&text, &self.spec.device)
            .with_context(|| format!("no counters of `{}`", self.spec))?;
        counters.queue_dropped = self
            .queue_dropped()
            .with_context(|| format!("read the queues of `{}`", self.spec))?;
        Ok(counters)
    }

    /// Packets dropped by the root queues of the device (`RTM_GETQDISC`).
    fn queue_dropped(&mut self) -> Result<u64> {
        let dropped = self.ask_queues();
        if dropped.is_err() {
            // The kernel begins no dump before the one that broke off is read.
            self.drain();
        }
        dropped
    }

    fn ask_queues(&mut self) -> Result<u64> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        self.sequence = self.sequence.wrapping_add(1);
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(
            header,
            NetlinkPayload::from(RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default())),
        );
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.netlink.send(&bytes, 0)?;
        let mut answer = QueueAnswer {
            sequence: self.sequence,
            ifindex: self.ifindex,
            dropped: 0,
        };
        loop {
            let (reply, _) = self.netlink.recv_from_full()?;
            if answer.take(&reply)? {
                return Ok(answer.dropped);
            }
        }
    }

    /// Throws away what is left of an answer.
    fn drain(&self) {
        let mut datagram = Vec::with_capacity(1);
        for _ in 0..DRAINED_MAX {
            datagram.clear();
            match self.netlink.recv(&mut datagram, libc::MSG_DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An overrun is told once, between the datagrams.
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Datagrams of 4 KiB and more: the queues of some 10,000 devices.
const DRAINED_MAX: usize = 1_024;

/// What one dump of queues says of one device.
struct QueueAnswer {
    /// Of the request: an older dump that broke off may still be coming in.
    sequence: u32,
    ifindex: u32,
    dropped: u64,
}

impl QueueAnswer {
    /// Adds up one datagram; `true` where the dump ends with it.
    ///
    /// # Errors
    /// The kernel's own, and messages that cannot be read.
    fn take(&mut self, datagram: &[u8]) -> Result<bool> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let header = NetlinkBuffer::new_checked(rest)?;
            let length = (header.length() as usize).next_multiple_of(4);
            if header.sequence_number() == self.sequence && self.take_message(rest)? {
                return Ok(true);
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(false)
    }

    fn take_message(&mut self, bytes: &[u8]) -> Result<bool> {
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)?.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => bail!("netlink: {error:?}"),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewQueueDiscipline(queue))
                if queue.header.index == self.ifindex as i32 && is_root(&queue) =>
            {
                self.dropped += drops(&queue);
            }
            _ => {}
        }
        Ok(false)
    }
}

/// Cookie and inode number of the agent's own namespace; `None` on kernels before 5.14, which have no way to ask.
pub fn own_namespace() -> Option<(u64, u32)> {
    let probe = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .ok()?;
    let cookie = super::ethtool::namespace_cookie(&probe).ok()?;
    Some((cookie, namespace_inode().ok()?))
}

/// A queue of the device's own: children report to it, `clsact` (parent ffff:fff1) queues nothing.
fn is_root(queue: &TcMessage) -> bool {
    u32::from(queue.header.parent) == u32::MAX
}

fn drops(queue: &TcMessage) -> u64 {
    queue
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            TcAttribute::Stats2(stats) => Some(stats),
            _ => None,
        })
        .flatten()
        .map(|stats| match stats {
            TcStats2::Queue(queue) => u64::from(queue.drops),
            _ => 0,
        })
        .sum()
}

fn namespace_inode() -> Result<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let path = Path::new("/proc/thread-self/ns/net");
    let inode = std::fs::metadata(path)
        .with_context(|| format!("look at `{}`", path.display()))?
        .ino();
    u32::try_from(inode).context("the namespace's inode number does not fit 32 bits")
}

/// One line of `/proc/net/dev` (proc(5)): eight receive columns, then eight transmit columns.
fn parse_counters(text: &str, device: &str) -> Option<InterfaceCounters> {
    let line = text.lines().find_map(|line| {
        let (name, columns) = line.split_once(':')?;
        (name.trim() == device).then_some(columns)
    })?;
    let columns: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let column = |index: usize| columns.get(index).copied();
    Some(InterfaceCounters {
        rx_bytes: column(0)?,
        rx_packets: column(1)?,
        tx_bytes: column(8)?,
        tx_packets: column(9)?,
        tx_dropped: column(11)?,
        queue_dropped: 0,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DoneMessage;
    use netlink_packet_route::tc::{TcHandle, TcStatsQueue};

    use super::*;

    fn bytes(sequence: u32, payload: NetlinkPayload<RouteNetlinkMessage>) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.sequence_number = sequence;
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// The kernel's word on the root queue of device 2.
    fn queue(sequence: u32, drops: u32) -> Vec<u8> {
        let mut stats = TcStatsQueue::default();
        stats.drops = drops;
        let mut queue = TcMessage::default();
        queue.header.index = 2;
        queue.header.parent = TcHandle::ROOT;
        queue.attributes = vec![TcAttribute::Stats2(vec![TcStats2::Queue(stats)])];
        let message = RouteNetlinkMessage::NewQueueDiscipline(queue);
        bytes(sequence, NetlinkPayload::InnerMessage(message))
    }

    fn done(sequence: u32) -> Vec<u8> {
        bytes(sequence, NetlinkPayload::Done(DoneMessage::default()))
    }

    #[test]
    fn the_rest_of_an_older_dump_is_no_answer() {
        let mut answer = QueueAnswer {
            sequence: 7,
            ifindex: 2,
            dropped: 0,
        };
        let old = [queue(6, 100), done(6)].concat();
        assert!(!answer.take(&old).expect("an older dump"));
        assert!(!answer.take(&queue(7, 3)).expect("a queue"));
        assert!(answer.take(&done(7)).expect("the end"));
        assert_eq!(answer.dropped, 3);
    }

    #[test]
    fn a_dump_that_broke_off_is_read_away() {
        let spec = "lo".parse().expect("a name");
        let mut device = Device::open(&spec).expect("the loopback device");
        let whole = device.queue_dropped().expect("the queues");
        // Two answers that nobody reads.
        let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        let mut dump = bytes(99, NetlinkPayload::InnerMessage(request));
        dump[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        for _ in 0..2 {
            device.netlink.send(&dump, 0).expect("a request");
        }
        device.drain();
        let mut nothing = Vec::with_capacity(1);
        let left = device.netlink.recv(&mut nothing, libc::MSG_DONTWAIT);
        assert_eq!(
            left.expect_err("nothing is left").kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(device.queue_dropped().expect("the queues"), whole);
    }

    #[test]
    fn counters_of_the_named_device_only() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                    eth01: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n";
        let expected = InterfaceCounters {
            rx_bytes: 1,
            rx_packets: 2,
            tx_bytes: 9,
            tx_packets: 10,
            tx_dropped: 12,
            queue_dropped: 0,
        };
        assert_eq!(parse_counters(text, "eth0"), Some(expected));
        assert_eq!(parse_counters(text, "eth1"), None);
        assert_eq!(parse_counters("eth0: 1 2", "eth0"), None);
    }

    #[test]
    fn uplinks_are_named_by_namespace_and_device() {
        let cases = [
            ("eth0", Some((None, "eth0"))),
            (
                "/run/netns/blue:eth1",
                Some((Some("/run/netns/blue"), "eth1")),
            ),
            ("/run/netns/blue:", None),
            ("a-name-longer-than-fifteen", None),
        ];
        for (text, expected) in cases {
            let spec = text.parse::<UplinkSpec>().ok();
            let expected = expected.map(|(netns, device)| UplinkSpec {
                netns: netns.map(PathBuf::from),
                device: device.to_owned(),
            });
            assert_eq!(spec, expected, "{text}");
        }
    }
}
