//! Very many sockets, held by several processes: one process may have only so many open files. Each is this program
//! again, and sends on all its sockets when it is told to. It knows no agent.

use std::{
    io::BufRead as _,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit};
use observer_tests::Process;

use crate::ends::Ends;

/// Ephemeral ports of one address are fewer than the sockets.
const SOCKETS_PER_ADDRESS: usize = 20_000;
/// Files of a holder besides its sockets.
const OTHER_FILES: u64 = 50;
/// Where the sockets send to: nobody has the address, and the far host drops what is not its own.
const NOWHERE: &str = "198.18.0.0/24";
const OWN: &str = "10.9.0.0/24";

/// Sockets of the near host, connected to an address that answers nothing.
pub struct Held(Vec<Process>);

impl Held {
    /// Opens `count` sockets.
    pub fn open(ends: &Ends, count: usize) -> Result<Self> {
        let near = &ends.net.near;
        near.sysctl("net.ipv4.ip_local_port_range", "10000 65000")?;
        near.route(NOWHERE, ends.net.gateway(4), ends.net.near_device)?;
        near.own_prefix(OWN)?;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let each = usize::try_from(most.saturating_sub(OTHER_FILES))?.clamp(1, SOCKETS_PER_ADDRESS);
        let program = std::env::current_exe()?;
        let mut holders = (0..count.div_ceil(each))
            .map(|index| {
                let count = each.min(count - index * each);
                near.spawn(holder(&program, index, count))
            })
            .collect::<Result<Vec<_>>>()?;
        for holder in &mut holders {
            expect(holder, "open")?;
        }
        Ok(Self(holders))
    }

    /// Sends one datagram on each.
    pub fn send(&mut self) -> Result<()> {
        for holder in &mut self.0 {
            holder.write_line("send")?;
        }
        self.0
            .iter_mut()
            .try_for_each(|holder| expect(holder, "sent"))
    }
}

fn holder(program: &Path, index: usize, count: usize) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--hold", &index.to_string(), &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

fn expect(holder: &mut Process, word: &str) -> Result<()> {
    let said = holder.read_line()?;
    ensure!(
        said == word,
        "a holder of sockets said `{said}` for `{word}`"
    );
    Ok(())
}

/// The holder itself: ends with its standard input.
pub fn hold(index: usize, count: usize) -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let address = Ipv4Addr::new(10, 9, 0, u8::try_from(index + 1)?);
    let sockets = (0..count)
        .map(|number| {
            let socket = UdpSocket::bind((address, 0))
                .with_context(|| format!("cannot open socket {number} of {count}"))?;
            socket.connect((Ipv4Addr::new(198, 18, 0, 1), 9))?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>>>()?;
    println!("open");
    for line in std::io::stdin().lock().lines() {
        ensure!(line? == "send", "only `send` is known");
        for socket in &sockets {
            socket.send(&[0; 32])?;
        }
        println!("sent");
    }
    Ok(())
}
