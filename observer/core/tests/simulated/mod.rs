//! A kernel half that counts what it is told to: sockets with storage, a table of UDP remotes, a ring of ends, an
//! iterator that marks what it handed over, and totals by destination. Knows no pipeline.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
};

use observer_core::{
    aggregate::{InterfaceCounters, LinkRule, UplinkReading},
    model::{
        counters::Counters,
        flow::{Endpoint, FlowFlags, FlowKey, FlowTotals, RemoteKey, Timing},
        kernel::{SlotTotals, UplinkIndex, UplinkTotals},
        names::{Initiator, Measure, Protocol},
    },
};
use observer_ebpf::abi::{Home, flag};

pub const UPLINK: UplinkIndex = UplinkIndex(0);
pub const DEVICE: &str = "up0";
const LINK_HEADER: u32 = 14;
/// Tag sets of the simulated destinations.
const TAGS: u32 = 3;

#[derive(Default)]
pub struct Kernel {
    now_ns: u64,
    next_cookie: u64,
    live: Vec<Socket>,
    remotes: BTreeMap<(u64, u16), FlowTotals>,
    ring: Vec<FlowTotals>,
    slots: BTreeMap<u32, Counters>,
    protocols: HashMap<u64, Protocol>,
    uplink: UplinkTotals,
    interface: InterfaceCounters,
    /// What every flow has counted in the end, whether its socket lives or not.
    pub truth: HashMap<(FlowKey, u64), Counters>,
}

struct Socket {
    flow: FlowTotals,
    /// Counters and flags when the iterator last handed it over.
    handed_over: (Counters, FlowFlags),
}

impl Kernel {
    /// Time passes; no two starts are the same.
    pub fn tick_clock(&mut self) -> u64 {
        self.now_ns += 1_000_000;
        self.now_ns
    }

    pub fn open(&mut self, protocol: Protocol) {
        self.next_cookie += 1;
        let start_ns = self.tick_clock();
        let flow = flow(FlowKey::Socket(self.next_cookie), protocol, start_ns);
        self.protocols.insert(self.next_cookie, protocol);
        self.live.push(Socket {
            flow,
            handed_over: Default::default(),
        });
    }

    /// What the socket of `cookie` was opened as.
    pub fn protocol(&self, cookie: u64) -> Protocol {
        self.protocols
            .get(&cookie)
            .copied()
            .unwrap_or(Protocol::Tcp)
    }

    /// One packet of the `nth` socket in one direction.
    pub fn packet(&mut self, nth: usize, direction: usize, payload: u64) {
        let Some(socket) = pick(&mut self.live, nth) else {
            return;
        };
        add(&mut socket.flow.counters, direction, payload);
        let flow = socket.flow;
        self.count(&flow, direction, payload);
        if flow.flags.has(flag::RELEASED) || flow.flags.has(flag::CLOSED) {
            self.ring.push(flow);
        }
    }

    /// One packet between the `nth` socket, if it is a UDP one, and a further remote.
    pub fn remote_packet(&mut self, nth: usize, port: u16, direction: usize, payload: u64) {
        let start_ns = self.tick_clock();
        let Some(socket) = pick(&mut self.live, nth) else {
            return;
        };
        if socket.flow.protocol != Protocol::Udp {
            return;
        }
        let FlowKey::Socket(cookie) = socket.flow.key else {
            return;
        };
        let endpoint = |port| Endpoint {
            address: Ipv4Addr::new(198, 51, 100, 7).into(),
            port,
        };
        let key = RemoteKey {
            cookie,
            local: endpoint(53),
            remote: endpoint(port),
        };
        let fresh = flow(FlowKey::Remote(key), Protocol::Udp, start_ns);
        let entry = self.remotes.entry((cookie, port)).or_insert(fresh);
        add(&mut entry.counters, direction, payload);
        let flow = *entry;
        self.count(&flow, direction, payload);
    }

    /// The process lets go of the socket.
    pub fn release(&mut self, nth: usize) {
        self.end(nth, flag::RELEASED);
    }

    /// TCP reaches CLOSE.
    pub fn close(&mut self, nth: usize) {
        if pick(&mut self.live, nth).is_some_and(|socket| socket.flow.protocol == Protocol::Tcp) {
            self.end(nth, flag::CLOSED);
        }
    }

    /// A closed TCP socket that is still held connects again: another flow in the same socket.
    pub fn reconnect(&mut self, nth: usize) {
        let start_ns = self.tick_clock();
        let Some(socket) = pick(&mut self.live, nth) else {
            return;
        };
        if socket.flow.protocol == Protocol::Tcp && socket.flow.flags.has(flag::CLOSED) {
            self.ring.push(socket.flow);
            socket.flow = flow(socket.flow.key, Protocol::Tcp, start_ns);
            socket.handed_over = Default::default();
        }
    }

