//! From files to rates: what each row means, and what the rows mean together. Every error names file, line and row.

mod agreed;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{civil::Date, tz::TimeZone};
use sha2::{Digest as _, Sha256};

use super::{BookError, BookSettings, FILE_BYTES_MAX, Layer, RATES_MAX};
use crate::{
    model::{
        cost::RateFacts,
        identity::Word,
        money::{Price, Unit},
        names::{BilledDirection, PriceStatus},
        time::UnixUs,
    },
    price::{
        commitment::Commitment,
        month::start_of,
        place::{Glob, Places},
        rate::{Free, Pool, Rate},
        spec::{BookFile, RateRow, TierRow},
        tier::Tier,
    },
};

/// Tiers of one rate.
const TIERS_MAX: usize = 32;

pub struct Compiled {
    pub version: String,
    pub currency: Word,
    pub rates: Vec<Rate>,
    pub commitments: Vec<Commitment>,
}

/// A file, and how its rows are told apart in messages.
struct Source<'l> {
    layer: Layer<'l>,
    file: BookFile,
}

impl Source<'_> {
    fn error(&self, line: Option<usize>, what: impl Into<String>) -> BookError {
        BookError {
            file: self.layer.name.to_owned(),
            line,
            what: what.into(),
        }
    }

    /// The line on which a rate is named; of several of one name the last.
    fn line(&self, id: &str) -> Option<usize> {
        let is_it = |line: &str| {
            let line = line
                .trim_start()
                .trim_start_matches("- ")
                .trim_start_matches('{');
            let value = line.trim_start().strip_prefix("id:").map(str::trim);
            let value = value.and_then(|value| value.split([',', '}', '#']).next());
            value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == id)
        };
        let last = self
            .layer
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| is_it(line))
            .last();
        last.map(|(nth, _)| nth + 1)
    }

    fn of_rate(&self, id: &str, what: &str) -> BookError {
        self.error(self.line(id), format!("rate `{id}`: {what}"))
    }
}

pub fn compile(layers: &[Layer<'_>], settings: &BookSettings) -> Result<Compiled, BookError> {
    let sources = layers.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let currency = currency(&sources)?;
    let groups = groups(&sources);
    let discounts = agreed::discounts(&sources)?;
    let commitments = agreed::commitments(&sources)?;
    let mut rates: Vec<Rate> = Vec::new();
    for (nth, source) in sources.iter().enumerate() {
        for row in &source.file.rates {
            if is_replaced(&sources, nth, &row.id) || !is_chosen(row, settings) {
                continue;
            }
            let made = Maker {
                source,
                sources: &sources,
                groups: &groups,
                settings,
            };
            let rate = made
                .rate(row, nth)
                .map_err(|what| source.of_rate(&row.id, &what))?;
            let pieces = agreed::discounted(&rate, &discounts, settings);
            rates.extend(pieces.map_err(|what| source.of_rate(&row.id, &what))?);
            if rates.len() > RATES_MAX {
                return Err(source.of_rate(&row.id, &format!("more than {RATES_MAX} rates in all")));
            }
        }
    }
    none_contend(&rates, &sources)?;
    Ok(Compiled {
        version: version(&sources),
        currency,
        rates,
        commitments,
    })
}

fn read<'l>(layer: &Layer<'l>) -> Result<Source<'l>, BookError> {
    let name = layer.name.to_owned();
    if layer.text.len() > FILE_BYTES_MAX {
        let what = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(BookError {
            file: name,
            line: None,
            what,
        });
    }
    let file: BookFile = serde_norway::from_str(layer.text).map_err(|error| BookError {
        file: name,
        line: error.location().map(|place| place.line()),
        what: error.to_string().replace('\n', " "),
    })?;
    let source = Source {
        layer: *layer,
        file,
    };
    let mut ids: Vec<&str> = source.file.rates.iter().map(|row| &*row.id).collect();
    ids.sort_unstable();
    if let Some([twice, _]) = ids.array_windows().find(|[one, other]| one == other) {
        return Err(source.of_rate(twice, "the name is there twice"));
    }
    Ok(source)
}

