//! QUIC: the datagrams that a client sends first name their flow. Clients and servers are quinn's; version 2, which quinn
//! does not speak, is made by rustls.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::BytesMut;
use quinn_proto::{
    ClientConfig, Connection, DatagramEvent, Endpoint, EndpointConfig, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    quic,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    Bed, PAUSE, SUFFIX, by_name,
    common::{PORT, guarded},
    tls_server, with_tool,
};

/// For an answer of a host beside this one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client with so many application protocols.
fn tls(protocols: usize) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = (0..protocols)
        .map(|nth| format!("protocol-{nth:040}").into_bytes())
        .collect();
    Ok(tls)
}

/// Initials that ask for `name`; with so many application protocols that several are needed.
fn initials(name: &str, protocols: usize) -> Result<Vec<Vec<u8>>> {
    let crypto = QuicClientConfig::try_from(tls(protocols)?).context("settle the ciphers")?;
    let config = ClientConfig::new(Arc::new(crypto));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let now = Instant::now();
    // Never sent to: the packets are taken out and sent by the test.
    let remote = ([192, 0, 2, 1], 443).into();
    let (_, mut connection) = endpoint.connect(now, config, remote, name)?;
    let (mut datagrams, mut buffer) = (Vec::new(), Vec::new());
    while let Some(transmit) = connection.poll_transmit(now, 1, &mut buffer) {
        datagrams.push(buffer[..transmit.size].to_vec());
        buffer.clear();
    }
    Ok(datagrams)
}

#[test]
fn initials_are_named_in_any_order() {
    guarded("initials_are_named_in_any_order", || {
        let bed = Bed::new("quic")?;
        let server = SocketAddr::new(bed.server().ip(), 443);
        let other = SocketAddr::new("52.94.0.11".parse()?, 443);
        let names = ["one", "many", "reversed", "doubled"].map(|name| format!("{name}.{SUFFIX}"));
        for (nth, name) in names.iter().enumerate() {
            let mut datagrams = initials(name, if nth == 0 { 1 } else { 120 })?;
            ensure!(nth == 0 || datagrams.len() > 1, "a hello of one packet");
            match nth {
                2 => datagrams.reverse(),
                3 => {
                    datagrams = datagrams
                        .iter()
                        .flat_map(|one| [one.clone(), one.clone()])
                        .collect();
                }
                _ => {}
            }
            bed.net.near.run(|| -> Result<()> {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect(server)?;
                for datagram in &datagrams {
                    // Nobody listens: the ICMP error of an earlier datagram is told instead of sending.
                    while socket.send(datagram).is_err() {}
                }
                Ok(())
            })?;
        }
        // One socket, two remotes.
        let pair = ["first", "second"].map(|name| format!("{name}.{SUFFIX}"));
        let asked = [initials(&pair[0], 1)?, initials(&pair[1], 1)?];
        bed.net.near.run(|| -> Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for (datagrams, remote) in asked.iter().zip([server, other]) {
                for datagram in datagrams {
                    socket.send_to(datagram, remote)?;
                }
            }
            thread::sleep(PAUSE);
            Ok(())
        })?;
        let records = bed.last_records()?;
        let named = by_name(&records);
        for name in names.iter().chain(&pair) {
            let record = named
                .get(name.as_str())
                .with_context(|| format!("no record names {name}"))?;
            ensure!(record["protocol"] == "udp", "{record}");
            ensure!(
                record["provider"] == "microsoft" && record["basis"] == "server_name",
                "{record}"
            );
        }
        ensure!(
            named[pair[1].as_str()]["remote_address"] == "52.94.0.11",
            "{}",
            named[pair[1].as_str()]
        );
        Ok(())
    });
}

/// Bytes of the handshake in one packet of [`second_version`].
const PIECE_BYTES: usize = 1_000;

