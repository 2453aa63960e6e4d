//! Requests of HTTP/2 from what is told of their field blocks: follows as much of a connection's dynamic table (RFC 7541) as
//! stands for methods and paths.
//!
//! An index counts from the newest entry on, so that neither what a table has thrown out nor its size need be known: an entry
//! that is gone is not referred to. After a gap what was in the table is not known, and what is put into it later is.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    identify::route::{Request, Typed},
    model::signal::{FieldPart, FieldText},
};

/// Entries for methods and paths that are kept of one connection. A table of the usual 4,096 bytes has 128 entries at the most,
/// of which some are for other fields.
const ENTRIES_MAX: usize = 128;
/// Index of the first entry of the dynamic table (RFC 7541, section 2.3.3).
const DYNAMIC_FIRST: u16 = 62;
/// Methods of which a path in the table is typed in advance: the path itself is not kept.
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE",
];
/// Indices of the static table (RFC 7541, appendix A).
const STATIC_GET: u16 = 2;
const STATIC_POST: u16 = 3;
const STATIC_PATHS: [(u16, &str); 2] = [(4, "/"), (5, "/index.html")];

/// Streams of one connection whose kind is known; the oldest give way.
const STREAMS_MAX: usize = 256;

type ByMethod = Arc<[Option<Arc<Typed>>; METHODS.len()]>;

/// What an entry of the table stands for.
#[derive(Clone, Debug)]
enum Entry {
    /// The method at this place of [`METHODS`]; `None` = another.
    Method(Option<usize>),
    Path(ByMethod),
}

/// What comes of what is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A request begins; `None` where it is not known which.
    Begins(Option<Arc<Typed>>),
    /// So many bytes are of such requests.
    Sends(Option<Arc<Typed>>, u32),
}

/// One connection's field blocks.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// With the number of its insertion, the oldest first.
    entries: VecDeque<(u32, Entry)>,
    /// Insertions so far.
    inserted: u32,
    /// Number of the next block.
    next: u32,
    /// The newest last; their identifiers only grow (RFC 9113, section 5.1.1).
    streams: VecDeque<(u32, Option<Arc<Typed>>)>,
}

/// The block that is being read.
#[derive(Debug)]
struct Block<'a> {
    stream: u32,
    method: Option<usize>,
    path: Path<'a>,
}

#[derive(Debug)]
enum Path<'a> {
    Unknown,
    Literal(&'a str, bool),
    Entry(ByMethod),
}

impl Blocks {
    /// Takes in what is told; `tell` is given what comes of it.
    pub fn take<'a>(
        &mut self,
        parts: impl IntoIterator<Item = FieldPart<'a>>,
        mut typed: impl FnMut(&Request<'_>) -> Option<Arc<Typed>>,
        mut tell: impl FnMut(Told),
    ) {
        let mut block = None;
        for part in parts {
            match part {
                FieldPart::Block { number, stream } => {
                    self.follow(number);
                    block = Some(Block {
                        stream,
                        method: None,
                        path: Path::Unknown,
                    });
                }
                FieldPart::Lost => {
                    block = None;
                    self.entries.clear();
                }
                FieldPart::Insert => self.insert(None),
                FieldPart::Indexed(index) => {
                    if let Some(block) = &mut block {
                        self.indexed(index, block, &mut typed);
                    }
                }
                FieldPart::Method(said) => {
                    let method = said.text.and_then(nth_method);
                    if let Some(block) = &mut block {
                        block.method = method;
                    }
                    if said.is_inserted {
                        self.insert(Some(Entry::Method(method)));
                    }
                }
                FieldPart::Path(said) => {
                    if let Some(block) = &mut block {
                        block.path = path(&said);
                    }
                    if said.is_inserted {
                        let entry = match said.text {
                            Some(text) => Entry::Path(by_method(text, said.is_cut, &mut typed)),
                            None => Entry::Path(Arc::default()),
                        };
                        self.insert(Some(entry));
                    }
                }
                FieldPart::End => {
                    // What follows a request on its stream is its trailer.
                    let ended = block.take();
                    let last = self.streams.back().map_or(0, |(stream, _)| *stream);
                    if let Some(block) = ended.filter(|block| block.stream > last) {
                        let typed = block.typed(&mut typed);
                        self.begin(block.stream, typed.clone());
                        tell(Told::Begins(typed));
                    }
                }
                FieldPart::Data { stream, bytes } => {
                    if let Some(typed) = self.kind(stream) {
                        tell(Told::Sends(typed.clone(), bytes));
                    }
                }
            }
        }
        if block.is_some() {
            self.entries.clear();
        }
    }

