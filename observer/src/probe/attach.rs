//! Keeps a loaded program at its hook by a link, or behind the link that an earlier run pinned, so that nothing is counted
//! twice or missed in between; sees when something took it away and puts it back. Knows no program's purpose.

use std::{
    fs::{self, File},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::Program};

use super::{netns::within, sys};

/// Programs attached to the cgroup root, with the attach type of each (`enum bpf_attach_type`); which of them a hook is
/// named after is their own business.
pub const HOOKS: [(&str, u32); 13] = [
    ("note_origin", INET_SOCK_CREATE),
    ("count_egress", INET_EGRESS),
    ("count_ingress", INET_INGRESS),
    ("own_connect4", 10),
    ("own_connect6", 11),
    ("own_sendmsg4", 14),
    ("own_sendmsg6", 15),
    ("release", 34),
    ("rival_before", SOCK_OPS),
    ("follow_state", SOCK_OPS),
    ("rival_after", SOCK_OPS),
    ("empty_egress", INET_EGRESS),
    ("empty_ingress", INET_INGRESS),
];

const INET_INGRESS: u32 = 0;
const INET_EGRESS: u32 = 1;
const INET_SOCK_CREATE: u32 = 2;
const SOCK_OPS: u32 = 3;

/// Where a program is attached, kept so that it can be attached there again.
#[derive(Clone, Debug)]
pub enum Place {
    /// The cgroup root.
    Cgroup,
    /// The head of a device's chain.
    Device {
        netns: Option<PathBuf>,
        ifindex: u32,
    },
}

/// One program at its hook, until this value is dropped; for longer where it is pinned.
pub struct Attachment {
    pub name: String,
    program: OwnedFd,
    program_id: u32,
    place: Place,
    attach_type: u32,
    link: OwnedFd,
    pin: Option<PathBuf>,
}

impl Attachment {
    /// Attaches a loaded program, or puts it behind the link pinned at `pin`.
    ///
    /// # Errors
    /// Where the kernel refuses, or the pin cannot be replaced.
    pub fn new(
        name: &str,
        program: &Program,
        place: Place,
        attach_type: u32,
        root: &Path,
        pin: Option<PathBuf>,
    ) -> Result<Self> {
        let fd = program.fd()?.as_fd().try_clone_to_owned()?;
        let link = match pin.as_deref().filter(|pin| pin.exists()) {
            Some(pin) => behind(&fd, pin)?,
            None => None,
        };
        let link = match link {
            Some(link) => link,
            None => {
                let link = make(&fd, &place, attach_type, root)?;
                if let Some(pin) = &pin {
                    sys::pin(&link, pin)
                        .with_context(|| format!("pin link `{}`", pin.display()))?;
                }
                link
            }
        };
        Ok(Self {
            name: name.to_owned(),
            program: fd,
            program_id: program.info()?.id(),
            place,
            attach_type,
            link,
            pin,
        })
    }

    /// Whether the program is still at its hook.
    pub fn holds(&self) -> bool {
        // Where the kernel cannot tell (before 5.8) nothing is known to be wrong.
        sys::link_state(&self.link).map_or(true, |state| {
            state.attached && state.program_id == self.program_id
        })
    }

    /// Attaches the program again.
    ///
    /// # Errors
    /// Where the kernel refuses, e.g. because the device is gone.
    pub fn repair(&mut self, root: &Path) -> Result<()> {
        let attached = sys::link_state(&self.link).is_ok_and(|state| state.attached);
        if attached && sys::update_link(&self.link, self.program.as_fd()).is_ok() {
            return Ok(());
        }
        self.link = make(&self.program, &self.place, self.attach_type, root)?;
        self.pin_again()
    }

    /// Whether the pin that there should be is there.
    pub fn is_pinned(&self) -> bool {
        self.pin.as_ref().is_none_or(|pin| pin.exists())
    }

    /// Puts the pin, where there should be one, at this link.
    ///
    /// # Errors
    /// Where the pin's filesystem refuses.
    pub fn pin_again(&self) -> Result<()> {
        let Some(pin) = &self.pin else {
            return Ok(());
        };
        let _ = fs::remove_file(pin);
        sys::pin(&self.link, pin).with_context(|| format!("pin link `{}`", pin.display()))
    }
}

/// The pinned link with the program behind it; `None` where its cgroup or device is gone and it holds nothing any more.
fn behind(program: &OwnedFd, pin: &Path) -> Result<Option<OwnedFd>> {
    let link =
        sys::open_pinned(pin).with_context(|| format!("open pinned link `{}`", pin.display()))?;
    if sys::update_link(&link, program.as_fd()).is_ok() {
        return Ok(Some(link));
    }
    fs::remove_file(pin).with_context(|| format!("remove stale link `{}`", pin.display()))?;
    Ok(None)
}

fn make(program: &OwnedFd, place: &Place, attach_type: u32, root: &Path) -> Result<OwnedFd> {
    match place {
        Place::Cgroup => {
            let cgroup =
                File::open(root).with_context(|| format!("open cgroup `{}`", root.display()))?;
            let target = sys::Target::Cgroup(cgroup.as_fd());
            sys::link(program.as_fd(), target, attach_type).context("link to the cgroup root")
        }
        Place::Device { netns, ifindex } => within(netns.as_deref(), || {
            let target = sys::Target::DeviceFirst(*ifindex);
            sys::link(program.as_fd(), target, attach_type).context("link to the device")
        }),
    }
}

/// Attaches every hook that is loaded.
///
/// # Errors
/// Where the kernel refuses an attachment of a loaded program.
pub fn attach_hooks(ebpf: &mut Ebpf, root: &Path, pins: Option<&Path>) -> Result<Vec<Attachment>> {
    let mut held = Vec::new();
    for (name, attach_type) in HOOKS {
        let program = ebpf
            .program(name)
            .with_context(|| format!("no program `{name}` in the object"))?;
        if program.fd().is_err() {
            continue;
        }
        let pin = pins.map(|directory| directory.join(format!("link_{name}")));
        let attachment = Attachment::new(name, program, Place::Cgroup, attach_type, root, pin);
        held.push(attachment.with_context(|| format!("attach `{name}`"))?);
    }
    Ok(held)
}
