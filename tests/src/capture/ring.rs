//! A packet socket with a memory-mapped ring (TPACKET_V3): the only place that reads memory shared with the kernel. It
//! keeps nothing and counts nothing but what the kernel counts.

use std::{
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::View;
use crate::{
    gso::{VNET_HEADER_BYTES, VnetHeader},
    packet::{Direction, Frame, Packet},
};

/// A block that is not full is handed over after this time.
pub(super) const RETIRE: Duration = Duration::from_millis(4);

const BLOCK_BYTES: usize = 256 << 10;
const FRAME_BYTES: usize = 2048;
/// Enough for link, IP with options or extension headers, and TCP with options.
const SNAP_BYTES: u32 = 256;

/// The ring of one packet socket, bound to one device, both directions.
#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    memory: *mut u8,
    blocks: usize,
    link_header_bytes: usize,
    view: View,
}

// SAFETY: the mapping is valid until drop, from any thread; block contents are read by one thread (`follow`) only.
unsafe impl Send for Ring {}
// SAFETY: as above; the other methods use only the socket.
unsafe impl Sync for Ring {}

impl Ring {
    /// Opens a ring in the namespace of the calling thread.
    pub(super) fn open(
        device: &str,
        view: View,
        ring_bytes: usize,
        link_header_bytes: usize,
    ) -> io::Result<Self> {
        let blocks = (ring_bytes / BLOCK_BYTES).max(2);
        // SAFETY: a plain system call. Protocol 0: nothing is received before bind.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        if view == View::Bundles {
            set_option(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1_i32)?;
        }
        cut_to_head(&socket)?;
        // SAFETY: `tpacket_req3` is plain data, for which zero is a valid value.
        let mut request: libc::tpacket_req3 = unsafe { mem::zeroed() };
        request.tp_block_size = BLOCK_BYTES as u32;
        request.tp_block_nr = blocks as u32;
        request.tp_frame_size = FRAME_BYTES as u32;
        request.tp_frame_nr = (blocks * BLOCK_BYTES / FRAME_BYTES) as u32;
        request.tp_retire_blk_tov = RETIRE.as_millis() as u32;
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let memory = map(&socket, blocks * BLOCK_BYTES)?;
        let ring = Self {
            socket,
            memory,
            blocks,
            link_header_bytes,
            view,
        };
        ring.bind(device)?;
        Ok(ring)
    }

    /// Waits until a block is filled, at most a few milliseconds.
    pub(super) fn wait(&self) -> io::Result<()> {
        let mut poll = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, which outlives the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 20) };
        match ready {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()).or_else(|cause| match cause.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(cause),
            }),
        }
    }

    /// The block at `cursor` if the kernel has filled it; moves the cursor on.
    pub(super) fn filled(&self, cursor: &mut usize) -> Option<Block<'_>> {
        // SAFETY: the cursor is below the number of blocks in the mapping.
        let start = unsafe { self.memory.add(*cursor * BLOCK_BYTES) };
        if status(start).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        *cursor = (*cursor + 1) % self.blocks;
        Some(Block { ring: self, start })
    }

    /// Packets offered (lost ones included) and packets lost since the last call.
    pub(super) fn statistics(&self) -> io::Result<(u64, u64)> {
        let mut stats = libc::tpacket_stats_v3 {
            tp_packets: 0,
            tp_drops: 0,
            tp_freeze_q_cnt: 0,
        };
        let mut length = size_of_val(&stats) as libc::socklen_t;
        // SAFETY: the buffer is as long as stated and outlives the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut length,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok((stats.tp_packets.into(), stats.tp_drops.into()))
        }
    }

    fn bind(&self, device: &str) -> io::Result<()> {
        // SAFETY: `sockaddr_ll` is plain data, for which zero is a valid value.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = nix::net::if_::if_nametoindex(device)?.cast_signed();
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the address is as long as stated and outlives the call.
        let result =
            unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), length) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length and nothing borrows from it any more.
        unsafe { libc::munmap(self.memory.cast(), self.blocks * BLOCK_BYTES) };
    }
}

/// A block that belongs to this process until it is dropped.
pub(super) struct Block<'r> {
    ring: &'r Ring,
    start: *mut u8,
}

#[expect(
    clippy::cast_ptr_alignment,
    reason = "the kernel aligns blocks and packets of the ring"
)]
impl Block<'_> {
    /// Summarises each packet, with the length of its link header.
    pub(super) fn for_each(&self, mut add: impl FnMut((Packet, u32))) {
        // SAFETY: the block starts with its descriptor, filled by the kernel before it changed the status.
        let header = unsafe { (*self.start.cast::<libc::tpacket_block_desc>()).hdr.bh1 };
        let mut at = header.offset_to_first_pkt as usize;
        for _ in 0..header.num_pkts {
            // SAFETY: the kernel's offsets stay within the block.
            let packet = unsafe { self.start.add(at) };
            // SAFETY: a packet starts with its header, aligned by the kernel.
            let meta = unsafe { &*packet.cast::<libc::tpacket3_hdr>() };
            add((
                self.summary(packet, meta),
                self.ring.link_header_bytes as u32,
            ));
            at += meta.tp_next_offset as usize;
        }
    }

    fn summary(&self, packet: *const u8, meta: &libc::tpacket3_hdr) -> Packet {
        const ADDRESS_AT: usize =
            size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
        // SAFETY: with TPACKET_V3 the link-layer address follows the aligned header.
        let address = unsafe { &*packet.add(ADDRESS_AT).cast::<libc::sockaddr_ll>() };
        let mac = usize::from(meta.tp_mac);
        let vnet = (self.ring.view == View::Bundles).then(|| {
            // SAFETY: with PACKET_VNET_HDR the header stands right before the frame.
            let bytes = unsafe {
                std::slice::from_raw_parts(packet.add(mac - VNET_HEADER_BYTES), VNET_HEADER_BYTES)
            };
            VnetHeader::read(bytes).expect("ten bytes are a virtio header")
        });
        // SAFETY: the kernel copied `tp_snaplen` bytes of the frame to this place in the block.
        let head = unsafe { std::slice::from_raw_parts(packet.add(mac), meta.tp_snaplen as usize) };
        Packet::parse(&Frame {
            head,
            frame_bytes: meta.tp_len,
            link_header_bytes: self.ring.link_header_bytes,
            direction: if address.sll_pkttype == libc::PACKET_OUTGOING {
                Direction::Out
            } else {
                Direction::In
            },
            time_ns: u64::from(meta.tp_sec) * 1_000_000_000 + u64::from(meta.tp_nsec),
            vnet,
        })
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        status(self.start).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// Says to whom the block at `start` belongs.
#[expect(clippy::cast_ptr_alignment, reason = "the kernel aligns blocks")]
fn status<'r>(start: *mut u8) -> &'r AtomicU32 {
    let block = start.cast::<libc::tpacket_block_desc>();
    // SAFETY: the descriptor is aligned and mapped as long as the ring; the kernel changes the status, hence atomic.
    unsafe { AtomicU32::from_ptr(&raw mut (*block).hdr.bh1.block_status) }
}

/// Keeps only the first bytes of each packet; the kernel still reports the whole length.
fn cut_to_head(socket: &OwnedFd) -> io::Result<()> {
    let mut code = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: SNAP_BYTES,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: code.as_mut_ptr(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn map(socket: &OwnedFd, length: usize) -> io::Result<*mut u8> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping of a ring that has this length.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            access,
            flags,
            socket.as_raw_fd(),
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(memory.cast())
    }
}

fn set_option<T>(socket: &OwnedFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is as long as stated and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            length,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
