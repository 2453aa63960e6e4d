//! Providers' price lists into a book of their own: from files and from URLs that the operator names, all pages of all lists or
//! nothing.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use observer_core::price::{
    book::{Book, BookSettings, FILE_BYTES_MAX, Layer},
    import::{self, Imported, Next},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

use super::book;
use crate::{
    files::{day, read, write},
    web::{Client, Version, is_url, shown},
};

/// Pages that one call takes.
const PAGES_MAX: usize = 1_000;
/// Longest page. Offers that are not of one region alone are tens of megabytes.
const PAGE_BYTES_MAX: usize = 256 << 20;
/// How a book begins that may be written anew.
const HEAD: &str = "# Written by `observer price import`, and written anew by the next one; own rates belong in a file of their own.\n";

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// Files and URLs.
    pub lists: &'a [String],
    pub into: &'a Path,
    /// What the book is called in records; by the day of the newest list where not given.
    pub name: Option<&'a str>,
}

/// One page, as it was taken.
#[derive(Debug)]
pub struct Taken {
    /// File, or address without its query.
    pub from: String,
    pub list: Imported,
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    pub taken: Vec<Taken>,
    /// The shipped book with what was there before over it.
    pub old: Book,
    pub new: Book,
}

impl Import<'_> {
    /// Reads all lists with all their pages, and writes the book. `says` is told what is under way.
    ///
    /// # Errors
    /// Where a page cannot be had, read or taken, or what they make is no whole book; what was there stays.
    pub fn run(&self, mut says: impl FnMut(&str)) -> Result<Done> {
        let old = self.old()?;
        let mut taken = Vec::new();
        for from in self.lists {
            match is_url(from) {
                true => fetch(from, &mut taken, &mut says)?,
                false => {
                    says(from);
                    let path = Path::new(from);
                    let bytes = read(path, PAGE_BYTES_MAX as u64)?;
                    push(&mut taken, from, bytes, &day(path)?)?;
                }
            }
        }
        let newest = taken
            .iter()
            .filter_map(|page| page.list.as_of.as_deref())
            .max();
        let name = match (self.name, newest) {
            (Some(name), _) => name.to_owned(),
            (None, newest) => format!("lists-{}", newest.unwrap_or("undated")),
        };
        let lists: Vec<Imported> = taken.iter().map(|page| page.list.clone()).collect();
        let text = format!("{HEAD}{}", import::book(&name, &lists)?);
        let path = self.into.display().to_string();
        let layer = Layer {
            name: &path,
            text: &text,
        };
        let new = Book::with_shipped(&[layer], &BookSettings::default())
            .context("these lists make no whole book; nothing is written")?;
        write(self.into, text.as_bytes())?;
        Ok(Done { taken, old, new })
    }

    /// What is there, if this may be written over it.
    fn old(&self) -> Result<Book> {
        if !self.into.exists() {
            return book(&[], &BookSettings::default());
        }
        let text = read(self.into, FILE_BYTES_MAX as u64)?;
        if !text.starts_with(HEAD.as_bytes()) {
            bail!(
                "`{}` was not written by an import, so none writes over it; name another file",
                self.into.display()
            );
        }
        book(&[self.into.to_owned()], &BookSettings::default())
    }
}

fn fetch(from: &str, taken: &mut Vec<Taken>, says: &mut impl FnMut(&str)) -> Result<()> {
    let client = Client::new();
    let mut url = from.to_owned();
    loop {
        says(&format!("page {} {}", taken.len() + 1, shown(&url)));
        let page = client.fetch(&url, PAGE_BYTES_MAX, &Version::default())?;
        let page =
            page.with_context(|| format!("fetch `{}`: the server gives nothing", shown(&url)))?;
        let day = page.day.unwrap_or_default();
        push(taken, shown(&url), page.bytes, &day)?;
        let next = taken.last().and_then(|page| page.list.next.clone());
        url = match next {
            None => return Ok(()),
            Some(Next::Link(link)) if is_same_server(from, &link) => link,
            Some(Next::Link(link)) => bail!(
                "fetch `{}`: its next page is `{}`, of another server",
                shown(&url),
                shown(&link)
            ),
            Some(Next::Token(token)) => {
                let sign = if from.contains('?') { '&' } else { '?' };
                let token = utf8_percent_encode(&token, NON_ALPHANUMERIC);
                format!("{from}{sign}pageToken={token}")
            }
        };
    }
}

fn push(taken: &mut Vec<Taken>, from: &str, bytes: Vec<u8>, day: &str) -> Result<()> {
    if taken.len() == PAGES_MAX {
        bail!("`{from}` is one page more than {PAGES_MAX}, which is as many as are taken");
    }
    if bytes.len() > PAGE_BYTES_MAX {
        bail!("read `{from}`: it has more than {PAGE_BYTES_MAX} bytes");
    }
    let text =
        String::from_utf8(bytes).with_context(|| format!("read `{from}`: it is not UTF-8"))?;
    let mut list = import::read(&text).with_context(|| format!("read `{from}`"))?;
    let date = || Some(day.to_owned()).filter(|day| !day.is_empty());
    list.as_of = list.as_of.or_else(date);
    taken.push(Taken {
        from: from.to_owned(),
        list,
    });
    Ok(())
}

/// Whoever gives a list says where it goes on, on its own server alone.
fn is_same_server(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(str::parse::<Uri>);
    matches!((one, other), (Ok(one), Ok(other)) if (one.scheme(), one.authority()) == (other.scheme(), other.authority()))
}
