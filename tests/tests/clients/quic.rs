//! The datagrams that a client of quinn sends first. It opens no socket.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, crypto::rustls::QuicClientConfig};

/// Initials that ask for `name`; with so many application protocols that several are needed.
pub fn initials(name: &str, protocols: usize) -> Result<Vec<Vec<u8>>> {
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
