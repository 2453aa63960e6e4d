//! One YAML file as a layer. Strict: a key that is not known, or is there twice, is an error with its place.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};
use serde_norway::Deserializer as Yaml;

use observer_core::model::nearest::hint;

use super::{ConfigError, Layer, Place, value::cited};

/// The documented sample has a twentieth of it.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Layer, ConfigError> {
    let failed = |what: String| ConfigError {
        place: Place::File(path.to_owned()),
        what,
    };
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => failed("there is no such file".to_owned()),
        _ => failed(format!("cannot be read: {error}")),
    };
    // A pipe would block a reload, or be empty and reset everything.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(failed("is a directory; name a file".to_owned()));
    }
    if !metadata.is_file() {
        return Err(failed(
            "is no regular file; a reload could not read it again".to_owned(),
        ));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(format!(
            "has more than {FILE_BYTES_MAX} bytes; no configuration needs as many"
        )));
    }
    parse(&bytes).map_err(|wrong| match wrong.place {
        Some((line, column)) => ConfigError {
            place: Place::FileAt(path.to_owned(), line, column),
            what: wrong.what,
        },
        None => failed(wrong.what),
    })
}

/// What is wrong in a file's contents, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    pub what: String,
}

/// Reads a file's contents.
pub fn parse(bytes: &[u8]) -> Result<Layer, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|error| Wrong {
        place: Some(place_of(bytes, error.valid_up_to())),
        what: "is not UTF-8 from here on".to_owned(),
    })?;
    if let Some(zero) = text.find('\0') {
        return Err(Wrong {
            place: Some(place_of(bytes, zero)),
            what: "has a zero byte".to_owned(),
        });
    }
    let mut layer = Layer::default();
    Root(&mut layer)
        .deserialize(Yaml::from_str(text))
        .map_err(|error| wrong(text, &error))?;
    Ok(layer)
}

fn place_of(bytes: &[u8], offset: usize) -> (usize, usize) {
    let lines = bytes[..offset].split(|byte| *byte == b'\n');
    let column = lines.clone().next_back().map_or(0, <[u8]>::len) + 1;
    (lines.count(), column)
}

/// The parser's error in our words, on one line.
fn wrong(text: &str, error: &serde_norway::Error) -> Wrong {
    let place = error.location().map(|at| (at.line(), at.column()));
    let message = match place {
        Some(place) => without_place(&error.to_string(), place),
        None => error.to_string(),
    };
    let what = if message.contains("more than one document") {
        "has more than one document; one file is one document".to_owned()
    } else if message == "unknown anchor" {
        "an alias names no anchor before it; write the value itself".to_owned()
    } else if place.is_some_and(|(line, _)| is_indented_by_tab(text, line)) {
        "is indented by a tab; YAML takes blanks alone".to_owned()
    } else {
        let (key, what) = split_key(&message);
        let what = in_words_of_yaml(what).replace(['\n', '\r'], " ");
        match key {
            Some(key) if ![KNOWN, UNKNOWN].iter().any(|start| what.starts_with(start)) => {
                format!("`{key}`: {what}")
            }
            Some(_) | None => what,
        }
    };
    Wrong { place, what }
}

/// The place is told apart. Where the parser tells a second one, it stays.
fn without_place(message: &str, (line, column): (usize, usize)) -> String {
    let place = format!(" at line {line} column {column}");
    match message.strip_suffix(&place) {
        Some(message) => message.to_owned(),
        None => message.replacen(&place, "", 1),
    }
}

/// `invalid type: FOUND, expected WANTED`, whose words are those of programs.
fn in_words_of_yaml(message: &str) -> String {
    let Some((found, wanted)) = message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.split_once(", expected "))
    else {
        return message.to_owned();
    };
    let found = match found {
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        "unit value" => "nothing".to_owned(),
        other => {
            let text = other.trim_start_matches("string ").trim_matches('"');
            format!("`{}`", cited(text))
        }
    };
    format!("found {found}, expected {wanted}")
}

fn is_indented_by_tab(text: &str, line: usize) -> bool {
    text.lines()
        .nth(line - 1)
        .is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'))
}

/// How messages begin that name the key themselves.
const KNOWN: &str = "the key";
const UNKNOWN: &str = "unknown key";

/// The parser says `KEY: WHAT`, where it knows the key.
fn split_key(message: &str) -> (Option<&str>, &str) {
    let Some((key, what)) = message.split_once(": ") else {
        return (None, message);
    };
    let first = key.split(['.', '[']).next().unwrap_or_default();
    let known = |name: &&str| name.split('.').next() == Some(first);
    match Layer::NAMES.iter().any(known) {
        true => (Some(key), what),
        false => (None, message),
    }
}

/// A document: nothing, or a mapping of keys and sections.
struct Root<'a>(&'a mut Layer);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(Section {
            layer: self.0,
            prefix: "",
        })
    }
}

/// The keys that begin with `prefix`.
struct Section<'a> {
    layer: &'a mut Layer,
    /// Empty, or with a dot at its end.
    prefix: &'a str,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.strip_suffix('.') {
            None => f.write_str("keys such as `listen: 127.0.0.1:9464`"),
            Some(section) => write!(f, "keys below `{section}:`"),
        }
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        loop {
            let key = Key {
                prefix: self.prefix,
                seen: &mut seen,
            };
            match map.next_key_seed(key)? {
                None => return Ok(()),
                Some(Found::Value(key)) => self.layer.read(key, &mut map)?,
                Some(Found::Section(prefix)) => map.next_value_seed(Section {
                    layer: &mut *self.layer,
                    prefix: &prefix,
                })?,
            }
        }
    }
}

enum Found {
    Value(&'static str),
    /// With a dot at its end.
    Section(String),
}

struct Key<'a> {
    prefix: &'a str,
    seen: &'a mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a key")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Found, E> {
        let Self { prefix, seen } = self;
        if !seen.insert(word.to_owned()) {
            return Err(E::custom(format!(
                "{KNOWN} `{prefix}{}` is there twice",
                cited(word)
            )));
        }
        let below = || {
            Layer::NAMES
                .iter()
                .filter_map(|name| name.strip_prefix(prefix))
        };
        if let Some(name) = Layer::NAMES
            .iter()
            .find(|name| name.strip_prefix(prefix) == Some(word) && !word.contains('.'))
        {
            return Ok(Found::Value(name));
        }
        let section = format!("{word}.");
        if below().any(|name| name.starts_with(&section)) && !word.contains('.') {
            return Ok(Found::Section(format!("{prefix}{section}")));
        }
        if let Some((section, key)) = word
            .split_once('.')
            .filter(|_| below().any(|name| name == word))
        {
            return Err(E::custom(format!(
                "{UNKNOWN} `{word}`, write `{section}:` and below it `{key}:`"
            )));
        }
        let mut known: Vec<&str> = below()
            .map(|name| name.split('.').next().unwrap_or(name))
            .collect();
        known.dedup();
        Err(E::custom(format!(
            "{UNKNOWN} `{prefix}{}`, {}",
            cited(word),
            hint(word, known.into_iter())
        )))
    }
}
