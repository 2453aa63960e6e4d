//! Official feeds of address ranges, and the operator's own: what each says, as rows in the product's words. A format is told
//! by its content, never by a file's name; a row that cannot be read refuses the whole file.

mod json;
pub mod merge;
mod text;
pub mod words;

use thiserror::Error;

use super::address::{
    collect::Claim,
    contents::Source,
    prefix::{MAPPED_BITS, Prefix},
};

/// Longest feed that is read; Azure's has 4 MB.
pub const FEED_BYTES_MAX: usize = 32 << 20;
/// Networks that one feed may have; Azure's has 93,000.
pub const FEED_ROWS_MAX: usize = 500_000;

/// What is known of a feed beside its content.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// Path or URL, for messages; where the operator tells no owner, a provider's name in it does.
    pub name: &'t str,
    /// Whose networks these are, where the format does not say so (geofeeds, lists).
    pub owner: Option<&'t str>,
    /// `YYYY-MM-DD`; counts where the feed has no date of its own.
    pub date: &'t str,
}

/// One feed, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its claims have source 0.
    pub source: Source,
    pub scope: Scope,
    pub rows: Vec<(Prefix, Claim)>,
    /// Zones of networks, which the operator alone tells; in the table they are not.
    pub zones: Vec<(Prefix, String)>,
    /// Rows that say nothing of where traffic goes, such as those from which a provider calls.
    pub passed_over: usize,
}

/// What a feed speaks for: a table's earlier claims of this kind are replaced by it. Empty words fit everything; a scope
/// of empty words alone replaces what came from a source of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub cloud: String,
    pub front: String,
    pub network: String,
    /// A list of one family says nothing of the other.
    pub family: Option<Family>,
}

/// Version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    #[must_use]
    pub fn of(prefix: Prefix) -> Self {
        // Mapped addresses alone are IPv4's; what covers them all is IPv6.
        let is_v4 = prefix.prefix_length() >= MAPPED_BITS && prefix.bits() >> 32 == 0xffff;
        if is_v4 { Self::V4 } else { Self::V6 }
    }
}

impl Scope {
    /// Whether a claim of the source `name` is one that a feed of this scope and the source `own` replaces.
    #[must_use]
    pub fn replaces(&self, own: &str, name: &str, prefix: Prefix, claim: &Claim) -> bool {
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let says = !(self.cloud.is_empty() && self.front.is_empty() && self.network.is_empty());
        let in_scope = says
            && fits(&self.cloud, &claim.cloud)
            && fits(&self.front, &claim.front)
            && fits(&self.network, &claim.network);
        (in_scope || own == name)
            && self
                .family
                .is_none_or(|family| family == Family::of(prefix))
    }
}

/// Why a feed is not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FeedError {
    #[error("has more than {FEED_BYTES_MAX} bytes; no feed that is known has as many")]
    Long,
    #[error("is not UTF-8 from byte `{0}` on")]
    Encoding(usize),
    #[error("as {format}: {what}")]
    Json { format: &'static str, what: String },
    #[error(
        "is JSON of no feed that is known: AWS ip-ranges, Azure service tags, Google cloud or goog, OCI, Cloudflare, \
         Fastly or GitHub meta; write other networks as CSV with a line `cidr,cloud,region,...` at its head"
    )]
    Unknown,
    #[error("line {line}: {what}")]
    Line { line: u64, what: String },
    #[error("does not say whose networks these are; write `OWNER=FILE`, such as `linode={0}`")]
    Owner(String),
    #[error("has no network")]
    Empty,
    #[error("has more than {FEED_ROWS_MAX} networks")]
    Rows,
}

/// Reads a feed.
///
/// # Errors
/// Where the content is of no format that is known, or any row of it cannot be read.
pub fn read(bytes: &[u8], told: &Told<'_>) -> Result<Feed, FeedError> {
    if bytes.len() > FEED_BYTES_MAX {
        return Err(FeedError::Long);
    }
    let text = str::from_utf8(bytes).map_err(|error| FeedError::Encoding(error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let feed = if text.trim_start().starts_with(['{', '[']) {
        json::read(text, told)?
    } else {
        text::read(text, told)?
    };
    match feed.rows.len() {
        0 => Err(FeedError::Empty),
        rows if rows > FEED_ROWS_MAX => Err(FeedError::Rows),
        _ => Ok(feed),
    }
}

/// A source of a feed with this name; its rows are counted when it is put into a table.
fn source(name: &str, version: String, date: &str) -> Source {
    Source {
        name: name.into(),
        version,
        date: date.into(),
        licence: String::new(),
        verified: true,
        rows: 0,
    }
}

/// `YYYY-MM-DD` at the head of a text.
fn date_of(text: &str) -> Option<&str> {
    let date = text.get(..10)?;
    let right = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    right.then_some(date)
}

#[cfg(test)]
mod tests;
