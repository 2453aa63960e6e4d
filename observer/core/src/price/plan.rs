//! Which rates are charged for what goes one way, and at what price a host that knows no tier position takes them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    book::Book,
    place::{Place, Places},
    rate::{Assumed, Rate, Way},
};
use crate::model::{
    cost::{CostPlan, PlanPart},
    identity::Identity,
    names::{
        BilledDirection, CostAssumption, CostSide, PathElement, PathKind, RateKind, UnpricedReason,
    },
    record::SourcePlace,
    time::UnixUs,
};

/// Plans kept ready; they are made again when there are more.
pub const PLANS_MAX: usize = 8_192;

/// Both ends of a flow, as far as prices depend on them.
#[derive(Clone, Copy, Debug)]
pub struct Route<'r> {
    pub from: Place<'r>,
    pub to: Place<'r>,
    pub service: Option<&'r str>,
    pub path: PathKind,
    /// [`PathElement`]s by their word.
    pub elements: &'r [&'r str],
}

/// What is charged on a route at one moment.
#[derive(Clone, Debug, Default)]
pub struct Charges {
    pub rates: Vec<(Arc<Rate>, CostSide)>,
    pub unpriced: Option<UnpricedReason>,
}

impl Book {
    /// The rates of a route at a moment; `own` are the places whose bills are the operator's too.
    #[must_use]
    pub fn charges(&self, route: &Route<'_>, own: &Places, at: UnixUs) -> Charges {
        let mut charges = Charges::default();
        if route.path == PathKind::SameHost {
            return charges;
        }
        if route.from.cloud.is_none() || route.from.region.is_none() {
            charges.unpriced = Some(UnpricedReason::SourceUnknown);
            return charges;
        }
        let kind = kind(route);
        match kind {
            None => charges.unpriced = Some(UnpricedReason::PathUnknown),
            Some(kind) => {
                let there = way(route, kind);
                self.add(&mut charges, &there, CostSide::Local, at);
                let sends = |(rate, _): &(Arc<Rate>, CostSide)| {
                    rate.facts.direction != BilledDirection::Ingress
                };
                if !charges.rates.iter().any(sends) {
                    charges.unpriced = Some(UnpricedReason::NoRate);
                }
                if route.to.cloud.is_some()
                    && own.how() != super::place::Naming::Any
                    && own.has(&route.to)
                {
                    let back = Way {
                        from: route.to,
                        to: route.from,
                        ..there
                    };
                    self.add(&mut charges, &back, CostSide::Remote, at);
                }
            }
        }
        self.add_elements(&mut charges, route, kind, at);
        charges
    }

    fn add_elements(
        &self,
        charges: &mut Charges,
        route: &Route<'_>,
        base: Option<RateKind>,
        at: UnixUs,
    ) {
        for element in route.elements {
            let Some(element) = PathElement::from_word(element).map(RateKind::of_element) else {
                continue;
            };
            if Some(element) == base {
                continue;
            }
            let before = charges.rates.len();
            self.add(charges, &way(route, element), CostSide::Local, at);
            if charges.rates.len() == before && !element.is_free_element() {
                charges.unpriced = charges.unpriced.or(Some(UnpricedReason::ElementNoRate));
            }
        }
    }

    fn add(&self, charges: &mut Charges, way: &Way<'_>, side: CostSide, at: UnixUs) {
        let sent = self.find(way, BilledDirection::Egress, at);
        let received = self.find(way, BilledDirection::Ingress, at);
        let received =
            received.filter(|received| sent.is_none_or(|sent| !Arc::ptr_eq(sent, received)));
        // A rate for both ways that loses one of them to a narrower rate would count that one twice.
        let whole = received
            .filter(|rate| rate.facts.direction == BilledDirection::Ingress || sent.is_none());
        charges.rates.extend(
            sent.into_iter()
                .chain(whole)
                .map(|rate| (Arc::clone(rate), side)),
        );
    }

    /// The next moment at which a rate begins or ends to hold.
    #[must_use]
    pub fn next_change(&self, after: UnixUs) -> UnixUs {
        let cuts = self
            .rates()
            .iter()
            .flat_map(|rate| [rate.since, rate.until]);
        cuts.filter(|cut| *cut > after)
            .min()
            .unwrap_or(UnixUs(i64::MAX))
    }
}

