//! Feeds in lines: geofeeds (RFC 8805), lists of networks, and the operator's own CSV.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{Family, Feed, FeedError, Scope, Told, source, words};
use crate::identify::address::{collect::Claim, contents::TagKind, prefix::Prefix};

/// Columns that the operator's own file may have; `cidr` it must have.
const COLUMNS: [&str; 10] = [
    "cidr",
    "cloud",
    "region",
    "zone",
    "geography",
    "front",
    "provider",
    "service",
    "network",
    "kind",
];
/// Longest word of a column.
const WORD_BYTES_MAX: usize = 64;

pub(super) fn read(text: &str, told: &Told<'_>) -> Result<Feed, FeedError> {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .ok_or(FeedError::Empty)?;
    if first.split(',').any(|column| column.trim() == "cidr") {
        return own(text, told);
    }
    let owner = owner(told).ok_or_else(|| FeedError::Owner(told.name.into()))?;
    if first.contains(',') {
        geofeed(text, &owner, told)
    } else {
        list(text, &owner, told)
    }
}

/// Fronts whose lists do not name them.
const FRONTS: [&str; 2] = ["cloudflare", "fastly"];
/// Clouds whose geofeeds do not name them.
const CLOUDS: [&str; 2] = ["digitalocean", "linode"];

fn owner(told: &Told<'_>) -> Option<String> {
    let known = || {
        let mut known = FRONTS.iter().chain(&CLOUDS);
        known.find(|name| told.name.to_ascii_lowercase().contains(**name))
    };
    match told.owner {
        Some(owner) => Some(words::word(owner)),
        None => known().map(|name| (*name).to_owned()),
    }
}

/// Lines `PREFIX,COUNTRY,REGION,CITY,POSTAL`.
fn geofeed(text: &str, owner: &str, told: &Told<'_>) -> Result<Feed, FeedError> {
    let mut rows = Vec::new();
    for_each(text, false, |record| {
        let field = |at| record.get(at).unwrap_or_default();
        let prefix = network(field(0))?;
        let place = if field(2).is_empty() {
            field(1)
        } else {
            field(2)
        };
        if place.len() > WORD_BYTES_MAX {
            return Err(format!("a place of more than {WORD_BYTES_MAX} bytes"));
        }
        rows.push((prefix, words::placed(owner, place)));
        Ok(())
    })?;
    Ok(Feed {
        source: source(&format!("{owner} geofeed"), String::new(), told.date),
        scope: Scope {
            cloud: owner.into(),
            ..Scope::default()
        },
        rows,
        zones: Vec::new(),
        passed_over: 0,
    })
}

/// A network a line. One family alone speaks for that family: providers publish the other in another file.
fn list(text: &str, owner: &str, told: &Told<'_>) -> Result<Feed, FeedError> {
    let is_front = FRONTS.contains(&owner);
    let claim = if is_front {
        words::front(owner)
    } else {
        words::placed(owner, "")
    };
    let mut rows = Vec::new();
    for_each(text, false, |record| {
        rows.push((network(record.get(0).unwrap_or_default())?, claim.clone()));
        Ok(())
    })?;
    let family = rows.first().map(|(prefix, _)| Family::of(*prefix));
    let is_one = rows
        .iter()
        .all(|(prefix, _)| Some(Family::of(*prefix)) == family);
    let (cloud, front) = if is_front {
        (String::new(), owner.to_owned())
    } else {
        (owner.to_owned(), String::new())
    };
    Ok(Feed {
        source: source(&format!("{owner} addresses"), String::new(), told.date),
        scope: Scope {
            cloud,
            front,
            network: String::new(),
            family: family.filter(|_| is_one),
        },
        rows,
        zones: Vec::new(),
        passed_over: 0,
    })
}

