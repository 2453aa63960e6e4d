//! One network in the IPv6 space, IPv4 under ::ffff:0:0/96: the form in which the table and the kernel keep it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// Bits of ::ffff:0:0/96, in front of every IPv4 prefix.
pub const MAPPED_BITS: u8 = 96;
const MAPPED: u128 = 0xffff << 32;

/// Ordered as the table is: by address, and the covering network before what it covers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    // Network byte order; bits behind `length` are zero. Bytes, because a `u128` would double a table's row.
    address: [u8; 16],
    length: u8,
}

impl Prefix {
    /// `None` where the length is above 128 or a bit behind it is set.
    #[must_use]
    pub fn new(bits: u128, length: u8) -> Option<Self> {
        let address = bits.to_be_bytes();
        (length <= 128 && bits & !mask(length) == 0).then_some(Self { address, length })
    }

    /// The network of this length that the address is in; longer than 128 bits is 128.
    #[must_use]
    pub fn around(bits: u128, length: u8) -> Self {
        let length = length.min(128);
        Self {
            address: (bits & mask(length)).to_be_bytes(),
            length,
        }
    }

    /// The one network that is an address alone.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self {
            address: bits(address).to_be_bytes(),
            length: 128,
        }
    }

    /// Network byte order.
    #[must_use]
    pub fn address(self) -> [u8; 16] {
        self.address
    }

    /// Bits that count, 0..=128; an IPv4 network has its own length + 96.
    #[must_use]
    pub fn prefix_length(self) -> u8 {
        self.length
    }

    #[must_use]
    pub fn bits(self) -> u128 {
        u128::from_be_bytes(self.address)
    }

    #[must_use]
    pub fn covers(self, bits: u128) -> bool {
        bits & mask(self.length) == self.bits()
    }

    /// Last address of the network.
    #[must_use]
    pub fn last(self) -> u128 {
        self.bits() | !mask(self.length)
    }
}

/// An address in the IPv6 space; IPv4 and its mapped form are the same.
#[must_use]
pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => MAPPED | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    match length {
        0 => 0,
        _ => u128::MAX << (128 - u32::from(length.min(128))),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v6 = Ipv6Addr::from(self.address);
        match v6.to_ipv4_mapped() {
            Some(v4) if self.length >= MAPPED_BITS => {
                write!(f, "{v4}/{}", self.length - MAPPED_BITS)
            }
            _ => write!(f, "{v6}/{}", self.length),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("read network `{text}`: {why}")]
pub struct PrefixError {
    text: String,
    why: &'static str,
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let error = |why| PrefixError {
            text: text.into(),
            why,
        };
        let (address, length) = text.split_once('/').ok_or(error("no `/` and length"))?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| error("no address before `/`"))?;
        let length: u8 = length.parse().map_err(|_| error("no length behind `/`"))?;
        let (own_max, before) = match address {
            IpAddr::V4(_) => (32, MAPPED_BITS),
            IpAddr::V6(_) => (128, 0),
        };
        if length > own_max {
            return Err(error("length exceeds the address"));
        }
        Self::new(bits(address), length + before).ok_or(error("bits are set behind the length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_read_and_print_as_written() {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "1.2.3.4/32",
            "2606:4700::/32",
            "::/0",
            "::1/128",
        ] {
            assert_eq!(
                text.parse::<Prefix>().map(|p| p.to_string()),
                Ok(text.into())
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        for (text, why) in [
            ("10.0.0.0", "no `/` and length"),
            ("x/8", "no address before `/`"),
            ("10.0.0.0/x", "no length behind `/`"),
            ("10.0.0.0/33", "length exceeds the address"),
            ("::/129", "length exceeds the address"),
            ("10.0.0.1/8", "bits are set behind the length"),
        ] {
            let found = text.parse::<Prefix>().map_err(|e| e.to_string());
            assert_eq!(found, Err(format!("read network `{text}`: {why}")));
        }
    }

    #[test]
    fn the_covering_network_comes_first() {
        let sorted = ["10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/24", "11.0.0.0/8"];
        let prefixes: Vec<Prefix> = sorted.iter().filter_map(|text| text.parse().ok()).collect();
        assert_eq!(prefixes.len(), sorted.len());
        assert!(prefixes.is_sorted());
        assert!(prefixes[0].covers(prefixes[2].last()) && !prefixes[1].covers(prefixes[2].bits()));
    }
}
