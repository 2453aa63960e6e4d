//! What the lines of a name file say, as values.

use super::NameIdentity;

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The word behind `@` in the file.
    pub key: String,
    /// `YYYY-MM-DD`.
    pub date: String,
    pub verified: bool,
    /// The source in words.
    pub title: String,
    pub file: usize,
}

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What stands in the pattern's line; what is captured comes from the name.
    pub identity: NameIdentity,
    /// Index into the sources.
    pub source: usize,
    /// Which file it is from.
    pub file: usize,
}
