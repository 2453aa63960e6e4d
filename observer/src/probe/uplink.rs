//! Attaches the uplink programs at the head of a device's TC chain, in the device's namespace: by TCX link where the
//! kernel has it (6.6), else by a filter of a priority and handle of our own, which a later run finds and replaces.

use std::{
    fs,
    mem::ManuallyDrop,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
    },
};

use super::{attach::Attachment, device::UplinkSpec, netns::within, sys};

/// Our filters on kernels without TCX: first in the chain, under a handle that is ours.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 0x0b5e);

const DIRECTIONS: [(TcAttachType, &str); 2] = [
    (TcAttachType::Egress, "egress"),
    (TcAttachType::Ingress, "ingress"),
];

/// What keeps an uplink's two programs attached.
pub struct UplinkAttachment(
    #[expect(dead_code, reason = "dropping a link detaches its program")] Vec<Held>,
);

enum Held {
    Link(#[expect(dead_code, reason = "dropping the link detaches the program")] Attachment),
    Filter {
        link: Option<SchedClassifierLink>,
        netns: Option<PathBuf>,
        stays: bool,
    },
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self::Filter { link, netns, stays } = self else {
            return;
        };
        let Some(link) = link.take() else {
            return;
        };
        if *stays {
            // Dropping it would take the filter away.
            let _stays = ManuallyDrop::new(link);
            return;
        }
        // The namespace may be gone, and the filter with it.
        let _ = within(netns.as_deref(), || {
            drop(link);
            Ok(())
        });
    }
}

/// Attaches the programs of uplink `index` to its device.
///
/// # Errors
/// Where the namespace or device is gone, or the kernel refuses both ways.
pub fn attach(
    ebpf: &mut Ebpf,
    index: usize,
    spec: &UplinkSpec,
    pins: Option<&Path>,
) -> Result<UplinkAttachment> {
    let mut held = Vec::new();
    for (direction, word) in DIRECTIONS {
        let name = format!("uplink{index}_{word}");
        let program: &mut SchedClassifier = ebpf
            .program_mut(&name)
            .with_context(|| format!("no program `{name}` in the object"))?
            .try_into()
            .with_context(|| format!("program `{name}`"))?;
        if program.fd().is_err() {
            program
                .load()
                .with_context(|| format!("load program `{name}`"))?;
        }
        let pin = pins.map(|directory| directory.join(format!("link_{name}")));
        let attachment = within(spec.netns.as_deref(), || {
            attach_one(program, spec, direction, pin.as_deref())
        })
        .with_context(|| format!("attach `{name}` to `{spec}`"))?;
        held.push(attachment);
    }
    Ok(UplinkAttachment(held))
}

fn attach_one(
    program: &mut SchedClassifier,
    spec: &UplinkSpec,
    direction: TcAttachType,
    pin: Option<&Path>,
) -> Result<Held> {
    if let Some(pin) = pin.filter(|pin| pin.exists()) {
        let link = sys::open_pinned(pin)
            .with_context(|| format!("open pinned link `{}`", pin.display()))?;
        if sys::update_link(&link, program.fd()?.as_fd()).is_ok() {
            return Ok(Held::Link(Attachment::Replaced(link)));
        }
        // The device behind the link is gone: the link holds nothing any more.
        fs::remove_file(pin).with_context(|| format!("remove stale link `{}`", pin.display()))?;
    }
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    let Ok(id) = program.attach_with_options(&spec.device, direction, first) else {
        return attach_filter(program, spec, direction, pin.is_some());
    };
    let link = FdLink::try_from(program.take_link(id)?)?;
    Ok(Held::Link(match pin {
        Some(pin) => Attachment::Pinned(
            link.pin(pin)
                .with_context(|| format!("pin link `{}`", pin.display()))?,
        ),
        None => Attachment::Held(link),
    }))
}

/// A filter outlives its maker: one that an earlier run left is replaced in place.
fn attach_filter(
    program: &mut SchedClassifier,
    spec: &UplinkSpec,
    direction: TcAttachType,
    stays: bool,
) -> Result<Held> {
    // It may be there already, ours or another agent's; the attachment tells.
    let _ = tc::qdisc_add_clsact(&spec.device);
    let earlier = SchedClassifierLink::attached(&spec.device, direction, PRIORITY, HANDLE, None)?;
    let id = if let Ok(id) = program.attach_to_link(earlier) {
        id
    } else {
        let options = NlOptions {
            priority: PRIORITY,
            handle: HANDLE,
            ..NlOptions::default()
        };
        program.attach_with_options(&spec.device, direction, TcAttachOptions::Netlink(options))?
    };
    Ok(Held::Filter {
        link: Some(program.take_link(id)?),
        netns: spec.netns.clone(),
        stays,
    })
}

/// Removes filters of ours that outlived their agent from the device; returns what was there.
///
/// # Errors
/// Where the namespace is there and cannot be entered.
pub fn remove_filters(spec: &UplinkSpec) -> Result<Vec<String>> {
    if spec.netns.as_deref().is_some_and(|path| !path.exists()) {
        return Ok(Vec::new());
    }
    within(spec.netns.as_deref(), || {
        let mut removed = Vec::new();
        for index in 0..observer_ebpf::abi::UPLINKS_MAX {
            for (direction, word) in DIRECTIONS {
                let name = format!("uplink{index}_{word}");
                if tc::qdisc_detach_program(&spec.device, direction, &name).is_ok() {
                    removed.push(format!("{spec} {name}"));
                }
            }
        }
        Ok(removed)
    })
}
