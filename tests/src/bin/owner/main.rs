//! Processes whose sockets have a declared owner: each tells, one JSON object a line, who it is and which port its socket
//! has on the side that the agent sees. `owner churn|call|share|accept|fork|pass|receive|talk|write ...`; see each.

mod calls;
mod serves;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use nix::unistd::{Pid, getpid, getuid};
use serde_json::json;

/// No mode takes longer.
const LIFETIME_SECONDS: u32 = 300;
/// Bytes each side sends.
const BYTES: usize = 1_000;

fn main() -> Result<()> {
    // SAFETY: a plain system call; SIGALRM's default action ends the process.
    unsafe { libc::alarm(LIFETIME_SECONDS) };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["churn", count, server, executables, cgroups, unit] => {
            calls::churn(count.parse()?, server.parse()?, executables, cgroups, unit)
        }
        ["call", server, comm, uid, cgroup] => {
            calls::call(server.parse()?, comm, uid.parse()?, cgroup)
        }
        ["share", server] => calls::share(server.parse()?),
        ["accept", count] => serves::accept(count.parse()?),
        ["fork", count] => serves::fork(count.parse()?),
        ["pass", count] => serves::pass(count.parse()?),
        ["receive"] => serves::receive(),
        ["talk"] => serves::talk(),
        ["write"] => serves::write(),
        _ => bail!(
            "usage: owner churn|call|share|accept|fork|pass|receive|talk|write ..., not {words:?}"
        ),
    }
}

/// Says who this process is, and that it owns the socket with `port`, which another process may have accepted.
fn tell(port: u16, accepted_by: Option<Pid>) -> Result<()> {
    let executable = std::env::current_exe().context("find the own executable")?;
    let comm = std::fs::read_to_string("/proc/self/comm").context("read the own name")?;
    let line = json!({
        "port": port, "pid": getpid().as_raw(), "uid": getuid().as_raw(), "comm": comm.trim_end(),
        "executable": executable, "accepted_by": accepted_by.map(Pid::as_raw),
    });
    // One write: lines of many processes go into one pipe.
    let line = format!("{line}\n");
    std::io::stdout()
        .write_all(line.as_bytes())
        .context("tell who owns the socket")
}

/// Reads until the other side has sent everything, answers, and closes.
fn serve(mut stream: TcpStream, accepted_by: Option<Pid>) -> Result<()> {
    tell(stream.peer_addr()?.port(), accepted_by)?;
    let mut request = Vec::new();
    stream.read_to_end(&mut request).context("read a request")?;
    stream.write_all(&[b'a'; BYTES]).context("answer")
}

/// This program, to be started again.
fn program() -> Result<PathBuf> {
    std::env::current_exe().context("find the own executable")
}
