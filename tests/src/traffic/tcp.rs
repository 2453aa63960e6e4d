//! TCP conversations: bulk, small messages, many short connections. It knows nothing of resets.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    Ends, ExtraHeader, Side, Stage, Truth,
    socket::{accept, connect, listen},
};

/// Where a client stops and waits to be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// The (first) connection stands, nothing was sent: an idle socket older than what is started now.
    Connected,
    /// All was sent and received, the (last) connection still stands.
    Talked,
}

/// Connections one after the other. In each, `rounds` times: the client sends a request, the server a response.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TcpTalk {
    pub connections: u32,
    pub rounds: u32,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Bytes of one write.
    pub write_bytes: u32,
    pub nodelay: bool,
    /// Request and response of a round at the same time.
    pub both_at_once: bool,
    pub closes_first: Side,
    /// The client's socket is IPv6, the server's address IPv4.
    pub mapped: bool,
    /// On everything that both ends send once their socket is there (a SYN-ACK has none); of IPv6, the client alone.
    pub header: ExtraHeader,
    pub pause: Option<Pause>,
}

const WRITE_BYTES: u32 = 64 << 10;

impl TcpTalk {
    /// One connection that carries `request_bytes` there and `response_bytes` back; the client closes first.
    #[must_use]
    pub fn bulk(request_bytes: u64, response_bytes: u64) -> Self {
        Self {
            connections: 1,
            rounds: 1,
            request_bytes,
            response_bytes,
            write_bytes: WRITE_BYTES,
            nodelay: false,
            both_at_once: false,
            closes_first: Side::Client,
            mapped: false,
            header: ExtraHeader::None,
            pause: None,
        }
    }

    /// One connection with `count` messages of `bytes` from the client, each its own write, without Nagle's delay.
    #[must_use]
    pub fn messages(count: u32, bytes: u32) -> Self {
        let request_bytes = u64::from(count) * u64::from(bytes);
        Self {
            write_bytes: bytes,
            nodelay: true,
            ..Self::bulk(request_bytes, 0)
        }
    }

    /// `connections` short ones, each with one small request and response.
    #[must_use]
    pub fn short(connections: u32, closes_first: Side) -> Self {
        Self {
            connections,
            closes_first,
            ..Self::bulk(200, 500)
        }
    }

    pub(super) fn client(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        let mut truth = Truth {
            remotes: u64::from(self.connections.min(1)),
            ..Truth::begin()
        };
        for index in 1..=self.connections {
            let stream = connect(ends, self.mapped, self.header)?;
            truth.note_local(stream.local_addr()?);
            if self.pause == Some(Pause::Connected) && index == 1 {
                stage.pause()?;
            }
            self.talk(&stream, Side::Client, &mut truth)?;
            if self.pause == Some(Pause::Talked) && index == self.connections {
                stage.pause()?;
            }
            self.close(stream, Side::Client)?;
        }
        Ok(truth)
    }

    pub(super) fn server(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        let mut truth = Truth::begin();
        let listener = listen(ends, 128)?;
        truth.note_local(ends.server);
        stage.ready()?;
        for _ in 0..self.connections {
            let stream = accept(&listener, self.header)?;
            self.talk(&stream, Side::Server, &mut truth)?;
            self.close(stream, Side::Server)?;
        }
        Ok(truth)
    }

    fn talk(&self, stream: &TcpStream, side: Side, truth: &mut Truth) -> Result<()> {
        stream.set_nodelay(self.nodelay)?;
        truth.connections += 1;
        for _ in 0..self.rounds {
            let (sent, received) = match side {
                Side::Client => (self.request_bytes, self.response_bytes),
                Side::Server => (self.response_bytes, self.request_bytes),
            };
            let send = || send(stream, sent, self.write_bytes);
            let receive = || receive(stream, received);
            let (writes, ()) = match (self.both_at_once, side) {
                (true, _) => std::thread::scope(|scope| {
                    let writer = scope.spawn(send);
                    let received = receive();
                    let sent = writer
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    Ok::<_, anyhow::Error>((sent?, received?))
                })?,
                (false, Side::Client) => (send()?, receive()?),
                (false, Side::Server) => {
                    receive()?;
                    (send()?, ())
                }
            };
            truth.payload_bytes_sent += sent;
            truth.payload_bytes_received += received;
            truth.messages_sent += writes;
            truth.messages_received += u64::from(received > 0);
        }
        Ok(())
    }

    /// The end that closes first closes; the other waits for its FIN and closes then.
    fn close(&self, mut stream: TcpStream, side: Side) -> Result<()> {
        if self.closes_first != side {
            let surplus = stream
                .read(&mut [0; 1])
                .context("waiting for the other end to close")?;
            ensure!(surplus == 0, "the other end sent more than was agreed");
        }
        drop(stream);
        Ok(())
    }
}

/// Writes `total` bytes, `write_bytes` at a time; returns the number of writes.
pub(super) fn send(mut stream: &TcpStream, total: u64, write_bytes: u32) -> Result<u64> {
    let pattern: Vec<u8> = (0..write_bytes).map(|index| index as u8).collect();
    let (mut left, mut writes) = (total, 0);
    while left > 0 {
        let length = left.min(u64::from(write_bytes));
        stream
            .write_all(&pattern[..length as usize])
            .with_context(|| format!("sending, {left} of {total} left"))?;
        (left, writes) = (left - length, writes + 1);
    }
    Ok(writes)
}

/// Reads exactly `total` bytes.
pub(super) fn receive(mut stream: &TcpStream, total: u64) -> Result<()> {
    let mut buffer = vec![0; 128 << 10];
    let mut left = total;
    while left > 0 {
        let room = left.min(buffer.len() as u64) as usize;
        let length = stream
            .read(&mut buffer[..room])
            .with_context(|| format!("receiving, {left} of {total} left"))?;
        ensure!(
            length > 0,
            "the other end closed with {left} of {total} bytes to come"
        );
        left -= length as u64;
    }
    Ok(())
}
