//! Sees what others did to our attachments, pins and mounts since the last look, and mends what can be mended. One look a
//! tick: some twenty questions to the kernel.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use observer_core::model::names::Fault;

use super::{
    Probe, Uplink,
    attach::Attachment,
    cgroup,
    load::{PINNED_MAPS, pin_filesystem},
    sys,
    uplink::Held,
};

/// One thing that was not as it should be.
#[derive(Debug)]
pub struct Finding {
    pub fault: Fault,
    /// What it happened to.
    pub object: String,
    /// How mending it went.
    pub mended: Result<()>,
}

/// What one look came to.
#[derive(Debug, Default)]
pub struct Health {
    pub findings: Vec<Finding>,
    /// Whether, up to now, every sent and every received packet met the sockets' hooks.
    pub sockets_hooked: [bool; 2],
    /// The same of each uplink's own programs, by position.
    pub uplinks_hooked: Vec<[bool; 2]>,
}

/// Maps that are pinned, kept open so that they can be pinned again.
pub struct Pins {
    directory: PathBuf,
    maps: Vec<(PathBuf, OwnedFd)>,
}

impl Pins {
    /// Opens what the loader has pinned in `directory`.
    ///
    /// # Errors
    /// Where a pin is not there.
    pub fn of(directory: &Path) -> Result<Self> {
        let open = |(name, _, _): &(&str, usize, usize)| {
            let path = directory.join(name);
            let map = sys::open_pinned(&path)
                .with_context(|| format!("open pinned map `{}`", path.display()))?;
            Ok((path, map))
        };
        Ok(Self {
            directory: directory.to_owned(),
            maps: PINNED_MAPS.iter().map(open).collect::<Result<_>>()?,
        })
    }

    fn are_there(&self, links: &[&Attachment]) -> bool {
        self.maps.iter().all(|(path, _)| path.exists()) && links.iter().all(|link| link.is_pinned())
    }

    fn restore(&self, links: &[&Attachment]) -> Result<()> {
        pin_filesystem(&self.directory)?;
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("make pin directory `{}`", self.directory.display()))?;
        for (path, map) in &self.maps {
            if !path.exists() {
                sys::pin(map, path).with_context(|| format!("pin map `{}`", path.display()))?;
            }
        }
        links
            .iter()
            .filter(|link| !link.is_pinned())
            .try_for_each(|link| link.pin_again())
    }
}

impl Probe {
    /// Looks at everything once, and mends what is broken.
    pub fn check(&mut self) -> Health {
        let mut findings = Vec::new();
        self.check_root(&mut findings);
        let mut sockets_hooked = [true; 2];
        for hook in &mut self.hooks {
            if mend(hook, Fault::HookDetached, &self.root.path, &mut findings) {
                continue;
            }
            match hook.name.as_str() {
                "count_egress" => sockets_hooked[0] = false,
                "count_ingress" => sockets_hooked[1] = false,
                _ => {}
            }
        }
        let root = &self.root.path;
        let uplinks_hooked = self
            .uplinks
            .iter_mut()
            .map(|uplink| check_uplink(uplink, root, &mut findings))
            .collect();
        self.check_pins(&mut findings);
        if self.events.is_stalled() | self.notes.is_stalled() | self.captures.is_stalled() {
            findings.push(Finding {
                fault: Fault::RingStalled,
                object: "a record in a ring is not finished".to_owned(),
                mended: Err(anyhow::anyhow!("what comes behind it waits")),
            });
        }
        Health {
            findings,
            sockets_hooked,
            uplinks_hooked,
        }
    }

    /// The hierarchy's root is always there; where it is mounted may change.
    fn check_root(&mut self, findings: &mut Vec<Finding>) {
        let found = cgroup::inspect(&self.root.path);
        if found.is_ok_and(|found| found == self.root) && cgroup::is_unified(&self.root.path) {
            return;
        }
        let object = format!("cgroup root `{}`", self.root.path.display());
        let mended = cgroup::find().map(|root| self.root = root);
        findings.push(Finding {
            fault: Fault::CgroupMoved,
            object,
            mended,
        });
    }

    fn check_pins(&self, findings: &mut Vec<Finding>) {
        let Some(pins) = &self.pins else {
            return;
        };
        let of_uplinks = self.uplinks.iter().flat_map(|uplink| &uplink.attachment.0);
        let of_uplinks = of_uplinks.filter_map(|held| match held {
            Held::Link(link) => Some(link),
            Held::Filter { .. } => None,
        });
        let links: Vec<&Attachment> = self.hooks.iter().chain(of_uplinks).collect();
        if pins.are_there(&links) {
            return;
        }
        findings.push(Finding {
            fault: Fault::PinsGone,
            object: format!("pins in `{}`", pins.directory.display()),
            mended: pins.restore(&links),
        });
    }
}

/// Whether the attachment was whole; mends it where it was not.
fn mend(
    attachment: &mut Attachment,
    fault: Fault,
    root: &Path,
    findings: &mut Vec<Finding>,
) -> bool {
    if attachment.holds() {
        return true;
    }
    findings.push(Finding {
        fault,
        object: format!("program `{}`", attachment.name),
        mended: attachment.repair(root),
    });
    false
}

fn check_uplink(uplink: &mut Uplink, root: &Path, findings: &mut Vec<Finding>) -> [bool; 2] {
    let Uplink {
        attachment, silent, ..
    } = uplink;
    let spec = &uplink.device.spec;
    let [egress, ingress] = &mut attachment.0;
    let mut check = |held: &mut Held, silent: bool, word: &str| match held {
        Held::Link(link) => mend(link, Fault::UplinkDetached, root, findings),
        // A filter has no state to ask for: frames that the device counts and the filter does not see tell.
        Held::Filter { .. } if silent => {
            findings.push(Finding {
                fault: Fault::UplinkDetached,
                object: format!("{word} filter of `{spec}`"),
                mended: Err(anyhow::anyhow!(
                    "it is not put back on kernels before 6.6: restart the agent"
                )),
            });
            false
        }
        Held::Filter { .. } => true,
    };
    [
        check(egress, silent[0].is_silent(), "egress"),
        check(ingress, silent[1].is_silent(), "ingress"),
    ]
}

/// Whether a program sees nothing of what its device counts: told after [`Silence::READINGS`] readings in a row.
#[derive(Debug, Default)]
pub struct Silence {
    last: Option<(u64, u64)>,
    readings: u32,
}

impl Silence {
    const READINGS: u32 = 2;

    /// One more reading of both counters.
    pub fn observe(&mut self, device_packets: u64, program_frames: u64) {
        let (device, program) = (device_packets, program_frames);
        if let Some((device_before, program_before)) = self.last.replace((device, program)) {
            if program != program_before {
                self.readings = 0;
            } else if device != device_before {
                self.readings = self.readings.saturating_add(1);
            }
        }
    }

    fn is_silent(&self) -> bool {
        self.readings >= Self::READINGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_what_only_the_device_counts() {
        let cases: [(&[(u64, u64)], bool); 6] = [
            (&[], false),
            (&[(1, 1), (2, 2), (3, 3)], false),
            (&[(1, 1), (1, 1), (1, 1)], false),
            (&[(1, 1), (2, 1)], false),
            (&[(1, 1), (2, 1), (3, 1)], true),
            (&[(1, 1), (2, 1), (3, 2), (4, 2)], false),
        ];
        for (readings, silent) in cases {
            let mut silence = Silence::default();
            for (device, program) in readings {
                silence.observe(*device, *program);
            }
            assert_eq!(silence.is_silent(), silent, "{readings:?}");
        }
    }
}
