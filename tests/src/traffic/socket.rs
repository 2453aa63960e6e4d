//! Sockets as the makers need them: bound, with a timeout on everything, with extra IP headers where asked. The only
//! place of the makers with raw system calls.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    ptr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use super::Ends;

/// Nothing a maker does blocks longer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// What stands between the fixed IP header and the transport header of everything a socket sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraHeader {
    #[default]
    None,
    /// Four bytes of IPv4 options that do nothing.
    Ipv4Nops,
    /// Forty bytes of IPv4 options.
    Ipv4RecordRoute,
    /// An IPv6 destination options header of 8 bytes.
    Ipv6DestinationOptions,
}

impl ExtraHeader {
    /// Bytes that it adds to each packet.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Ipv4Nops => 4,
            Self::Ipv4RecordRoute => 40,
            Self::Ipv6DestinationOptions => 8,
        }
    }

    pub(super) fn apply(self, socket: &impl AsFd) -> io::Result<()> {
        let mut record_route = [0_u8; 40];
        record_route[..3].copy_from_slice(&[7, 39, 4]);
        match self {
            Self::None => Ok(()),
            Self::Ipv4Nops => set_option(socket, libc::IPPROTO_IP, libc::IP_OPTIONS, &[1_u8; 4]),
            Self::Ipv4RecordRoute => {
                set_option(socket, libc::IPPROTO_IP, libc::IP_OPTIONS, &record_route)
            }
            // Next header and length are the kernel's; then PadN of six bytes.
            Self::Ipv6DestinationOptions => set_option(
                socket,
                libc::IPPROTO_IPV6,
                libc::IPV6_DSTOPTS,
                &[0_u8, 0, 1, 4, 0, 0, 0, 0],
            ),
        }
    }
}

/// Connects; with `mapped` an IPv4 server is reached through an IPv6 socket.
pub(super) fn connect(ends: Ends, mapped: bool, header: ExtraHeader) -> Result<TcpStream> {
    let server = map(ends.server, mapped);
    let socket = open(server, Type::STREAM, ends.client, mapped)?;
    header
        .apply(&socket)
        .with_context(|| format!("cannot set {header:?}"))?;
    socket
        .connect_timeout(&server.into(), TIMEOUT)
        .with_context(|| format!("cannot connect to `{server}`"))?;
    Ok(socket.into())
}

/// Listens on the server's address.
pub(super) fn listen(ends: Ends, backlog: i32) -> Result<TcpListener> {
    let socket = open(ends.server, Type::STREAM, None, false)?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&ends.server.into())
        .with_context(|| format!("cannot bind `{}`", ends.server))?;
    socket.listen(backlog)?;
    // Accept has no timeout of its own; SO_RCVTIMEO of the listener is its timeout.
    Ok(socket.into())
}

/// The next connection, with the timeouts and the header set.
pub(super) fn accept(listener: &TcpListener, header: ExtraHeader) -> Result<TcpStream> {
    let (stream, _) = listener.accept().context("no connection came")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Linux 6.18 sends segments that no receiver takes when an accepted socket is given IPv6 options.
    if header != ExtraHeader::Ipv6DestinationOptions {
        header
            .apply(&stream)
            .with_context(|| format!("cannot set {header:?}"))?;
    }
    Ok(stream)
}

/// A UDP socket for a client, with room for what it receives.
pub(super) fn udp_client(ends: Ends, mapped: bool, header: ExtraHeader) -> Result<UdpSocket> {
    let socket = open(map(ends.server, mapped), Type::DGRAM, ends.client, mapped)?;
    header
        .apply(&socket)
        .with_context(|| format!("cannot set {header:?}"))?;
    room(&socket)?;
    Ok(socket.into())
}

/// A UDP socket for a server of every address of the host, with room for what it receives.
pub(super) fn udp_server(ends: Ends) -> Result<UdpSocket> {
    let socket = open(ends.server, Type::DGRAM, None, false)?;
    let any: IpAddr = match ends.server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let address = SocketAddr::new(any, ends.server.port());
    socket
        .bind(&address.into())
        .with_context(|| format!("cannot bind `{address}`"))?;
    room(&socket)?;
    Ok(socket.into())
}

/// A raw ICMP socket.
pub(super) fn icmp(ends: Ends) -> Result<Socket> {
    let protocol = if ends.server.is_ipv4() {
        Protocol::ICMPV4
    } else {
        Protocol::ICMPV6
    };
    let socket = Socket::new(Domain::for_address(ends.server), Type::RAW, Some(protocol))?;
    if let Some(local) = ends.client {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// The server's address as the client's socket names it.
pub(super) fn map(server: SocketAddr, mapped: bool) -> SocketAddr {
    match (server, mapped) {
        (SocketAddr::V4(v4), true) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        _ => server,
    }
}

/// Waits until `wanted` bytes lie unread in the socket.
pub(super) fn await_unread(stream: &TcpStream, wanted: u64) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut unread: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int, which outlives the call.
        if unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut unread) } < 0 {
            return Err(io::Error::last_os_error()).context("cannot ask for unread bytes");
        }
        if u64::try_from(unread)? >= wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("only {unread} of {wanted} bytes came");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Makes each send of a UDP socket several datagrams of at most `bytes`.
pub(super) fn set_udp_segment(socket: &UdpSocket, bytes: u16) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, &i32::from(bytes))
}

fn open(peer: SocketAddr, kind: Type, local: Option<IpAddr>, mapped: bool) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(peer), kind, None)?;
    if peer.is_ipv6() {
        socket.set_only_v6(!mapped)?;
    }
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    if let Some(local) = local {
        let local = map(SocketAddr::new(local, 0), mapped);
        socket
            .bind(&local.into())
            .with_context(|| format!("cannot bind `{local}`"))?;
    }
    Ok(socket)
}

/// Past the machine's limit, which is too small for a burst.
fn room(socket: &Socket) -> Result<()> {
    const ROOM_BYTES: i32 = 64 << 20;
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &ROOM_BYTES)
        .context("cannot set SO_RCVBUFFORCE")
}

fn set_option<T>(socket: &impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the value is as long as stated and outlives the call.
    let result = unsafe { libc::setsockopt(fd, level, name, ptr::from_ref(value).cast(), length) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
