//! Links of another process, as any tool with the right to do so sees and breaks them. It knows no agent.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context, Result, ensure};

const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_DETACH: libc::c_long = 34;

/// One link that a process holds, by the kernel's own words (proc(5), `fdinfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: u32,
    /// `cgroup`, `tcx`, `iter`, ...
    pub kind: String,
    /// `enum bpf_attach_type`, where the kind has one.
    pub attach_type: Option<u32>,
}

/// Every link that process `pid` holds.
pub fn links(pid: u32) -> Result<Vec<Link>> {
    let directory = format!("/proc/{pid}/fdinfo");
    let mut links = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("read `{directory}`"))? {
        // A descriptor that is closed meanwhile is no link.
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        let Some(id) = value("link_id:").and_then(|id| id.parse().ok()) else {
            continue;
        };
        links.push(Link {
            id,
            kind: value("link_type:").unwrap_or_default(),
            attach_type: value("attach_type:").and_then(|number| number.parse().ok()),
        });
    }
    Ok(links)
}

/// Takes the link away from what it is attached to; its holder keeps an empty one (5.9).
pub fn detach(link: &Link) -> Result<()> {
    let fd = bpf(BPF_LINK_GET_FD_BY_ID, link.id).with_context(|| format!("open {link:?}"))?;
    let fd = i32::try_from(fd)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let done = bpf(BPF_LINK_DETACH, fd.as_raw_fd().cast_unsigned())
        .with_context(|| format!("detach {link:?}"))?;
    ensure!(done == 0, "detaching {link:?} gave {done}");
    Ok(())
}

fn bpf(command: libc::c_long, argument: u32) -> io::Result<libc::c_long> {
    let attributes: [u32; 4] = [argument, 0, 0, 0];
    // SAFETY: the kernel reads 16 bytes of attributes, which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), 16) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
