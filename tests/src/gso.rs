//! The virtio network header, which tells a bundle from a packet, and the arithmetic that turns a bundle into the
//! packets it becomes on a wire. It knows no device and no descriptor.

use crate::packet::Packet;

/// Bytes of the header as tun and packet sockets carry it by default.
pub const VNET_HEADER_BYTES: usize = 10;

/// `struct virtio_net_hdr` (VIRTIO 1.2, 5.1.6), in the machine's byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    pub flags: u8,
    /// 0 none, 1 TCP/IPv4, 3 UDP to be fragmented, 4 TCP/IPv6, 5 UDP segmentation; 0x80 marks ECN.
    pub gso_type: u8,
    pub header_bytes: u16,
    /// Payload bytes of each segment but the last.
    pub gso_size: u16,
    pub csum_start: u16,
    pub csum_offset: u16,
}

const GSO_UDP_FRAGMENTS: u8 = 3;
const GSO_ECN: u8 = 0x80;

impl VnetHeader {
    /// Reads the header; none when `bytes` is too short.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let pair = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        Some(Self {
            flags: *bytes.first()?,
            gso_type: *bytes.get(1)?,
            header_bytes: pair(2)?,
            gso_size: pair(4)?,
            csum_start: pair(6)?,
            csum_offset: pair(8)?,
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; VNET_HEADER_BYTES] {
        let mut bytes = [0; VNET_HEADER_BYTES];
        (bytes[0], bytes[1]) = (self.flags, self.gso_type);
        for (at, pair) in [
            (2, self.header_bytes),
            (4, self.gso_size),
            (6, self.csum_start),
            (8, self.csum_offset),
        ] {
            bytes[at..at + 2].copy_from_slice(&pair.to_ne_bytes());
        }
        bytes
    }

    /// Sets `segments` and `wire_bytes` of a packet that carried this header.
    pub(crate) fn expand(self, packet: &mut Packet) {
        let kind = self.gso_type & !GSO_ECN;
        if kind == 0 || self.gso_size == 0 || packet.ip_version == 0 {
            return;
        }
        let transport = u32::from(packet.transport_header_bytes);
        // Fragments share one UDP header; segments repeat the transport header.
        let (payload, repeated) = if kind == GSO_UDP_FRAGMENTS {
            (
                packet.payload_bytes + transport,
                u32::from(packet.network_header_bytes),
            )
        } else {
            (
                packet.payload_bytes,
                u32::from(packet.network_header_bytes) + transport,
            )
        };
        packet.segments = payload.div_ceil(u32::from(self.gso_size)).max(1);
        packet.wire_bytes = packet.device_bytes + (packet.segments - 1) * repeated;
    }
}
