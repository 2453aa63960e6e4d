//! Ready arrangements of hosts: `direct` (one veth), `bridged` (a bridge between, where bundles are cut and captured)
//! and `tunnelled` (tun devices joined by a pump that sees every packet). It knows no traffic.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::{
    host::Host,
    offload::Offload,
    packet::Packet,
    pump::{Pump, Verdict},
    testbed::Testbed,
    tun::Tun,
    wire::{Wire, veth},
};

/// `near:eth0 = far:eth0`, one veth pair. What near sends as a bundle far receives as a bundle.
#[derive(Debug)]
pub struct Direct {
    pub near: Host,
    pub far: Host,
    pub near_device: &'static str,
    pub far_device: &'static str,
    pub wire: Wire,
}

/// `near:eth0 = to-near:middle:to-far = eth0:far`, a bridge in the middle that adds no packet of its own.
///
/// `to-far` cuts bundles on their way out, so a capture there sees the wire segments of everything near sends, before
/// any loss on the last hop; a capture on `to-near` sees near's bundles, and far's packets as far made them.
#[derive(Debug)]
pub struct Bridged {
    pub near: Host,
    pub middle: Host,
    pub far: Host,
    pub near_device: &'static str,
    pub far_device: &'static str,
    pub near_port: &'static str,
    pub far_port: &'static str,
    pub wire: Wire,
}

/// `near:tun0 = pump = tun0:far`. The pump carries whole bundles with their virtio header, as a hypervisor does: the
/// receiving kernel gets `gso_size` set and `gso_segs` 0.
#[derive(Debug)]
pub struct Tunnelled {
    pub near: Host,
    pub far: Host,
    pub near_device: &'static str,
    pub far_device: &'static str,
    pub pump: Pump,
    pub wire: Wire,
}

macro_rules! addressed {
    ($($name:ident),*) => {$(
        impl $name {
            /// An address of the far host in the first far prefix of that IP version, with `port`.
            #[must_use]
            pub fn far_address(&self, ip_version: u8, port: u16) -> SocketAddr {
                SocketAddr::new(self.wire.far_address(ip_version), port)
            }

            /// The near host's address with `port`.
            #[must_use]
            pub fn near_address(&self, ip_version: u8, port: u16) -> SocketAddr {
                SocketAddr::new(self.wire.near_address(ip_version), port)
            }

            /// The far host's address on the link itself.
            #[must_use]
            pub fn gateway(&self, ip_version: u8) -> IpAddr {
                if ip_version == 4 { self.wire.gateway_v4.into() } else { self.wire.gateway_v6.into() }
            }
        }
    )*};
}

addressed!(Direct, Bridged, Tunnelled);

/// Makes the `direct` arrangement.
pub fn direct(bed: &Testbed, wire: &Wire) -> Result<Direct> {
    let (near, far) = (bed.host("near")?, bed.host("far")?);
    veth((&near, "eth0"), (&far, "eth0"), wire.mtu_bytes)?;
    near.offload("eth0", wire.near_offload)?;
    far.offload("eth0", wire.far_offload)?;
    wire.address((&near, "eth0"), (&far, "eth0"), true)?;
    Ok(Direct {
        near,
        far,
        near_device: "eth0",
        far_device: "eth0",
        wire: wire.clone(),
    })
}

/// Makes the `bridged` arrangement.
pub fn bridged(bed: &Testbed, wire: &Wire) -> Result<Bridged> {
    let (near, middle, far) = (bed.host("near")?, bed.host("middle")?, bed.host("far")?);
    middle.without_ipv6()?;
    middle.ip(&[
        "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set bridge up",
    ])?;
    // Present where br_netfilter is built in: bridged packets shall meet no IP code.
    for family in ["ip", "ip6", "arp"] {
        let _ = middle.sysctl(&format!("net/bridge/bridge-nf-call-{family}tables"), "0");
    }
    veth((&near, "eth0"), (&middle, "to-near"), wire.mtu_bytes)?;
    veth((&far, "eth0"), (&middle, "to-far"), wire.mtu_bytes)?;
    middle.ip(&[
        "link set to-near master bridge",
        "link set to-far master bridge",
    ])?;
    near.offload("eth0", wire.near_offload)?;
    far.offload("eth0", wire.far_offload)?;
    middle.offload("to-near", Offload::DEFAULT)?;
    middle.offload("to-far", Offload::OFF)?;
    wire.address((&near, "eth0"), (&far, "eth0"), true)?;
    Ok(Bridged {
        near,
        middle,
        far,
        near_device: "eth0",
        far_device: "eth0",
        near_port: "to-near",
        far_port: "to-far",
        wire: wire.clone(),
    })
}

/// Makes the `tunnelled` arrangement; `judge` sees every packet and says whether it is carried.
pub fn tunnelled(
    bed: &Testbed,
    wire: &Wire,
    judge: impl FnMut(&Packet) -> Verdict + Send + 'static,
) -> Result<Tunnelled> {
    let (near, far) = (bed.host("near")?, bed.host("far")?);
    let near_tun = Tun::open(&near, "tun0", wire.near_offload.segmentation)?;
    let far_tun = Tun::open(&far, "tun0", wire.far_offload.segmentation)?;
    let pump = Pump::start(near_tun, far_tun, judge)?;
    wire.address((&near, "tun0"), (&far, "tun0"), false)?;
    Ok(Tunnelled {
        near,
        far,
        near_device: "tun0",
        far_device: "tun0",
        pump,
        wire: wire.clone(),
    })
}
