//! Money as a whole number of very small steps. Every price of twelve decimals for a gigabyte of either kind comes out whole,
//! so sums are exact and have no order. Knows no currency and rounds at export alone.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Neg, Sub},
};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// Decimals that a price may have.
pub const PRICE_DECIMALS: u32 = 12;
/// Steps of one unit of the currency: 10^12 for the decimals of a price, times 2^30 * 5^9, which both 2^30 and 10^9 divide.
pub const STEPS: i128 = 10_i128.pow(PRICE_DECIMALS) * STEPS_OF_A_GIGABYTE;
const STEPS_OF_A_GIGABYTE: i128 = (1 << 30) * 5_i128.pow(9);
/// Decimals that records and reports have unless they are told otherwise.
pub const DECIMALS: u32 = 12;

/// An amount, in steps of 1/(2^42 * 5^21): up to 8 * 10^10 units of a currency. Sums saturate there; nobody pays that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i128);

/// What one unit costs, in 10^-12 of the currency. Not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u64);

/// Bytes of one unit that is priced: 2^30 or 10^9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// 2^30 bytes.
    #[default]
    Gibibyte,
    /// 10^9 bytes.
    Gigabyte,
}

/// Why a text is no price.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PriceError {
    #[error("`{0}` is no decimal number such as `0.09`")]
    Form(String),
    #[error("`{0}` is negative; a price is 0 or more")]
    Negative(String),
    #[error("`{0}` has more than {PRICE_DECIMALS} decimals, or is above 18 million")]
    Range(String),
}

impl Unit {
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Gibibyte => 1 << 30,
            Self::Gigabyte => 1_000_000_000,
        }
    }

    /// The word of price books; also FOCUS's unit.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gibibyte => "GiB",
            Self::Gigabyte => "GB",
        }
    }

    const fn steps_of_a_byte(self) -> i128 {
        STEPS_OF_A_GIGABYTE / self.bytes() as i128
    }
}

impl Price {
    pub const ZERO: Self = Self(0);

