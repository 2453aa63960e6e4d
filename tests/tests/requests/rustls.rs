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

use super::{AWS_US_EAST_1, Bed, OPENAI, by_route, http2::with_http2, own, server, with_python};

/// Programs are looked for once a second.
const FOUND: Duration = Duration::from_secs(4);
const ROUNDS: u64 = 20;
/// A frame with `{ }` in it.
const DATA_BYTES: u64 = 9 + 3;
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

/// Streams of HTTP/2, by the library that most of Rust's speak it with, four at a time. It writes the preface before it moves the
/// connection to where it stays.
#[test]
fn requests_of_http2_over_rustls_are_typed() {
    with_http2("requests_of_http2_over_rustls_are_typed", || {
        let bed = Bed::new("tick: 500ms\n")?;
        let certificate = fs::read(bed.path("certificate.pem"))?;
        thread::sleep(FOUND);
        bed.net.near.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build()?;
            runtime.block_on(talk_http2(&certificate))
        })?;
        let sums = by_route(&own(bed.agent.stop()?));
        for (_, route) in KINDS {
            let sum = sums.get(route).copied().unwrap_or_default();
            ensure!(sum[2] == 2 * ROUNDS, "{route}: {sums:?}");
        }
        // All but the first kind's first request, before which there was no other.
        let [_, (_, other)] = KINDS;
        let sent = sums.get(other).map(|sum| sum[0]);
        ensure!(sent == Some(2 * ROUNDS * DATA_BYTES), "{sums:?}");
        Ok(())
    });
}

async fn talk_http2(certificate: &[u8]) -> Result<()> {
    let mut config = client(certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(server(AWS_US_EAST_1)).await?;
    stream.set_nodelay(true)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(OPENAI.try_into()?, stream).await?;
    let (send, connection) = h2::client::handshake(stream).await?;
    tokio::try_join!(async { Ok(connection.await?) }, ask(send))?;
    Ok(())
}

async fn ask(mut send: h2::client::SendRequest<bytes::Bytes>) -> Result<()> {
    for _ in 0..ROUNDS {
        let mut answers = Vec::new();
        for (path, _) in KINDS.iter().cycle().take(4) {
            let request = http::Request::post(format!("https://{OPENAI}{path}")).body(())?;
            send = send.ready().await?;
            let (answer, mut body) = send.send_request(request, false)?;
            body.send_data(bytes::Bytes::from_static(b"{ }"), true)?;
            answers.push(answer);
        }
        for answer in answers {
            let mut body = answer.await?.into_body();
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
        }
    }
    Ok(())
}

fn client(certificate: &[u8]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate)?)?;
    Ok(
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

fn talk(certificate: &[u8]) -> Result<()> {
    let config = client(certificate)?;
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
