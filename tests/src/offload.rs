//! Segmentation offload and GRO of a device, set through the ethtool ioctl (no `ethtool` program is needed). All
//! functions here act in the namespace of the calling thread; [`Host::offload`] is the door.

use std::{io, mem, os::fd::AsRawFd};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use crate::host::Host;

/// What a device does with packets larger than its MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// TCP and UDP bundles are handed to the device whole (TSO, USO). Off: the kernel cuts them before the device
    /// counts, so that device counter and capture see wire segments. TCP builds bundles either way.
    pub segmentation: bool,
    /// Where `segmentation` is on: UDP bundles too (USO). Off as on many NICs: only those are cut before the device.
    pub datagrams: bool,
    /// Received segments are merged into bundles before IP sees them. On a veth this turns NAPI on.
    pub gro: bool,
}

impl Offload {
    /// As the kernel makes a veth: bundles sent whole, nothing merged on receive.
    pub const DEFAULT: Self = Self {
        segmentation: true,
        datagrams: true,
        gro: false,
    };
    /// Every packet is one that fits the MTU.
    pub const OFF: Self = Self {
        segmentation: false,
        datagrams: false,
        gro: false,
    };
    /// As [`Offload::DEFAULT`] without USO.
    pub const NO_DATAGRAMS: Self = Self {
        datagrams: false,
        ..Self::DEFAULT
    };
    /// Bundles both ways.
    pub const ALL: Self = Self {
        segmentation: true,
        datagrams: true,
        gro: true,
    };
}

impl Host {
    /// Sets the offloads of `device` and checks that the kernel took them.
    pub fn offload(&self, device: &str, wanted: Offload) -> Result<()> {
        self.run(|| set(device, wanted)).with_context(|| {
            format!(
                "cannot set {wanted:?} on `{device}` in host `{}`",
                self.name()
            )
        })
    }

    /// The names of the features that are active on `device`, as `ethtool -k` would list them.
    pub fn features(&self, device: &str) -> Result<Vec<String>> {
        self.run(|| {
            let names = feature_names(device)?;
            let active = active_bits(device, names.len())?;
            Ok::<_, io::Error>(
                names
                    .into_iter()
                    .zip(active)
                    .filter_map(|(name, on)| on.then_some(name))
                    .collect(),
            )
        })
        .with_context(|| {
            format!(
                "cannot read the features of `{device}` in host `{}`",
                self.name()
            )
        })
    }
}

/// `ARPHRD_*` of a device.
pub(crate) fn hardware_type(device: &str) -> io::Result<u16> {
    let mut request = request(device)?;
    ioctl(libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: SIOCGIFHWADDR fills this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}

/// The name of the device's driver, such as `veth`; some software devices have none.
pub(crate) fn driver(device: &str) -> Option<String> {
    // struct ethtool_drvinfo { cmd, driver[32], ... }, 196 bytes
    let mut info = [0; 49];
    info[0] = libc_ethtool::GDRVINFO;
    ethtool(device, &mut info).ok()?;
    Some(text(&info[1..9]))
}

fn set(device: &str, wanted: Offload) -> Result<()> {
    let names = feature_names(device)?;
    let blocks = names.len().div_ceil(32);
    let mut command = vec![libc_ethtool::SFEATURES, u32::try_from(blocks)?];
    command.resize(2 + 2 * blocks, 0);
    for (bit, name) in names.iter().enumerate() {
        let Some(on) = target(name, wanted) else {
            continue;
        };
        let word = 2 + 2 * (bit / 32);
        command[word] |= 1 << (bit % 32);
        command[word + 1] |= u32::from(on) << (bit % 32);
    }
    ethtool(device, &mut command)?;
    let active = active_bits(device, names.len())?;
    for (name, on) in names.iter().zip(active) {
        // What a device cannot do stays off; what it shall not do must be off.
        if on && target(name, wanted) == Some(false) {
            bail!("feature `{name}` stays on");
        }
    }
    Ok(())
}

/// What `wanted` says of one feature; none for features that change no packet's size.
fn target(feature: &str, wanted: Offload) -> Option<bool> {
    match feature {
        "tx-udp-segmentation" => Some(wanted.segmentation && wanted.datagrams),
        "tx-gso-list" | "tx-generic-segmentation" => Some(wanted.segmentation),
        name if name.starts_with("tx-tcp") => Some(wanted.segmentation),
        "rx-gro" => Some(wanted.gro),
        "rx-gro-list" | "rx-udp-gro-forwarding" | "rx-lro" | "rx-gro-hw" => Some(false),
        _ => None,
    }
}

/// From `linux/ethtool.h`; stable since Linux 2.6.39.
mod libc_ethtool {
    pub const GDRVINFO: u32 = 0x03;
    pub const GSTRINGS: u32 = 0x1b;
    pub const GSSET_INFO: u32 = 0x37;
    pub const GFEATURES: u32 = 0x3a;
    pub const SFEATURES: u32 = 0x3b;
    pub const SS_FEATURES: u32 = 4;
    pub const STRING_BYTES: usize = 32;
}

fn feature_names(device: &str) -> io::Result<Vec<String>> {
    // struct ethtool_sset_info { cmd, reserved, u64 sset_mask, data[] }
    let mut info = [
        libc_ethtool::GSSET_INFO,
        0,
        1 << libc_ethtool::SS_FEATURES,
        0,
        0,
    ];
    ethtool(device, &mut info)?;
    let count = info[4] as usize;
    // struct ethtool_gstrings { cmd, string_set, len, data[] }
    let mut strings = vec![libc_ethtool::GSTRINGS, libc_ethtool::SS_FEATURES, info[4]];
    strings.resize(3 + count * libc_ethtool::STRING_BYTES / 4, 0);
    ethtool(device, &mut strings)?;
    Ok(strings[3..]
        .chunks(libc_ethtool::STRING_BYTES / 4)
        .map(text)
        .collect())
}

/// A string that ends at its first zero byte.
fn text(words: &[u32]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    bytes
        .take_while(|byte| *byte != 0)
        .map(char::from)
        .collect()
}

fn active_bits(device: &str, count: usize) -> io::Result<Vec<bool>> {
    // struct ethtool_gfeatures { cmd, size, { available, requested, active, never_changed }[] }
    let blocks = count.div_ceil(32);
    let mut command = vec![
        libc_ethtool::GFEATURES,
        u32::try_from(blocks).map_err(io::Error::other)?,
    ];
    command.resize(2 + 4 * blocks, 0);
    ethtool(device, &mut command)?;
    Ok((0..count)
        .map(|bit| command[2 + 4 * (bit / 32) + 2] >> (bit % 32) & 1 == 1)
        .collect())
}

fn ethtool(device: &str, command: &mut [u32]) -> io::Result<()> {
    const SIOCETHTOOL: u64 = 0x8946;
    let mut request = request(device)?;
    request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
    ioctl(SIOCETHTOOL, &mut request)
}

fn request(device: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain data, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if device.len() >= request.ifr_name.len() {
        return Err(io::Error::other(format!(
            "device name `{device}` is too long"
        )));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}

fn ioctl(number: u64, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    // SAFETY: the request is an `ifreq` whose data pointer, where used, names a buffer of the size its header states.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, request) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
