//! One rate as it is applied, and which of two goes first.

use std::sync::Arc;

use super::{
    place::{Glob, Naming, Place, Places},
    tier::Tier,
};
use crate::model::{
    cost::RateFacts,
    identity::Word,
    money::Price,
    names::{BilledDirection, CostAssumption, RateKind},
    time::UnixUs,
};

/// A rate for a time in which nothing of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub facts: Arc<RateFacts>,
    pub from: Places,
    pub to: Places,
    pub services: Vec<Glob>,
    pub tiers: Vec<Tier>,
    pub free: Option<Free>,
    pub pool: Pool,
    pub per_hour: Option<Price>,
    /// How many of what is charged by the hour there are.
    pub count: u32,
    pub variant: Option<Word>,
    pub note: Option<Word>,
    /// First moment at which it holds.
    pub since: UnixUs,
    /// First moment at which it holds no more.
    pub until: UnixUs,
    /// File of the book; the later go first.
    pub layer: usize,
}

/// Bytes that cost nothing; they fill the first tier all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    pub bytes: u64,
    /// Rates of one pool share it.
    pub pool: Word,
}

/// Whose bytes fill the tiers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pool {
    Rate,
    /// Each source region apart.
    Region,
    Named(Word),
}

/// What a rate is looked for by.
#[derive(Clone, Copy, Debug)]
pub struct Way<'w> {
    pub kind: RateKind,
    pub from: Place<'w>,
    pub to: Place<'w>,
    pub service: Option<&'w str>,
}

/// The order of rates that fit one way, the first to win last: a later file, a chosen variant, a named service, a
/// destination, a source; each listed before grouped before any.
pub type Rank = (usize, bool, Naming, Naming, Naming);

/// An assumption, and the volume in a month that it is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    pub assumption: CostAssumption,
    pub volume_bytes: u64,
}

impl Rate {
    #[must_use]
    pub fn rank(&self) -> Rank {
        let services = match self.services.is_empty() {
            true => Naming::Any,
            false if self.services.iter().any(|service| service.fits("")) => Naming::Group,
            false => Naming::Listed,
        };
        (
            self.layer,
            self.variant.is_some(),
            services,
            self.to.how(),
            self.from.how(),
        )
    }

    /// Whether it is for this way, whenever that is.
    #[must_use]
    pub fn fits(&self, way: &Way<'_>) -> bool {
        let service = || {
            let named = way.service.filter(|service| !service.is_empty());
            named.is_some_and(|service| self.services.iter().any(|glob| glob.fits(service)))
        };
        self.facts.kind == way.kind
            && way.from.cloud == Some(&*self.facts.cloud)
            && self.from.has(&way.from)
            && self.to.has(&way.to)
            && (self.services.is_empty() || service())
    }

    #[must_use]
    pub fn holds_at(&self, at: UnixUs) -> bool {
        self.since <= at && at < self.until
    }

    /// Whether there may be a way, a byte and a moment that both are for, with nothing to choose between them.
    #[must_use]
    pub fn contends_with(&self, other: &Self) -> bool {
        let services = match (&*self.services, &*other.services) {
            ([], _) | (_, []) => true,
            (one, other) => one
                .iter()
                .any(|glob| other.iter().any(|other| glob.meets(other))),
        };
        self.rank() == other.rank()
            && self.variant == other.variant
            && self.facts.kind == other.facts.kind
            && self.facts.cloud == other.facts.cloud
            && self.counts_what(other)
            && self.since < other.until
            && other.since < self.until
            && services
            && self.from.meets(&other.from)
            && self.to.meets(&other.to)
    }

    fn counts_what(&self, other: &Self) -> bool {
        let (one, other) = (self.facts.direction, other.facts.direction);
        one == other || one == BilledDirection::Both || other == BilledDirection::Both
    }

    /// What one unit is taken to cost.
    #[must_use]
    pub fn price(&self, assumed: Assumed) -> Price {
        match assumed.assumption {
            CostAssumption::FirstTier | CostAssumption::Month => {
                super::tier::first_price(&self.tiers)
            }
            CostAssumption::Marginal => {
                let free = self.free.as_ref().map_or(0, |free| free.bytes);
                match assumed.volume_bytes < free {
                    true => Price::ZERO,
                    false => super::tier::price_at(&self.tiers, assumed.volume_bytes),
                }
            }
            CostAssumption::Blended => {
                let free = self.free.as_ref().map_or(0, |free| free.bytes);
                super::tier::average(&self.tiers, free, assumed.volume_bytes, self.facts.unit)
            }
        }
    }
}
