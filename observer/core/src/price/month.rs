//! Billing months: whole months of a provider's own time zone. Reads no clock.

use std::fmt;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::model::time::UnixUs;

/// One month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    pub year: i16,
    pub month: i8,
}

impl Month {
    /// The month that a moment lies in; the nearest that can be told where it is out of all reach.
    #[must_use]
    pub fn of(at: UnixUs, zone: &TimeZone) -> Self {
        let date = day(at, zone);
        Self {
            year: date.year(),
            month: date.month(),
        }
    }

    /// Reads `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        Date::new(year, month, 1).ok().map(|_| Self { year, month })
    }

    #[must_use]
    pub fn first_day(self) -> Date {
        Date::new(self.year, self.month, 1).unwrap_or(Date::MIN)
    }

    /// First moment, and first moment after it.
    #[must_use]
    pub fn span(self, zone: &TimeZone) -> (UnixUs, UnixUs) {
        let first = self.first_day();
        let next = first.saturating_add(jiff::Span::new().months(1));
        (start_of(first, zone), start_of(next, zone))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// The day that a moment lies in.
#[must_use]
pub fn day(at: UnixUs, zone: &TimeZone) -> Date {
    let at = Timestamp::from_microsecond(at.0).unwrap_or(if at.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    at.to_zoned(zone.clone()).date()
}

/// Midnight at which a day begins, or what comes for it where clocks are put forward.
#[must_use]
pub fn start_of(day: Date, zone: &TimeZone) -> UnixUs {
    let start = day.to_zoned(zone.clone());
    start.map_or(UnixUs(i64::MAX), |start| {
        UnixUs(start.timestamp().as_microsecond())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_at_the_provider_s_midnight() {
        let pacific = TimeZone::get("America/Los_Angeles").expect("a zone");
        for (at, zone, expected) in [
            ("2026-12-01T07:59:59Z", &pacific, "2026-11"),
            ("2026-12-01T08:00:00Z", &pacific, "2026-12"),
            ("2026-12-01T00:00:00Z", &TimeZone::UTC, "2026-12"),
            ("2028-02-29T23:59:59.999999Z", &TimeZone::UTC, "2028-02"),
            ("2028-03-01T00:00:00Z", &TimeZone::UTC, "2028-03"),
        ] {
            let at = UnixUs::parse(at).expect("a time");
            let month = Month::of(at, zone);
            assert_eq!(month.to_string(), expected);
            let (start, end) = month.span(zone);
            assert!(start <= at && at < end, "{at:?}");
            assert_eq!(Month::parse(expected), Some(month));
        }
        // 29 days, and 30 days and an hour: clocks are put back.
        let hours = |month: &str, zone: &TimeZone| {
            let (start, end) = Month::parse(month).expect("a month").span(zone);
            (end.0 - start.0) / 3_600_000_000
        };
        assert_eq!(hours("2028-02", &TimeZone::UTC), 29 * 24);
        assert_eq!(hours("2026-11", &pacific), 30 * 24 + 1);
        for wrong in ["2026", "2026-13", "november", "2026-00"] {
            assert_eq!(Month::parse(wrong), None);
        }
    }
}
