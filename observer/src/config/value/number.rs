//! Values that are numbers with a unit or a range.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use observer_ebpf::abi;

use super::{Value, cited};

/// Length of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick(pub Duration);

const TICK_MIN: Duration = Duration::from_millis(100);
const TICK_MAX: Duration = Duration::from_hours(1);

impl Tick {
    /// As the flag has it too: seconds without a unit.
    pub fn of_flag(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds)
                .map_err(|_| format!("`{}` is not {}", cited(text), Self::WANTED))
                .and_then(|tick| within(tick, TICK_MIN..=TICK_MAX).map(Self)),
            Err(_) => Self::parse(text),
        }
    }
}

impl Default for Tick {
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}

impl Value for Tick {
    const WANTED: &'static str = "a duration from `100ms` to `1h`, such as `5s`";

    fn parse(text: &str) -> Result<Self, String> {
        within(duration(text)?, TICK_MIN..=TICK_MAX).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        typed(self.0).into()
    }
}

/// How long a series may stay as it is before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleExpiry(pub Duration);

const IDLE_EXPIRY_MIN: Duration = Duration::from_mins(1);
const IDLE_EXPIRY_MAX: Duration = Duration::from_hours(7 * 24);

impl Default for IdleExpiry {
    fn default() -> Self {
        Self(Duration::from_mins(30))
    }
}

impl Value for IdleExpiry {
    const WANTED: &'static str = "a duration from `1m` to `168h`, such as `30m`";

    fn parse(text: &str) -> Result<Self, String> {
        within(duration(text)?, IDLE_EXPIRY_MIN..=IDLE_EXPIRY_MAX).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        typed(self.0).into()
    }
}

/// Units, the largest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A whole number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let cited = cited(text);
    if text.is_empty() {
        return Err("no value; give a duration such as `5s`".to_owned());
    }
    if text.starts_with('-') {
        return Err(format!(
            "`{cited}` is negative; give a duration such as `5s`"
        ));
    }
    if number.is_empty() {
        return Err(format!(
            "`{cited}` is not a duration; write a whole number and a unit, such as `5s`"
        ));
    }
    if unit.is_empty() {
        return Err(format!(
            "`{cited}` has no unit; known are `ms`, `s`, `m`, `h`"
        ));
    }
    if unit.starts_with('.') {
        return Err(format!(
            "`{cited}` has a fraction; write a whole number of a smaller unit, such as `1500ms`"
        ));
    }
    let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "`{cited}` has the unknown unit `{}`; known are `ms`, `s`, `m`, `h`",
            super::cited(unit)
        ));
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(*unit_ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{cited}` is too long a time"))
}

/// A duration as it would be typed.
pub fn typed(duration: Duration) -> String {
    Written(duration).to_string()
}

#[derive(PartialEq, PartialOrd)]
struct Written(Duration);

impl Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, unit_ms) = UNITS
            .iter()
            .find(|(_, unit_ms)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms))
            .unwrap_or(&("s", 1));
        write!(f, "{}{unit}", ms / unit_ms)
    }
}

fn within(time: Duration, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let (min, max) = range.into_inner();
    in_range(Written(time), Written(min)..=Written(max)).map(|written| written.0)
}

fn in_range<T: PartialOrd + Display>(value: T, range: RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (min, max) = (range.start(), range.end());
    Err(match value < *min {
        true => format!("`{value}` is too small; from `{min}` to `{max}` is allowed"),
        false => format!("`{value}` is too large; from `{min}` to `{max}` is allowed"),
    })
}

/// A whole number within `range`.
fn whole(text: &str, wanted: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{}` is not {wanted}", cited(text)));
    }
    let (min, max) = (i128::from(*range.start()), i128::from(*range.end()));
    // More digits than an i128 has are out of range too.
    let value = text.parse().unwrap_or(match text.starts_with('-') {
        true => i128::MIN,
        false => i128::MAX,
    });
    in_range(value, min..=max)
        .map_err(|what| what.replace(&value.to_string(), &cited(text)))
        .map(|value| u32::try_from(value).unwrap_or(*range.end()))
}

