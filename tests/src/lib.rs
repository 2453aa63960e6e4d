//! The testbed: hosts in network namespaces of one machine, the links between them, the traffic they exchange and an
//! exact account of what crossed. It knows nothing of the agent that is tested with it.
//!
//! ```no_run
//! use observer_tests::{Meter, Testbed, Wire, capture::View, topology, traffic::TcpTalk};
//!
//! # fn main() -> anyhow::Result<()> {
//! let bed = Testbed::new("example")?;
//! let net = topology::bridged(&bed, &Wire::default())?;
//! let meter = Meter::start(&net.middle, net.far_port, View::Segments)?;
//! TcpTalk::bulk(1_000_000, 0).plan().run(&net.near, &net.far, net.far_address(4, 7000))?;
//! let reading = meter.finish()?;
//! reading.check_exact()?;
//! # Ok(()) }
//! ```

#![expect(
    clippy::cast_possible_truncation,
    reason = "headers, socket options and ring blocks have fields of fixed width, filled with numbers made to fit"
)]
#![expect(clippy::struct_excessive_bools, reason = "plans are lists of switches")]
#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "makers are called alike, whatever their size"
)]

pub mod agent;
pub mod alertmanager;
pub mod capture;
pub mod cgroup;
pub mod classify;
pub mod counters;
mod exit;
pub mod expect;
pub mod gso;
mod host;
pub mod http;
pub mod interrupt;
pub mod links;
pub mod maps;
mod measure;
pub mod metadata;
pub mod mounts;
pub mod namespace;
pub mod observed;
pub mod offload;
pub mod own_cgroup;
pub mod packet;
mod privilege;
mod process;
pub mod prometheus;
pub mod promql;
pub mod pump;
pub mod qdisc;
pub mod scratch;
mod spawn;
pub mod testbed;
pub mod topology;
pub mod traffic;
pub mod tun;
pub mod wire;

pub use classify::Class;
pub use counters::{Counters, quiesce};
pub use host::Host;
pub use measure::{Meter, Reading};
pub use observed::Observed;
pub use packet::{Direction, Packet};
pub use privilege::privileged;
pub use process::Process;
pub use testbed::Testbed;
pub use wire::Wire;
