//! Feeds into a table file: from files, folders and URLs, all of them or none.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use observer_core::identify::{
    address::{AddressTable, format},
    feed::{
        self, Feed, Told,
        merge::{self, Merged},
    },
};
use serde::{Deserialize, Serialize};

use super::{contents, feed_of};
use crate::{
    files::{read, write},
    web::{Client, Fetched, Version, is_url},
};

/// Feeds that one call takes.
const FEEDS_MAX: usize = 256;
/// Longest file of what servers said.
const STATE_BYTES_MAX: u64 = 1 << 20;

/// Where a feed comes from, and whose it is where the operator says so: `[OWNER=]FILE`, `[OWNER=]URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    owner: Option<String>,
    from: String,
}

impl Wanted {
    /// Never fails: what is no owner belongs to the path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let is_owner = |text: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !text.is_empty() && text.bytes().all(plain)
        };
        match text.split_once('=') {
            Some((owner, from)) if is_owner(owner) => Self {
                owner: Some(owner.into()),
                from: from.into(),
            },
            _ => Self {
                owner: None,
                from: text.into(),
            },
        }
    }

    fn is_url(&self) -> bool {
        is_url(&self.from)
    }
}

/// What to do.
pub struct Update<'a> {
    pub feeds: &'a [Wanted],
    /// The table that is changed; made out of the embedded one where it is not there.
    pub into: &'a Path,
    /// Share of its rows that a feed may lose, in percent.
    pub shrink_percent: u8,
}

/// What was done.
#[derive(Debug)]
pub struct Taken {
    pub merged: Vec<Merged>,
    /// URLs that have not changed since.
    pub unchanged: Vec<String>,
    /// Of the table as it is now.
    pub version: String,
    pub networks: usize,
}

/// What servers said of the feeds in a table.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// SHA-256 of the table; another table has other feeds in it.
    table: String,
    versions: BTreeMap<String, Version>,
}

impl Update<'_> {
    /// Reads all feeds, puts them into the table, and writes it. `says` is told what is under way.
    ///
    /// # Errors
    /// Where a feed cannot be had, read or taken; the table stays as it was.
    pub fn run(&self, mut says: impl FnMut(&str)) -> Result<Taken> {
        let base = match self.into.exists() {
            true => contents(Some(self.into))?,
            false => contents(None)?,
        };
        let mut state = self.state();
        let client = Client::new();
        let (mut feeds, mut unchanged) = (Vec::new(), Vec::new());
        for wanted in self.each()? {
            says(&wanted.from);
            if !wanted.is_url() {
                feeds.push(feed_of(Path::new(&wanted.from), wanted.owner.as_deref())?);
                continue;
            }
            let known = state.versions.get(&wanted.from).cloned();
            match client.fetch(
                &wanted.from,
                feed::FEED_BYTES_MAX,
                &known.unwrap_or_default(),
            )? {
                None => unchanged.push(wanted.from),
                Some(fetched) => {
                    feeds.push(of_web(&wanted, &fetched)?);
                    state.versions.insert(wanted.from, fetched.version);
                }
            }
        }
        let changed = !feeds.is_empty() || !self.into.exists();
        let (merged_contents, merged) = merge::merge(&base, feeds, self.shrink_percent)?;
        let bytes = format::encode(&merged_contents);
        let table = AddressTable::from_bytes(&bytes).context("read back the table just made")?;
        if changed {
            write(self.into, &bytes)?;
            table.sha256().clone_into(&mut state.table);
            write(&self.state_path(), &serde_json::to_vec_pretty(&state)?)?;
        }
        Ok(Taken {
            merged,
            unchanged,
            version: table.version(),
            networks: table.prefixes().len(),
        })
    }

    /// Each feed, files of folders by name.
    fn each(&self) -> Result<Vec<Wanted>> {
        let mut all = Vec::new();
        for wanted in self.feeds {
            if wanted.is_url() || !Path::new(&wanted.from).is_dir() {
                all.push(wanted.clone());
                continue;
            }
            let what = || format!("read the folder `{}`", wanted.from);
            let mut files = Vec::new();
            for entry in fs::read_dir(&wanted.from).with_context(what)? {
                let path = entry.with_context(what)?.path();
                if path.is_file() {
                    files.push(path);
                }
            }
            files.sort();
            all.extend(files.into_iter().map(|path| Wanted {
                owner: wanted.owner.clone(),
                from: path.display().to_string(),
            }));
        }
        match all.len() {
            0 => bail!("no feed is named, or the folder is empty"),
            count if count > FEEDS_MAX => {
                bail!("{count} feeds are named, at most {FEEDS_MAX} are taken")
            }
            _ => Ok(all),
        }
    }

    fn state_path(&self) -> PathBuf {
        let mut path = self.into.as_os_str().to_owned();
        path.push(".feeds.json");
        path.into()
    }

    /// What servers said, where it is of this table; else everything is asked for anew.
    fn state(&self) -> State {
        let read = || -> Result<State> {
            let table = contents_hash(self.into)?;
            let state: State = serde_json::from_slice(&read(&self.state_path(), STATE_BYTES_MAX)?)?;
            if state.table != table {
                bail!("of another table");
            }
            Ok(state)
        };
        read().unwrap_or_default()
    }
}

fn contents_hash(path: &Path) -> Result<String> {
    use sha2::{Digest as _, Sha256};
    let bytes = read(path, feed::FEED_BYTES_MAX as u64)?;
    let hash = Sha256::digest(bytes);
    Ok(hash
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

fn of_web(wanted: &Wanted, fetched: &Fetched) -> Result<Feed> {
    let told = Told {
        name: &wanted.from,
        owner: wanted.owner.as_deref(),
        date: fetched.day.as_deref().unwrap_or_default(),
    };
    feed::read(&fetched.bytes, &told).with_context(|| format!("read feed `{}`", wanted.from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_told_apart_from_a_path() {
        for (text, owner, from) in [
            ("linode=a.csv", Some("linode"), "a.csv"),
            ("a.csv", None, "a.csv"),
            ("/a=b.csv", None, "/a=b.csv"),
            ("https://x.test/a?b=c", None, "https://x.test/a?b=c"),
            (
                "linode=https://x.test/a?b=c",
                Some("linode"),
                "https://x.test/a?b=c",
            ),
        ] {
            let wanted = Wanted::parse(text);
            assert_eq!(
                (wanted.owner.as_deref(), wanted.from.as_str()),
                (owner, from)
            );
        }
    }
}
