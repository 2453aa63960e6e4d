//! ICMP echo from a raw socket; the server's kernel answers.

use std::{io::Read, net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    Ends, Truth,
    socket::{TIMEOUT, icmp},
};

/// `count` echo requests with `payload_bytes` behind the ICMP header of 8 bytes, one after the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct IcmpEcho {
    pub count: u16,
    pub payload_bytes: u16,
}

impl IcmpEcho {
    pub(super) fn client(&self, ends: Ends) -> Result<Truth> {
        let mut truth = Truth {
            remotes: 1,
            ..Truth::begin()
        };
        let mut socket = icmp(ends)?;
        let is_ipv4 = ends.server.is_ipv4();
        for sequence in 0..self.count {
            let request = self.request(is_ipv4, sequence);
            socket
                .send_to(&request, &SocketAddr::new(ends.server.ip(), 0).into())
                .context("cannot send an echo")?;
            truth.messages_sent += 1;
            truth.payload_bytes_sent += u64::from(self.payload_bytes);
            await_reply(&mut socket, is_ipv4, &request)?;
            truth.messages_received += 1;
            truth.payload_bytes_received += u64::from(self.payload_bytes);
        }
        Ok(truth)
    }

    fn request(&self, is_ipv4: bool, sequence: u16) -> Vec<u8> {
        let mut request = vec![if is_ipv4 { 8 } else { 128 }, 0, 0, 0, 0x0b, 0x5e];
        request.extend(sequence.to_be_bytes());
        request.extend((0..self.payload_bytes).map(|index| index as u8));
        // ICMPv6's checksum covers addresses; the kernel fills it in.
        if is_ipv4 {
            let checksum = checksum(&request);
            request[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        request
    }
}

fn await_reply(socket: &mut socket2::Socket, is_ipv4: bool, request: &[u8]) -> Result<()> {
    let begun = Instant::now();
    let mut buffer = vec![0; 65_536];
    loop {
        let length = socket.read(&mut buffer).context("no echo reply came")?;
        // A raw IPv4 socket delivers the IP header too.
        let header = if is_ipv4 {
            usize::from(buffer[0] & 0xf) * 4
        } else {
            0
        };
        let reply = buffer.get(header..length).unwrap_or(&[]);
        let kind = if is_ipv4 { 0 } else { 129 };
        if reply.first() == Some(&kind) && reply.get(4..) == request.get(4..) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < TIMEOUT,
            "no echo reply came in {TIMEOUT:?}"
        );
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = bytes.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
