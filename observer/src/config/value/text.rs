//! Values that are one word: names, paths, addresses, switches.

use std::{net::SocketAddr, path::PathBuf};

use super::{Value, cited};
use observer_core::model::nearest::hint;

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

impl Value for Destination {
    const WANTED: &'static str = "a path, or `-` for standard output";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        path::<Self>(text).map(Self::File)
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Stdout => "-".into(),
            Self::File(path) => path.to_string_lossy().into(),
        }
    }
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Value for Listen {
    const WANTED: &'static str = "an address and a port such as `127.0.0.1:9464` or `[::1]:9464`";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{}` is not {}", cited(text), Self::WANTED))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.to_string().into()
    }
}

/// YAML 1.2 has two words for it; `yes` and `on` are text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch(pub bool);

impl Value for Switch {
    const WANTED: &'static str = "`true` or `false`";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{}` is not {}", cited(text), Self::WANTED))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// What is read of requests before programs encrypt them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plaintext {
    /// Method and path; nothing else ever is.
    pub routes: bool,
}

impl Default for Plaintext {
    fn default() -> Self {
        Self { routes: true }
    }
}

impl Value for Plaintext {
    const WANTED: &'static str = "`routes` or `off`";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "routes" => Ok(Self { routes: true }),
            "off" => Ok(Self { routes: false }),
            _ => Err(format!("`{}` is not {}", cited(text), Self::WANTED)),
        }
    }

    fn shown(&self) -> serde_json::Value {
        if self.routes { "routes" } else { "off" }.into()
    }
}

/// A file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(pub PathBuf);

impl Value for FilePath {
    const WANTED: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, String> {
        path::<Self>(text).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        self.0.to_string_lossy().into()
    }
}

/// A directory that means the same wherever the agent was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absolute(pub PathBuf);

impl Value for Absolute {
    const WANTED: &'static str = "the path of a directory, from `/`";

    fn parse(text: &str) -> Result<Self, String> {
        let path = path::<Self>(text)?;
        match path.is_absolute() {
            true => Ok(Self(path)),
            false => Err(format!("`{}` is not {}", cited(text), Self::WANTED)),
        }
    }

    fn shown(&self) -> serde_json::Value {
        self.0.to_string_lossy().into()
    }
}

fn path<T: Value>(text: &str) -> Result<PathBuf, String> {
    /// PATH_MAX, with its final zero.
    const BYTES_MAX: usize = 4_095;
    if text.is_empty() {
        return Err(format!("no value; give {}", T::WANTED));
    }
    if text.len() > BYTES_MAX {
        return Err(format!(
            "{} bytes are too long; a path has at most {BYTES_MAX}",
            text.len()
        ));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(_) => Err(format!("`{}` has a control character", cited(text))),
        None => Ok(PathBuf::from(text)),
    }
}

/// Name of a host or cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

impl Value for Name {
    const WANTED: &'static str = "a name of letters, digits, `.`, `-` and `_`";

    fn parse(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        word::<Self>(text, HOST_BYTES_MAX, allowed).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// Of a DNS name, which is the longest that a host has.
const HOST_BYTES_MAX: usize = 253;

/// A provider's own name for something: an account, a zone, the path of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(pub String);

impl Value for Word {
    const WANTED: &'static str = "a word of letters, digits, `.`, `-`, `_`, `:` and `/`";

    fn parse(text: &str) -> Result<Self, String> {
        /// Azure's resource paths come near to it.
        const BYTES_MAX: usize = 512;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:/".contains(c);
        word::<Self>(text, BYTES_MAX, allowed).map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

fn word<T: Value>(
    text: &str,
    bytes_max: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!("no value; give {}", T::WANTED));
    }
    if text.len() > bytes_max {
        return Err(format!(
            "{} bytes are too long; at most {bytes_max} are allowed",
            text.len()
        ));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(other) => Err(format!(
            "`{}` has `{}` in it; give {}",
            cited(text),
            cited(&other.to_string()),
            T::WANTED
        )),
        None => Ok(text.to_owned()),
    }
}

/// Whether the provider's metadata service is asked where this host stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metadata {
    #[default]
    Auto,
    Off,
}

impl Value for Metadata {
    const WANTED: &'static str = "`auto` or `off`";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            other => Err(format!(
                "unknown value `{}`, {}",
                cited(other),
                hint(other, ["auto", "off"].into_iter())
            )),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Auto => "auto".into(),
            Self::Off => "off".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_were_or_refused() {
        fn same<T: Value>(text: &str) -> bool {
            T::parse(text).is_ok_and(|value| value.shown() == text)
        }
        for (right, text) in [
            (same::<Name>("web-1.example.org"), "host"),
            (
                same::<Word>("012345678901"),
                "an account with a zero in front",
            ),
            (
                same::<Word>("/subscriptions/a/virtualMachines/b"),
                "instance",
            ),
            (same::<Listen>("[::1]:9464"), "listen"),
            (same::<Destination>("-"), "standard output"),
            (same::<Absolute>("/sys/fs/cgroup"), "directory"),
            (!same::<Name>(""), "empty"),
            (!same::<Name>("a b"), "blank"),
            (!same::<Name>("höst"), "not ASCII"),
            (!same::<Name>(&"a".repeat(254)), "long"),
            (!same::<Listen>("localhost:9464"), "a name to look up"),
            (!same::<Listen>("127.0.0.1:65536"), "port"),
            (!same::<Absolute>("pins"), "relative"),
            (!same::<FilePath>("a\nb"), "line break"),
            (!same::<FilePath>(&"a".repeat(4_096)), "long path"),
        ] {
            assert!(right, "{text}");
        }
    }
}
