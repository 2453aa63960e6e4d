//! Bytes of records, summed by what prices depend on and by the rows of a report; independent of the order in which records
//! come. Knows no price: the same sums are priced by as many books as are asked for.

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use jiff::tz::TimeZone;
use observer_core::{
    model::{identity::Word, names::PathKind, time::UnixUs},
    price::{book::Book, month::Month, place::Place, plan::Route},
};
use thiserror::Error;

use crate::{flow::Flow, group::By};

/// Rows of one report; what comes later is in the row `other`.
pub const ROWS_MAX: usize = 100_000;
/// Ways between two places.
pub const ROUTES_MAX: usize = 65_536;
/// Months, and stretches of them between changes of a rate.
pub const PERIODS_MAX: usize = 4_096;
/// Sums by row, way and stretch: some 300 MiB.
pub const SUMS_MAX: usize = 4_000_000;
/// Hosts that are told apart.
pub const HOSTS_MAX: usize = 100_000;

/// Value of each column in the row of what found no room.
pub const OTHER: &str = "other";

/// Cloud of addresses that are nobody's.
const PRIVATE: &str = "private";

/// Between the parts of a key; no name has it.
const SEPARATOR: char = '\u{1f}';

/// Why sums cannot be made.
#[derive(Debug, Error)]
pub enum TallyError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(
        "the records have more than {max} {what}; report over fewer of them, or with fewer columns"
    )]
    TooMany { what: &'static str, max: usize },
}

/// Sums over records.
#[derive(Debug)]
pub struct Tally {
    by: Vec<By>,
    /// Values of columns that records have to have to be chosen; nothing is where there are none.
    chosen: Vec<(By, String)>,
    month: Option<Month>,
    periods: Periods,
    rows: Names,
    routes: Names,
    ways: Vec<Way>,
    sums: HashMap<Key, Sum>,
    key: String,
    pub seen: Seen,
}

/// What the sums are of.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub hosts: BTreeSet<Word>,
    /// Ends of the first and the last interval.
    pub time: Option<(UnixUs, UnixUs)>,
    /// Records that are summed.
    pub records: u64,
    /// Records of other months than the one that was asked for.
    pub of_other_months: u64,
    /// Records that crossed no uplink, which nobody charges for.
    pub inside: u64,
    /// Of records whose row found no room.
    pub other_rows: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    row: u32,
    route: u32,
    period: u32,
    is_chosen: bool,
}

/// Bytes of one row, one way and one stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// Sent, received.
    pub bytes: [u64; 2],
    pub first: UnixUs,
    pub last: UnixUs,
}

/// A sum, with what it is of.
#[derive(Clone, Copy, Debug)]
pub struct Summed<'t> {
    /// The row's number.
    pub row: usize,
    /// The way's number.
    pub route: usize,
    pub way: &'t Way,
    pub sum: &'t Sum,
    pub is_chosen: bool,
}

/// One way, as prices see it.
#[derive(Clone, Debug)]
pub struct Way {
    parts: [Option<Word>; 6],
    path: PathKind,
    elements: Vec<Word>,
}

/// Numbers of names.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str, max: usize) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.names.len()).ok()?;
        if self.names.len() >= max {
            return None;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }
}

/// Stretches of time in which no month ends and no rate changes.
#[derive(Debug)]
struct Periods {
    /// Moments at which a rate of any book changes, in order.
    cuts: Vec<UnixUs>,
    /// Of months of all clouds.
    zones: Vec<TimeZone>,
    known: Vec<(UnixUs, UnixUs)>,
    last: usize,
}

