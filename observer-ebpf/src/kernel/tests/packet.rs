//! Packets as bytes, between this host and a remote that is a number.

use observer_ebpf::packet::{protocol, tcp_flag};

/// What a test says of a packet; the rest of the bytes is zero.
#[derive(Clone, Copy)]
pub struct Packet {
    pub ip_version: u8,
    pub protocol: u8,
    /// Last byte of the remote's address.
    pub remote: u8,
    pub remote_port: u16,
    pub local_port: u16,
    pub tcp_flags: u8,
    pub sequence: u32,
    pub payload_bytes: usize,
    /// IPv4: fragment flags and offset in units of 8 bytes. IPv6: any other than 0 brings a fragment header.
    pub fragment: u16,
    /// IPv6 destination options of this many units of 8 bytes.
    pub extension_units: u8,
    /// As an skb has them: payload bytes of a segment, segments.
    pub gso: (u32, u32),
}

pub const REMOTE: u8 = 9;

const TCP: Packet = Packet {
    ip_version: 4,
    protocol: protocol::TCP,
    remote: REMOTE,
    remote_port: 443,
    local_port: 40_000,
    tcp_flags: tcp_flag::ACK,
    sequence: 0,
    payload_bytes: 0,
    fragment: 0,
    extension_units: 0,
    gso: (0, 0),
};

pub const fn tcp(tcp_flags: u8, sequence: u32, payload_bytes: usize) -> Packet {
    Packet {
        tcp_flags,
        sequence,
        payload_bytes,
        ..TCP
    }
}

pub const fn udp(remote: u8, payload_bytes: usize) -> Packet {
    Packet {
        protocol: protocol::UDP,
        remote,
        remote_port: 53,
        payload_bytes,
        ..TCP
    }
}

/// An address as the ABI has it.
pub const fn address(ip_version: u8, last: u8) -> [u8; 16] {
    match ip_version {
        4 => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last],
        _ => [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last],
    }
}

/// Last byte of this host's address.
pub const LOCAL: u8 = 1;

impl Packet {
    pub const fn v6(self) -> Self {
        Self {
            ip_version: 6,
            ..self
        }
    }

    const fn transport_bytes(self) -> usize {
        match self.protocol {
            protocol::TCP => 32,
            _ => 8,
        }
    }

    pub const fn is_later_fragment(self) -> bool {
        self.fragment & 0x1fff != 0
    }

    pub const fn ip_bytes(self) -> usize {
        match (self.ip_version, self.fragment) {
            (4, _) => 20,
            (_, 0) => 40 + self.extension_units as usize * 8,
            _ => 48 + self.extension_units as usize * 8,
        }
    }

    /// From the IP header on.
    pub const fn length(self) -> usize {
        let transport = if self.is_later_fragment() {
            0
        } else {
            self.transport_bytes()
        };
        self.ip_bytes() + transport + self.payload_bytes
    }

    pub fn bytes(self, egress: bool) -> Vec<u8> {
        let mut bytes = vec![0; self.length()];
        let ends = [(LOCAL, self.local_port), (self.remote, self.remote_port)];
        let [from, to] = if egress { ends } else { [ends[1], ends[0]] };
        if self.ip_version == 4 {
            self.ipv4(&mut bytes, from.0, to.0);
        } else {
            self.ipv6(&mut bytes, from.0, to.0);
        }
        if !self.is_later_fragment() {
            let transport = &mut bytes[self.ip_bytes()..];
            match self.protocol {
                protocol::TCP | protocol::UDP => {
                    transport[..2].copy_from_slice(&from.1.to_be_bytes());
                    transport[2..4].copy_from_slice(&to.1.to_be_bytes());
                }
                _ => transport[0] = self.sequence.to_le_bytes()[0],
            }
            if self.protocol == protocol::TCP {
                transport[4..8].copy_from_slice(&self.sequence.to_be_bytes());
                transport[12] = 8 << 4;
                transport[13] = self.tcp_flags;
            }
        }
        bytes
    }

    fn ipv4(self, bytes: &mut [u8], from: u8, to: u8) {
        let length = u16::try_from(self.length()).unwrap_or(0);
        bytes[0] = 0x45;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        bytes[9] = self.protocol;
        bytes[12..16].copy_from_slice(&address(4, from)[12..]);
        bytes[16..20].copy_from_slice(&address(4, to)[12..]);
    }

    fn ipv6(self, bytes: &mut [u8], from: u8, to: u8) {
        const DESTINATION_OPTIONS: u8 = 60;
        const FRAGMENT: u8 = 44;
        let length = u16::try_from(self.length() - 40).unwrap_or(0);
        bytes[0] = 0x60;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes[8..24].copy_from_slice(&address(6, from));
        bytes[24..40].copy_from_slice(&address(6, to));
        let (mut next, mut at) = (6, 40);
        if self.extension_units != 0 {
            bytes[next] = DESTINATION_OPTIONS;
            bytes[at + 1] = self.extension_units - 1;
            next = at;
            at += usize::from(self.extension_units) * 8;
        }
        if self.fragment != 0 {
            bytes[next] = FRAGMENT;
            bytes[at + 2..at + 4].copy_from_slice(&(self.fragment << 3).to_be_bytes());
            next = at;
        }
        bytes[next] = self.protocol;
    }
}
