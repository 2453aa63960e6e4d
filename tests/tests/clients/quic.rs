//! QUIC: the datagrams that a client of quinn sends first name their flow.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, crypto::rustls::QuicClientConfig};

use super::{Bed, PAUSE, SUFFIX, by_name, common::guarded};

/// Initials that ask for `name`; with so many application protocols that several are needed.
fn initials(name: &str, protocols: usize) -> Result<Vec<Vec<u8>>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = (0..protocols)
        .map(|nth| format!("protocol-{nth:040}").into_bytes())
        .collect();
    let crypto = QuicClientConfig::try_from(tls).context("settle the ciphers")?;
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
