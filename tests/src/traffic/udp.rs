//! UDP: one socket to one remote or to hundreds, from one thread or several, whole, segmented or fragmented.

use std::{
    collections::HashSet,
    io::{ErrorKind, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use serde::{Deserialize, Serialize};

use super::{
    Ends, ExtraHeader, Stage, Truth,
    socket::{TIMEOUT, map, set_udp_segment, udp_client, udp_server},
};

/// A server that has heard something ends when it hears nothing more for this long.
const SILENCE: Duration = Duration::from_millis(400);

/// Datagrams of one client socket to `remotes` consecutive addresses, beginning with the server's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct UdpTalk {
    pub remotes: u32,
    /// Sends to each remote, by each thread.
    pub rounds: u32,
    /// Payload of one send; above the MTU it is fragmented, unless segmented.
    pub send_bytes: u16,
    /// UDP_SEGMENT: one send becomes datagrams of at most so many bytes.
    pub segment_bytes: Option<u16>,
    /// The socket is connected; needs a single remote.
    pub connected: bool,
    /// Threads that send on the same socket at the same time.
    pub threads: u8,
    /// The server answers each datagram with one of the same size, and the client waits for it.
    pub replies: bool,
    pub mapped: bool,
    pub header: ExtraHeader,
    /// The client waits once its socket is there, before the first send.
    pub pause: bool,
}

impl UdpTalk {
    /// `rounds` datagrams of `send_bytes` from a connected socket.
    #[must_use]
    pub fn datagrams(rounds: u32, send_bytes: u16) -> Self {
        Self {
            remotes: 1,
            rounds,
            send_bytes,
            segment_bytes: None,
            connected: true,
            threads: 1,
            replies: false,
            mapped: false,
            header: ExtraHeader::None,
            pause: false,
        }
    }

    /// One unconnected socket that sends one datagram to each of `remotes`.
    #[must_use]
    pub fn fan_out(remotes: u32, send_bytes: u16) -> Self {
        Self {
            remotes,
            connected: false,
            ..Self::datagrams(1, send_bytes)
        }
    }

    /// `rounds` sends of `send_bytes`, each cut into datagrams of `segment_bytes`.
    #[must_use]
    pub fn segmented(rounds: u32, send_bytes: u16, segment_bytes: u16) -> Self {
        Self {
            segment_bytes: Some(segment_bytes),
            ..Self::datagrams(rounds, send_bytes)
        }
    }

    /// Two threads on one connected socket, `rounds` small datagrams each. The receiver may lose some.
    #[must_use]
    pub fn two_threads(rounds: u32, send_bytes: u16) -> Self {
        Self {
            threads: 2,
            ..Self::datagrams(rounds, send_bytes)
        }
    }

    pub(super) fn client(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        ensure!(
            !self.connected || self.remotes == 1,
            "a connected socket has one remote, not {}",
            self.remotes
        );
        ensure!(
            !self.replies || self.threads == 1,
            "replies are waited for by one thread, not {}",
            self.threads
        );
        let socket = udp_client(ends, self.mapped, self.header)?;
        if let Some(bytes) = self.segment_bytes {
            set_udp_segment(&socket, bytes).context("cannot set UDP_SEGMENT")?;
        }
        if self.connected {
            socket.connect(map(ends.server, self.mapped))?;
        }
        if self.pause {
            stage.pause()?;
        }
        let mut truth = Truth {
            remotes: self.remotes.into(),
            ..Truth::begin()
        };
        let replies = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|_| scope.spawn(|| self.send_all(&socket, ends)))
                .collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().map(join).sum::<Result<u64>>()
        })?;
        truth.note_local(socket.local_addr()?);
        truth.payload_bytes_sent = self.total_bytes();
        truth.messages_sent = self.total_datagrams();
        truth.payload_bytes_received = replies;
        truth.messages_received = if self.replies {
            self.total_datagrams()
        } else {
            0
        };
        Ok(truth)
    }

    pub(super) fn server(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        let mut truth = Truth::begin();
        let socket = udp_server(ends)?;
        truth.note_local(ends.server);
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        if self.replies {
            learn_destinations(&socket, ends)?;
        }
        stage.ready()?;
        let (mut last, mut clients) = (None, HashSet::new());
        let (begun, mut buffer) = (Instant::now(), vec![0; 65_536]);
        while truth.payload_bytes_received < self.total_bytes() {
            let length = match if self.replies {
                answer(&socket, &mut buffer)
            } else {
                take(&socket, &mut buffer)
            } {
                Ok((length, client)) => {
                    clients.extend(client);
                    length as u64
                }
                Err(cause)
                    if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if last.is_some_and(|last: Instant| last.elapsed() > SILENCE) {
                        break;
                    }
                    ensure!(begun.elapsed() < TIMEOUT, "no datagram came in {TIMEOUT:?}");
                    continue;
                }
                Err(cause) => return Err(cause).context("cannot receive"),
            };
            last = Some(Instant::now());
            truth.payload_bytes_received += length;
            truth.messages_received += 1;
            truth.payload_bytes_sent += if self.replies { length } else { 0 };
            truth.messages_sent += u64::from(self.replies);
        }
        truth.remotes = clients.len() as u64;
        Ok(truth)
    }

    fn send_all(&self, socket: &UdpSocket, ends: Ends) -> Result<u64> {
        let payload: Vec<u8> = (0..self.send_bytes).map(|index| index as u8).collect();
        let mut buffer = vec![0; 65_536];
        let mut replies = 0;
        for _ in 0..self.rounds {
            for index in 0..self.remotes {
                let remote = map(nth_address(ends.server, index), self.mapped);
                let sent = if self.connected {
                    socket.send(&payload)
                } else {
                    socket.send_to(&payload, remote)
                };
                let sent = sent.with_context(|| format!("cannot send to `{remote}`"))?;
                ensure!(
                    sent == payload.len(),
                    "sent {sent} of {} bytes",
                    payload.len()
                );
                let mut missing = if self.replies { payload.len() } else { 0 };
                while missing > 0 {
                    let (length, from) = socket.recv_from(&mut buffer).context("no reply came")?;
                    ensure!(from == remote, "`{from}` answered for `{remote}`");
                    missing = missing.saturating_sub(length);
                    replies += length as u64;
                }
            }
        }
        Ok(replies)
    }

    fn total_sends(&self) -> u64 {
        u64::from(self.remotes) * u64::from(self.rounds) * u64::from(self.threads)
    }

    fn total_bytes(&self) -> u64 {
        self.total_sends() * u64::from(self.send_bytes)
    }

    fn total_datagrams(&self) -> u64 {
        let each = self
            .segment_bytes
            .map_or(1, |bytes| self.send_bytes.div_ceil(bytes).max(1));
        self.total_sends() * u64::from(each)
    }
}

