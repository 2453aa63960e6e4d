//! YAML whose values are found again: by line and column, as messages name them. Says nothing of what a file means.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, de::DeserializeOwned};
use serde_saphyr::Spanned;

/// A value with its place in the file.
#[derive(Clone, Debug, Default)]
pub struct Placed<T> {
    pub value: T,
    pub line: usize,
    pub column: usize,
    /// Of the value's first byte in the file.
    pub offset: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        let place = spanned.referenced;
        let offset = place.span().byte_offset().unwrap_or_default();
        let number = |number: u64| usize::try_from(number).unwrap_or_default();
        Ok(Self {
            value: spanned.value,
            line: number(place.line()),
            column: number(place.column()),
            offset: number(offset),
        })
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    pub file: String,
    /// Line and column, from 1; `None` where it is the file as a whole.
    pub place: Option<(usize, usize)>,
    pub what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for FileError {}

/// Reads a file of up to `bytes_max` bytes; messages call it `name`.
///
/// # Errors
/// Where it is longer, is no YAML, or has other fields than `T`.
pub fn read<T: DeserializeOwned>(name: &str, text: &str, bytes_max: usize) -> Result<T, FileError> {
    let error = |place, what| FileError {
        file: name.to_owned(),
        place,
        what,
    };
    if text.len() > bytes_max {
        return Err(error(None, format!("longer than {bytes_max} bytes")));
    }
    serde_saphyr::from_str(text).map_err(|fault| {
        let number = |number: u64| usize::try_from(number).unwrap_or_default();
        let fault = fault.without_snippet();
        let place = fault.location();
        let place = place.map(|place| (number(place.line()), number(place.column())));
        let what = fault.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        error(place, what.trim().to_owned())
    })
}
