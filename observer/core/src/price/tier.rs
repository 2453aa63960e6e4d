//! What a range of a month's bytes costs: tiers, each up to a bound. Knows no rate and no month.

use crate::model::money::{Money, Price, Unit};

/// One tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// First byte beyond it; `None` for the last one.
    pub up_to_bytes: Option<u64>,
    pub price: Price,
}

/// A part of a range that lies in one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InTier {
    pub bytes: u64,
    pub price: Price,
}

/// The parts of the bytes from `from` up to `to`, tier by tier.
pub fn parts(tiers: &[Tier], from: u64, to: u64) -> impl Iterator<Item = InTier> {
    let mut start = 0;
    tiers.iter().filter_map(move |tier| {
        let end = tier.up_to_bytes.unwrap_or(u64::MAX);
        let bytes = to.min(end).saturating_sub(from.max(start));
        start = end;
        (bytes > 0).then_some(InTier {
            bytes,
            price: tier.price,
        })
    })
}

/// What these bytes cost.
#[must_use]
pub fn cost(tiers: &[Tier], from: u64, to: u64, unit: Unit) -> Money {
    parts(tiers, from, to)
        .map(|part| part.price.of_bytes(part.bytes, unit))
        .sum()
}

/// The first price that is not 0: what a byte costs once free bands are used up. 0 where everything is free.
#[must_use]
pub fn first_price(tiers: &[Tier]) -> Price {
    let prices = tiers.iter().map(|tier| tier.price);
    prices
        .clone()
        .find(|price| *price != Price::ZERO)
        .unwrap_or_default()
}

/// The price of the byte after the first `position`.
#[must_use]
pub fn price_at(tiers: &[Tier], position: u64) -> Price {
    let next = position.saturating_add(1);
    parts(tiers, position, next)
        .next()
        .map_or(Price::ZERO, |part| part.price)
}

/// The average price of the first `volume` bytes, `free` of which cost nothing, cut to the decimals of a price.
#[must_use]
pub fn average(tiers: &[Tier], free: u64, volume: u64, unit: Unit) -> Price {
    let total = cost(tiers, free.min(volume), volume, unit).steps();
    let one = Price::from_pico(1).of_bytes(volume, unit).steps();
    match one {
        0 => first_price(tiers),
        one => u64::try_from(total / one).map_or(Price::ZERO, Price::from_pico),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn tiers() -> Vec<Tier> {
        [
            (Some(10_240), "0.09"),
            (Some(51_200), "0.085"),
            (None, "0.07"),
        ]
        .map(|(up_to, price)| Tier {
            up_to_bytes: up_to.map(|up_to: u64| up_to * GIB),
            price: Price::parse(price).expect("a price"),
        })
        .into()
    }

    #[test]
    fn a_range_is_cut_at_the_bounds() {
        let tiers = tiers();
        let cost = |from: u64, to: u64| cost(&tiers, from * GIB, to * GIB, Unit::Gibibyte).text(6);
        // 100 * .09; 10,240 * .09 + 1 * .085; 2 * .085 + 3 * .07
        for (from, to, expected) in [
            (0, 100, "9"),
            (0, 10_241, "921.685"),
            (51_198, 51_203, "0.38"),
            (7, 7, "0"),
            (9, 7, "0"),
        ] {
            assert_eq!(cost(from, to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_node_s_prices_are_told_by_the_assumption() {
        let tiers = tiers();
        assert_eq!(first_price(&tiers).to_string(), "0.09");
        assert_eq!(price_at(&tiers, 10_240 * GIB - 1).to_string(), "0.09");
        assert_eq!(price_at(&tiers, 10_240 * GIB).to_string(), "0.085");
        // (10,140 * .09 + 10,240 * .085) / 20,480 = 0.087060546875
        let average = average(&tiers, 100 * GIB, 20_480 * GIB, Unit::Gibibyte);
        assert_eq!(average.to_string(), "0.087060546875");
        let free = [Tier {
            up_to_bytes: None,
            price: Price::ZERO,
        }];
        assert_eq!(first_price(&free), Price::ZERO);
    }
}
