//! The values that keys have. Each is parsed once, from a word or from a file, into a type that cannot hold a wrong one;
//! its errors say what was found and what is allowed.

mod contracts;
mod list;
mod number;
mod paths;
mod prices;
mod text;

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, Visitor},
};

pub use self::{
    contracts::Server,
    list::{Labels, Uplink, Uplinks},
    number::{Bytes, IdleExpiry, SeriesMax, Tick, UdpFlows, typed},
    paths::{DeclaredPath, Paths},
    prices::{Assumption, ByName, Volume, Words, Zone},
    text::{Absolute, Destination, FilePath, Listen, Metadata, Name, Plaintext, Switch, Word},
};

/// A key's value.
pub trait Value: Sized {
    /// What is allowed, as a noun.
    const WANTED: &'static str;

    fn parse(text: &str) -> Result<Self, String>;

    /// As YAML and JSON have it.
    fn shown(&self) -> serde_json::Value;

    /// Reads the value from a file: a scalar, unless the type says otherwise.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Scalar(PhantomData))
    }
}

/// Any scalar, as it was written: `012345678901` keeps its zero.
struct Scalar<T>(PhantomData<T>);

impl<T: Value> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }
}

/// A value in a file; `None` where the key is there and has none.
pub fn in_file<T: Value>() -> InFile<T> {
    InFile(PhantomData)
}

pub struct InFile<T>(PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for InFile<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Value> Visitor<'de> for InFile<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::read(deserializer).map(Some)
    }
}

/// A value as a message cites it: control characters escaped, cut where it is long.
pub fn cited(text: &str) -> String {
    const CHARACTERS_MAX: usize = 64;
    let mut cut: String = text
        .chars()
        .take(CHARACTERS_MAX)
        .flat_map(|c| match c {
            '`' => vec!['\''],
            c if c.is_control() => c.escape_default().collect(),
            c => vec![c],
        })
        .collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        cut.push_str("...");
    }
    cut
}
