//! Feeds put into a table: what each speaks for is replaced, the rest stays. The operator's own networks go before all
//! others.

use thiserror::Error;

use super::Feed;
use crate::identify::address::{
    collect::{Claim, collect},
    contents::{Contents, Source},
    prefix::Prefix,
};

/// Networks that a table may have: the kernel's has room for the old one and the new one while they change places.
pub const NETWORKS_MAX: usize = observer_ebpf::abi::PREFIXES_MAX as usize / 2;
/// Share of its rows that a feed may lose from one time to the next, in percent.
pub const SHRINK_MAX_PERCENT: u8 = 20;

/// Why feeds are not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MergeError {
    #[error(
        "`{name}` has {after} networks where the table has {before}: more than {percent} % fewer; look at the feed, and \
         allow it with `--shrink` where that is right"
    )]
    Shrunk {
        name: String,
        before: usize,
        after: usize,
        percent: u8,
    },
    #[error("the table would have {0} networks, the kernel's has room for {NETWORKS_MAX}")]
    Full(usize),
}

/// What happened to one feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    pub name: String,
    /// Rows that it replaced.
    pub before: usize,
    pub after: usize,
}

/// A table's contents with the feeds in it.
///
/// # Errors
/// Where a feed has lost more than `shrink_percent` of its rows, or there would be too many networks. Nothing is taken then.
pub fn merge(
    base: &Contents,
    feeds: Vec<Feed>,
    shrink_percent: u8,
) -> Result<(Contents, Vec<Merged>), MergeError> {
    let mut sources = base.sources.clone();
    let mut rows = base.rows();
    let mut merged = Vec::new();
    for feed in feeds {
        let name = feed.source.name.clone();
        let before = rows.len();
        rows.retain(|(prefix, claim)| {
            let of = sources.get(claim.source as usize);
            let of = of.map_or("", |source: &Source| source.name.as_str());
            !feed.scope.replaces(&name, of, *prefix, claim)
        });
        let before = before - rows.len();
        let least = before.saturating_mul(usize::from(100_u8.saturating_sub(shrink_percent))) / 100;
        if feed.rows.len() < least {
            return Err(MergeError::Shrunk {
                name,
                before,
                after: feed.rows.len(),
                percent: shrink_percent,
            });
        }
        merged.push(Merged {
            name,
            before,
            after: feed.rows.len(),
        });
        add(&mut sources, &mut rows, feed);
    }
    let contents = gather(sources, rows);
    match contents.prefixes.len() {
        networks if networks > NETWORKS_MAX => Err(MergeError::Full(networks)),
        _ => Ok((contents, merged)),
    }
}

/// A table's contents below networks of the operator's own: others that are as long or longer inside one of them say nothing
/// any more.
///
/// # Errors
/// Where there would be too many networks.
pub fn overlay(base: &Contents, feeds: Vec<Feed>) -> Result<Contents, MergeError> {
    let mut own: Vec<Prefix> = feeds
        .iter()
        .flat_map(|feed| feed.rows.iter().map(|(prefix, _)| *prefix))
        .collect();
    own.sort_unstable();
    let mut outer: Vec<Prefix> = Vec::new();
    for prefix in own {
        if !outer.last().is_some_and(|last| last.covers(prefix.bits())) {
            outer.push(prefix);
        }
    }
    let is_inside = |prefix: Prefix| {
        let after = outer.partition_point(|own| *own <= prefix);
        let before = after.checked_sub(1).and_then(|at| outer.get(at));
        before.is_some_and(|own| {
            own.covers(prefix.bits()) && own.prefix_length() <= prefix.prefix_length()
        })
    };
    let mut rows = base.rows();
    rows.retain(|(prefix, _)| !is_inside(*prefix));
    let mut sources = base.sources.clone();
    for feed in feeds {
        add(&mut sources, &mut rows, feed);
    }
    let contents = gather(sources, rows);
    match contents.prefixes.len() {
        networks if networks > NETWORKS_MAX => Err(MergeError::Full(networks)),
        _ => Ok(contents),
    }
}

fn add(sources: &mut Vec<Source>, rows: &mut Vec<(Prefix, Claim)>, feed: Feed) {
    let index = u32::try_from(sources.len()).unwrap_or(u32::MAX);
    sources.push(feed.source);
    rows.extend(feed.rows.into_iter().map(|(prefix, claim)| {
        let source = index;
        (prefix, Claim { source, ..claim })
    }));
}

/// Drops sources without rows, and takes the date of the one with most.
fn gather(sources: Vec<Source>, mut rows: Vec<(Prefix, Claim)>) -> Contents {
    let mut used = vec![0_usize; sources.len()];
    for (_, claim) in &rows {
        if let Some(count) = used.get_mut(claim.source as usize) {
            *count += 1;
        }
    }
    let most = used.iter().enumerate().max_by_key(|(_, count)| **count);
    let date = most
        .and_then(|(at, _)| sources.get(at))
        .map(|source| source.date.clone());
    let mut numbers = vec![0_u32; sources.len()];
    let mut kept = Vec::new();
    for (at, source) in sources.into_iter().enumerate() {
        if used[at] > 0 {
            numbers[at] = u32::try_from(kept.len()).unwrap_or(u32::MAX);
            kept.push(Source { rows: 0, ..source });
        }
    }
    for (_, claim) in &mut rows {
        claim.source = numbers
            .get(claim.source as usize)
            .copied()
            .unwrap_or_default();
    }
    collect(&date.unwrap_or_default(), kept, rows)
}
