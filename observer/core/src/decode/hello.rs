//! The first message of a client's TLS handshake: whom it asks for, which protocols, which extension hides the name.
//! Total over any bytes; allocates no more than a name and a few protocols.
//!
//! Read by hand: what is wanted are four fields of a structure of length-prefixed lists. The parser crates that were
//! looked at build every extension into values of its own, and give up at the first that they cannot read, where the name
//! may stand behind it.

use std::net::IpAddr;

use super::reader::Reader;
use crate::model::{
    host_name::{HostName, HostNameError},
    signal::{ALPN_MAX, Asked, AskedBy, Ech},
};

/// Bytes of a first message that are kept together while more of it comes, its header included.
pub const HELLO_BYTES_MAX: usize = 16 << 10;

const CLIENT_HELLO: u8 = 1;
const HEADER_BYTES: usize = 4;
/// Extension numbers (RFC 6066, RFC 7301, RFC 8446, RFC 9849).
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// What the bytes so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The whole message.
    Whole(Box<Asked>),
    /// More bytes are needed: the message has so many in all, header included; `None` where that is not known yet.
    Part(Option<usize>),
    /// Another message, or one that breaks its own lengths.
    Malformed,
}

/// Reads the handshake stream from its start (RFC 8446, section 4.1.2; the same in RFC 5246).
#[must_use]
pub fn client_hello(stream: &[u8], by: AskedBy) -> Hello {
    let Some((header, rest)) = stream.split_first_chunk::<HEADER_BYTES>() else {
        return match stream.first() {
            Some(&CLIENT_HELLO) | None => Hello::Part(None),
            Some(_) => Hello::Malformed,
        };
    };
    let [kind, high, middle, low] = *header;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let all = HEADER_BYTES + length;
    if kind != CLIENT_HELLO {
        return Hello::Malformed;
    }
    match rest.get(..length) {
        Some(body) => {
            fields(body, by).map_or(Hello::Malformed, |asked| Hello::Whole(Box::new(asked)))
        }
        None => Hello::Part(Some(all)),
    }
}

fn fields(body: &[u8], by: AskedBy) -> Option<Asked> {
    let mut reader = Reader::new(body);
    let legacy_version = reader.u16()?;
    let _random = reader.take(32)?;
    let _session = reader.list8()?;
    let _ciphers = reader.list16()?;
    let _compressions = reader.list8()?;
    let mut asked = Asked {
        by,
        server_name: None,
        address: None,
        alpn: Vec::new(),
        ech: Ech::Absent,
        tls_version: Some(legacy_version),
    };
    if reader.is_empty() {
        // Before TLS 1.3 a hello may end without extensions.
        return Some(asked);
    }
    let mut extensions = Reader::new(reader.list16()?);
    while !extensions.is_empty() {
        let number = extensions.u16()?;
        let data = extensions.list16()?;
        match number {
            SERVER_NAME => server_name(data, &mut asked)?,
            ALPN => asked.alpn = protocols(data)?,
            SUPPORTED_VERSIONS => highest_version(data, &mut asked)?,
            ENCRYPTED_CLIENT_HELLO => asked.ech = Ech::Outer,
            _ => {}
        }
    }
    Some(asked)
}

/// The first host name of the list (RFC 6066, section 3). An address, or bytes that are no name, name nobody.
fn server_name(data: &[u8], asked: &mut Asked) -> Option<()> {
    const HOST_NAME: u8 = 0;
    if data.is_empty() {
        return Some(());
    }
    let mut names = Reader::new(Reader::new(data).list16()?);
    while !names.is_empty() {
        let kind = names.u8()?;
        let name = names.list16()?;
        if kind != HOST_NAME {
            continue;
        }
        name_or_address(name, asked);
        break;
    }
    Some(())
}

/// Notes a name, or the address that stands in its place.
pub(super) fn name_or_address(bytes: &[u8], asked: &mut Asked) {
    match HostName::from_wire(bytes) {
        Ok(name) => asked.server_name = Some(name),
        Err(HostNameError::Address) => asked.address = address(bytes),
        Err(
            HostNameError::Empty
            | HostNameError::TooLong
            | HostNameError::Label
            | HostNameError::Byte,
        ) => {}
    }
}

/// An address as clients write one, with or without brackets.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(bytes).ok()?;
    let text = text.strip_suffix('.').unwrap_or(text);
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

fn protocols(data: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut names = Reader::new(Reader::new(data).list16()?);
    let mut protocols = Vec::new();
    while !names.is_empty() {
        let name = names.list8()?;
        if protocols.len() < ALPN_MAX {
            protocols.push(name.into());
        }
    }
    Some(protocols)
}

/// Notes the highest version, grease left out (RFC 8701).
fn highest_version(data: &[u8], asked: &mut Asked) -> Option<()> {
    let mut versions = Reader::new(Reader::new(data).list8()?);
    let mut highest = None;
    while !versions.is_empty() {
        let version = versions.u16()?;
        let is_grease = version & 0x0f0f == 0x0a0a;
        if !is_grease {
            highest = highest.max(Some(version));
        }
    }
    asked.tls_version = highest.or(asked.tls_version);
    Some(())
}
