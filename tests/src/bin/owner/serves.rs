//! Processes that did not open their sockets: the listener is standard input, as from a parent or a socket activator.

use std::{
    fs::{self, File},
    io::{IoSlice, IoSliceMut},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::net::UnixDatagram,
    },
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    cmsg_space,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
    unistd::getppid,
};

use crate::{BYTES, program, serve};

const POLL: Duration = Duration::from_millis(1);

/// Takes standard input over: what it was is the owner's alone then.
fn stdin() -> Result<OwnedFd> {
    let taken = nix::unistd::dup(std::io::stdin()).context("take standard input over")?;
    let nothing = File::open("/dev/null").context("open `/dev/null`")?;
    nix::unistd::dup2_stdin(nothing).context("close standard input")?;
    Ok(taken)
}

fn listener() -> Result<TcpListener> {
    Ok(TcpListener::from(stdin()?))
}

/// Accepts and serves `count` connections itself.
pub fn accept(count: usize) -> Result<()> {
    let listener = listener()?;
    for _ in 0..count {
        serve(listener.accept().context("accept")?.0, None)?;
    }
    Ok(())
}

/// Accepts `count` connections and has a child serve each, as inetd does.
pub fn fork(count: usize) -> Result<()> {
    let listener = listener()?;
    let mut children = Vec::new();
    for _ in 0..count {
        let (stream, _) = listener.accept().context("accept")?;
        let child = Command::new(program()?)
            .arg("talk")
            .stdin(Stdio::from(OwnedFd::from(stream)))
            .spawn()
            .context("start a process for a connection")?;
        children.push(child);
    }
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

/// Accepts `count` connections and passes each to another process by SCM_RIGHTS.
pub fn pass(count: usize) -> Result<()> {
    let listener = listener()?;
    let (here, there) = UnixDatagram::pair()?;
    let mut child = Command::new(program()?)
        .arg("receive")
        .stdin(Stdio::from(OwnedFd::from(there)))
        .spawn()
        .context("start the process that receives")?;
    for _ in 0..count {
        let (stream, _) = listener.accept().context("accept")?;
        let descriptors = [stream.as_raw_fd()];
        sendmsg::<()>(
            here.as_raw_fd(),
            &[IoSlice::new(b"+")],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::empty(),
            None,
        )
        .context("pass a descriptor")?;
    }
    here.send(b"").context("say that it is over")?;
    child.wait()?;
    Ok(())
}

/// Serves connections that are passed to it, until an empty message.
pub fn receive() -> Result<()> {
    let from = UnixDatagram::from(stdin()?);
    loop {
        let mut word = [0; 1];
        let mut room = cmsg_space!([RawFd; 1]);
        let mut into = [IoSliceMut::new(&mut word)];
        let message = recvmsg::<()>(
            from.as_raw_fd(),
            &mut into,
            Some(&mut room),
            MsgFlags::empty(),
        )
        .context("receive a descriptor")?;
        if message.bytes == 0 {
            return Ok(());
        }
        for part in message.cmsgs().context("read what was passed")? {
            if let ControlMessageOwned::ScmRights(descriptors) = part {
                for descriptor in descriptors {
                    // SAFETY: the kernel has just made this descriptor for us.
                    let stream = unsafe { TcpStream::from_raw_fd(descriptor) };
                    wait_for_sole(&stream)?;
                    serve(stream, Some(getppid()))?;
                }
            }
        }
    }
}

/// Serves the connection that is standard input.
pub fn talk() -> Result<()> {
    let stream = TcpStream::from(stdin()?);
    wait_for_sole(&stream)?;
    serve(stream, Some(getppid()))
}

/// Waits until the parent has let go of its copy: whoever lets a socket go last is its `last_holder`, and a busy parent may
/// be slower than all that a child does.
fn wait_for_sole(stream: &TcpStream) -> Result<()> {
    let own = fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd()))
        .context("find the socket's number")?;
    let parents = format!("/proc/{}/fd", getppid());
    loop {
        let held = fs::read_dir(&parents).with_context(|| format!("list `{parents}`"))?;
        let mut held = held.flatten().map(|entry| fs::read_link(entry.path()));
        if !held.any(|link| link.is_ok_and(|link| link == own)) {
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

/// Writes to the connection that is standard input, and leaves it open.
pub fn write() -> Result<()> {
    use std::io::Write as _;
    TcpStream::from(stdin()?)
        .write_all(&[b'q'; BYTES])
        .context("write to a shared socket")
}
