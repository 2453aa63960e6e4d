//! Requests that rustls encrypts: the test's own.

use std::{
    fs,
    io::{IoSlice, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{AWS_US_EAST_1, Bed, OPENAI, by_route, own, server, with_python};

/// Programs are looked for once a second.
const FOUND: Duration = Duration::from_secs(4);
const ROUNDS: u64 = 20;
const KINDS: [(&str, &str); 2] = [
    ("/v1/embeddings", "POST /v1/embeddings"),
    ("/v1/files?x=y", "POST /v1/files/**"),
];

#[test]
fn requests_of_rustls_are_typed() {
    with_python("requests_of_rustls_are_typed", || {
        let bed = Bed::new("tick: 500ms\n")?;
        let certificate = fs::read(bed.path("certificate.pem"))?;
        bed.net.near.run(|| talk(&certificate))?;
        let sums = by_route(&own(bed.agent.stop()?));
        for (_, route) in KINDS {
            let found = sums.get(route).map_or(0, |sum| sum[2]);
            ensure!(found == ROUNDS, "{route}: {found} of {ROUNDS}: {sums:?}");
        }
        Ok(())
    });
}

fn talk(certificate: &[u8]) -> Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate)?)?;
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), OPENAI.try_into()?)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server(AWS_US_EAST_1))?);
    stream.sock.set_nodelay(true)?;
    stream.flush()?;
    thread::sleep(FOUND);
    for nth in 0..ROUNDS {
        for (path, _) in KINDS {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: {OPENAI}\r\nContent-Length: 3\r\n\r\n");
            if nth % 2 == 0 {
                stream.write_all(head.as_bytes())?;
                stream.write_all(b"{ }")?;
            } else {
                // As HTTP libraries do.
                let pieces = [IoSlice::new(head.as_bytes()), IoSlice::new(b"{ }")];
                let written = stream.conn.writer().write_vectored(&pieces)?;
                ensure!(written == head.len() + 3, "{written} bytes were taken");
                stream.flush()?;
            }
            let mut answer = Vec::new();
            let mut room = [0; 4_096];
            while !answer.windows(4).any(|end| end == b"\r\n\r\n")
                || answer.len() < length(&answer)?
            {
                let read = stream.read(&mut room)?;
                ensure!(read > 0, "the server has closed");
                answer.extend(&room[..read]);
            }
        }
    }
    Ok(())
}

/// Bytes of an answer with its body.
fn length(answer: &[u8]) -> Result<usize> {
    let text = String::from_utf8_lossy(answer);
    let (head, _) = text.split_once("\r\n\r\n").context("no head")?;
    let field = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    Ok(head.len() + 4 + field.context("no length")?.parse::<usize>()?)
}