/// Series of all metrics together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesMax(pub u32);

/// Below it the series of one quiet host do not fit.
const SERIES_MAX_MIN: u32 = 1_000;
const SERIES_MAX_MAX: u32 = 1_000_000;

impl Default for SeriesMax {
    fn default() -> Self {
        Self(5_000)
    }
}

impl Value for SeriesMax {
    const WANTED: &'static str = "a number of series from 1000 to 1000000";

    fn parse(text: &str) -> Result<Self, String> {
        whole(text, Self::WANTED, SERIES_MAX_MIN..=SERIES_MAX_MAX).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// Remotes of UDP sockets counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpFlows(pub u32);

/// One takes some 300 bytes of kernel memory.
const UDP_FLOWS_MAX: u32 = 4_194_304;

impl Default for UdpFlows {
    fn default() -> Self {
        Self(abi::UDP_FLOWS_MAX)
    }
}

impl Value for UdpFlows {
    const WANTED: &'static str = "a number of remotes from 1 to 4194304";

    fn parse(text: &str) -> Result<Self, String> {
        whole(text, Self::WANTED, 1..=UDP_FLOWS_MAX).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// Size of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u32);

const RING_BYTES_MIN: u32 = 4_096;
const RING_BYTES_MAX: u32 = 1 << 30;

/// Both rings have the same size.
const _: () = assert!(abi::EVENTS_BYTES == abi::READS_BYTES);

impl Default for Bytes {
    fn default() -> Self {
        Self(abi::EVENTS_BYTES)
    }
}

impl Value for Bytes {
    const WANTED: &'static str = "a number of bytes, a power of two from 4096 to 1073741824";

    fn parse(text: &str) -> Result<Self, String> {
        let bytes = whole(text, Self::WANTED, RING_BYTES_MIN..=RING_BYTES_MAX)?;
        if !bytes.is_power_of_two() {
            let (below, above) = (bytes.next_power_of_two() / 2, bytes.next_power_of_two());
            return Err(format!(
                "`{bytes}` is not a power of two; the nearest are `{below}` and `{above}`"
            ));
        }
        Ok(Self(bytes))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        for (text, ms) in [
            ("5s", Some(5_000)),
            ("100ms", Some(100)),
            ("60m", Some(3_600_000)),
            ("1h", Some(3_600_000)),
            ("5", None),
            ("5 s", None),
            ("1.5s", None),
            ("-5s", None),
            ("0s", None),
            ("99ms", None),
            ("2h", None),
            ("5d", None),
            ("s", None),
            ("", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            let tick = Tick::parse(text).ok().map(|tick| tick.0.as_millis());
            assert_eq!(tick, ms, "{text}");
        }
    }

    #[test]
    fn the_flag_takes_seconds_too() {
        for (text, ms) in [
            ("0.2", Some(200)),
            ("5", Some(5_000)),
            ("5s", Some(5_000)),
            ("0", None),
            ("-1", None),
            ("nan", None),
            ("1e300", None),
        ] {
            let tick = Tick::of_flag(text).ok().map(|tick| tick.0.as_millis());
            assert_eq!(tick, ms, "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_typed() {
        for text in ["100ms", "1500ms", "5s", "90s", "2m", "1h"] {
            assert_eq!(Tick::parse(text).expect(text).shown(), text);
        }
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        for (text, right) in [
            ("4096", true),
            ("1073741824", true),
            ("2048", false),
            ("5000", false),
            ("-4096", false),
            ("4096.0", false),
            ("0x1000", false),
            ("4_096", false),
            ("99999999999999999999999999999999999999999999", false),
            ("-", false),
            ("", false),
        ] {
            assert_eq!(Bytes::parse(text).is_ok(), right, "{text}");
        }
        assert!(SeriesMax::parse("999").is_err() && SeriesMax::parse("1000").is_ok());
        assert!(UdpFlows::parse("0").is_err() && UdpFlows::parse("1").is_ok());
    }
}
