//! What a link between two hosts looks like: MTU, offloads, addresses, the prefixes behind the far end; and the veth
//! pair that carries it. It knows no topology.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use ipnet::IpNet;

use crate::{host::Host, offload::Offload};

/// The link between the near host (the one under test) and the far one (the rest of the world). There is no default
/// route: what is not named here is unreachable.
#[derive(Clone, Debug)]
pub struct Wire {
    pub mtu_bytes: u32,
    pub near_offload: Offload,
    pub far_offload: Offload,
    /// Addresses of the near device with their prefix length; the far end has [`Wire::gateway_v4`] and `_v6` in them.
    pub near_v4: IpNet,
    pub near_v6: IpNet,
    pub gateway_v4: Ipv4Addr,
    pub gateway_v6: Ipv6Addr,
    /// Ranges that the far host answers for as a whole and that the near host reaches through the gateway. The first
    /// usable address of each (network + 10) is what [`Wire::far_address`] gives.
    pub far_prefixes: Vec<IpNet>,
}

impl Default for Wire {
    /// MTU 1500, near as the kernel makes a veth, far without offloads; a workload at 10.0.0.2 and fd00:0:0:10::2, and
    /// behind the gateway ranges as clouds own them.
    fn default() -> Self {
        let v4 =
            |a, b, c, d, length| IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length);
        let v6 = |a, b, c, d, h, length| {
            IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, h)), length)
        };
        Self {
            mtu_bytes: 1500,
            near_offload: Offload::DEFAULT,
            far_offload: Offload::OFF,
            near_v4: v4(10, 0, 0, 2, 24),
            near_v6: v6(0xfd00, 0, 0, 0x10, 2, 64),
            gateway_v4: Ipv4Addr::new(10, 0, 0, 1),
            gateway_v6: Ipv6Addr::new(0xfd00, 0, 0, 0x10, 0, 0, 0, 1),
            far_prefixes: vec![
                v4(52, 94, 0, 0, 16),
                v4(20, 42, 0, 0, 16),
                v6(0x2600, 0x1f18, 0, 0, 0, 32),
                v6(0x2603, 0x1030, 0, 0, 0, 32),
            ],
        }
    }
}

impl Wire {
    /// An address of the far host: network + 10 of the first far prefix of that IP version.
    ///
    /// # Panics
    /// When the wire has no such prefix.
    #[must_use]
    pub fn far_address(&self, ip_version: u8) -> IpAddr {
        let prefix = self
            .far_prefixes
            .iter()
            .find(|prefix| prefix.addr().is_ipv4() == (ip_version == 4));
        match prefix
            .expect("the wire has a far prefix of this ip version")
            .network()
        {
            IpAddr::V4(network) => IpAddr::V4(Ipv4Addr::from(u32::from(network) + 10)),
            IpAddr::V6(network) => IpAddr::V6(Ipv6Addr::from(u128::from(network) + 10)),
        }
    }

    /// The address of the near host.
    #[must_use]
    pub fn near_address(&self, ip_version: u8) -> IpAddr {
        if ip_version == 4 {
            self.near_v4.addr()
        } else {
            self.near_v6.addr()
        }
    }

    /// Addresses the two ends and routes between them. `has_neighbours` is false for tun, where the device alone is
    /// the way.
    pub(crate) fn address(
        &self,
        near: (&Host, &str),
        far: (&Host, &str),
        has_neighbours: bool,
    ) -> Result<()> {
        let ((near, near_device), (far, far_device)) = (near, far);
        let mut near_commands = vec![
            format!("addr add {} dev {near_device}", self.near_v4),
            format!("addr add {} dev {near_device} nodad", self.near_v6),
            format!("link set {near_device} mtu {} up", self.mtu_bytes),
        ];
        let mut far_commands = vec![
            format!(
                "addr add {}/{} dev {far_device}",
                self.gateway_v4,
                self.near_v4.prefix_len()
            ),
            format!(
                "addr add {}/{} dev {far_device} nodad",
                self.gateway_v6,
                self.near_v6.prefix_len()
            ),
            format!("link set {far_device} mtu {} up", self.mtu_bytes),
        ];
        for prefix in &self.far_prefixes {
            let gateway = match (has_neighbours, prefix) {
                (false, _) => String::new(),
                (true, IpNet::V4(_)) => format!("via {} ", self.gateway_v4),
                (true, IpNet::V6(_)) => format!("via {} ", self.gateway_v6),
            };
            near_commands.push(format!("route add {prefix} {gateway}dev {near_device}"));
            far_commands.push(format!("route add local {prefix} dev lo"));
        }
        near.ip_batch(&near_commands.join("\n"))?;
        far.ip_batch(&far_commands.join("\n"))
    }
}

/// Joins two hosts by a veth pair, up but without addresses.
pub fn veth(a: (&Host, &str), b: (&Host, &str), mtu_bytes: u32) -> Result<()> {
    let ((host_a, device_a), (host_b, device_b)) = (a, b);
    let other = host_b.namespace().path().display();
    host_a.ip(&[
        &format!(
            "link add {device_a} mtu {mtu_bytes} type veth peer name {device_b} mtu {mtu_bytes} netns {other}"
        ),
        &format!("link set {device_a} up"),
    ])?;
    host_b.ip(&[&format!("link set {device_b} up")])
}