    /// A price of so many 10^-12.
    #[must_use]
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    #[must_use]
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// Reads a decimal number; also one with an exponent, as some price lists write it.
    ///
    /// # Errors
    /// Where it is none, is negative, or has more digits than a price can have.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let form = || PriceError::Form(text.to_owned());
        let range = || PriceError::Range(text.to_owned());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| form())?),
            None => (text, 0),
        };
        let is_negative = mantissa.starts_with('-');
        let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let part = part.trim_end_matches('0');
        let digits = format!("{whole}{part}");
        if digits.is_empty() && !mantissa.contains('0')
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
            || whole.is_empty() && part.is_empty() && !mantissa.contains('0')
        {
            return Err(form());
        }
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Ok(Self::ZERO);
        }
        if is_negative {
            return Err(PriceError::Negative(text.to_owned()));
        }
        let decimals = i32::try_from(part.len())
            .map_err(|_| range())?
            .saturating_sub(exponent);
        let shift = 12_i32.saturating_sub(decimals);
        let number: u64 = digits.parse().map_err(|_| range())?;
        let power = 10_u64.checked_pow(shift.unsigned_abs()).ok_or_else(range)?;
        let pico = match shift {
            0.. => number.checked_mul(power),
            _ if number.is_multiple_of(power) => Some(number / power),
            _ => None,
        };
        pico.map(Self).ok_or_else(range)
    }

    /// So many per cent less, in hundredths of a per cent; `None` where that has more decimals than a price.
    #[must_use]
    pub fn less(self, basis_points: u16) -> Option<Self> {
        let rest = u128::from(10_000_u16.saturating_sub(basis_points));
        let product = u128::from(self.0) * rest;
        (product % 10_000 == 0).then(|| u64::try_from(product / 10_000).ok().map(Self))?
    }

    /// What so many bytes cost.
    #[must_use]
    pub fn of_bytes(self, bytes: u64, unit: Unit) -> Money {
        let steps = i128::from(self.0) * unit.steps_of_a_byte();
        Money(steps.saturating_mul(i128::from(bytes)))
    }

    /// What so many whole units cost.
    #[must_use]
    pub fn of_units(self, units: u64) -> Money {
        Money((i128::from(self.0) * STEPS_OF_A_GIGABYTE).saturating_mul(i128::from(units)))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_u64.pow(12), self.0 % 10_u64.pow(12));
        let part = format!("{part:012}");
        let part = part.trim_end_matches('0');
        match part.is_empty() {
            true => write!(f, "{whole}"),
            false => write!(f, "{whole}.{part}"),
        }
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Money {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn steps(self) -> i128 {
        self.0
    }

    #[must_use]
    pub const fn from_steps(steps: i128) -> Self {
        Self(steps)
    }

    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Reads a decimal number of any sign, of up to 21 decimals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let magnitude = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (magnitude, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{part}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let decimals = i32::try_from(part.len()).ok()?.saturating_sub(exponent);
        let digits = digits.trim_start_matches('0');
        let number: i128 = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
        let steps = match decimals {
            ..0 => number
                .checked_mul(10_i128.checked_pow(decimals.unsigned_abs())?)?
                .checked_mul(STEPS)?,
            0..=21 => {
                // 10^21 divides the steps of one unit.
                let step = STEPS / 10_i128.pow(decimals.unsigned_abs());
                number.checked_mul(step)?
            }
            22.. => return None,
        };
        Some(Self(if text.starts_with('-') { -steps } else { steps }))
    }

    /// Half of a step of `decimals` goes away from zero.
    #[must_use]
    pub fn rounded(self, decimals: u32) -> Self {
        let step = STEPS / 10_i128.pow(decimals.min(21));
        let half = step / 2 * self.0.signum();
        Self((self.0.saturating_add(half)) / step * step)
    }

    /// A decimal number of so many decimals at the most, without zeros at its end.
    #[must_use]
    pub fn text(self, decimals: u32) -> String {
        let text = self.fixed(decimals);
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }

    /// A decimal number of exactly so many decimals.
    #[must_use]
    pub fn fixed(self, decimals: u32) -> String {
        let decimals = decimals.min(21);
        let unit = 10_i128.pow(decimals);
        let count = self.rounded(decimals).0 / (STEPS / unit);
        let sign = if count < 0 { "-" } else { "" };
        let (whole, part) = (count.abs() / unit, count.abs() % unit);
        match decimals {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{part:0width$}", width = decimals as usize),
        }
    }

    /// For Prometheus, whose numbers are floats, and for charts.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / STEPS as f64
    }

    /// Shares that are as `weights`, and whose sum is this amount to the last step: what is left over goes to the largest
    /// remainders, the first of equal ones first. Without any weight the first has all.
    #[must_use]
    pub fn split(self, weights: &[u64]) -> Vec<Self> {
        let whole: u128 = weights.iter().copied().map(u128::from).sum();
        let Ok(whole) = i128::try_from(whole) else {
            return Vec::new();
        };
        if whole == 0 {
            let first = std::iter::once(self).take(weights.len());
            return first
                .chain(weights.iter().skip(1).map(|_| Self::ZERO))
                .collect();
        }
        // In two parts: an amount times a weight may be beyond 128 bits.
        let (each, rest) = (self.0 / whole, self.0 % whole);
        let mut shares = Vec::with_capacity(weights.len());
        let mut remainders = Vec::with_capacity(weights.len());
        for (nth, weight) in weights.iter().enumerate() {
            let (share, remainder) = scaled(rest, i128::from(*weight), whole);
            shares.push(
                each.saturating_mul(i128::from(*weight))
                    .saturating_add(share),
            );
            remainders.push((remainder, nth));
        }
        let left = self.0 - shares.iter().sum::<i128>();
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let step = left.signum();
        let count = usize::try_from(left.unsigned_abs()).unwrap_or(usize::MAX);
        for (_, nth) in remainders.into_iter().take(count) {
            if let Some(share) = shares.get_mut(nth) {
                *share += step;
            }
        }
        shares.into_iter().map(Self).collect()
    }
}

/// `value * weight / whole` and the magnitude of the remainder, where the product may not fit.
fn scaled(value: i128, weight: i128, whole: i128) -> (i128, u128) {
    if let Some(product) = value.checked_mul(weight) {
        return (product / whole, (product % whole).unsigned_abs());
    }
    // |value| < whole < 2^80 or so, and weight < 2^64: by 32 bits of the weight at a time.
    let (high, low) = (weight >> 32, weight & 0xffff_ffff);
    let top = value * high;
    let (quotient, remainder) = (top / whole, top % whole);
    let rest = (remainder << 32) + value * low;
    (
        (quotient << 32) + rest / whole,
        (rest % whole).unsigned_abs(),
    )
}

