//! What would be worth changing: for each way that bytes take, what else they could take, priced like the rest. Each change
//! is priced alone over the whole month, since tiers are shared; so what several save together is not their sum.

pub mod render;

use std::collections::BTreeMap;

use observer_core::{
    model::{
        identity::Word,
        money::Money,
        names::{PathElement, PathKind},
    },
    price::{book::Book, place::Places, statement::Line},
};

use crate::{
    change::Change,
    priced::{Priced, price, price_changed},
    tally::{Tally, Way},
};

/// Ways that are looked at, those with most bytes first.
pub const WAYS_MAX: usize = 200;

/// One change, and what it comes to.
#[derive(Clone, Debug)]
pub struct Saving {
    /// What could be done.
    pub what: String,
    pub change: Change,
    pub way: Way,
    /// Sent, received.
    pub bytes: [u64; 2],
    pub before: Money,
    pub after: Money,
    /// Rates whose charge it changes: name, before, after.
    pub rates: Vec<(Word, Money, Money)>,
}

impl Saving {
    #[must_use]
    pub fn saved(&self) -> Money {
        Money::from_steps(self.before.steps() - self.after.steps())
    }
}

/// Changes that save anything, those worth most first, and the month as it is. A change whose new way has no price is
/// none.
#[must_use]
pub fn savings(tally: &Tally, book: &Book, own: &Places) -> (Priced, Vec<Saving>) {
    let now = price(tally, book, own);
    let mut ways: BTreeMap<usize, (&Way, [u64; 2])> = BTreeMap::new();
    for summed in tally.sums() {
        let entry = ways.entry(summed.route).or_insert((summed.way, [0; 2]));
        for (bytes, more) in entry.1.iter_mut().zip(summed.sum.bytes) {
            *bytes = bytes.saturating_add(more);
        }
    }
    let mut ways: Vec<(usize, (&Way, [u64; 2]))> = ways.into_iter().collect();
    ways.sort_by_key(|(_, (_, [sent, received]))| {
        std::cmp::Reverse(u128::from(*sent) + u128::from(*received))
    });
    let mut found = Vec::new();
    for (route, (way, bytes)) in ways.into_iter().take(WAYS_MAX) {
        for (what, change) in candidates(way, book) {
            let then = price_changed(tally, book, own, |summed| {
                (summed.route == route).then_some(&change)
            });
            let saving = Saving {
                what,
                change: change.clone(),
                way: way.clone(),
                bytes,
                before: whole(&now),
                after: whole(&then),
                rates: rates(&now.lines, &then.lines),
            };
            let is_priced = then.total.unpriced_bytes <= now.total.unpriced_bytes;
            if is_priced && saving.saved() > Money::ZERO {
                found.push(saving);
            }
        }
    }
    found.sort_by(|a, b| b.saved().cmp(&a.saved()).then_with(|| a.what.cmp(&b.what)));
    (now, found)
}

fn whole(priced: &Priced) -> Money {
    [priced.total.cost, priced.total.hourly].into_iter().sum()
}

/// What each rate came to before and after, where it differs.
fn rates(before: &[Line], after: &[Line]) -> Vec<(Word, Money, Money)> {
    let mut sums: BTreeMap<Word, [Money; 2]> = BTreeMap::new();
    for (nth, lines) in [before, after].into_iter().enumerate() {
        for line in lines {
            let sum = sums.entry(line.rate.id.clone()).or_default();
            if let Some(sum) = sum.get_mut(nth) {
                *sum += [line.cost, line.hourly].into_iter().sum();
            }
        }
    }
    let differing = sums
        .into_iter()
        .filter(|(_, [before, after])| before != after);
    differing
        .map(|(id, [before, after])| (id, before, after))
        .collect()
}

/// What else these bytes could do.
fn candidates(way: &Way, book: &Book) -> Vec<(String, Change)> {
    way.route(|route| {
        let rest: Vec<Word> = route
            .elements
            .iter()
            .filter(|element| **element != PathElement::NatGateway.word())
            .map(|element| Word::from(*element))
            .collect();
        let has_gateway = rest.len() < route.elements.len();
        let take = |kind, elements: &[Word]| Change::Path {
            kind,
            elements: elements.to_vec(),
        };
        let mut found = Vec::new();
        let is_own_cloud = route.to.cloud.is_some() && route.to.cloud == route.from.cloud;
        if is_own_cloud
            && has_gateway
            && let Some(service) = route.service
        {
            found.push((
                format!("a private endpoint for {service} instead of the NAT gateway"),
                take(PathKind::PrivateEndpoint, &rest),
            ));
        }
        if route.path == PathKind::InterZone {
            let elements: Vec<Word> = route
                .elements
                .iter()
                .map(|word| Word::from(*word))
                .collect();
            found.push((
                "keep it in one zone".to_owned(),
                take(PathKind::SameZone, &elements),
            ));
        }
        if let (Some(cloud), Some(region)) = (route.to.cloud, route.to.region) {
            if route.path == PathKind::InterRegion {
                found.push((
                    format!("move the sender to {cloud}/{region}, another zone"),
                    Change::Move {
                        cloud: cloud.into(),
                        region: region.into(),
                    },
                ));
            }
            let is_known = book.rates().iter().any(|rate| *rate.facts.cloud == *cloud);
            if route.path == PathKind::Internet && !is_own_cloud && is_known {
                found.push((
                    format!("a private line to {cloud}/{region} instead of the internet"),
                    take(PathKind::Interconnect, &rest),
                ));
            }
        }
        found
    })
}

#[cfg(test)]
mod tests;
