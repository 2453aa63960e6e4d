//! Moments, and how a record writes them. Reads no clock.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// One moment on both clocks the product uses; the caller reads them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970-01-01T00:00:00Z.
    pub unix_ns: i64,
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
}

/// Microseconds since 1970-01-01T00:00:00Z; written as RFC 3339 in UTC with six decimals. Finer parts of a
/// nanosecond clock are cut off, not rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixUs(pub i64);

impl UnixUs {
    /// The same moment, cut to microseconds.
    #[must_use]
    pub const fn from_ns(unix_ns: i64) -> Self {
        Self(unix_ns.div_euclid(1000))
    }

    /// Reads what [`Serialize`] wrote; `None` for anything that is not RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>()
            .ok()
            .map(|time| Self(time.as_microsecond()))
    }
}

impl Serialize for UnixUs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::from_microsecond(self.0).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&format_args!("{time:.6}"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_six_decimals() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_772_150_400_000_000_999, "2026-02-27T00:00:00.000000Z"),
            (1_772_150_400_123_456_789, "2026-02-27T00:00:00.123456Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ];
        for (unix_ns, text) in cases {
            let time = UnixUs::from_ns(unix_ns);
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{text}\""));
            assert_eq!(UnixUs::parse(text), Some(time));
        }
        assert_eq!(UnixUs::parse("yesterday"), None);
    }
}
