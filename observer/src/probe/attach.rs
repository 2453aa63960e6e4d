//! Attaches the loaded programs to the cgroup root by links, or puts them behind the links that an earlier run pinned,
//! so that nothing is counted twice or missed in between. Knows no device.

use std::{
    fs::{self, File},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, Program,
        links::{FdLink, PinnedLink},
    },
};

use super::sys;

/// Programs attached to the cgroup root; which of them a hook is named after is their own business.
const HOOKS: [&str; 13] = [
    "note_origin",
    "count_egress",
    "count_ingress",
    "own_connect4",
    "own_connect6",
    "own_sendmsg4",
    "own_sendmsg6",
    "release",
    "rival_before",
    "follow_state",
    "rival_after",
    "empty_egress",
    "empty_ingress",
];

/// What keeps one program attached.
pub enum Attachment {
    /// Until this value is dropped.
    Held(#[expect(dead_code, reason = "dropping the link detaches the program")] FdLink),
    /// Until the pin is removed.
    Pinned(#[expect(dead_code, reason = "the pin is what counts")] PinnedLink),
    /// By an earlier run's pin; this run's program stands behind it now.
    Replaced(#[expect(dead_code, reason = "the pin is what counts")] OwnedFd),
}

/// Attaches every hook that is loaded; returns what holds them and the names of those that were not loaded.
///
/// # Errors
/// Where the kernel refuses an attachment of a loaded program.
pub fn attach_hooks(
    ebpf: &mut Ebpf,
    root: &Path,
    pins: Option<&Path>,
) -> Result<(Vec<Attachment>, Vec<String>)> {
    let cgroup = File::open(root).with_context(|| format!("open cgroup `{}`", root.display()))?;
    let mut held = Vec::new();
    let mut missing = Vec::new();
    for name in HOOKS {
        let program = ebpf
            .program_mut(name)
            .with_context(|| format!("no program `{name}` in the object"))?;
        if program.fd().is_err() {
            missing.push(name.to_owned());
            continue;
        }
        let pin = pins.map(|directory| directory.join(format!("link_{name}")));
        held.push(
            attach_or_replace(program, cgroup.as_fd(), pin)
                .with_context(|| format!("attach `{name}`"))?,
        );
    }
    Ok((held, missing))
}

fn attach_or_replace(
    program: &mut Program,
    cgroup: BorrowedFd<'_>,
    pin: Option<PathBuf>,
) -> Result<Attachment> {
    let Some(pin) = pin else {
        return Ok(Attachment::Held(attach(program, cgroup)?));
    };
    if pin.exists() {
        let link = sys::open_pinned(&pin)
            .with_context(|| format!("open pinned link `{}`", pin.display()))?;
        if sys::update_link(&link, program.fd()?.as_fd()).is_ok() {
            return Ok(Attachment::Replaced(link));
        }
        // The cgroup behind the link is gone: the link holds nothing any more.
        fs::remove_file(&pin).with_context(|| format!("remove stale link `{}`", pin.display()))?;
    }
    let link = attach(program, cgroup)?;
    Ok(Attachment::Pinned(link.pin(&pin).with_context(|| {
        format!("pin link `{}`", pin.display())
    })?))
}

fn attach(program: &mut Program, cgroup: BorrowedFd<'_>) -> Result<FdLink> {
    let mode = CgroupAttachMode::Single;
    let link = match program {
        Program::CgroupSkb(program) => {
            let kind = program
                .expected_attach_type()
                .context("a cgroup_skb program without a direction")?;
            let id = program.attach(cgroup, kind, mode)?;
            FdLink::try_from(program.take_link(id)?)?
        }
        Program::CgroupSock(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)?
        }
        Program::CgroupSockAddr(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)?
        }
        Program::SockOps(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)?
        }
        _ => bail!("not a cgroup program"),
    };
    Ok(link)
}
