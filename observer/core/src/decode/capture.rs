//! One record of the ring of captures: the head taken apart, the bytes as they came.

use observer_ebpf::abi::{
    capture::{self, CHUNK_BYTES, Head},
    request::Boundary,
};

use super::{
    DecodeError,
    totals::{answer, endpoint, known, protocol},
    wire::Wire,
};
use crate::model::signal::{Capture, CaptureKind, RequestNote, RequestWhat};

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
        capture::REQUEST => CaptureKind::Request,
        capture::FIELDS => CaptureKind::Fields,
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

/// What a capture of a request says; `None` where it is no request's, or its bytes are no method and path.
#[must_use]
pub fn request<'a>(capture: &Capture<'a>) -> Option<RequestNote<'a>> {
    if capture.kind != CaptureKind::Request {
        return None;
    }
    let boundary = Boundary::read(capture.bytes)?;
    let line = capture.bytes.get(size_of::<Boundary>()..)?;
    let what = if boundary.route == 0 {
        let (method, path) = str::from_utf8(line).ok()?.split_once(' ')?;
        RequestWhat::Line {
            method,
            path,
            is_cut: capture.cut,
        }
    } else {
        RequestWhat::Known(boundary.route)
    };
    Some(RequestNote {
        begins: [boundary.sent, boundary.received],
        answer: answer(&boundary.answer),
        what,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::model::{
        flow::{Answer, Endpoint},
        names::Protocol,
    };

    #[test]
    fn requests_are_read_or_are_none() {
        let end = Endpoint {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 443,
        };
        let boundary = |route: u32| {
            let mut bytes = 5_u64.to_ne_bytes().to_vec();
            bytes.extend(7_u64.to_ne_bytes());
            bytes.extend(route.to_ne_bytes());
            bytes.extend([3_u32, 4, 0].map(u32::to_ne_bytes).concat());
            bytes
        };
        let line = |method, path| {
            Some(RequestWhat::Line {
                method,
                path,
                is_cut: false,
            })
        };
        for (kind, route, text, expected) in [
            (
                CaptureKind::Request,
                0,
                "POST /v1/responses",
                line("POST", "/v1/responses"),
            ),
            (CaptureKind::Request, 0, "GET ", line("GET", "")),
            (CaptureKind::Request, 0, "GET", None),
            (CaptureKind::Request, 0, "", None),
            (CaptureKind::Request, 9, "", Some(RequestWhat::Known(9))),
            (CaptureKind::Host, 0, "GET /", None),
        ] {
            let bytes = [boundary(route).as_slice(), text.as_bytes()].concat();
            let capture = Capture {
                cookie: 1,
                netns_cookie: None,
                at_ns: 0,
                protocol: Protocol::Tcp,
                local: end,
                remote: end,
                kind,
                further: false,
                cut: false,
                bytes: &bytes,
            };
            let expected = expected.map(|what| RequestNote {
                begins: [5, 7],
                answer: Answer {
                    first_byte_us: Some(3),
                    last_byte_us: Some(4),
                    chunk_gap_us: None,
                },
                what,
            });
            assert_eq!(request(&capture), expected, "{text}");
            let short = Capture {
                bytes: &bytes[..31],
                ..capture
            };
            assert_eq!(request(&short), None);
            let broken = [boundary(0).as_slice(), b"GET /\xff"].concat();
            let broken = Capture {
                bytes: &broken,
                ..capture
            };
            assert_eq!(request(&broken), None);
        }
    }
}