impl Periods {
    fn new(books: &[&Book]) -> Self {
        let rates = books.iter().flat_map(|book| book.rates());
        let mut cuts: Vec<UnixUs> = rates.flat_map(|rate| [rate.since, rate.until]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut zones = vec![TimeZone::UTC];
        for rate in books.iter().flat_map(|book| {
            book.rates()
                .iter()
                .map(move |rate| book.zone(&rate.facts.cloud))
        }) {
            if !zones.contains(rate) {
                zones.push(rate.clone());
            }
        }
        Self {
            cuts,
            zones,
            known: Vec::new(),
            last: 0,
        }
    }

    fn number(&mut self, at: UnixUs) -> Result<u32, TallyError> {
        let holds = |(since, until): &(UnixUs, UnixUs)| *since <= at && at < *until;
        if self.known.get(self.last).is_some_and(holds) {
            return Ok(number(self.last));
        }
        if let Some(found) = self.known.iter().position(holds) {
            self.last = found;
            return Ok(number(found));
        }
        if self.known.len() >= PERIODS_MAX {
            return Err(TallyError::TooMany {
                what: "months and changes of rates",
                max: PERIODS_MAX,
            });
        }
        let next = self.cuts.partition_point(|cut| *cut <= at);
        let mut since = next
            .checked_sub(1)
            .and_then(|before| self.cuts.get(before))
            .copied();
        let mut until = self.cuts.get(next).copied();
        for zone in &self.zones {
            let (first, after) = Month::of(at, zone).span(zone);
            since = since.max(Some(first));
            until = Some(until.map_or(after, |until| until.min(after)));
        }
        let span = (
            since.unwrap_or(UnixUs(i64::MIN)),
            until.unwrap_or(UnixUs(i64::MAX)),
        );
        self.last = self.known.len();
        self.known.push(span);
        Ok(number(self.last))
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Way {
    fn of(flow: &Flow<'_>) -> Self {
        let word = |field: &Option<crate::flow::Text<'_>>| field.as_deref().map(Word::from);
        let elements = flow.path_elements.iter().flatten();
        Self {
            parts: [
                word(&flow.source_cloud),
                word(&flow.source_region),
                word(&flow.cloud),
                word(&flow.region),
                word(&flow.geography),
                word(&flow.service),
            ],
            path: flow.path_kind.unwrap_or(PathKind::Unknown),
            elements: elements.map(|word| Word::from(&**word)).collect(),
        }
    }

    fn write(flow: &Flow<'_>, key: &mut String) {
        for part in [
            &flow.source_cloud,
            &flow.source_region,
            &flow.cloud,
            &flow.region,
            &flow.geography,
            &flow.service,
        ] {
            key.push_str(part.as_deref().unwrap_or_default());
            key.push(SEPARATOR);
        }
        key.push_str(flow.path_kind.unwrap_or(PathKind::Unknown).word());
        for element in flow.path_elements.iter().flatten() {
            key.push(SEPARATOR);
            key.push_str(element);
        }
    }

    /// The same bytes, sent from elsewhere.
    pub(crate) fn leave_from(&mut self, cloud: &Word, region: &Word) {
        let [from_cloud, from_region, to_cloud, to_region, ..] = &mut self.parts;
        self.path = match (&*to_cloud, &*to_region) {
            (Some(to), Some(there)) if to == cloud && there == region => PathKind::InterZone,
            (Some(to), _) if to == cloud => PathKind::InterRegion,
            (Some(to), _) if **to == *PRIVATE => PathKind::Unknown,
            (Some(_), _) => PathKind::Internet,
            (None, _) => PathKind::Unknown,
        };
        *from_cloud = Some(cloud.clone());
        *from_region = Some(region.clone());
        self.elements.clear();
    }

    /// The same bytes on another way.
    pub(crate) fn take(&mut self, path: PathKind, elements: &[Word]) {
        self.path = path;
        self.elements = elements.to_vec();
    }

    /// From where to where and how, for people.
    #[must_use]
    pub fn told(&self) -> String {
        self.route(|route| {
            let place = |place: &Place<'_>| {
                let cloud = place.cloud.unwrap_or("an unknown place");
                let region = place.region.map(|region| format!(" {region}"));
                format!("{cloud}{}", region.unwrap_or_default())
            };
            let service = route.service.map(|service| format!(" {service}"));
            let elements = match route.elements {
                [] => String::new(),
                elements => format!(" through {}", elements.join(", ")),
            };
            format!(
                "{} to {}{}, {}{elements}",
                place(&route.from),
                place(&route.to),
                service.unwrap_or_default(),
                route.path.word()
            )
        })
    }

    /// Calls `with` with the way as the price book asks for it.
    pub fn route<T>(&self, with: impl FnOnce(&Route<'_>) -> T) -> T {
        let [from_cloud, from_region, cloud, region, country, service] =
            self.parts.each_ref().map(|part| part.as_deref());
        let elements: Vec<&str> = self.elements.iter().map(|word| &**word).collect();
        with(&Route {
            from: Place {
                cloud: from_cloud,
                region: from_region,
                country: None,
            },
            to: Place {
                cloud,
                region,
                country,
            },
            service,
            path: self.path,
            elements: &elements,
        })
    }
}

impl Tally {
    /// Sums by these columns, of one month alone where one is given; each of `books` can price them.
    #[must_use]
    pub fn new(by: Vec<By>, month: Option<Month>, books: &[&Book]) -> Self {
        Self {
            by,
            chosen: Vec::new(),
            month,
            periods: Periods::new(books),
            rows: Names::default(),
            routes: Names::default(),
            ways: Vec::new(),
            sums: HashMap::new(),
            key: String::new(),
            seen: Seen::default(),
        }
    }

    /// Tells apart the bytes of records that have all of these values.
    #[must_use]
    pub fn choosing(mut self, chosen: Vec<(By, String)>) -> Self {
        self.chosen = chosen;
        self
    }

    /// Takes in one record; `book` says where its days and months begin.
    ///
    /// # Errors
    /// Where a bound is reached.
    pub fn add(&mut self, flow: &Flow<'_>, book: &Book) -> Result<(), TallyError> {
        let zone = book.zone(flow.source_cloud.as_deref().unwrap_or_default());
        let at = flow.interval_end;
        if self.month.is_some_and(|month| month != Month::of(at, zone)) {
            self.seen.of_other_months += 1;
            return Ok(());
        }
        self.seen.add(flow);
        if flow.device.is_none() {
            self.seen.inside += 1;
            return Ok(());
        }
        let key = Key {
            is_chosen: self.is_chosen(flow, zone),
            row: self.row(flow, zone),
            route: self.route(flow)?,
            period: self.periods.number(at)?,
        };
        let room = self.sums.len() < SUMS_MAX;
        let sum = match self.sums.get_mut(&key) {
            Some(sum) => sum,
            None if room => self.sums.entry(key).or_insert(Sum {
                bytes: [0; 2],
                first: at,
                last: at,
            }),
            None => {
                return Err(TallyError::TooMany {
                    what: "sums by row, way and month",
                    max: SUMS_MAX,
                });
            }
        };
        let [sent, received] = &mut sum.bytes;
        *sent = sent.saturating_add(flow.wire_bytes_egress);
        *received = received.saturating_add(flow.wire_bytes_ingress);
        sum.first = sum.first.min(at);
        sum.last = sum.last.max(at);
        Ok(())
    }

    fn is_chosen(&mut self, flow: &Flow<'_>, zone: &TimeZone) -> bool {
        !self.chosen.is_empty()
            && self.chosen.iter().all(|(by, value)| {
                self.key.clear();
                by.write(flow, zone, &mut self.key);
                self.key == *value
            })
    }

    fn row(&mut self, flow: &Flow<'_>, zone: &TimeZone) -> u32 {
        self.key.clear();
        for (nth, by) in self.by.iter().enumerate() {
            if nth > 0 {
                self.key.push(SEPARATOR);
            }
            by.write(flow, zone, &mut self.key);
        }
        if let Some(row) = self.rows.number(&self.key, ROWS_MAX) {
            return row;
        }
        self.seen.other_rows += 1;
        let separator = SEPARATOR.to_string();
        let other = vec![OTHER; self.by.len()].join(&separator);
        self.rows.number(&other, ROWS_MAX + 1).unwrap_or_default()
    }

    fn route(&mut self, flow: &Flow<'_>) -> Result<u32, TallyError> {
        self.key.clear();
        Way::write(flow, &mut self.key);
        let too_many = TallyError::TooMany {
            what: "ways between two places",
            max: ROUTES_MAX,
        };
        let route = self.routes.number(&self.key, ROUTES_MAX).ok_or(too_many)?;
        if route as usize == self.ways.len() {
            self.ways.push(Way::of(flow));
        }
        Ok(route)
    }

    #[must_use]
    pub fn by(&self) -> &[By] {
        &self.by
    }

    /// Values of each row's columns, by the row's number.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<Word>> {
        let values = |name: &String| name.split(SEPARATOR).map(Word::from).collect();
        self.rows.names.iter().map(values).collect()
    }

    /// All sums, in an order that the records' order may change.
    pub fn sums(&self) -> impl Iterator<Item = Summed<'_>> {
        self.sums.iter().filter_map(|(key, sum)| {
            Some(Summed {
                row: key.row as usize,
                route: key.route as usize,
                way: self.ways.get(key.route as usize)?,
                sum,
                is_chosen: key.is_chosen,
            })
        })
    }
}

impl Seen {
    fn add(&mut self, flow: &Flow<'_>) {
        self.records += 1;
        if !self.hosts.contains(&*flow.host) && self.hosts.len() < HOSTS_MAX {
            self.hosts.insert(Word::from(&*flow.host));
        }
        let at = flow.interval_end;
        let (first, last) = self.time.get_or_insert((at, at));
        *first = (*first).min(at);
        *last = (*last).max(at);
    }
}
