//! The demo's world: a workload host behind one uplink, a router, a host for each cloud with addresses that the shipped
//! address table knows, and the scenes played there. It prints nothing.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use observer_tests::{
    Host, Testbed,
    traffic::{Actor, Ends, IcmpEcho, Plan, Refused, Running, Side, TcpTalk, UdpTalk},
    wire::veth,
};
use serde_json::Value;

/// The workload's device.
pub const UPLINK: &str = "eth0";

const MTU_BYTES: u32 = 1500;
const WORKLOAD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const GATEWAY: &str = "10.0.0.1";

/// Who is behind a prefix, as `observer classify` must say too.
struct Place {
    name: &'static str,
    prefix: &'static str,
    server: Ipv4Addr,
    /// Field and value of the classification.
    expected: &'static [(&'static str, &'static str)],
}

const AWS: usize = 0;
const AZURE: usize = 1;
const GCP: usize = 2;
const CLOUDFLARE: usize = 3;

const PLACES: [Place; 4] = [
    Place {
        name: "aws",
        prefix: "52.216.0.0/15",
        server: Ipv4Addr::new(52, 216, 0, 10),
        expected: &[("cloud", "aws"), ("region", "us-east-1")],
    },
    Place {
        name: "azure",
        prefix: "20.42.0.0/17",
        server: Ipv4Addr::new(20, 42, 0, 10),
        expected: &[("cloud", "azure"), ("region", "eastus")],
    },
    Place {
        name: "gcp",
        prefix: "34.121.0.0/16",
        server: Ipv4Addr::new(34, 121, 0, 10),
        expected: &[("cloud", "gcp"), ("region", "us-central1")],
    },
    Place {
        name: "cloudflare",
        prefix: "104.16.0.0/13",
        server: Ipv4Addr::new(104, 16, 0, 10),
        expected: &[("front", "cloudflare")],
    },
];

/// Fails where the address table that the agent embeds does not know a place as the demo calls it.
pub fn check_places(executable: &Path) -> Result<()> {
    for place in &PLACES {
        let address = place.server.to_string();
        let output = Command::new(executable)
            .args(["classify", "--output", "json", &address])
            .output()
            .with_context(|| format!("cannot run `{}`", executable.display()))?;
        let found: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("what `observer classify {address}` printed"))?;
        for (field, expected) in place.expected {
            ensure!(
                found[field] == *expected,
                "`{address}` is not in {field} `{expected}` any more: `observer classify` says {}",
                found[field]
            );
        }
    }
    Ok(())
}

/// `workload:eth0 = router = eth0` of each cloud; and a host with nothing but loopback, where the agent serves.
pub struct World {
    pub workload: Host,
    pub agent: Host,
    clouds: Vec<Host>,
    _router: Host,
}

impl World {
    pub fn build(bed: &Testbed) -> Result<Self> {
        let (workload, router, agent) = (
            bed.host("workload")?,
            bed.host("router")?,
            bed.host("agent")?,
        );
        router.forward()?;
        veth((&workload, UPLINK), (&router, "lan"), MTU_BYTES)?;
        workload.ip(&[&format!("addr add {WORKLOAD}/24 dev {UPLINK}")])?;
        router.ip(&[&format!("addr add {GATEWAY}/24 dev lan")])?;
        let clouds = PLACES
            .iter()
            .zip(0..)
            .map(|(place, index)| join(bed, &workload, &router, index, place))
            .collect::<Result<_>>()?;
        Ok(Self {
            workload,
            agent,
            clouds,
            _router: router,
        })
    }
}

fn join(bed: &Testbed, workload: &Host, router: &Host, index: u8, place: &Place) -> Result<Host> {
    let cloud = bed.host(place.name)?;
    let port = format!("wan{index}");
    let (near, far) = (
        Ipv4Addr::new(192, 0, 2, 4 * index + 1),
        Ipv4Addr::new(192, 0, 2, 4 * index + 2),
    );
    veth((router, &port), (&cloud, "eth0"), MTU_BYTES)?;
    router.ip(&[&format!("addr add {near}/30 dev {port}")])?;
    cloud.ip(&[&format!("addr add {far}/30 dev eth0")])?;
    cloud.own_prefix(place.prefix)?;
    cloud.route("10.0.0.0/24", near.into(), "eth0")?;
    router.route(place.prefix, far.into(), &port)?;
    let gateway: Ipv4Addr = GATEWAY.parse().context("the gateway's address")?;
    workload.route(place.prefix, gateway.into(), UPLINK)?;
    Ok(cloud)
}

/// One process on the workload host and what it does.
pub struct Scene {
    pub comm: &'static str,
    pub what: &'static str,
    place: usize,
    port: u16,
    plan: Plan,
    /// The far end is the client.
    is_served_here: bool,
}

/// In the order in which they are played.
#[expect(clippy::too_many_lines, reason = "one table")]
pub fn scenes() -> Vec<Scene> {
    let scene = |comm, what, place, port, plan| Scene {
        comm,
        what,
        place,
        port,
        plan,
        is_served_here: false,
    };
    let chat = TcpTalk {
        connections: 20,
        rounds: 10,
        request_bytes: 2_000,
        response_bytes: 12_000,
        ..TcpTalk::short(1, Side::Client)
    };
    let metrics = UdpTalk {
        replies: true,
        ..UdpTalk::datagrams(500, 400)
    };
    vec![
        scene(
            "backup",
            "40 MB to aws us-east-1, one connection",
            AWS,
            443,
            TcpTalk::bulk(40_000_000, 2_000).plan(),
        ),
        scene(
            "chat",
            "200 requests to azure eastus, 20 connections",
            AZURE,
            443,
            chat.plan(),
        ),
        scene(
            "sync",
            "10 MB from azure eastus, one connection",
            AZURE,
            8443,
            TcpTalk::bulk(20_000, 10_000_000).plan(),
        ),
        scene(
            "metrics",
            "500 datagrams to gcp us-central1, answered",
            GCP,
            8125,
            metrics.plan(),
        ),
        scene(
            "crawler",
            "300 short connections to a Cloudflare front",
            CLOUDFLARE,
            443,
            TcpTalk::short(300, Side::Server).plan(),
        ),
        scene(
            "prober",
            "5 connections refused by aws us-east-1",
            AWS,
            9999,
            Refused::tcp(5).plan(),
        ),
        scene(
            "ping",
            "5 echo requests to gcp us-central1",
            GCP,
            0,
            IcmpEcho {
                count: 5,
                payload_bytes: 56,
            }
            .plan(),
        ),
        Scene {
            is_served_here: true,
            ..scene(
                "web",
                "100 requests from a Cloudflare front, served here",
                CLOUDFLARE,
                8080,
                TcpTalk::short(100, Side::Client).plan(),
            )
        },
    ]
}

impl Scene {
    /// Starts both ends, each a process of its own.
    pub fn start(&self, world: &World, traffic: &Path) -> Result<Running> {
        let (place, cloud) = (&PLACES[self.place], &world.clouds[self.place]);
        let here = Actor::process(&world.workload, traffic, self.comm);
        let there = Actor::process(cloud, traffic, place.name);
        let running = if self.is_served_here {
            // From an address of the place: the workload has no way back to the cloud's own link.
            let ends = Ends::from(SocketAddr::from((WORKLOAD, self.port)));
            self.plan
                .start(there, here, ends.from_address(place.server.into()))
        } else {
            self.plan
                .start(here, there, SocketAddr::from((place.server, self.port)))
        };
        running.with_context(|| format!("`{}` did not start", self.comm))
    }
}
