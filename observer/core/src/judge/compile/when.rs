//! Moments and durations as contracts have them.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::model::time::UnixUs;

/// A day (its first moment), a time in `zone`, or RFC 3339.
///
/// # Errors
/// Where it is none of them, or a time that the zone has twice or not at all.
pub fn moment(text: &str, zone: &TimeZone) -> Result<UnixUs, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(UnixUs(time.as_microsecond()));
    }
    if let Ok(day) = text.parse::<Date>()
        && text.len() == "2026-04-27".len()
    {
        // Where a day begins later than at midnight, it begins then.
        let start = zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible();
        return start
            .map(|time| UnixUs(time.as_microsecond()))
            .map_err(|error| error.to_string());
    }
    let Ok(time) = text.parse::<DateTime>() else {
        return Err(format!(
            "`{text}` is no time: `2026-04-27`, `2026-04-27T09:30:00` in the contract's zone, or `2026-04-27T09:30:00-07:00`"
        ));
    };
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => ambiguous
            .unambiguous()
            .map(|time| UnixUs(time.as_microsecond()))
            .map_err(|error| error.to_string()),
        AmbiguousOffset::Fold { before, after } => Err(format!(
            "`{text}` is there twice, when the clocks are set back: write `{text}{before}` or `{text}{after}`"
        )),
        AmbiguousOffset::Gap { .. } => Err(format!(
            "`{text}` is not there: the clocks are set forward over it"
        )),
    }
}

/// Whole seconds.
///
/// # Errors
/// Where it is no duration.
pub fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no duration such as `72h` or `30 min`");
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    u64::try_from(duration.as_secs()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_zone() {
        let zone = |name: &str| TimeZone::get(name).expect("a zone");
        let (pacific, sao_paulo) = (zone("America/Los_Angeles"), zone("America/Sao_Paulo"));
        for (text, zone, expected) in [
            ("2026-04-27", &TimeZone::UTC, Ok("2026-04-27T00:00:00Z")),
            ("2026-04-27", &pacific, Ok("2026-04-27T07:00:00Z")),
            ("2026-02-27", &pacific, Ok("2026-02-27T08:00:00Z")),
            ("2026-04-27T09:30:00", &pacific, Ok("2026-04-27T16:30:00Z")),
            (
                "2026-04-27T09:30:00+02:00",
                &pacific,
                Ok("2026-04-27T07:30:00Z"),
            ),
            // This midnight was skipped.
            ("2018-11-04", &sao_paulo, Ok("2018-11-04T03:00:00Z")),
            (
                "2026-11-01T01:30:00",
                &pacific,
                Err("`2026-11-01T01:30:00-07` or `2026-11-01T01:30:00-08`"),
            ),
            (
                "2026-03-08T02:30:00",
                &pacific,
                Err("the clocks are set forward over it"),
            ),
            ("2026-02-30", &TimeZone::UTC, Err("is no time")),
            ("April", &TimeZone::UTC, Err("is no time")),
            ("", &TimeZone::UTC, Err("is no time")),
        ] {
            let found = moment(text, zone);
            match expected {
                Ok(time) => assert_eq!(found, Ok(UnixUs::parse(time).expect("a time")), "{text}"),
                Err(what) => {
                    let found = found.expect_err(text);
                    assert!(found.contains(what), "{text}: {found}");
                }
            }
        }
    }

    #[test]
    fn durations_are_whole_seconds() {
        for (text, expected) in [
            ("72h", Some(259_200)),
            ("30 min", Some(1_800)),
            ("1h30m", Some(5_400)),
            ("soon", None),
            ("-5s", None),
            ("", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }
}
