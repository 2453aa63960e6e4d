//! What a flow's bytes cost by one plan: rates that were chosen once for everything that goes the same way. Chooses none.

use std::sync::Arc;

use observer_ebpf::abi::{EGRESS, INGRESS};
use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{
    counters::Counters,
    identity::Word,
    money::{Money, Price, Unit},
    names::{BilledDirection, CostAssumption, CostSide, PriceStatus, RateKind, UnpricedReason},
};

/// What a rate is, and how it is known; the same wherever it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateFacts {
    /// Its name in the book.
    pub id: Word,
    pub cloud: Word,
    pub kind: RateKind,
    pub direction: BilledDirection,
    pub unit: Unit,
    pub status: PriceStatus,
    /// Where the price was read, in words.
    pub source: Word,
    /// When, as far as is known: `2026-07-20`, `2026-07`, `2026`.
    pub as_of: Option<Word>,
    /// Per cent off the list price, in hundredths, and who agreed on it.
    pub discount: Option<(u16, Word)>,
}

/// One rate at the price that the plan's assumption gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPart {
    pub rate: Arc<RateFacts>,
    pub price: Price,
    pub side: CostSide,
}

/// What is charged for everything that goes one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostPlan {
    /// ISO 4217.
    pub currency: Word,
    pub assumption: CostAssumption,
    pub parts: Vec<PlanPart>,
    /// Why there is no price, or not all of it.
    pub unpriced: Option<UnpricedReason>,
}

impl PlanPart {
    /// The bytes that this rate counts.
    #[must_use]
    pub fn bytes(&self, counters: &Counters) -> u64 {
        let bytes = [counters.wire_bytes[EGRESS], counters.wire_bytes[INGRESS]];
        self.rate.direction.count(self.side.of(bytes))
    }

    #[must_use]
    pub fn cost(&self, counters: &Counters) -> Money {
        self.price.of_bytes(self.bytes(counters), self.rate.unit)
    }
}

impl CostPlan {
    /// The estimate for these bytes; `None` where nothing of the way has a price.
    #[must_use]
    pub fn cost(&self, counters: &Counters) -> Option<Money> {
        if self.parts.is_empty() && self.unpriced.is_some() {
            return None;
        }
        Some(self.parts.iter().map(|part| part.cost(counters)).sum())
    }

    /// The estimate by what was sent and what was received here.
    #[must_use]
    pub fn cost_by_direction(&self, counters: &Counters) -> [Money; 2] {
        let mut costs = [Money::ZERO; 2];
        for part in &self.parts {
            let counts = |direction| {
                let counted = match part.side {
                    CostSide::Local => direction,
                    CostSide::Remote => [INGRESS, EGRESS][direction],
                };
                match part.rate.direction {
                    BilledDirection::Egress => counted == EGRESS,
                    BilledDirection::Ingress => counted == INGRESS,
                    BilledDirection::Both => true,
                }
            };
            for (direction, cost) in costs.iter_mut().enumerate().filter(|(way, _)| counts(*way)) {
                *cost += part
                    .price
                    .of_bytes(counters.wire_bytes[direction], part.rate.unit);
            }
        }
        costs
    }

    /// Sent bytes without a price, or without all of it.
    #[must_use]
    pub fn unpriced_bytes(&self, counters: &Counters) -> Option<(UnpricedReason, u64)> {
        self.unpriced
            .map(|reason| (reason, counters.wire_bytes[EGRESS]))
    }

    /// The parts that counted anything, as records write them; `None` where there is none.
    #[must_use]
    pub fn components<'p>(&'p self, counters: &'p Counters) -> Option<Components<'p>> {
        let counts = self.parts.iter().any(|part| part.bytes(counters) > 0);
        counts.then_some(Components(self, counters))
    }
}

/// What a record writes of each part.
#[derive(Clone, Copy, Debug)]
pub struct Components<'p>(&'p CostPlan, &'p Counters);

#[derive(Serialize)]
struct Component<'p> {
    rate: &'p Word,
    kind: RateKind,
    side: CostSide,
    bytes: u64,
    unit: &'static str,
    price: Price,
    cost: Money,
    status: PriceStatus,
    source: &'p Word,
    as_of: Option<&'p Word>,
}

impl Serialize for Components<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(plan, counters) = self;
        let mut list = serializer.serialize_seq(None)?;
        for part in &plan.parts {
            let bytes = part.bytes(counters);
            if bytes == 0 {
                continue;
            }
            let rate = &part.rate;
            list.serialize_element(&Component {
                rate: &rate.id,
                kind: rate.kind,
                side: part.side,
                bytes,
                unit: rate.unit.word(),
                price: part.price,
                cost: part.cost(counters),
                status: rate.status,
                source: &rate.source,
                as_of: rate.as_of.as_ref(),
            })?;
        }
        list.end()
    }
}
