//! What was agreed on: discounts off rates, and what is paid for at the least.

use std::{collections::BTreeSet, sync::Arc};

use super::{Source, is_ever, span};
use crate::{
    model::{cost::RateFacts, money::Price, time::UnixUs},
    price::{
        book::{BookError, BookSettings},
        commitment::Commitment,
        place::Glob,
        rate::Rate,
        spec::DiscountRow,
    },
};

/// Commitments of one book.
const COMMITMENTS_MAX: usize = 256;

/// A discount as it is applied.
pub struct Discount<'d> {
    row: &'d DiscountRow,
    rates: Vec<Glob>,
    basis_points: u16,
}

pub fn discounts<'s>(sources: &'s [Source<'_>]) -> Result<Vec<Discount<'s>>, BookError> {
    let mut all = Vec::new();
    for source in sources {
        for row in &source.file.discounts {
            let what = format!("discount of `{}`", row.rates.join("`, `"));
            let wrong = |why: &str| source.error(None, format!("{what}: {why}"));
            let rates = globs(sources, &row.rates).map_err(|why| wrong(&why))?;
            let percent = Price::parse(&row.percent).ok().map(Price::pico);
            let basis_points = percent
                .filter(|pico| pico % 10_u64.pow(10) == 0)
                .and_then(|pico| u16::try_from(pico / 10_u64.pow(10)).ok())
                .filter(|points| *points <= 10_000)
                .ok_or_else(|| {
                    wrong(&format!(
                        "`percent: {}` is no number from 0 to 100 of two decimals",
                        row.percent
                    ))
                })?;
            all.push(Discount {
                row,
                rates,
                basis_points,
            });
        }
    }
    Ok(all)
}

/// The rate, cut where a discount begins or ends; of several the last one holds.
pub fn discounted(
    rate: &Rate,
    discounts: &[Discount<'_>],
    settings: &BookSettings,
) -> Result<Vec<Rate>, String> {
    let zone = settings.zone(&rate.facts.cloud);
    let mut spans = Vec::new();
    for discount in discounts
        .iter()
        .filter(|discount| discount.rates.iter().any(|glob| glob.fits(&rate.facts.id)))
    {
        let (since, until) = span(
            discount.row.effective_from,
            discount.row.effective_until,
            &zone,
        )?;
        spans.push((since.max(rate.since), until.min(rate.until), discount));
    }
    let mut cuts: Vec<UnixUs> = vec![rate.since, rate.until];
    cuts.extend(spans.iter().flat_map(|(since, until, _)| [*since, *until]));
    cuts.retain(|cut| (rate.since..=rate.until).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces = Vec::new();
    for [since, until] in cuts.array_windows() {
        let holds = |span: &&(UnixUs, UnixUs, &Discount<'_>)| span.0 <= *since && *until <= span.1;
        let mut piece = Rate {
            since: *since,
            until: *until,
            ..rate.clone()
        };
        if let Some((_, _, discount)) = spans.iter().rev().find(holds) {
            for tier in &mut piece.tiers {
                let list = tier.price;
                tier.price = list.less(discount.basis_points).ok_or_else(|| {
                    format!(
                        "{} % off {list} has more decimals than a price can have",
                        discount.row.percent
                    )
                })?;
            }
            piece.facts = Arc::new(RateFacts {
                discount: Some((discount.basis_points, discount.row.source.as_str().into())),
                ..(*rate.facts).clone()
            });
        }
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Commitments of all files.
pub fn commitments(sources: &[Source<'_>]) -> Result<Vec<Commitment>, BookError> {
    let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
    for source in sources {
        for row in &source.file.commitments {
            let wrong = |why: &str| {
                source.error(
                    source.line(&row.id),
                    format!("commitment `{}`: {why}", row.id),
                )
            };
            if !ids.insert(&*row.id) {
                return Err(wrong("the name is there twice"));
            }
            if all.len() == COMMITMENTS_MAX {
                return Err(wrong(&format!(
                    "more than {COMMITMENTS_MAX} commitments in all"
                )));
            }
            is_ever(row.effective_from, row.effective_until).map_err(|why| wrong(&why))?;
            let per_month = Price::parse(&row.per_month);
            all.push(Commitment {
                id: row.id.as_str().into(),
                rates: globs(sources, &row.rates).map_err(|why| wrong(&why))?,
                per_month: per_month
                    .map_err(|error| wrong(&format!("`per_month`: {error}")))?
                    .of_units(1),
                source: row.source.as_str().into(),
                effective_from: row.effective_from,
                effective_until: row.effective_until,
            });
        }
    }
    Ok(all)
}

/// Names of rates, each of which is that of some.
fn globs(sources: &[Source<'_>], names: &[String]) -> Result<Vec<Glob>, String> {
    if names.is_empty() {
        return Err("names no rate".to_owned());
    }
    let glob = |name: &String| {
        let glob = Glob::parse(name).ok_or("a `*` stands at the end of a name alone")?;
        let mut rows = sources.iter().flat_map(|source| &source.file.rates);
        match rows.any(|row| glob.fits(&row.id)) {
            true => Ok(glob),
            false => Err(format!(
                "no rate is called `{name}`; see `observer price show`"
            )),
        }
    };
    names.iter().map(glob).collect()
}