/// Initials of QUIC version 2 (RFC 9369) that ask for `name`: hello and protection are rustls's.
fn second_version(name: &str) -> Result<Vec<Vec<u8>>> {
    let version = quic::Version::V2;
    let name = name.to_owned().try_into()?;
    let mut client =
        quic::ClientConnection::new(Arc::new(tls(40)?), version, name, vec![0x01, 0x01, 0x00])?;
    let mut hello = Vec::new();
    client.write_hs(&mut hello);
    let id = *b"observed";
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = suite.tls13().context("a suite of TLS 1.3")?;
    let algorithm = suite.quic.context("a suite for QUIC")?;
    let keys = quic::Keys::initial(version, suite, algorithm, &id, rustls::Side::Client).local;
    let mut datagrams = Vec::new();
    for (number, piece) in (0_u8..).zip(hello.chunks(PIECE_BYTES)) {
        let offset = usize::from(number) * PIECE_BYTES;
        let varint = |number: usize| (u16::try_from(number).unwrap_or(0) | 0x4000).to_be_bytes();
        let mut payload = vec![0x06];
        payload.extend(varint(offset));
        payload.extend(varint(piece.len()));
        payload.extend(piece);
        payload.resize(1_100, 0);
        let mut packet = vec![0xd0];
        packet.extend(0x6b33_43cf_u32.to_be_bytes());
        packet.push(8);
        packet.extend(id);
        // No id of its own, no token.
        packet.extend([0, 0]);
        packet.extend(varint(1 + payload.len() + keys.packet.tag_len()));
        let number_at = packet.len();
        packet.push(number);
        let tag = keys
            .packet
            .encrypt_in_place(number.into(), &packet, &mut payload)?;
        packet.extend(payload);
        packet.extend(tag.as_ref());
        let sample = packet[number_at + 4..][..keys.header.sample_len()].to_vec();
        let (head, rest) = packet.split_at_mut(number_at);
        let number = &mut rest[..1];
        keys.header
            .encrypt_in_place(&sample, &mut head[0], number)?;
        datagrams.push(packet);
    }
    Ok(datagrams)
}

#[test]
fn clients_over_ipv6_are_named() {
    with_tool("clients_over_ipv6_are_named", || {
        let bed = Bed::new("ipv6")?;
        let _server = tls_server(&bed)?;
        let names = ["tls", "quic"].map(|name| format!("{name}.{SUFFIX}"));
        let address = bed.net.far_address(6, PORT);
        let (ip, port) = (address.ip().to_string(), PORT.to_string());
        bed.tool(&["tls", &ip, &port, &names[0], "1.3"])?;
        let datagrams = initials(&names[1], 1)?;
        bed.net.near.run(|| -> Result<()> {
            let socket = UdpSocket::bind("[::]:0")?;
            for datagram in &datagrams {
                socket.send_to(datagram, (address.ip(), 443))?;
            }
            thread::sleep(PAUSE);
            Ok(())
        })?;
        let records = bed.last_records()?;
        let named = by_name(&records);
        for (name, protocol) in names.iter().zip(["tcp", "udp"]) {
            let record = named.get(name.as_str());
            let record = record.with_context(|| format!("no record names {name}"))?;
            ensure!(
                record["basis"] == "server_name"
                    && record["protocol"] == protocol
                    && record["ip_version"] == 6
                    && record["remote_address"] == ip.as_str(),
                "{record}"
            );
        }
        Ok(())
    });
}

#[test]
fn the_second_version_is_named() {
    guarded("the_second_version_is_named", || {
        let bed = Bed::new("quic2")?;
        let server = SocketAddr::new(bed.server().ip(), 443);
        let name = format!("second-version.{SUFFIX}");
        let datagrams = second_version(&name)?;
        ensure!(datagrams.len() > 1, "a hello of one packet");
        bed.net.near.run(|| -> Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for datagram in datagrams.iter().rev() {
                socket.send_to(datagram, server)?;
            }
            thread::sleep(PAUSE);
            Ok(())
        })?;
        let records = bed.last_records()?;
        let named = by_name(&records);
        let record = named.get(name.as_str()).context("no record names it")?;
        ensure!(record["basis"] == "server_name", "{record}");
        Ok(())
    });
}

