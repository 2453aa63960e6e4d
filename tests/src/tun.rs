//! A tun device whose packets carry the virtio network header, and the descriptor through which they pass: a
//! hypervisor's end of a guest's network card. It judges no packet.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Read, Write},
    mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

use anyhow::{Context, Result};

use crate::{
    gso::{VNET_HEADER_BYTES, VnetHeader},
    host::Host,
};

/// The longest packet that a tun device hands over, header included.
pub const FRAME_BYTES_MAX: usize = VNET_HEADER_BYTES + 65_535;

const TUNSETIFF: u64 = 0x4004_54ca;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const OFFLOAD_CSUM: u64 = 1;
const OFFLOAD_TSO: u64 = 2 | 4;
const OFFLOAD_USO: u64 = 0x20 | 0x40;

/// The outer end of a tun device; the device goes when this is dropped. Reads never block.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
}

impl Tun {
    /// Makes `device` in `host`, without addresses. With `bundles` the host hands over TCP bundles whole, and UDP
    /// bundles where the kernel can (6.2); without, each packet fits the MTU.
    pub fn open(host: &Host, device: &str, bundles: bool) -> Result<Self> {
        let file = host.run(|| create(device, bundles)).with_context(|| {
            format!(
                "cannot make tun device `{device}` in host `{}`",
                host.name()
            )
        })?;
        // Packets wait here for the reader; the default of 500 overflows on one burst.
        host.ip(&[&format!("link set {device} txqueuelen 20000")])?;
        Ok(Self {
            file,
            name: format!("{}:{device}", host.name()),
        })
    }

    /// Takes the next packet that the host sent: header and length of the packet put at the start of `buffer`.
    /// None when there is none now.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(VnetHeader, usize)>> {
        match (&self.file).read(buffer) {
            Ok(length) => {
                let header = VnetHeader::read(buffer).filter(|_| length >= VNET_HEADER_BYTES);
                let header =
                    header.ok_or_else(|| io::Error::other("a tun packet without header"))?;
                buffer.copy_within(VNET_HEADER_BYTES..length, 0);
                Ok(Some((header, length - VNET_HEADER_BYTES)))
            }
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// Hands a packet, or a bundle of segments, to the host as received. With `gso_size` set the host's kernel gets a
    /// bundle whose `gso_segs` is 0, as from virtio.
    pub fn inject(&self, header: VnetHeader, packet: &[u8]) -> io::Result<()> {
        let header = header.to_bytes();
        let written =
            (&self.file).write_vectored(&[IoSlice::new(&header), IoSlice::new(packet)])?;
        if written == header.len() + packet.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Host and device, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn create(device: &str, bundles: bool) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: `ifreq` is plain data, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request
        .ifr_name
        .iter_mut()
        .zip(device.bytes().take(libc::IFNAMSIZ - 1))
    {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which outlives the call.
    if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if bundles {
        set_offload(&file, OFFLOAD_CSUM | OFFLOAD_TSO | OFFLOAD_USO)
            .or_else(|_| set_offload(&file, OFFLOAD_CSUM | OFFLOAD_TSO))?;
    }
    Ok(file)
}

fn set_offload(file: &File, flags: u64) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its flags by value.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, flags) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