/// One currency for all: amounts are summed, and no rate of exchange is known here.
fn currency(sources: &[Source<'_>]) -> Result<Word, BookError> {
    let mut found: Option<&str> = None;
    for source in sources {
        let Some(currency) = source.file.currency.as_deref() else {
            continue;
        };
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let what = format!("currency `{currency}` is none of ISO 4217, such as `USD`");
            return Err(source.error(None, what));
        }
        if let Some(first) = found.filter(|first| *first != currency) {
            let what = format!(
                "currency `{currency}`, but the book's is `{first}`: one book has one currency"
            );
            return Err(source.error(None, what));
        }
        found = Some(currency);
    }
    Ok(found.unwrap_or("USD").into())
}

fn groups<'s>(sources: &'s [Source<'_>]) -> BTreeMap<&'s str, &'s [String]> {
    let all = sources.iter().flat_map(|source| &source.file.groups);
    all.map(|(name, members)| (&**name, &**members)).collect()
}

fn version(sources: &[Source<'_>]) -> String {
    let mut hash = Sha256::new();
    let mut names = Vec::new();
    for source in sources {
        hash.update((source.layer.text.len() as u64).to_le_bytes());
        hash.update(source.layer.text);
        names.push(&*source.file.version);
    }
    let hash = hash
        .finalize()
        .iter()
        .take(6)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("{}+{hash}", names.join("+"))
}

/// A rate of a later file takes the place of one of its name.
fn is_replaced(sources: &[Source<'_>], nth: usize, id: &str) -> bool {
    let later = sources.iter().skip(nth + 1);
    later
        .flat_map(|source| &source.file.rates)
        .any(|row| row.id == id)
}

fn is_chosen(row: &RateRow, settings: &BookSettings) -> bool {
    row.variant
        .as_ref()
        .is_none_or(|variant| settings.variants.contains(variant))
}

/// What rows of one file are made into rates with.
struct Maker<'m> {
    source: &'m Source<'m>,
    sources: &'m [Source<'m>],
    groups: &'m BTreeMap<&'m str, &'m [String]>,
    settings: &'m BookSettings,
}

impl Maker<'_> {
    fn rate(&self, row: &RateRow, layer: usize) -> Result<Rate, String> {
        let places = |words: &[String]| {
            let group = |name: &str| self.groups.get(name).copied();
            Places::parse(words, &row.cloud, group).map_err(|error| error.to_string())
        };
        let unit = match row.unit.as_deref() {
            None => self.settings.unit(&row.cloud),
            Some(word) => [Unit::Gibibyte, Unit::Gigabyte]
                .into_iter()
                .find(|unit| unit.word() == word)
                .ok_or_else(|| format!("unit `{word}` is neither `GiB` nor `GB`"))?,
        };
        let glob = |service: &String| {
            Glob::parse(service).ok_or_else(|| format!("service `{service}` is none"))
        };
        let zone = self.settings.zone(&row.cloud);
        let (since, until) = span(row.effective_from, row.effective_until, &zone)?;
        let mut counts = self.sources.iter().rev();
        let count = counts.find_map(|source| source.file.counts.get(&row.id));
        Ok(Rate {
            from: places(&row.from)?,
            to: places(&row.to)?,
            services: row.services.iter().map(glob).collect::<Result<_, _>>()?,
            tiers: tiers(row, unit)?,
            free: row.free.as_ref().map(|free| Free {
                bytes: free.units.saturating_mul(unit.bytes()),
                pool: free.pool.as_deref().unwrap_or(&row.id).into(),
            }),
            pool: match row.pool.as_deref() {
                None | Some("rate") => Pool::Rate,
                Some("region") => Pool::Region,
                Some(name) => Pool::Named(name.into()),
            },
            per_hour: row.per_hour.as_deref().map(price).transpose()?,
            count: count.copied().unwrap_or(0),
            variant: row.variant.as_deref().map(Word::from),
            note: row.note.as_deref().map(Word::from),
            since,
            until,
            layer,
            facts: Arc::new(self.facts(row, unit, layer)),
        })
    }

    fn facts(&self, row: &RateRow, unit: Unit, layer: usize) -> RateFacts {
        let source = |name: &String| self.source.file.sources.get(name).unwrap_or(name).clone();
        let words: Vec<String> = row.source.iter().map(source).collect();
        let source = match words.is_empty() {
            true => self.source.layer.name.to_owned(),
            false => words.join("; "),
        };
        RateFacts {
            id: row.id.as_str().into(),
            cloud: row.cloud.as_str().into(),
            kind: row.kind,
            direction: row.direction.unwrap_or(BilledDirection::Egress),
            unit,
            status: row.status.unwrap_or(match layer {
                0 => PriceStatus::Recalled,
                _ => PriceStatus::Own,
            }),
            source: source.into(),
            as_of: row.as_of.as_deref().map(Word::from),
            discount: None,
        }
    }
}