/// Rounded amounts whose sum is `total` rounded: what rounding takes or gives is taken from the largest parts. For tables,
/// whose rows have to add up.
#[must_use]
pub fn round_together(parts: &[Money], decimals: u32) -> Vec<Money> {
    let step = STEPS / 10_i128.pow(decimals.min(21));
    let total: Money = parts.iter().copied().sum();
    let mut floors: Vec<i128> = parts.iter().map(|part| part.0.div_euclid(step)).collect();
    let wanted = total.rounded(decimals).0 / step;
    let left = wanted - floors.iter().sum::<i128>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let rest = |nth: usize| parts.get(nth).map_or(0, |part| part.0.rem_euclid(step));
    order.sort_by(|a, b| rest(*b).cmp(&rest(*a)).then(a.cmp(b)));
    let count = usize::try_from(left.max(0)).unwrap_or(usize::MAX);
    for nth in order.into_iter().take(count) {
        if let Some(floor) = floors.get_mut(nth) {
            *floor += 1;
        }
    }
    floors
        .into_iter()
        .map(|floor| Money(floor * step))
        .collect()
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Money {
    /// As a string of [`DECIMALS`] decimals at the most: money is not a float.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text(DECIMALS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("0.09", Ok("0.09")),
            ("0.0900000000", Ok("0.09")),
            ("9E-2", Ok("0.09")),
            ("1.0e-12", Ok("0.000000000001")),
            ("12", Ok("12")),
            ("1e2", Ok("100")),
            (".5", Ok("0.5")),
            ("0", Ok("0")),
            ("-0.00", Ok("0")),
            ("-1", Err("`-1` is negative; a price is 0 or more")),
            (
                "1e-13",
                Err("`1e-13` has more than 12 decimals, or is above 18 million"),
            ),
            (
                "18446745",
                Err("`18446745` has more than 12 decimals, or is above 18 million"),
            ),
            ("", Err("`` is no decimal number such as `0.09`")),
            (".", Err("`.` is no decimal number such as `0.09`")),
            ("0,09", Err("`0,09` is no decimal number such as `0.09`")),
            ("1e", Err("`1e` is no decimal number such as `0.09`")),
            ("NaN", Err("`NaN` is no decimal number such as `0.09`")),
        ] {
            let read = Price::parse(text).map(|price| price.to_string());
            let read = read.as_deref().map_err(ToString::to_string);
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_byte_has_a_whole_number_of_steps() {
        for unit in [Unit::Gibibyte, Unit::Gigabyte] {
            let price = Price::parse("0.000000000001").expect("a price");
            let one = price.of_bytes(1, unit);
            assert!(one.steps() > 0, "{unit:?}");
            assert_eq!(price.of_bytes(unit.bytes(), unit), price.of_units(1));
        }
        // 100 GiB at 0.09 are 9.00 (100 * 0.09), and 1 byte is 0.09 / 2^30.
        let price = Price::parse("0.09").expect("a price");
        assert_eq!(price.of_bytes(100 << 30, Unit::Gibibyte).text(12), "9");
        assert_eq!(
            price.of_bytes(1, Unit::Gibibyte).text(21),
            "0.000000000083819031715"
        );
    }

    #[test]
    fn amounts_round_at_export_alone() {
        for (text, decimals, expected) in [
            ("1.005", 2, "1.01"),
            ("-1.005", 2, "-1.01"),
            ("0.000000000000000000001", 21, "0.000000000000000000001"),
            ("12e2", 0, "1200"),
            ("0.5", 0, "1"),
            ("2.50", 12, "2.5"),
        ] {
            let money = Money::parse(text).expect("an amount");
            assert_eq!(money.text(decimals), expected, "{text}");
        }
        for wrong in ["", "1.2.3", "x", "--1", "0.0000000000000000000001"] {
            assert_eq!(Money::parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            Money::parse("3").map(|money| money.fixed(2)).as_deref(),
            Some("3.00")
        );
    }

    #[test]
    fn a_discount_that_is_no_price_is_none() {
        let price = Price::parse("0.085").expect("a price");
        assert_eq!(
            price.less(1_550).map(|price| price.to_string()).as_deref(),
            Some("0.071825")
        );
        assert_eq!(Price::from_pico(1).less(1), None);
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_whole(
            steps in -(1_i128 << 90)..(1_i128 << 90),
            weights in proptest::collection::vec(any::<u64>(), 1..8),
        ) {
            let money = Money::from_steps(steps);
            let shares = money.split(&weights);
            prop_assert_eq!(shares.len(), weights.len());
            prop_assert_eq!(shares.iter().copied().sum::<Money>(), money);
        }

        #[test]
        fn rounded_rows_add_up(
            steps in proptest::collection::vec(0_i128..(1 << 90), 0..20),
            decimals in 0_u32..7,
        ) {
            let parts: Vec<Money> = steps.into_iter().map(Money::from_steps).collect();
            let total: Money = parts.iter().copied().sum();
            let rounded: Money = round_together(&parts, decimals).into_iter().sum();
            prop_assert_eq!(rounded, total.rounded(decimals));
        }

        #[test]
        fn what_is_written_is_read(steps in any::<i64>()) {
            let money = Money::from_steps(i128::from(steps) * (STEPS / 10_i128.pow(12)));
            prop_assert_eq!(Money::parse(&money.text(12)), Some(money));
        }
    }
}
