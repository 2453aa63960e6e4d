//! Attaches the uplink programs at the head of a device's TC chain, in the device's namespace: by TCX link where the
//! kernel has it (6.6), else by a filter of a priority and handle of our own, which a later run finds and replaces.

use std::{
    fs,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{
        SchedClassifier, TcAttachType,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
    },
};

use super::{
    attach::{Attachment, Place},
    device::{Device, UplinkSpec},
    netns::within,
};

/// Our filters on kernels without TCX: first in the chain, under a handle that is ours.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 0x0b5e);

const DIRECTIONS: [(TcAttachType, &str, u32); 2] = [
    (TcAttachType::Egress, "egress", TCX_EGRESS),
    (TcAttachType::Ingress, "ingress", TCX_INGRESS),
];

/// `enum bpf_attach_type`.
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;

/// What keeps an uplink's two programs attached, egress first.
pub struct UplinkAttachment(pub [Held; 2]);

pub enum Held {
    Link(Attachment),
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
    device: &Device,
    root: &Path,
    pins: Option<&Path>,
) -> Result<UplinkAttachment> {
    let mut attach = |(direction, word, attach_type): (TcAttachType, &str, u32)| {
        let name = format!("uplink{index}_{word}");
        let spec = &device.spec;
        load(ebpf, &name)?;
        let pin = pins.map(|directory| directory.join(format!("link_{name}")));
        let place = Place::Device {
            netns: spec.netns.clone(),
            ifindex: device.ifindex,
        };
        let program = ebpf.program(&name).context("it was there")?;
        let link = Attachment::new(&name, program, place, attach_type, root, pin);
        if let Ok(link) = link {
            return Ok(Held::Link(link));
        }
        let program = classifier(ebpf, &name)?;
        within(spec.netns.as_deref(), || {
            attach_filter(program, spec, direction, pins.is_some())
        })
        .with_context(|| format!("attach `{name}` to `{spec}`"))
    };
    let [egress, ingress] = DIRECTIONS;
    Ok(UplinkAttachment([attach(egress)?, attach(ingress)?]))
}

/// The pinned links of uplink `index`.
fn pinned_links(index: u32, pins: &Path) -> [PathBuf; 2] {
    DIRECTIONS.map(|(_, word, _)| pins.join(format!("link_uplink{index}_{word}")))
}

/// Whether an earlier run left both links of uplink `index`, so that [`unpin`] detaches it.
pub fn is_pinned(index: u32, pins: &Path) -> bool {
    pinned_links(index, pins).iter().all(|link| link.exists())
}

/// Detaches what an earlier run left of uplink `index`, where that is pinned.
///
/// # Errors
/// Where a pin is there and cannot be removed.
pub fn unpin(index: u32, pins: &Path) -> Result<()> {
    for link in pinned_links(index, pins) {
        if link.exists() {
            fs::remove_file(&link).with_context(|| format!("remove pin `{}`", link.display()))?;
        }
    }
    Ok(())
}

fn load(ebpf: &mut Ebpf, name: &str) -> Result<()> {
    let program = classifier(ebpf, name)?;
    if program.fd().is_err() {
        program
            .load()
            .with_context(|| format!("load program `{name}`"))?;
    }
    Ok(())
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    ebpf.program_mut(name)
        .with_context(|| format!("no program `{name}` in the object"))?
        .try_into()
        .with_context(|| format!("program `{name}`"))
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
            for (direction, word, _) in DIRECTIONS {
                let name = format!("uplink{index}_{word}");
                if tc::qdisc_detach_program(&spec.device, direction, &name).is_ok() {
                    removed.push(format!("{spec} {name}"));
                }
            }
        }
        Ok(removed)
    })
}