    /// A packet that no socket sent.
    pub fn forwarded(&mut self, bytes: u64) {
        self.uplink.device_bytes[0] += bytes;
        self.interface.bytes[0] += bytes + u64::from(LINK_HEADER);
        self.interface.packets[0] += 1;
        let slot = self.slots.entry(u32::MAX).or_default();
        slot.device_bytes[0] += bytes;
        slot.wire_bytes[0] += bytes;
    }

    /// An end that did not fit into the ring, with every other end of the same flow: nothing tells of it any more.
    pub fn lose_event(&mut self) {
        if let Some(lost) = self.ring.pop() {
            self.ring
                .retain(|event| (event.key, event.start_ns) != (lost.key, lost.start_ns));
        }
    }

    /// Sockets that changed since they were handed over, or all of them.
    pub fn read_flows(&mut self, all: bool) -> Vec<FlowTotals> {
        let mut flows = Vec::new();
        for socket in &mut self.live {
            let now = (socket.flow.counters, socket.flow.flags);
            if all || now != socket.handed_over {
                socket.handed_over = now;
                flows.push(socket.flow);
            }
        }
        flows
    }

    pub fn read_remotes(&self) -> Vec<FlowTotals> {
        self.remotes.values().copied().collect()
    }

    pub fn forget_remotes(&mut self, keys: &[RemoteKey]) {
        for key in keys {
            self.remotes.remove(&(key.cookie, key.remote.port));
        }
    }

    /// The ring's events; they stay until they are released.
    pub fn look_at_events(&self) -> Vec<FlowTotals> {
        self.ring.clone()
    }

    pub fn release_events(&mut self) {
        self.ring.clear();
    }

    pub fn read_slots(&self) -> Vec<SlotTotals> {
        let slot = |(tag, counters): (&u32, &Counters)| {
            let (home, tag) = if *tag == u32::MAX {
                (Home::Forwarded, 0)
            } else {
                (Home::Flow, *tag)
            };
            SlotTotals {
                uplink: Some(UPLINK),
                home,
                tag,
                counters: *counters,
            }
        };
        self.slots.iter().map(slot).collect()
    }

    pub fn read_uplink(&self) -> UplinkReading {
        let rule = LinkRule {
            measure: Measure::Device,
            link_header_bytes: LINK_HEADER,
            skb_bytes_max: 65_536,
        };
        UplinkReading {
            index: UPLINK,
            device: DEVICE.into(),
            rules: [rule; 2],
            interface: self.interface,
            totals: self.uplink,
            attached: [true; 2],
        }
    }

    fn end(&mut self, nth: usize, flags: u32) {
        let Some(socket) = pick(&mut self.live, nth) else {
            return;
        };
        if socket.flow.flags.has(flags) {
            return;
        }
        socket.flow.flags.0 |= flags;
        let flow = socket.flow;
        self.ring.push(flow);
        // The kernel frees a socket that nobody holds once its protocol is done with it.
        let done = flow.protocol == Protocol::Udp || flow.flags.has(flag::CLOSED);
        if flow.flags.has(flag::RELEASED) && done {
            self.live.retain(|socket| socket.flow.key != flow.key);
        }
    }

    fn count(&mut self, flow: &FlowTotals, direction: usize, payload: u64) {
        self.truth.insert((flow.key, flow.start_ns), flow.counters);
        add(self.slots.entry(flow.tag).or_default(), direction, payload);
        let bytes = payload + 40;
        self.uplink.device_bytes[direction] += bytes;
        if direction == 0 {
            self.uplink.hooked_device_bytes += bytes;
        }
        self.interface.bytes[direction] += bytes + u64::from(LINK_HEADER);
        self.interface.packets[direction] += 1;
    }
}

/// One packet: a bundle of two segments on the wire.
fn add(counters: &mut Counters, direction: usize, payload: u64) {
    counters.device_bytes[direction] += payload + 40;
    counters.wire_bytes[direction] += payload + 80;
    counters.payload_bytes[direction] += payload;
    counters.packets[direction] += 2;
    if direction == 0 && payload.is_multiple_of(5) {
        counters.retransmitted_wire_bytes += payload;
    }
}

fn pick(sockets: &mut [Socket], nth: usize) -> Option<&mut Socket> {
    let index = nth.checked_rem(sockets.len())?;
    sockets.get_mut(index)
}

/// A flow that has counted nothing yet.
pub fn flow(key: FlowKey, protocol: Protocol, start_ns: u64) -> FlowTotals {
    let endpoint = |port| Endpoint {
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)),
        port,
    };
    FlowTotals {
        key,
        counters: Counters::default(),
        protocol,
        ip_version: Some(4),
        local: Some(endpoint(1)),
        remote: Some(endpoint(2)),
        initiator: Initiator::Local,
        flags: FlowFlags::default(),
        start_ns,
        netns_cookie: Some(1),
        netns_inode: Some(2),
        cgroup_id: Some(3),
        owner: Err(observer_core::model::names::OwnerMissing::Unseen),
        ifindex: [2, 2],
        tag: u32::try_from(key.cookie()).unwrap_or(0) % TAGS,
        timing: Timing::default(),
        turns: 0,
    }
}
