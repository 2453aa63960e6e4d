//! Traffic whose truth is known: each maker plays a client and a server, in a thread of this process or in a process
//! of its own, and declares what it sent and received. It captures nothing and counts no headers.

mod abort;
mod icmp;
mod refused;
mod run;
mod socket;
mod stage;
mod tcp;
mod udp;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use self::{
    abort::{Abort, TcpAbort},
    icmp::IcmpEcho,
    refused::Refused,
    run::{Actor, Outcome, Running},
    socket::ExtraHeader,
    stage::{Event, Stage, StdioStage},
    tcp::{Pause, TcpTalk},
    udp::UdpTalk,
};

/// The `traffic` program: `OBSERVER_TESTS_TRAFFIC` where tests run away from the place they were built at (a guest),
/// else `built`, which an integration test gives as `env!("CARGO_BIN_EXE_traffic")`.
#[must_use]
pub fn program(built: &str) -> PathBuf {
    std::env::var_os("OBSERVER_TESTS_TRAFFIC").map_or_else(|| built.into(), PathBuf::from)
}

/// A maker with its parameters; as JSON it is what the `traffic` program takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum Plan {
    TcpTalk(TcpTalk),
    TcpAbort(TcpAbort),
    Refused(Refused),
    UdpTalk(UdpTalk),
    IcmpEcho(IcmpEcho),
}

/// Which end of a connection does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Client,
    Server,
}

/// Where the two ends meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    pub server: SocketAddr,
    /// Source address of the client; without it the route decides.
    pub client: Option<IpAddr>,
}

impl From<SocketAddr> for Ends {
    fn from(server: SocketAddr) -> Self {
        Self {
            server,
            client: None,
        }
    }
}

impl Ends {
    /// With the client bound to `address`, one of its host's own.
    #[must_use]
    pub fn from_address(self, address: IpAddr) -> Self {
        Self {
            client: Some(address),
            ..self
        }
    }
}

/// What one end did, by its own system calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    pub pid: u32,
    /// Of the thread that made the sockets.
    pub comm: String,
    /// Taken by the kernel for sending.
    pub payload_bytes_sent: u64,
    /// Read by the application; unread data is not in it.
    pub payload_bytes_received: u64,
    /// Datagrams that UDP sends become (a send with UDP_SEGMENT is several), ICMP echo requests, or TCP writes.
    pub messages_sent: u64,
    /// Datagrams or echo replies; for TCP, whole messages read.
    pub messages_received: u64,
    pub connections: u64,
    pub resets: u64,
    pub refused: u64,
    /// Different remote endpoints (address and port) that were sent to.
    pub remotes: u64,
    /// Local endpoints, the first [`LOCALS_MAX`].
    pub locals: Vec<SocketAddr>,
}

/// Local endpoints kept in a [`Truth`].
pub const LOCALS_MAX: usize = 64;

impl Truth {
    fn begin() -> Self {
        let comm = fs::read_to_string("/proc/thread-self/comm")
            .unwrap_or_default()
            .trim_end()
            .to_owned();
        Self {
            pid: std::process::id(),
            comm,
            ..Self::default()
        }
    }

    fn note_local(&mut self, address: SocketAddr) {
        if self.locals.len() < LOCALS_MAX {
            self.locals.push(address);
        }
    }
}

impl Plan {
    /// Plays the client in the namespace of the calling thread.
    pub fn client(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        match self {
            Self::TcpTalk(talk) => talk.client(ends, stage),
            Self::TcpAbort(abort) => abort.client(ends),
            Self::Refused(refused) => refused.client(ends),
            Self::UdpTalk(talk) => talk.client(ends, stage),
            Self::IcmpEcho(echo) => echo.client(ends),
        }
    }

    /// Plays the server in the namespace of the calling thread; says when the client may start.
    pub fn server(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        match self {
            Self::TcpTalk(talk) => talk.server(ends, stage),
            Self::TcpAbort(abort) => abort.server(ends, stage),
            Self::UdpTalk(talk) => talk.server(ends, stage),
            // The kernel is the server.
            Self::Refused(_) | Self::IcmpEcho(_) => {
                stage.ready()?;
                Ok(Truth::begin())
            }
        }
    }
}

macro_rules! plans {
    ($($maker:ident),*) => {$(
        impl $maker {
            #[must_use]
            pub fn plan(self) -> Plan {
                Plan::$maker(self)
            }
        }
    )*};
}

plans!(TcpTalk, TcpAbort, Refused, UdpTalk, IcmpEcho);
