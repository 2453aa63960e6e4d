//! The catalogue on disk and on the web: table files, feeds, the operator's overlay. What they say is the business of
//! `observer-core`. A table is written whole or not at all.

mod update;

use std::{
    mem,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use observer_core::identify::{
    address::{AddressTable, EMBEDDED, contents::Contents, format},
    feed::{self, FEED_BYTES_MAX, Feed, Told, merge},
    name::NameTable,
    path::Zones,
    route::{self, RouteTable},
};

pub use self::update::{Taken, Update, Wanted};
use crate::files::{day, read};

/// Longest name file of an operator.
const NAMES_BYTES_MAX: u64 = 4 << 20;

/// What the configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// A table of `observer catalog import`; the embedded one where `None`.
    pub table: Option<PathBuf>,
    /// The operator's own networks (CSV), which go before all others.
    pub networks: Option<PathBuf>,
    /// The operator's own names (patterns), which go before all others.
    pub names: Option<PathBuf>,
    /// The operator's own requests (YAML), which go before all others.
    pub routes: Option<PathBuf>,
}

/// What is known of networks.
pub struct Networks {
    pub table: AddressTable,
    /// Of the operator's own networks.
    pub zones: Zones,
}

/// What host names and requests say.
#[derive(Debug)]
pub struct NameTables {
    pub names: NameTable,
    pub routes: RouteTable,
}

impl NameTables {
    /// Both tables' hashes, hexadecimal.
    pub fn sha256(&self) -> [&str; 2] {
        [self.names.sha256(), self.routes.sha256()]
    }
}

impl Files {
    /// The address table, and zones.
    ///
    /// # Errors
    /// Where a file cannot be read, or says something that cannot be taken.
    pub fn addresses(&self) -> Result<Networks> {
        let Some(networks) = &self.networks else {
            let table = match &self.table {
                None => AddressTable::embedded().context("read the embedded address table"),
                Some(path) => {
                    let bytes = read(path, FEED_BYTES_MAX as u64)?;
                    AddressTable::from_bytes(&bytes)
                        .with_context(|| format!("take `{}`", path.display()))
                }
            };
            return table.map(|table| Networks {
                table,
                zones: Zones::default(),
            });
        };
        let base = contents(self.table.as_deref())?;
        let mut feed = feed_of(networks, None)?;
        let mut zones = Zones::default();
        for (network, zone) in mem::take(&mut feed.zones) {
            zones.insert(network, zone.into());
        }
        let merged = merge::overlay(&base, vec![feed])
            .with_context(|| format!("lay `{}` over the table", networks.display()))?;
        Ok(Networks {
            table: AddressTable::from_contents(merged),
            zones,
        })
    }

    /// The tables of names and of requests.
    ///
    /// # Errors
    /// As [`addresses`](Self::addresses).
    pub fn name_tables(&self) -> Result<NameTables> {
        Ok(NameTables {
            names: self.names()?,
            routes: self.routes()?,
        })
    }

    fn names(&self) -> Result<NameTable> {
        let Some(path) = &self.names else {
            return NameTable::embedded().context("read the embedded name table");
        };
        let bytes = read(path, NAMES_BYTES_MAX)?;
        let text = String::from_utf8(bytes)
            .with_context(|| format!("read `{}`: it is not UTF-8", path.display()))?;
        NameTable::with_overlay(&text).with_context(|| format!("take `{}`", path.display()))
    }

    fn routes(&self) -> Result<RouteTable> {
        let Some(path) = &self.routes else {
            return RouteTable::embedded().context("read the embedded table of requests");
        };
        let bytes = read(path, route::FILE_BYTES_MAX as u64)?;
        let text = String::from_utf8(bytes)
            .with_context(|| format!("read `{}`: it is not UTF-8", path.display()))?;
        let table = RouteTable::with_overlay(&path.display().to_string(), &text);
        table.context("take a table of requests")
    }
}

/// What a table file says, or the embedded one.
///
/// # Errors
/// Where it cannot be read, or is damaged.
pub fn contents(table: Option<&Path>) -> Result<Contents> {
    match table {
        None => format::decode(EMBEDDED).context("read the embedded address table"),
        Some(path) => format::decode(&read(path, FEED_BYTES_MAX as u64)?)
            .with_context(|| format!("take `{}`", path.display())),
    }
}

/// Reads a feed from a file.
fn feed_of(path: &Path, owner: Option<&str>) -> Result<Feed> {
    let name = path.display().to_string();
    let bytes = read(path, FEED_BYTES_MAX as u64)?;
    let date = day(path)?;
    let told = Told {
        name: &name,
        owner,
        date: &date,
    };
    feed::read(&bytes, &told).with_context(|| format!("read feed `{name}`"))
}