/// What is charged for the way itself.
fn kind(route: &Route<'_>) -> Option<RateKind> {
    if let Some(kind) = RateKind::of_path(route.path) {
        return Some(kind);
    }
    // A service of the cloud in the host's own region: its zone cannot be known, and need not be.
    let is_here = route.to.cloud == route.from.cloud && route.to.region == route.from.region;
    (is_here && route.service.is_some()).then_some(RateKind::SameRegion)
}

const fn way<'r>(route: &Route<'r>, kind: RateKind) -> Way<'r> {
    Way {
        kind,
        from: route.from,
        to: route.to,
        service: route.service,
    }
}

/// What a host assumes where it cannot know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricingSettings {
    pub assumption: CostAssumption,
    /// Bytes in a month, by rate, or else by cloud.
    pub volumes: BTreeMap<String, u64>,
    /// Places whose bills are the operator's too.
    pub own: Places,
}

impl Default for PricingSettings {
    fn default() -> Self {
        Self {
            assumption: CostAssumption::FirstTier,
            volumes: BTreeMap::new(),
            own: Places::default(),
        }
    }
}

impl PricingSettings {
    fn assumed(&self, rate: &Rate) -> Assumed {
        let volume = self
            .volumes
            .get(&*rate.facts.id)
            .or_else(|| self.volumes.get(&*rate.facts.cloud));
        match volume {
            Some(volume_bytes) => Assumed {
                assumption: self.assumption,
                volume_bytes: *volume_bytes,
            },
            // Nothing is said of it: what is used up is the free band.
            None => Assumed {
                assumption: CostAssumption::FirstTier,
                volume_bytes: 0,
            },
        }
    }
}

/// Prices flows as they are recorded.
#[derive(Clone, Debug)]
pub struct Pricing {
    book: Arc<Book>,
    settings: PricingSettings,
    source: SourcePlace,
    /// By the address of the identity, which is held so that it is not used twice.
    plans: HashMap<usize, (Arc<Identity>, Arc<CostPlan>)>,
    valid_until: UnixUs,
}

impl Pricing {
    #[must_use]
    pub fn new(book: Arc<Book>, settings: PricingSettings, source: SourcePlace) -> Self {
        Self {
            book,
            settings,
            source,
            plans: HashMap::new(),
            valid_until: UnixUs(i64::MIN),
        }
    }

    #[must_use]
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// The host stands here from now on.
    pub fn stand(&mut self, source: &SourcePlace) {
        if self.source != *source {
            self.source = source.clone();
            self.plans.clear();
        }
    }

    /// What is charged for bytes that go there at this moment.
    pub fn of(&mut self, identity: &Arc<Identity>, at: UnixUs) -> Arc<CostPlan> {
        if at >= self.valid_until || self.plans.len() >= PLANS_MAX {
            self.plans.clear();
            self.valid_until = self.book.next_change(at);
        }
        let key = Arc::as_ptr(identity).addr();
        if let Some((_, plan)) = self.plans.get(&key) {
            return Arc::clone(plan);
        }
        let plan = Arc::new(self.plan(identity, at));
        self.plans
            .insert(key, (Arc::clone(identity), Arc::clone(&plan)));
        plan
    }

    fn plan(&self, identity: &Identity, at: UnixUs) -> CostPlan {
        let elements: Vec<&str> = identity.path_elements.iter().map(|word| &**word).collect();
        let route = Route {
            from: Place {
                cloud: self.source.cloud.as_deref(),
                region: self.source.region.as_deref(),
                country: None,
            },
            to: Place {
                cloud: identity.cloud.as_deref(),
                region: identity.region.as_deref(),
                country: identity.geography.as_deref(),
            },
            service: identity.service.as_deref(),
            path: identity.path_kind.unwrap_or(PathKind::Unknown),
            elements: &elements,
        };
        let charges = self.book.charges(&route, &self.settings.own, at);
        let part = |(rate, side): (Arc<Rate>, CostSide)| PlanPart {
            price: rate.price(self.settings.assumed(&rate)),
            rate: Arc::clone(&rate.facts),
            side,
        };
        CostPlan {
            currency: self.book.currency().clone(),
            assumption: self.settings.assumption,
            parts: charges.rates.into_iter().map(part).collect(),
            unpriced: charges.unpriced,
        }
    }
}

#[cfg(test)]
mod tests;
