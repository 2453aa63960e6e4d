//! Whom a plain request, or a client of a proxy, asks for: the text of a `Host` field or of a CONNECT target, the address
//! of a SOCKS5 request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{hello::name_or_address, reader::Reader};
use crate::model::signal::{Asked, AskedBy, Ech};

/// `host`, `host:port` or `[v6]:port`; `None` where it is none of them.
pub fn host_and_port(text: &[u8], by: AskedBy) -> Option<Asked> {
    let mut asked = nobody(by);
    name_or_address(without_port(text.trim_ascii()), &mut asked);
    (asked.server_name.is_some() || asked.address.is_some()).then_some(asked)
}

/// A SOCKS5 request from its address type on (RFC 1928, section 5).
pub fn socks(request: &[u8]) -> Option<Asked> {
    let mut reader = Reader::new(request);
    let mut asked = nobody(AskedBy::Socks);
    match reader.u8()? {
        1 => asked.address = Some(IpAddr::V4(Ipv4Addr::from_bits(reader.u32()?))),
        3 => name_or_address(reader.list8()?, &mut asked),
        4 => {
            let bytes = reader.take(16)?.first_chunk::<16>()?;
            asked.address = Some(IpAddr::V6(Ipv6Addr::from(*bytes)));
        }
        _ => return None,
    }
    (asked.server_name.is_some() || asked.address.is_some()).then_some(asked)
}

const fn nobody(by: AskedBy) -> Asked {
    Asked {
        by,
        server_name: None,
        address: None,
        alpn: Vec::new(),
        ech: Ech::Absent,
        tls_version: None,
    }
}

fn without_port(text: &[u8]) -> &[u8] {
    if text.starts_with(b"[") {
        let end = text.iter().position(|byte| *byte == b']');
        return end.and_then(|end| text.get(..=end)).unwrap_or(text);
    }
    match text.iter().rposition(|byte| *byte == b':') {
        // More than one colon is an IPv6 address without brackets.
        Some(at) if !text.get(..at).is_some_and(|host| host.contains(&b':')) => {
            text.get(..at).unwrap_or(text)
        }
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(asked: Option<Asked>) -> String {
        let Some(asked) = asked else {
            return "-".to_owned();
        };
        match (asked.server_name, asked.address) {
            (Some(name), _) => name.to_string(),
            (None, Some(address)) => format!("[{address}]"),
            (None, None) => "nobody".to_owned(),
        }
    }

    #[test]
    fn hosts_and_targets() {
        for (text, expected) in [
            ("api.openai.com:443", "api.openai.com"),
            (" API.openai.com. ", "api.openai.com"),
            ("192.0.2.1:8080", "[192.0.2.1]"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("a b", "-"),
            ("", "-"),
            (":443", "-"),
            ("user:pass@host:1", "-"),
        ] {
            let found = host_and_port(text.as_bytes(), AskedBy::Connect);
            assert_eq!(said(found), expected, "{text}");
        }
    }

    #[test]
    fn socks_requests() {
        let cases: [(&[u8], &str); 7] = [
            (b"\x01\xc0\x00\x02\x01\x01\xbb", "[192.0.2.1]"),
            (b"\x03\x09a.example\x01\xbb", "a.example"),
            (
                b"\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb",
                "[2001:db8::1]",
            ),
            (b"\x03\x09192.0.2.1\x01\xbb", "[192.0.2.1]"),
            (b"\x03\x20short", "-"),
            (b"\x02", "-"),
            (b"", "-"),
        ];
        for (request, expected) in cases {
            assert_eq!(said(socks(request)), expected, "{request:x?}");
        }
    }
}
