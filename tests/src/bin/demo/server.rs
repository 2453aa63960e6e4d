//! A cloud's end: one process for a place, answering under the names of all services there. What it answers has the
//! shape of the services' answers (length, chunks, pauses), not their encodings: TLS hides those from everyone else.

use std::{
    io::{BufReader, Read as _, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::{
    http::{Head, write_chunk, write_filler},
    places::{SERVICES, Service},
    tls,
};

pub const PORT: u16 = 443;
/// What it says once it listens.
pub const READY: &str = "ready";

/// Further ones are closed at once.
const CONNECTIONS_MAX: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of a request's body, so much is looked at.
const BODY_KEPT_BYTES: usize = 64 << 10;
const TOKENS_MAX: u64 = 10_000;
const TOKEN_BYTES: u64 = 4;
const RANGE_BYTES_MAX: u64 = 64 << 20;
/// What surrounds one token in a streamed answer.
const EVENT_BYTES: usize = 220;

/// Serves until it is killed.
pub fn serve(folder: &Path, place: usize) -> Result<()> {
    let names: Vec<&str> = SERVICES
        .iter()
        .filter(|service| service.place == place)
        .map(|service| service.server_name)
        .collect();
    let config = tls::server(folder, &names)?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))
        .with_context(|| format!("cannot listen on port {PORT}"))?;
    let mut out = std::io::stdout();
    writeln!(out, "{READY}").context("cannot say that it is ready")?;
    out.flush().context("cannot say that it is ready")?;
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().context("cannot accept a connection")?;
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            eprintln!("more than {CONNECTIONS_MAX} connections: one is closed");
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (config, open) = (Arc::clone(&config), Arc::clone(&open));
        std::thread::spawn(move || {
            if let Err(error) = converse(stream, config) {
                eprintln!("a connection ended early: {error:#}");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn converse(stream: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let connection = ServerConnection::new(config)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(head) = Head::read(&mut reader)? {
        let (_, body) = head.body(&mut reader, BODY_KEPT_BYTES)?;
        let host = head.field("host").context("a request without `host`")?;
        let service = SERVICES
            .iter()
            .find(|service| service.server_name == host)
            .with_context(|| format!("nobody is called `{host}`"))?;
        sleep(Duration::from_millis(service.think_ms));
        answer(reader.get_mut(), &head, &body, service)?;
        if head.field("connection") == Some("close") {
            break;
        }
    }
    end(reader.get_mut())
}

/// Says so in TLS and in TCP, and waits for the client to do the same.
fn end(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Result<()> {
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.shutdown(Shutdown::Write)?;
    while stream.sock.read(&mut [0; 256])? > 0 {}
    Ok(())
}

fn answer(writer: &mut impl Write, head: &Head, body: &[u8], service: &Service) -> Result<()> {
    match head.first.split(' ').next().unwrap_or_default() {
        "PUT" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nETag: \"demo\"\r\nContent-Length: 0\r\n\r\n")?;
            Ok(writer.flush()?)
        }
        "GET" => {
            let length = range_bytes(head.field("range").context("a GET without `range`")?)?;
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Type: application/octet-stream\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            writer.write_all(head.as_bytes())?;
            write_filler(writer, length)
        }
        "POST" => {
            let question: Value = serde_json::from_slice(body).context("a body that is no JSON")?;
            let tokens = question["max_tokens"].as_u64().context("no `max_tokens`")?;
            ensure!(
                tokens <= TOKENS_MAX,
                "`max_tokens` {tokens} above {TOKENS_MAX}"
            );
            if question["stream"] == true {
                stream(writer, tokens, service)
            } else {
                let length = tokens * TOKEN_BYTES + EVENT_BYTES as u64;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
                );
                writer.write_all(head.as_bytes())?;
                write_filler(writer, length)
            }
        }
        other => bail!("no method `{other}` here"),
    }
}

/// A chunk for each token, with pauses between.
fn stream(writer: &mut impl Write, tokens: u64, service: &Service) -> Result<()> {
    writer.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    let event = vec![b'o'; EVENT_BYTES];
    for token in 0..tokens {
        if token > 0 {
            sleep(Duration::from_millis(service.chunk_pause_ms));
        }
        write_chunk(writer, &event)?;
    }
    write_chunk(writer, b"")
}

/// `bytes=FIRST-LAST`
fn range_bytes(text: &str) -> Result<u64> {
    let ends = text
        .strip_prefix("bytes=")
        .and_then(|ends| ends.split_once('-'));
    let (first, last) = ends.with_context(|| format!("range `{text}`"))?;
    let (first, last): (u64, u64) = (first.parse()?, last.parse()?);
    let length = last
        .checked_sub(first)
        .map(|less| less.saturating_add(1))
        .filter(|length| *length <= RANGE_BYTES_MAX);
    length.with_context(|| format!("range `{text}`: not 1 to {RANGE_BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_ends_in_it() {
        assert_eq!(range_bytes("bytes=0-0").ok(), Some(1));
        assert_eq!(range_bytes("bytes=10-19").ok(), Some(10));
        for text in ["bytes=5-4", "0-1", "bytes=0-99999999999", "bytes=a-b"] {
            assert!(range_bytes(text).is_err(), "{text}");
        }
    }
}
