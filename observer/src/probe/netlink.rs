//! One question to the kernel over netlink, and its one answer. Never waits: the kernel has answered when the question is sent.
//! Knows no BPF and no message.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

use super::netns::within;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 32 << 10;

/// A socket that asks in one network namespace.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket of one of netlink's protocols, in a namespace (`None`: the agent's own).
    ///
    /// # Errors
    /// Where the namespace cannot be entered, or the kernel has no such protocol.
    pub fn open(protocol: isize, namespace: Option<&Path>) -> Result<Self> {
        within(namespace, || {
            let mut socket = Socket::new(protocol).context("open a netlink socket")?;
            socket.bind_auto().context("bind a netlink socket")?;
            Ok(Self {
                socket,
                sequence: 0,
            })
        })
    }

    /// The answer; `None` where there is nothing of the kind (`ENOENT`).
    ///
    /// # Errors
    /// What the kernel answers instead.
    pub fn ask<M>(&mut self, question: impl Into<NetlinkPayload<M>>) -> Result<Option<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, question.into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let kernel = SocketAddr::new(0, 0);
        self.socket
            .send_to(&bytes, &kernel, 0)
            .context("send a netlink question")?;
        let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
        loop {
            answer.clear();
            self.socket
                .recv(&mut answer, libc::MSG_DONTWAIT)
                .context("receive a netlink answer")?;
            let message =
                NetlinkMessage::<M>::deserialize(&answer).context("read a netlink answer")?;
            // What an earlier question failed to wait for.
            if message.header.sequence_number != self.sequence {
                continue;
            }
            return match message.payload {
                NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
                NetlinkPayload::Error(error) if error.raw_code() == -libc::ENOENT => Ok(None),
                NetlinkPayload::Error(error) => bail!("the kernel answers: {}", error.to_io()),
                _ => Ok(None),
            };
        }
    }
}
