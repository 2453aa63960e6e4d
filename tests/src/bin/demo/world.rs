//! The demo's network: a workload host behind one uplink, a router, and a host for each place with the addresses of its
//! services alone. There is no other route, on any of them. It knows no traffic.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use observer_tests::{Host, Testbed, wire::veth};

use crate::places::{PLACES, SERVICES};

/// The workload's device.
pub const UPLINK: &str = "eth0";

const MTU_BYTES: u32 = 1500;
const WORKLOAD: &str = "10.0.0.2/24";
const WORKLOAD_NETWORK: &str = "10.0.0.0/24";
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// `workload:eth0 = router = eth0` of each place.
pub struct World {
    pub workload: Host,
    /// In the order of [`PLACES`].
    pub places: Vec<Host>,
    _router: Host,
}

impl World {
    /// `addresses` are those of [`SERVICES`].
    pub fn build(bed: &Testbed, addresses: &[Ipv4Addr]) -> Result<Self> {
        let (workload, router) = (bed.host("workload")?, bed.host("router")?);
        router.forward()?;
        veth((&workload, UPLINK), (&router, "lan"), MTU_BYTES)?;
        workload.ip(&[&format!("addr add {WORKLOAD} dev {UPLINK}")])?;
        router.ip(&[&format!("addr add {GATEWAY}/24 dev lan")])?;
        let places = PLACES
            .iter()
            .zip(0..)
            .map(|(place, index)| join(bed, &router, place.name, index))
            .collect::<Result<Vec<_>>>()?;
        for (service, address) in SERVICES.iter().zip(addresses) {
            let (port, link) = (port(service.place), link(service.place)?);
            let network = format!("{address}/32");
            places[service.place].own_prefix(&network)?;
            router.route(&network, link.1.into(), &port)?;
            workload.route(&network, GATEWAY.into(), UPLINK)?;
        }
        Ok(Self {
            workload,
            places,
            _router: router,
        })
    }
}

fn join(bed: &Testbed, router: &Host, name: &str, index: usize) -> Result<Host> {
    let host = bed.host(name)?;
    let (port, (near, far)) = (port(index), link(index)?);
    veth((router, &port), (&host, "eth0"), MTU_BYTES)?;
    router.ip(&[&format!("addr add {near}/30 dev {port}")])?;
    host.ip(&[&format!("addr add {far}/30 dev eth0")])?;
    host.route(WORKLOAD_NETWORK, near.into(), "eth0")?;
    Ok(host)
}

fn port(index: usize) -> String {
    format!("wan{index}")
}

/// The router's and the place's end of their link, in a network that is for examples only (RFC 5737).
fn link(index: usize) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let first =
        u8::try_from(index * 4).context("more places than the example network has links")?;
    let end = |last| Ipv4Addr::new(192, 0, 2, last);
    Ok((end(first + 1), end(first + 2)))
}
