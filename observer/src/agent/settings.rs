//! What the agent is told before it starts: its configuration, how to read that again, and what only this run wants.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use observer_core::{
    aggregate::SeriesSettings,
    identify::path::{Declared, Saying},
};

use crate::{
    catalog::Files,
    config::{self, Config, DeclaredPath, Loaded, Source, Sources, Uplink},
    place::{self, Overrides, dmi::Directories},
    probe::{self, device::UplinkSpec},
};

pub struct Settings {
    pub sources: Sources,
    pub loaded: Loaded,
    pub duration: Option<Duration>,
    /// Switch the kernel's program statistics on for as long as the agent runs, and print what things took.
    pub print_run_times: bool,
    /// Print what each tick took. The kernel's statistics stay off: they take time themselves.
    pub print_tick_times: bool,
    pub experiments: Experiments,
    /// The firmware's tables.
    pub firmware: Directories,
}

/// What benchmarks and tests attach besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Experiments {
    pub benchmark: bool,
    pub rivals: bool,
}

impl Settings {
    /// What the probe is told.
    ///
    /// # Errors
    /// Where uplinks are to be found and the kernel's routing tables cannot be read.
    pub fn probe(&self, generation: u32) -> Result<probe::Settings> {
        let config = &self.loaded.config;
        let uplinks = match config.uplinks.is_empty() {
            true => found_uplinks()?,
            false => config.uplinks.iter().map(uplink_spec).collect(),
        };
        Ok(probe::Settings {
            cgroup: config.cgroup.clone(),
            pins: config.pin.clone(),
            uplinks,
            generation,
            limits: probe::Limits {
                udp_flows: config.limits.udp_flows,
                events_bytes: config.limits.events_bytes,
                reads_bytes: config.limits.reads_bytes,
                benchmark: self.experiments.benchmark,
                captures: config.captures,
                requests: config.captures && config.plaintext,
                rivals: self.experiments.rivals,
            },
        })
    }
}

/// What the operator says of paths.
pub fn declared(paths: &[DeclaredPath]) -> Declared {
    let mut declared = Declared::default();
    for path in paths {
        let saying = Saying {
            kind: path.kind,
            elements: path.elements.clone(),
        };
        if let Some(network) = path.cidr {
            declared.to_network(network, &saying);
        }
        if let Some(next_hop) = path.next_hop {
            declared.by_next_hop(next_hop, &saying);
        }
        if let Some(vlan) = path.vlan {
            declared.by_vlan(vlan, &saying);
        }
        if let Some(interface) = &path.interface {
            declared.over_interface(&interface.to_string(), &saying);
        }
    }
    declared
}

/// The files of the catalogue.
pub fn files(config: &Config) -> Files {
    Files {
        table: config.catalog.table.clone(),
        networks: config.catalog.networks.clone(),
        names: config.catalog.names.clone(),
        routes: config.catalog.routes.clone(),
    }
}

/// What the operator says of where this host stands.
pub fn overrides(source: &Source) -> Overrides {
    Overrides {
        cloud: source.cloud.clone(),
        account: source.account.clone(),
        region: source.region.clone(),
        zone: source.zone.clone(),
        instance: source.instance.clone(),
        metadata: match source.metadata {
            config::Metadata::Auto => place::Metadata::Auto,
            config::Metadata::Off => place::Metadata::Off,
        },
    }
}

/// Bounds of what Prometheus is told.
///
/// # Errors
/// Where a limit is too low, or a metric or label is not there.
pub fn series(config: &Config) -> Result<SeriesSettings> {
    let metrics = &config.metrics;
    let series_max = usize::try_from(metrics.series_max).unwrap_or(usize::MAX);
    let settings = SeriesSettings::check(series_max, metrics.idle_expiry, &metrics.labels);
    Ok(SeriesSettings {
        opencost: metrics.opencost,
        contracts: !config.contracts.files.is_empty(),
        ..settings.context("`metrics`")?
    })
}

fn found_uplinks() -> Result<Vec<UplinkSpec>> {
    let found = default_uplinks()?;
    if found.is_empty() {
        eprintln!(
            "observer: no interface here holds a route off the host: flows are counted, no account is kept; name one \
             with `--uplink`, or start again when there is one"
        );
    }
    Ok(found)
}

fn uplink_spec(uplink: &Uplink) -> UplinkSpec {
    UplinkSpec {
        netns: uplink.netns.clone(),
        device: uplink.device.clone(),
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

/// Flags of a route (include/uapi/linux/route.h); a route that refuses has no device.
const GATEWAY: u32 = 2;
const REJECT: u32 = 0x200;

/// `/proc/net/route`: device, destination, gateway, flags, ... in hexadecimal.
fn routed_devices(table: &str) -> impl Iterator<Item = &str> {
    table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(columns.get(3)?, 16).ok()?;
        let is_default = *columns.get(1)? == "00000000" && *columns.get(7)? == "00000000";
        let leads_off = flags & REJECT == 0 && (flags & GATEWAY != 0 || is_default);
        leads_off.then(|| columns[0])
    })
}

/// `/proc/net/ipv6_route`: destination, its length, source, its length, next hop, metric, two counters, flags, device.
fn routed_devices_ipv6(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(columns.get(8)?, 16).ok()?;
        let device = *columns.get(9)?;
        let is_default = *columns.get(1)? == "00";
        let leads_off = flags & REJECT == 0 && (flags & GATEWAY != 0 || is_default);
        (device != "lo" && leads_off).then_some(device)
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
                     *\t00000000\t00000000\t0201\t0\t0\t0\t00000000\n\
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