fn price(text: &str) -> Result<Price, String> {
    Price::parse(text).map_err(|error| format!("price {error}"))
}

fn tiers(row: &RateRow, unit: Unit) -> Result<Vec<Tier>, String> {
    let rows = match (&row.price, &*row.tiers) {
        (Some(price), []) => vec![TierRow {
            up_to: None,
            price: price.clone(),
        }],
        (None, rows @ [_, ..]) => rows.to_vec(),
        (Some(_), [_, ..]) => return Err("has `price` and `tiers`; give one of them".into()),
        (None, []) => return Err("has no price; give `price` or `tiers`".into()),
    };
    if rows.len() > TIERS_MAX {
        return Err(format!("more than {TIERS_MAX} tiers"));
    }
    let mut tiers: Vec<Tier> = Vec::new();
    for (nth, tier) in rows.iter().enumerate() {
        let is_last = nth + 1 == rows.len();
        let up_to_bytes = match tier.up_to {
            None if is_last => None,
            None => {
                return Err(format!(
                    "tier {} has no `up_to`; the last one alone has none",
                    nth + 1
                ));
            }
            Some(_) if is_last => {
                return Err("the last tier has `up_to`; what is above it has no price".into());
            }
            Some(up_to) => {
                let bytes = up_to.checked_mul(unit.bytes());
                Some(bytes.ok_or_else(|| format!("bound {up_to} is beyond 2^64 bytes"))?)
            }
        };
        if let (Some(Some(before)), Some(bound)) =
            (tiers.last().map(|tier| tier.up_to_bytes), up_to_bytes)
            && bound <= before
        {
            return Err(format!(
                "tier {} ends before the one before it does",
                nth + 1
            ));
        }
        tiers.push(Tier {
            up_to_bytes,
            price: price(&tier.price)?,
        });
    }
    Ok(tiers)
}

fn is_ever(from: Option<Date>, until: Option<Date>) -> Result<(), String> {
    match (from, until) {
        (Some(from), Some(until)) if until <= from => {
            Err(format!("holds from {from} until {until}, which is never"))
        }
        _ => Ok(()),
    }
}

fn span(
    from: Option<Date>,
    until: Option<Date>,
    zone: &TimeZone,
) -> Result<(UnixUs, UnixUs), String> {
    is_ever(from, until)?;
    let since = from.map_or(UnixUs(i64::MIN), |day| start_of(day, zone));
    let until = until.map_or(UnixUs(i64::MAX), |day| start_of(day, zone));
    Ok((since, until))
}

/// Between two rates that nothing chooses between nobody should.
fn none_contend(rates: &[Rate], sources: &[Source<'_>]) -> Result<(), BookError> {
    for (nth, rate) in rates.iter().enumerate() {
        let earlier = rates.iter().take(nth);
        let Some(other) = earlier
            .filter(|other| other.facts.id != rate.facts.id)
            .find(|other| other.contends_with(rate))
        else {
            continue;
        };
        let (id, other_id) = (&rate.facts.id, &other.facts.id);
        let Some(source) = sources.get(rate.layer) else {
            continue;
        };
        let line = source
            .line(other_id)
            .map_or_else(String::new, |line| format!(" (line {line})"));
        let what = format!(
            "contends with rate `{other_id}`{line}: both are for the same bytes at the same time; narrow one, or end one with `effective_until`"
        );
        return Err(source.of_rate(id, &what));
    }
    Ok(())
}
