//! What the agent is told before it starts, parsed and complete.

use std::{convert::Infallible, fs, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    place::{Overrides, dmi::Directories},
    probe::{self, device::UplinkSpec},
};

/// Where pins go unless the operator says otherwise.
pub const PINS: &str = "/sys/fs/bpf/observer";

pub struct Settings {
    pub flows: Option<Destination>,
    pub listen: Option<SocketAddr>,
    /// TLS and authentication of what is served.
    pub web_config: Option<PathBuf>,
    /// Serve in plain text off loopback too.
    pub listen_plain: bool,
    pub duration: Option<Duration>,
    pub tick: Duration,
    pub host: Option<String>,
    pub cluster: Option<String>,
    /// What the operator says of where this host stands.
    pub source: Overrides,
    pub firmware: Directories,
    /// Switch the kernel's program statistics on for as long as the agent runs, and print what things took.
    pub print_run_times: bool,
    /// Print what each tick took. The kernel's statistics stay off: they take time themselves.
    pub print_tick_times: bool,
    pub probe: probe::Settings,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" {
            Self::Stdout
        } else {
            Self::File(PathBuf::from(text))
        })
    }
}

/// The interfaces of this namespace that hold a route off the host: a route with a gateway, or a default route.
///
/// # Errors
/// Where the kernel's routing tables cannot be read.
pub fn default_uplinks() -> Result<Vec<UplinkSpec>> {
    let ipv4 = fs::read_to_string("/proc/self/net/route").context("read `/proc/self/net/route`")?;
    // A kernel without IPv6 has no such table.
    let ipv6 = fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
    let mut devices: Vec<&str> = routed_devices(&ipv4)
        .chain(routed_devices_ipv6(&ipv6))
        .collect();
    devices.sort_unstable();
    devices.dedup();
    Ok(devices
        .into_iter()
        .map(|device| UplinkSpec {
            netns: None,
            device: device.to_owned(),
        })
        .collect())
}

const GATEWAY: u32 = 2;

/// `/proc/net/route`: device, destination, gateway, flags, ... in hexadecimal.
fn routed_devices(table: &str) -> impl Iterator<Item = &str> {
    table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(columns.get(3)?, 16).ok()?;
        let is_default = *columns.get(1)? == "00000000" && *columns.get(7)? == "00000000";
        (flags & GATEWAY != 0 || is_default).then(|| columns[0])
    })
}

/// `/proc/net/ipv6_route`: destination, its length, source, its length, next hop, metric, two counters, flags, device.
fn routed_devices_ipv6(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(columns.get(8)?, 16).ok()?;
        let device = *columns.get(9)?;
        let is_default = *columns.get(1)? == "00";
        (device != "lo" && (flags & GATEWAY != 0 || is_default)).then_some(device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_off_the_host_name_the_uplinks() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\n\
                     docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
                     ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\n";
        assert_eq!(routed_devices(table).collect::<Vec<_>>(), ["eth0", "ppp0"]);
        let zero = "0".repeat(32);
        let table = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth1\n\
             fe80000000000000 40 {zero} 00 {zero} 00000100 1 0 00000001 eth2\n\
             {zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"
        );
        assert_eq!(routed_devices_ipv6(&table).collect::<Vec<_>>(), ["eth1"]);
        assert_eq!(routed_devices("").count(), 0);
    }
}
