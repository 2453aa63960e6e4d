//! Question: what leaves and enters a device, and which of it did no socket hook see?
//!
//! Hook: TC at the head of each uplink, egress and ingress (TCX 6.6, else clsact 4.5). Context: egress after IP output and
//! before the queue; ingress before IP. One entry point an uplink, so that each knows its row without a lookup.
//! Cannot see: what the queue or the driver drops afterwards. Always hands on to the next program.

use observer_ebpf::{
    abi::{Home, Lost, UplinkTotals},
    account::{Sender, fragment_bytes, home_at_uplink},
    packet::{Headers, Packet, Size, headers, protocol, size, usual_headers},
};

use super::{
    maps::{UPLINK_CONFIGS, UPLINK_TOTALS, lose, requests_hooked, tag},
    platform::{__sk_buff, TcContext},
    skb::{Direction, LinkSkb, address, full_socket},
    slot::{self, add_to_slot},
};

/// Go on with the next program, else pass (TC_ACT_UNSPEC, TCX_NEXT).
const NEXT: i32 = -1;

const ETH_P_IP: u32 = 0x0800u16.to_be() as u32;
const ETH_P_IPV6: u32 = 0x86ddu16.to_be() as u32;

const TCP_TIME_WAIT: u32 = 6;
const TCP_NEW_SYN_RECV: u32 = 12;

/// Smallest payload of an Ethernet frame: what is shorter is padded.
const ETHERNET_PAYLOAD_MIN: u32 = 46;

macro_rules! uplink_programs {
    ($($index:literal $egress:ident $ingress:ident),* $(,)?) => {
        $(
            #[cfg_attr(target_arch = "bpf", aya_ebpf::macros::classifier)]
            pub fn $egress(ctx: TcContext) -> i32 {
                leave(ctx.skb.skb, $index);
                NEXT
            }

            #[cfg_attr(target_arch = "bpf", aya_ebpf::macros::classifier)]
            pub fn $ingress(ctx: TcContext) -> i32 {
                enter(ctx.skb.skb, $index);
                NEXT
            }
        )*
    };
}

uplink_programs! {
    0 uplink0_egress uplink0_ingress,
    1 uplink1_egress uplink1_ingress,
    2 uplink2_egress uplink2_ingress,
    3 uplink3_egress uplink3_ingress,
    4 uplink4_egress uplink4_ingress,
    5 uplink5_egress uplink5_ingress,
    6 uplink6_egress uplink6_ingress,
    7 uplink7_egress uplink7_ingress,
}

#[inline(always)]
fn leave(skb: *mut __sk_buff, index: u32) {
    let Some(config) = UPLINK_CONFIGS.get(index) else {
        return;
    };
    let Some(totals) = UPLINK_TOTALS.get_ptr_mut(index) else {
        return;
    };
    let packet = LinkSkb {
        skb,
        link_header: config.link_header,
    };
    let Some((headers, size)) = read(&packet) else {
        not_ip(totals, &packet, index, Direction::Egress);
        return;
    };
    let size = if headers.protocol == protocol::UDP && config.cuts_udp != 0 {
        size.cut()
    } else {
        size
    };
    pass(totals, &size, Direction::Egress);
    let extra = fragment_bytes(&headers);
    if extra != 0 {
        let headers_only = Aside::headers_only(
            index,
            Home::FragmentHeaders,
            Direction::Egress,
            headers.ip_version,
            extra,
        );
        aside(&packet, &headers_only);
    }
    let rest = Size {
        device_bytes: size.device_bytes.saturating_sub(extra),
        // A later fragment is no packet of its own where the hook counted the whole datagram.
        packets: if headers.later_fragment {
            0
        } else {
            size.packets
        },
        ..size
    };
    match home_at_uplink(sender(skb, headers.ip_version), &headers) {
        None => {
            // SAFETY: `totals` is a live map value.
            unsafe {
                (*totals).hooked_device_bytes += rest.device_bytes;
                (*totals).hooked_bundled_bytes += rest.bundled_bytes;
            }
        }
        Some(home) => {
            let ip_version = headers.ip_version;
            aside(
                &packet,
                &Aside {
                    uplink: index + 1,
                    home,
                    at: 0,
                    ip_version,
                    size: rest,
                },
            );
        }
    }
}

#[inline(always)]
fn enter(skb: *mut __sk_buff, index: u32) {
    let Some(config) = UPLINK_CONFIGS.get(index) else {
        return;
    };
    let Some(totals) = UPLINK_TOTALS.get_ptr_mut(index) else {
        return;
    };
    let packet = LinkSkb {
        skb,
        link_header: config.link_header,
    };
    let Some((headers, size)) = read(&packet) else {
        not_ip(totals, &packet, index, Direction::Ingress);
        return;
    };
    pass(totals, &size, Direction::Ingress);
    let extra = fragment_bytes(&headers);
    if extra != 0 {
        let headers_only = Aside::headers_only(
            index,
            Home::FragmentHeaders,
            Direction::Ingress,
            headers.ip_version,
            extra,
        );
        aside(&packet, &headers_only);
    }
    let padding = padding(&packet, &headers);
    if padding != 0 {
        let bytes = u64::from(padding);
        aside(
            &packet,
            &Aside::headers_only(
                index,
                Home::NonIp,
                Direction::Ingress,
                headers.ip_version,
                bytes,
            ),
        );
    }
}