/// The address `index` after `first`, same port.
fn nth_address(first: SocketAddr, index: u32) -> SocketAddr {
    let address: IpAddr = match first.ip() {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add(index)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add(index.into())).into(),
    };
    SocketAddr::new(address, first.port())
}

fn take(socket: &UdpSocket, buffer: &mut [u8]) -> std::io::Result<(usize, Option<SocketAddr>)> {
    let (length, from) = socket.recv_from(buffer)?;
    Ok((length, Some(from)))
}

/// Asks the kernel to say to which of the host's addresses each datagram was sent.
fn learn_destinations(socket: &UdpSocket, ends: Ends) -> Result<()> {
    match ends.server {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true),
    }
    .context("cannot ask for destinations")
}

/// Receives one datagram and sends the same bytes back from the address it was sent to.
fn answer(socket: &UdpSocket, buffer: &mut [u8]) -> std::io::Result<(usize, Option<SocketAddr>)> {
    let mut space = nix::cmsg_space!(libc::in6_pktinfo);
    let fd = socket.as_raw_fd();
    let (length, from, local) = {
        let mut parts = [IoSliceMut::new(buffer)];
        let message =
            recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), MsgFlags::empty())?;
        (message.bytes, message.address, message.cmsgs()?.next())
    };
    let parts = [IoSlice::new(&buffer[..length])];
    let send = |control: &[ControlMessage<'_>]| {
        sendmsg(fd, &parts, control, MsgFlags::empty(), from.as_ref())
    };
    match local {
        Some(ControlMessageOwned::Ipv4PacketInfo(mut info)) => {
            (info.ipi_ifindex, info.ipi_spec_dst) = (0, info.ipi_addr);
            send(&[ControlMessage::Ipv4PacketInfo(&info)])?
        }
        Some(ControlMessageOwned::Ipv6PacketInfo(mut info)) => {
            info.ipi6_ifindex = 0;
            send(&[ControlMessage::Ipv6PacketInfo(&info)])?
        }
        _ => send(&[])?,
    };
    Ok((length, None))
}
