//! Attempts at a closed port: the server's kernel answers, TCP with a RST, UDP with an ICMP error.

use std::io::ErrorKind;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    Ends, ExtraHeader, Truth,
    socket::{connect, udp_client},
};

/// `count` attempts, each with a socket of its own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Refused {
    pub count: u32,
    /// Payload of one datagram; none is TCP.
    pub datagram_bytes: Option<u16>,
}

impl Refused {
    #[must_use]
    pub fn tcp(count: u32) -> Self {
        Self {
            count,
            datagram_bytes: None,
        }
    }

    #[must_use]
    pub fn udp(count: u32, datagram_bytes: u16) -> Self {
        Self {
            count,
            datagram_bytes: Some(datagram_bytes),
        }
    }

    pub(super) fn client(&self, ends: Ends) -> Result<Truth> {
        let mut truth = Truth {
            remotes: 1,
            ..Truth::begin()
        };
        for _ in 0..self.count {
            match self.datagram_bytes {
                None => refuse_tcp(ends)?,
                Some(bytes) => {
                    refuse_udp(ends, bytes)?;
                    truth.messages_sent += 1;
                    truth.payload_bytes_sent += u64::from(bytes);
                }
            }
            truth.refused += 1;
        }
        Ok(truth)
    }
}

fn refuse_tcp(ends: Ends) -> Result<()> {
    let Err(cause) = connect(ends, false, ExtraHeader::None) else {
        bail!("something listens on `{}`", ends.server);
    };
    match cause
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind)
    {
        Some(ErrorKind::ConnectionRefused) => Ok(()),
        _ => Err(cause),
    }
}

fn refuse_udp(ends: Ends, bytes: u16) -> Result<()> {
    let socket = udp_client(ends, false, ExtraHeader::None)?;
    socket.connect(ends.server)?;
    socket
        .send(&vec![0; usize::from(bytes)])
        .with_context(|| format!("cannot send to `{}`", ends.server))?;
    match socket.recv(&mut [0; 1]) {
        Err(cause) if cause.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("expected a refusal from `{}`, got {other:?}", ends.server),
    }
}