/// The operator's file: a head that names its columns, then a network a line.
fn own(text: &str, told: &Told<'_>) -> Result<Feed, FeedError> {
    let mut columns: Option<Vec<&'static str>> = None;
    let (mut rows, mut zones) = (Vec::new(), Vec::new());
    for_each(text, true, |record| {
        match &columns {
            None => columns = Some(head(record)?),
            Some(columns) => {
                let (network, claim, zone) = own_row(columns, record)?;
                rows.push((network, claim));
                zones.extend(zone.map(|zone| (network, zone)));
            }
        }
        Ok(())
    })?;
    let name = told.name.rsplit('/').next().unwrap_or(told.name);
    Ok(Feed {
        source: source(&format!("operator: {name}"), String::new(), told.date),
        scope: Scope::default(),
        rows,
        zones,
        passed_over: 0,
    })
}

fn head(record: &StringRecord) -> Result<Vec<&'static str>, String> {
    let mut columns = Vec::new();
    for found in record {
        let column = COLUMNS.iter().find(|column| **column == found);
        let column = column.ok_or_else(|| {
            format!(
                "unknown column `{found}`; known are `{}`",
                COLUMNS.join("`, `")
            )
        })?;
        if columns.contains(column) {
            return Err(format!("the column `{column}` is there twice"));
        }
        columns.push(*column);
    }
    Ok(columns)
}

/// The network, what is said of it, and its zone.
fn own_row(
    columns: &[&str],
    record: &StringRecord,
) -> Result<(Prefix, Claim, Option<String>), String> {
    let field = |name: &str| {
        let at = columns.iter().position(|column| *column == name);
        at.and_then(|at| record.get(at)).unwrap_or_default()
    };
    let word = |name: &str| {
        let text = field(name);
        let right = text.len() <= WORD_BYTES_MAX
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        match right {
            true => Ok(text.to_owned()),
            false => Err(format!(
                "`{name}` is `{text}`; words are of at most {WORD_BYTES_MAX} small letters, digits, `-`, `_` and `.`"
            )),
        }
    };
    let kind = match field("kind") {
        "network" => TagKind::Network,
        "compute" => TagKind::Compute,
        "" if field("service").is_empty() && field("front").is_empty() => TagKind::Network,
        "service" | "" => TagKind::Service,
        other => {
            return Err(format!(
                "`kind` is `{other}`; it is `network`, `compute` or `service`"
            ));
        }
    };
    let claim = Claim {
        source: 0,
        kind,
        cloud: word("cloud")?,
        front: word("front")?,
        provider: word("provider")?,
        region: word("region")?,
        geography: word("geography")?,
        service: word("service")?,
        network: word("network")?,
    };
    if claim == Claim::new(0, kind) {
        return Err("says nothing of its network; fill a column beside `cidr`".into());
    }
    let zone = Some(word("zone")?).filter(|zone| !zone.is_empty());
    if zone.is_some() && (claim.cloud.is_empty() || claim.region.is_empty()) {
        return Err("has a zone; say its `cloud` and `region` too".into());
    }
    Ok((network(field("cidr"))?, claim, zone))
}

fn network(text: &str) -> Result<Prefix, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Hands over each record with text; `even` ones must all have as many fields as the first.
fn for_each(
    text: &str,
    even: bool,
    mut record: impl FnMut(&StringRecord) -> Result<(), String>,
) -> Result<(), FeedError> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(!even)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut found = StringRecord::new();
    loop {
        let line = |position: Option<&csv::Position>| position.map_or(0, csv::Position::line);
        match reader.read_record(&mut found) {
            Ok(false) => return Ok(()),
            Ok(true) if found.iter().all(str::is_empty) => {}
            Ok(true) => record(&found).map_err(|what| FeedError::Line {
                line: line(found.position()),
                what,
            })?,
            Err(error) => {
                return Err(FeedError::Line {
                    line: line(error.position()),
                    what: in_words(&error),
                });
            }
        }
    }
}

fn in_words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} fields, the head has {expected_len}"),
        _ => error.to_string(),
    }
}
