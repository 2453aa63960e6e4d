//! One record of the ring of captures: the head taken apart, the bytes as they came.

use observer_ebpf::abi::capture::{self, CHUNK_BYTES, Head};

use super::{
    DecodeError,
    totals::{endpoint, known, protocol},
    wire::Wire,
};
use crate::model::signal::{Capture, CaptureKind};

/// A record of the ring of captures.
///
/// # Errors
/// Another length than the head says, an unknown kind or protocol.
pub fn capture(record: &[u8]) -> Result<Capture<'_>, DecodeError> {
    const WHAT: &str = "capture";
    let too_short = DecodeError::Size {
        what: WHAT,
        expected: size_of::<Head>(),
        actual: record.len(),
    };
    let head = Head::read(record).ok_or(too_short)?;
    let bytes = record.get(size_of::<Head>()..).ok_or(too_short)?;
    if head.bytes as usize != bytes.len() || bytes.len() > CHUNK_BYTES {
        return Err(DecodeError::Size {
            what: WHAT,
            expected: size_of::<Head>() + head.bytes as usize,
            actual: record.len(),
        });
    }
    let kind = match head.kind {
        capture::HELLO => CaptureKind::Hello {
            offset: head.offset,
        },
        capture::QUIC => CaptureKind::Quic,
        capture::DNS => CaptureKind::Dns,
        capture::DNS_STREAM => CaptureKind::DnsStream {
            sequence: head.offset,
        },
        capture::HOST => CaptureKind::Host,
        capture::CONNECT => CaptureKind::Connect,
        capture::SOCKS => CaptureKind::Socks,
        number => {
            return Err(DecodeError::Number {
                what: WHAT,
                number: number.into(),
            });
        }
    };
    Ok(Capture {
        cookie: head.cookie,
        netns_cookie: known(head.netns_cookie),
        at_ns: head.at_ns,
        protocol: protocol(head.protocol)?,
        local: endpoint(head.local_address, head.local_port),
        remote: endpoint(head.remote_address, head.remote_port),
        kind,
        further: head.flags & capture::FURTHER != 0,
        cut: head.flags & capture::CUT != 0,
        bytes,
    })
}
