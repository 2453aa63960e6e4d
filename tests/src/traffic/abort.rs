//! TCP connections that end by a reset: closed with data unread, or with a linger time of zero.

use std::{
    io::{ErrorKind, Read},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use super::{
    Ends, ExtraHeader, Side, Stage, Truth,
    socket::{accept, await_unread, connect, listen},
    tcp::{receive, send},
};

/// Why the connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abort {
    /// All bytes have arrived and none is read when the socket is closed.
    UnreadData,
    /// All bytes are read; SO_LINGER is zero when the socket is closed.
    LingerZero,
}

/// Connections in which one end sends `bytes` and the other, `by`, resets.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TcpAbort {
    pub connections: u32,
    pub bytes: u64,
    pub how: Abort,
    pub by: Side,
}

impl TcpAbort {
    pub(super) fn client(&self, ends: Ends) -> Result<Truth> {
        let mut truth = Truth {
            remotes: 1,
            ..Truth::begin()
        };
        for _ in 0..self.connections {
            let stream = connect(ends, false, ExtraHeader::None)?;
            truth.note_local(stream.local_addr()?);
            self.play(&stream, Side::Client, &mut truth)?;
        }
        Ok(truth)
    }

    pub(super) fn server(&self, ends: Ends, stage: &mut dyn Stage) -> Result<Truth> {
        let mut truth = Truth::begin();
        let listener = listen(ends, 128)?;
        truth.note_local(ends.server);
        stage.ready()?;
        for _ in 0..self.connections {
            let stream = accept(&listener, ExtraHeader::None)?;
            self.play(&stream, Side::Server, &mut truth)?;
        }
        Ok(truth)
    }

    fn play(&self, stream: &TcpStream, side: Side, truth: &mut Truth) -> Result<()> {
        truth.connections += 1;
        if side != self.by {
            truth.messages_sent += send(stream, self.bytes, 16 << 10)?;
            truth.payload_bytes_sent += self.bytes;
            expect_reset(stream)?;
            truth.resets += 1;
            return Ok(());
        }
        match self.how {
            Abort::UnreadData => await_unread(stream, self.bytes)?,
            Abort::LingerZero => {
                receive(stream, self.bytes)?;
                truth.payload_bytes_received += self.bytes;
                SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            }
        }
        Ok(())
    }
}

fn expect_reset(mut stream: &TcpStream) -> Result<()> {
    match stream.read(&mut [0; 1]) {
        Err(cause) if cause.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => bail!("expected a reset, got {other:?}"),
    }
}