/// Headers and sizes of an IP packet; an IP packet whose headers cannot be read counts as it stands.
#[inline(always)]
fn read(packet: &LinkSkb) -> Option<(Headers, Size)> {
    // SAFETY: the context is valid while the program runs.
    let ethertype = unsafe { (*packet.skb).protocol };
    if ethertype != ETH_P_IP && ethertype != ETH_P_IPV6 {
        return None;
    }
    let headers = usual_headers(packet)
        .or_else(|| headers(packet))
        .unwrap_or_else(|| {
            lose(Lost::Headers);
            Headers {
                ip_version: if ethertype == ETH_P_IP { 4 } else { 6 },
                ..Headers::default()
            }
        });
    Some((headers, size(packet, headers.bytes())))
}

#[inline(always)]
fn sender(skb: *mut __sk_buff, ip_version: u8) -> Sender {
    // SAFETY: the verifier checks the context field and the null test.
    unsafe {
        let sk = (*skb).__bindgen_anon_2.sk;
        if sk.is_null() {
            return Sender::None {
                forwarded: (*skb).ingress_ifindex != 0,
            };
        }
        match (*sk).state {
            TCP_TIME_WAIT => return Sender::TimeWait,
            TCP_NEW_SYN_RECV => {
                return Sender::Request {
                    hooked: requests_hooked(ip_version),
                };
            }
            _ => {}
        }
        let Some(full) = full_socket(skb) else {
            return Sender::None { forwarded: false };
        };
        Sender::Full {
            family: (*full).family,
            kind: (*full).type_,
            protocol: (*full).protocol,
            source_port: (*full).src_port,
        }
    }
}

/// TC runs with softirqs off, so nothing else writes this CPU's row meanwhile: plain adds suffice.
#[inline(always)]
fn pass(totals: *mut UplinkTotals, size: &Size, direction: Direction) {
    let at = direction.index();
    // SAFETY: `totals` is a live map value; the index is 0 or 1.
    unsafe {
        (*totals).device_bytes[at] += size.device_bytes;
        (*totals).bundled_bytes[at] += size.bundled_bytes;
        (*totals).frames[at] += 1;
    }
}

#[inline(never)]
fn not_ip(totals: *mut UplinkTotals, packet: &LinkSkb, index: u32, direction: Direction) -> u64 {
    let bytes = u64::from(packet.length());
    let size = Size {
        device_bytes: bytes,
        bundled_bytes: 0,
        payload_bytes: 0,
        packets: 1,
    };
    pass(totals, &size, direction);
    let slot = slot::slot(index + 1, Home::NonIp as u32, observer_ebpf::abi::TAG_NONE);
    add_to_slot(slot, direction.index() as u32, &size, 0, 0);
    0
}

/// Bytes of one uplink that are in no flow.
struct Aside {
    uplink: u32,
    home: Home,
    /// [`Direction::index`], as a number whose bound the verifier can follow.
    at: u32,
    ip_version: u8,
    size: Size,
}

impl Aside {
    #[inline(always)]
    const fn headers_only(
        index: u32,
        home: Home,
        direction: Direction,
        ip_version: u8,
        bytes: u64,
    ) -> Self {
        let size = Size {
            device_bytes: bytes,
            bundled_bytes: 0,
            payload_bytes: 0,
            packets: 0,
        };
        Self {
            uplink: index + 1,
            home,
            at: direction.index() as u32,
            ip_version,
            size,
        }
    }
}

/// Counts bytes that are in no flow, by the destination in the packet's headers.
#[inline(never)]
fn aside(packet: &LinkSkb, aside: &Aside) -> u64 {
    let remote = address(packet, aside.ip_version, aside.at != 0);
    let slot = slot::slot(aside.uplink, aside.home as u32, tag(remote));
    add_to_slot(slot, aside.at, &aside.size, aside.size.payload_bytes, 0);
    0
}

/// Link-layer padding behind a short IP packet, which IP takes off before any socket sees it.
#[inline(always)]
fn padding(packet: &LinkSkb, headers: &Headers) -> u32 {
    let length = packet.length();
    if length > ETHERNET_PAYLOAD_MIN {
        return 0;
    }
    let ip_length = if headers.ip_version == 4 {
        packet
            .at::<2>(2)
            .map(|bytes| u32::from(u16::from_be_bytes(bytes)))
    } else {
        packet
            .at::<2>(4)
            .map(|bytes| u32::from(u16::from_be_bytes(bytes)) + 40)
    };
    length.saturating_sub(ip_length.unwrap_or(length))
}
