//! A host name in the one form that is compared: ASCII, lower case, no trailing dot. Knows no pattern and no provider.

use core::fmt;
use std::{net::IpAddr, ops::Deref};

use thiserror::Error;

use super::identity::Word;

/// Bytes of a name at the most, without the trailing dot (RFC 1035, section 2.3.4).
pub const NAME_BYTES_MAX: usize = 253;
/// Bytes of a label at the most (RFC 1035, section 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// A host name as it is on the wire: labels of letters, digits, `-` and `_`, in lower case. Names beyond ASCII are there
/// in their A-label form (`xn--`, RFC 5890); a single label is a name too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Word);

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostNameError {
    #[error("empty")]
    Empty,
    #[error("longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("a label is empty or longer than {LABEL_BYTES_MAX} bytes")]
    Label,
    #[error("a byte that is no letter, digit, `-`, `_` or `.`")]
    Byte,
    #[error("an IP address")]
    Address,
}

impl HostName {
    /// Takes a name as it stands in a hello, a DNS message or a `Host` field: any case, with or without a trailing dot.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, HostNameError> {
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(HostNameError::Empty);
        }
        if bytes.len() > NAME_BYTES_MAX {
            return Err(HostNameError::TooLong);
        }
        let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // An IPv6 address has a colon, which is none of the usual bytes.
        if is_address(bytes) {
            return Err(HostNameError::Address);
        }
        if !bytes.iter().all(usual) {
            return Err(HostNameError::Byte);
        }
        let fits = |label: &[u8]| !label.is_empty() && label.len() <= LABEL_BYTES_MAX;
        if !bytes.split(|byte| *byte == b'.').all(fits) {
            return Err(HostNameError::Label);
        }
        let lower: String = bytes
            .iter()
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect();
        Ok(Self(lower.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The same text, shared.
    #[must_use]
    pub fn word(&self) -> Word {
        self.0.clone()
    }
}

/// An address in the forms that clients write one in: as it is, or in brackets.
fn is_address(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse::<IpAddr>().is_ok()
}

impl Deref for HostName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let long_label = "a".repeat(64);
        let long = "a.".repeat(127) + "a";
        let cases: [(&[u8], Result<&str, HostNameError>); 14] = [
            (b"api.openai.com", Ok("api.openai.com")),
            (b"API.OpenAI.com.", Ok("api.openai.com")),
            (b"xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            (b"_dmarc.example", Ok("_dmarc.example")),
            (b"localhost", Ok("localhost")),
            (b"", Err(HostNameError::Empty)),
            (b".", Err(HostNameError::Empty)),
            (b"a..b", Err(HostNameError::Label)),
            (long_label.as_bytes(), Err(HostNameError::Label)),
            (long.as_bytes(), Err(HostNameError::TooLong)),
            (b"a b", Err(HostNameError::Byte)),
            ("b\u{fc}cher.example".as_bytes(), Err(HostNameError::Byte)),
            (b"192.0.2.1", Err(HostNameError::Address)),
            (b"[2001:db8::1]", Err(HostNameError::Address)),
        ];
        for (bytes, expected) in cases {
            let found = HostName::from_wire(bytes);
            assert_eq!(
                found.as_deref().map_err(|error| *error),
                expected,
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
