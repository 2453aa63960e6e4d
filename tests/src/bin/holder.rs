//! Holds a testbed until it is killed: `holder NAMESPACE`, where the other end of its link goes. Tells one line, the path of
//! the held host's namespace and the pid of a process in it.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use observer_tests::Testbed;

/// Longer than the test that kills it waits.
const LIFETIME: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let peer = std::env::args().nth(1).context("usage: holder NAMESPACE")?;
    let bed = Testbed::new("holder")?;
    let host = bed.host("held")?;
    host.ip(&[&format!(
        "link add eth0 type veth peer name watch netns {peer}"
    )])?;
    let mut waiting = Command::new("ip");
    waiting
        .args(["monitor", "link"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let waiter = host.spawn(waiting)?;
    let path = host.namespace().path().display();
    writeln!(std::io::stdout(), "{path} {}", waiter.pid())?;
    std::thread::sleep(LIFETIME);
    bail!("nobody killed this process")
}
