//! Processes that open connections.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, setuid};

use crate::{BYTES, program, tell};

/// Processes that run at the same time.
const WIDTH: usize = 4;
/// Processes in one cgroup, which is then removed.
const BATCH: usize = 25;
const UIDS: usize = 100;

/// Starts `count` short processes, each calling `server` once: under one of the programs in the directory `executables`,
/// another name and user each, a batch in a cgroup of its own below `cgroups`, named `unit` and the batch, that is gone right
/// after it.
pub fn churn(
    count: usize,
    server: SocketAddr,
    executables: &str,
    cgroups: &str,
    unit: &str,
) -> Result<()> {
    let mut programs: Vec<_> = fs::read_dir(executables)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    programs.sort();
    ensure!(!programs.is_empty(), "no program in `{executables}`");
    for batch in (0..count).step_by(BATCH) {
        let cgroup = Path::new(cgroups).join(format!("{unit}-{batch}.service"));
        fs::create_dir(&cgroup).with_context(|| format!("make `{}`", cgroup.display()))?;
        let mut running: Vec<Child> = Vec::new();
        for index in batch..count.min(batch + BATCH) {
            if running.len() == WIDTH {
                ended(running.remove(0))?;
            }
            let child = Command::new(&programs[index % programs.len()])
                .args(["call", &server.to_string(), &format!("job{index}")])
                .arg((10_000 + index % UIDS).to_string())
                .arg(&cgroup)
                .spawn()
                .context("start a short process")?;
            running.push(child);
        }
        running.into_iter().try_for_each(ended)?;
        fs::remove_dir(&cgroup).with_context(|| format!("remove `{}`", cgroup.display()))?;
    }
    Ok(())
}

fn ended(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "a short process failed: {status}");
    Ok(())
}

/// One connection as `uid`, under the name `comm`, from inside `cgroup`; `-` stays where it is.
pub fn call(server: SocketAddr, comm: &str, uid: u32, cgroup: &str) -> Result<()> {
    if cgroup != "-" {
        fs::write(Path::new(cgroup).join("cgroup.procs"), "0")
            .with_context(|| format!("enter `{cgroup}`"))?;
    }
    nix::sys::prctl::set_name(&std::ffi::CString::new(comm)?).context("set the name")?;
    setuid(Uid::from_raw(uid)).context("become another user")?;
    let stream = TcpStream::connect(server).context("connect")?;
    tell(stream.local_addr()?.port(), None)?;
    talk(stream)
}

fn talk(mut stream: TcpStream) -> Result<()> {
    stream.write_all(&[b'q'; BYTES]).context("ask")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("read the answer")?;
    ensure!(answer.len() == BYTES, "{} bytes of answer", answer.len());
    Ok(())
}

/// Opens a connection and has a child write the half of what is sent: the one that called is the owner.
pub fn share(server: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect(server).context("connect")?;
    tell(stream.local_addr()?.port(), None)?;
    let copy: OwnedFd = stream.try_clone()?.into();
    let child = Command::new(program()?)
        .arg("write")
        .stdin(Stdio::from(copy))
        .spawn()
        .context("start the process that shares the socket")?;
    ended(child)?;
    talk(stream)
}
