//! The questions to a device or a socket that need an ioctl or a socket option. Knows no BPF.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

use anyhow::{Context as _, Result};

const SIOCGIFHWADDR: libc::Ioctl = 0x8927;
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// Whether TCP segmentation is left to the device.
const ETHTOOL_GTSO: u32 = 0x1e;
/// Whether received packets may be merged.
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;
const SO_NETNS_COOKIE: libc::c_int = 71;

/// Link type of the interface (ARPHRD_*).
///
/// # Errors
/// Where there is no such interface.
pub fn hardware_type(socket: impl AsFd, device: &str) -> Result<u32> {
    let mut request = request(device);
    ask(socket, SIOCGIFHWADDR, &mut request)
        .with_context(|| format!("ask for the link type of `{device}`"))?;
    // SAFETY: the kernel filled the address in; its family is the link type.
    Ok(u32::from(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family }))
}

/// Whether the driver is handed segmentation bundles, and so counts each as one packet: true for virtual devices with
/// TSO on; a device that cannot say counts what it sends.
pub fn counts_bundles(socket: impl AsFd, device: &str) -> bool {
    asked(socket, device, ETHTOOL_GTSO)
}

/// Whether GRO merges received packets after the interface counted them: only where the driver delivers by NAPI, which
/// virtual devices (veth without XDP, tun) do not.
pub fn merges_received(socket: impl AsFd, device: &str) -> bool {
    let driver = driver(&socket, device).unwrap_or_default();
    !PLAIN_RECEIVERS.contains(&driver.as_str()) && asked(socket, device, ETHTOOL_GGRO)
}

/// Drivers whose receive path knows no GRO.
const PLAIN_RECEIVERS: [&str; 3] = ["veth", "tun", "dummy"];

/// Name of the device's driver (`ETHTOOL_GDRVINFO`).
fn driver(socket: &impl AsFd, device: &str) -> Option<String> {
    let mut info = [0u8; 196];
    info[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
    let mut request = request(device);
    request.ifr_ifru.ifru_data = info.as_mut_ptr().cast();
    ask(socket, SIOCETHTOOL, &mut request).ok()?;
    let name = info.get(4..36)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Whether a feature is on, by the kernel's name for it (`ethtool -k`); `None` where the device or kernel does not know it.
pub fn feature(socket: impl AsFd, device: &str, name: &str) -> Option<bool> {
    /// `struct ethtool_get_features_block`: available, requested, active, never changed.
    const BLOCK_BYTES: usize = 16;
    const ACTIVE: usize = 8;
    let index = feature_names(&socket, device)?
        .chunks_exact(ETH_GSTRING_LEN)
        .position(|known| known.split(|byte| *byte == 0).next() == Some(name.as_bytes()))?;
    let blocks = index / 32 + 1;
    let mut answer = vec![0u8; 8 + blocks * BLOCK_BYTES];
    answer[..4].copy_from_slice(&ETHTOOL_GFEATURES.to_ne_bytes());
    answer[4..8].copy_from_slice(&(blocks as u32).to_ne_bytes());
    ask_ethtool(&socket, device, &mut answer).ok()?;
    let at = 8 + index / 32 * BLOCK_BYTES + ACTIVE;
    let active = u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?);
    Some(active >> (index % 32) & 1 == 1)
}

/// Names of all features in the order of their bits, [`ETH_GSTRING_LEN`] bytes each.
fn feature_names(socket: &impl AsFd, device: &str) -> Option<Vec<u8>> {
    const HEAD: usize = 16;
    let mut count = [0u8; HEAD + 4];
    count[..4].copy_from_slice(&ETHTOOL_GSSET_INFO.to_ne_bytes());
    count[8..16].copy_from_slice(&(1u64 << ETH_SS_FEATURES).to_ne_bytes());
    ask_ethtool(socket, device, &mut count).ok()?;
    let count = u32::from_ne_bytes(count[HEAD..].try_into().ok()?);
    let mut names = vec![0u8; 12 + count as usize * ETH_GSTRING_LEN];
    names[..4].copy_from_slice(&ETHTOOL_GSTRINGS.to_ne_bytes());
    names[4..8].copy_from_slice(&ETH_SS_FEATURES.to_ne_bytes());
    names[8..12].copy_from_slice(&count.to_ne_bytes());
    ask_ethtool(socket, device, &mut names).ok()?;
    Some(names.split_off(12))
}

/// `value` begins with the command and is as long as the kernel fills in.
fn ask_ethtool(socket: &impl AsFd, device: &str, value: &mut [u8]) -> io::Result<()> {
    let mut request = request(device);
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    ask(socket, SIOCETHTOOL, &mut request)
}

fn asked(socket: impl AsFd, device: &str, command: u32) -> bool {
    let mut value = [command, 0];
    let mut request = request(device);
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    ask(socket, SIOCETHTOOL, &mut request).is_ok() && value[1] != 0
}

/// Cookie of the socket's network namespace (`SO_NETNS_COOKIE`, 5.14).
///
/// # Errors
/// `ENOPROTOOPT` on older kernels.
pub fn namespace_cookie(socket: impl AsFd) -> io::Result<u64> {
    let mut cookie: u64 = 0;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the value.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn request(device: &str) -> libc::ifreq {
    // SAFETY: all zero is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request
        .ifr_name
        .iter_mut()
        .zip(device.bytes().take(libc::IFNAMSIZ - 1))
    {
        *to = from.cast_signed();
    }
    request
}

fn ask(socket: impl AsFd, command: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the request is the struct that the command reads and writes; what it points to outlives the call.
    let result = unsafe {
        libc::ioctl(
            socket.as_fd().as_raw_fd(),
            command,
            std::ptr::from_mut(request),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