/// No handshake comes so far as to ask for one.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Answers the first packet that it is sent with a Retry, and waits for one that has the token.
fn retrying(socket: &UdpSocket) -> Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    let crypto = QuicServerConfig::try_from(tls).context("settle the server's ciphers")?;
    let config = Arc::new(ServerConfig::with_crypto(Arc::new(crypto)));
    let mut endpoint = Endpoint::new(
        Arc::new(EndpointConfig::default()),
        Some(config),
        true,
        None,
    );
    let (mut datagram, mut answer) = ([0; 2_048], Vec::new());
    loop {
        let (length, from) = socket
            .recv_from(&mut datagram)
            .context("wait for a packet")?;
        let bytes = BytesMut::from(&datagram[..length]);
        answer.clear();
        let event = endpoint.handle(Instant::now(), from, None, None, bytes, &mut answer);
        let Some(DatagramEvent::NewConnection(incoming)) = event else {
            continue;
        };
        if incoming.remote_address_validated() {
            endpoint.ignore(incoming);
            return Ok(());
        }
        let retry = endpoint.retry(incoming, &mut answer);
        let retry = retry.ok().context("this one was retried before")?;
        socket.send_to(&answer[..retry.size], from)?;
    }
}

/// Sends the first packet alone of a hello of several, and all of them again under the keys that a Retry gives.
fn retried(socket: &UdpSocket, server: SocketAddr, name: &str) -> Result<()> {
    let crypto = QuicClientConfig::try_from(tls(40)?).context("settle the ciphers")?;
    let config = ClientConfig::new(Arc::new(crypto));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let (_, mut connection) = endpoint.connect(Instant::now(), config, server, name)?;
    let flight = |connection: &mut Connection| {
        let (mut datagrams, mut buffer) = (Vec::new(), Vec::new());
        while let Some(transmit) = connection.poll_transmit(Instant::now(), 1, &mut buffer) {
            datagrams.push(buffer[..transmit.size].to_vec());
            buffer.clear();
        }
        datagrams
    };
    let first = flight(&mut connection);
    ensure!(first.len() > 1, "a hello of one packet");
    socket.send_to(&first[0], server)?;
    let mut datagram = [0; 2_048];
    let length = socket.recv(&mut datagram).context("wait for the Retry")?;
    let bytes = BytesMut::from(&datagram[..length]);
    let event = endpoint.handle(Instant::now(), server, None, None, bytes, &mut Vec::new());
    let Some(DatagramEvent::ConnectionEvent(_, event)) = event else {
        bail!("the answer is none to the connection");
    };
    connection.handle_event(event);
    let again = flight(&mut connection);
    ensure!(
        again.len() >= first.len(),
        "not all was sent after the Retry"
    );
    for datagram in &again {
        socket.send_to(datagram, server)?;
    }
    Ok(())
}

#[test]
fn a_hello_after_a_retry_is_named() {
    guarded("a_hello_after_a_retry_is_named", || {
        let bed = Bed::new("retry")?;
        let server = SocketAddr::new(bed.server().ip(), 443);
        let name = format!("retried.{SUFFIX}");
        let socket = bed.net.far.run(|| UdpSocket::bind(server))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let serving = bed.net.far.start("retrying", move || retrying(&socket))?;
        bed.net.near.run(|| -> Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(PATIENCE))?;
            retried(&socket, server, &name)?;
            thread::sleep(PAUSE);
            Ok(())
        })?;
        serving
            .join()
            .map_err(|_| anyhow!("the server panicked"))??;
        let records = bed.last_records()?;
        let named = by_name(&records);
        let record = named.get(name.as_str()).context("no record names it")?;
        ensure!(record["basis"] == "server_name", "{record}");
        Ok(())
    });
}
