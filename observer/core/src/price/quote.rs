//! What so many bytes would cost on one route, tier by tier, with where each price is from.

use std::sync::Arc;

use super::{
    book::Book,
    month::Month,
    place::Places,
    plan::Route,
    rate::Rate,
    tier::{self, InTier},
};
use crate::model::{
    money::Money,
    names::{CostSide, UnpricedReason},
    time::UnixUs,
};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub route: Route<'a>,
    pub own: &'a Places,
    pub month: Month,
    /// Bytes sent, and received.
    pub bytes: [u64; 2],
    /// Bytes that filled the tiers before.
    pub already: u64,
}

/// One rate's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub rate: Arc<Rate>,
    pub side: CostSide,
    pub bytes: u64,
    /// Of them inside a free band.
    pub free_bytes: u64,
    pub tiers: Vec<(InTier, Money)>,
    pub cost: Money,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Quote {
    pub components: Vec<Component>,
    pub total: Money,
    pub unpriced: Option<UnpricedReason>,
    /// A rate of the route changes within the month: the prices are those of its first moment.
    pub changes_at: Option<UnixUs>,
}

/// What `asked` would cost.
#[must_use]
pub fn quote(book: &Book, asked: &Asked<'_>) -> Quote {
    let zone = book.zone(asked.route.from.cloud.unwrap_or_default());
    let (start, end) = asked.month.span(zone);
    let charges = book.charges(&asked.route, asked.own, start);
    let components: Vec<Component> = charges
        .rates
        .into_iter()
        .map(|(rate, side)| component(rate, side, asked))
        .collect();
    let changes = components.iter().map(|component| component.rate.until);
    Quote {
        total: components.iter().map(|component| component.cost).sum(),
        changes_at: changes.filter(|until| *until < end).min(),
        components,
        unpriced: charges.unpriced,
    }
}

fn component(rate: Arc<Rate>, side: CostSide, asked: &Asked<'_>) -> Component {
    let bytes = rate.facts.direction.count(side.of(asked.bytes));
    let end = asked.already.saturating_add(bytes);
    let free = rate.free.as_ref().map_or(0, |free| free.bytes);
    let start = asked.already.max(free).min(end);
    let priced = |part: InTier| (part, part.price.of_bytes(part.bytes, rate.facts.unit));
    let tiers: Vec<(InTier, Money)> = tier::parts(&rate.tiers, start, end).map(priced).collect();
    Component {
        side,
        bytes,
        free_bytes: start - asked.already,
        cost: tiers.iter().map(|(_, cost)| *cost).sum(),
        tiers,
        rate,
    }
}