    fn begin(&mut self, stream: u32, typed: Option<Arc<Typed>>) {
        if self.streams.len() >= STREAMS_MAX {
            self.streams.pop_front();
        }
        self.streams.push_back((stream, typed));
    }

    /// Of which kind a stream is; `None` where that was not seen.
    fn kind(&self, stream: u32) -> Option<&Option<Arc<Typed>>> {
        let nth = self
            .streams
            .binary_search_by_key(&stream, |(stream, _)| *stream);
        Some(&self.streams.get(nth.ok()?)?.1)
    }

    /// Notices whether blocks were missed.
    fn follow(&mut self, number: u32) {
        if number == 0 {
            *self = Self::default();
        } else if number != self.next {
            self.entries.clear();
        }
        self.next = number.wrapping_add(1);
    }

    fn insert(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry {
            if self.entries.len() >= ENTRIES_MAX {
                self.entries.pop_front();
            }
            self.entries.push_back((self.inserted, entry));
        }
        self.inserted = self.inserted.wrapping_add(1);
    }

    /// What a block says by an index.
    fn indexed(
        &self,
        index: u16,
        block: &mut Block<'_>,
        typed: &mut impl FnMut(&Request<'_>) -> Option<Arc<Typed>>,
    ) {
        match index {
            STATIC_GET => block.method = nth_method("GET"),
            STATIC_POST => block.method = nth_method("POST"),
            DYNAMIC_FIRST.. => {
                let age = u32::from(index - DYNAMIC_FIRST) + 1;
                let nth = self.inserted.wrapping_sub(age);
                let found = self.entries.iter().rev().find(|(number, _)| *number == nth);
                match found {
                    Some((_, Entry::Method(method))) => block.method = *method,
                    Some((_, Entry::Path(by_method))) => {
                        block.path = Path::Entry(Arc::clone(by_method));
                    }
                    None => {}
                }
            }
            _ => {
                let known = STATIC_PATHS.iter().find(|(number, _)| *number == index);
                if let Some((_, text)) = known {
                    block.path = Path::Entry(by_method(text, false, typed));
                }
            }
        }
    }
}

impl Block<'_> {
    fn typed(
        &self,
        typed: &mut impl FnMut(&Request<'_>) -> Option<Arc<Typed>>,
    ) -> Option<Arc<Typed>> {
        let method = self.method?;
        match &self.path {
            Path::Unknown => None,
            Path::Literal(path, is_cut) => typed(&Request {
                method: METHODS.get(method)?,
                path,
                is_cut: *is_cut,
            }),
            Path::Entry(by_method) => by_method.get(method)?.clone(),
        }
    }
}

fn nth_method(method: &str) -> Option<usize> {
    METHODS.iter().position(|known| *known == method)
}

const fn path<'a>(said: &FieldText<'a>) -> Path<'a> {
    match said.text {
        Some(text) => Path::Literal(text, said.is_cut),
        None => Path::Unknown,
    }
}

fn by_method(
    path: &str,
    is_cut: bool,
    typed: &mut impl FnMut(&Request<'_>) -> Option<Arc<Typed>>,
) -> ByMethod {
    let typed = METHODS.map(|method| {
        typed(&Request {
            method,
            path,
            is_cut,
        })
    });
    Arc::new(typed)
}

#[cfg(test)]
mod tests;
