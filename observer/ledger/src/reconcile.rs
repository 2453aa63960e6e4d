//! An estimate held against a bill, day by day, region by region, by what was used. Each difference is split into parts that
//! have a name; what has none is called unexplained.

pub mod render;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use observer_core::model::{money::Money, names::RateKind};

use crate::{
    bill::{Bill, BillCharge},
    group::By,
    priced::Priced,
};

/// Columns that the estimate has to be by.
pub const BY: [By; 4] = [By::Day, By::SourceCloud, By::SourceRegion, By::Region];

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub cloud: String,
    pub region: String,
    pub kind: Kind,
    pub day: Date,
}

/// What was used: as price books have it, or by the bill's own word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Known(RateKind),
    Bill(String),
}

impl Kind {
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Known(kind) => kind.word(),
            Self::Bill(word) => word,
        }
    }
}

/// Both sides of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub billed: Option<Side>,
    pub estimated: Option<Side>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    pub cost: Money,
    /// `None` where some of it was charged by something else than bytes.
    pub bytes: Option<u64>,
}

/// Parts of bill less estimate; they sum to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Charged, and nothing was seen of it: a host without an agent, a managed service.
    pub not_seen: Money,
    /// Seen and priced, and not on the bill.
    pub not_billed: Money,
    /// More or fewer bytes than were seen, at the price of the side that has more.
    pub bytes: Money,
    /// Another price for the bytes that both have.
    pub price: Money,
    /// The bill does not say for how many bytes it is.
    pub unexplained: Money,
}

impl Parts {
    #[must_use]
    pub fn sum(&self) -> Money {
        [
            self.not_seen,
            self.not_billed,
            self.bytes,
            self.price,
            self.unexplained,
        ]
        .into_iter()
        .sum()
    }

    pub fn add(&mut self, other: &Self) {
        self.not_seen += other.not_seen;
        self.not_billed += other.not_billed;
        self.bytes += other.bytes;
        self.price += other.price;
        self.unexplained += other.unexplained;
    }
}

fn less(one: Money, other: Money) -> Money {
    Money::from_steps(one.steps().saturating_sub(other.steps()))
}

impl Side {
    fn add(&mut self, cost: Money, bytes: Option<u64>) {
        self.cost += cost;
        self.bytes = self
            .bytes
            .zip(bytes)
            .map(|(sum, more)| sum.saturating_add(more));
    }

    fn new() -> Self {
        Self {
            cost: Money::ZERO,
            bytes: Some(0),
        }
    }
}

impl Cell {
    #[must_use]
    pub fn difference(&self) -> Money {
        let cost = |side: Option<Side>| side.map_or(Money::ZERO, |side| side.cost);
        less(cost(self.billed), cost(self.estimated))
    }

    /// Why both sides differ.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        let whole = self.difference();
        let (billed, estimated) = match (self.billed, self.estimated) {
            (Some(billed), Some(estimated)) => (billed, estimated),
            (Some(_), None) => {
                parts.not_seen = whole;
                return parts;
            }
            (None, _) => {
                parts.not_billed = whole;
                return parts;
            }
        };
        let (Some(on_bill), Some(seen)) = (billed.bytes, estimated.bytes) else {
            parts.unexplained = whole;
            return parts;
        };
        // What the further bytes of one side cost there.
        let further = |cost: Money, common: u64, more: u64| {
            let shares = cost.split(&[common, more]);
            shares.get(1).copied().unwrap_or_default()
        };
        parts.bytes = match on_bill.cmp(&seen) {
            std::cmp::Ordering::Equal => Money::ZERO,
            std::cmp::Ordering::Greater => further(billed.cost, seen, on_bill - seen),
            std::cmp::Ordering::Less => less(
                Money::ZERO,
                further(estimated.cost, on_bill, seen - on_bill),
            ),
        };
        parts.price = less(whole, parts.bytes);
        parts
    }
}

/// Every cell of both, by their order.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    pub cells: BTreeMap<Key, Cell>,
}

/// Holds an estimate over [`BY`] against a bill: of the clouds that the bill has. Cells without money on either side are left
/// out.
#[must_use]
pub fn reconcile(priced: &Priced, bill: &Bill) -> Reconciled {
    let mut cells: BTreeMap<Key, Cell> = BTreeMap::new();
    for charge in &bill.charges {
        let side = cells.entry(key_of(charge)).or_default();
        let side = side.billed.get_or_insert_with(Side::new);
        // What is charged by the hour has no bytes, and takes none from those of its cell.
        let bytes = charge
            .bytes
            .or_else(|| charge.usage.contains("Hours").then_some(0));
        side.add(charge.cost, bytes);
    }
    let clouds: BTreeSet<&str> = bill.charges.iter().map(|charge| &*charge.cloud).collect();
    for charge in &priced.charges {
        let Some(row) = priced.rows.get(charge.row as usize) else {
            continue;
        };
        let cost: Money = [charge.cost, charge.hourly].into_iter().sum();
        let values = [0, 1, 2, 3].map(|nth| row.values.get(nth));
        let [Some(day), Some(cloud), Some(from), Some(to)] = values else {
            continue;
        };
        let (Ok(day), true) = (day.parse(), clouds.contains(&*charge.rate.cloud)) else {
            continue;
        };
        // What the far end sends is on the far region's bill.
        let region = if **cloud == *charge.rate.cloud {
            from
        } else {
            to
        };
        if cost.is_zero() && charge.bytes == 0 {
            continue;
        }
        let key = Key {
            cloud: charge.rate.cloud.to_string(),
            region: region.to_string(),
            kind: Kind::Known(charge.rate.kind),
            day,
        };
        let side = cells.entry(key).or_default();
        let side = side.estimated.get_or_insert_with(Side::new);
        side.add(cost, Some(charge.bytes));
    }
    // A free service that no bill lists is no difference.
    cells.retain(|_, cell| cell.billed.is_some() || !cell.difference().is_zero());
    Reconciled { cells }
}

fn key_of(charge: &BillCharge) -> Key {
    Key {
        cloud: charge.cloud.clone(),
        region: charge.region.clone(),
        kind: charge
            .kind
            .map_or_else(|| Kind::Bill(charge.usage.clone()), Kind::Known),
        day: charge.day,
    }
}

#[cfg(test)]
mod tests;
