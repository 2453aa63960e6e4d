//! What is known of a remote and how it is known. Holds the words alone; which evidence leads to them is the business
//! of the stage `identify`.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Serialize, Serializer};

use super::names::{ApiFamily, ApiState, BlindReason, PathKind};

/// A name out of a table or a rule (`eastus`, `s3`). Shared: a clone costs a counter, not a copy.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(Arc<str>);

impl Word {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is another clone of it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Borrow<str> for Word {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Word {
    fn from(word: &str) -> Self {
        Self(word.into())
    }
}

impl From<String> for Word {
    fn from(word: String) -> Self {
        Self(word.into())
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Which kind of evidence an identity rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// The address table.
    Address,
    /// The name the client asked for in its TLS or QUIC handshake, or the `Host` of a plain request.
    ServerName,
    /// A DNS answer seen on this host.
    Dns,
    /// Method and path of a request.
    Route,
    /// The operator said so.
    Config,
    /// Put together from several of these.
    Inferred,
}

impl Basis {
    /// Every variant, in the order of declaration.
    pub const ALL: [Self; 6] = [
        Self::Address,
        Self::ServerName,
        Self::Dns,
        Self::Route,
        Self::Config,
        Self::Inferred,
    ];

    /// The word of records and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::ServerName => "server_name",
            Self::Dns => "dns",
            Self::Route => "route",
            Self::Config => "config",
            Self::Inferred => "inferred",
        }
    }
}

impl Serialize for Basis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// How sure an identity is: the word for the weakest of its fields that are known. Ordered from weak to sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// The evidence contradicts itself: what it disagrees about is not known.
    Ambiguous,
    /// A stated precedence decided between claims, or a claim is not verified.
    Likely,
    /// Every claim agrees.
    Certain,
}

impl Confidence {
    /// Every variant, the least certain first.
    pub const ALL: [Self; 3] = [Self::Ambiguous, Self::Likely, Self::Certain];

    /// The word of records and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

impl Serialize for Confidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Where a flow goes, as far as it is known. `None` is "not known", never "none"; the default knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Name the client asked for, lower case, without a trailing dot.
    pub server_name: Option<Word>,
    /// Who sells the service.
    pub provider: Option<Word>,
    /// Whose model or product answers.
    pub vendor: Option<Word>,
    /// Whose network the address belongs to; `internet` where no table covers it, `private` for special ranges.
    pub cloud: Option<Word>,
    /// The provider's own name of the region; its word `global` for what it ties to no region.
    pub region: Option<Word>,
    /// Country, lower case, ISO 3166; only where no region is known.
    pub geography: Option<Word>,
    pub service: Option<Word>,
    /// Dialect spoken; `None` where a host speaks several and nothing tells which.
    pub api_family: Option<ApiFamily>,
    /// `None` is written as `unknown`.
    pub api_state: Option<ApiState>,
    /// Of the request that is under way.
    pub method: Option<Word>,
    /// Template that its path fits.
    pub route: Option<Word>,
    pub model: Option<Word>,
    /// What the request says of where it may be processed.
    pub residency_flags: Vec<Word>,
    /// The CDN or proxy standing before the service; the hosting cloud is then not known.
    pub front: Option<Word>,
    /// `None` is written as `unknown`.
    pub path_kind: Option<PathKind>,
    /// Gateways on the path, as the operator declared them, the nearest first.
    pub path_elements: Vec<Word>,
    /// Why the flow's own words do not name the service, or, of a flow to a resolver, do not tell what it asked; `None` where
    /// they do.
    pub blind_reason: Option<BlindReason>,
    pub basis: Option<Basis>,
    pub confidence: Option<Confidence>,
    /// One clause a claim, the most specific first, joined by `; `.
    pub evidence: Option<Word>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_its_text() {
        let word = Word::from("eastus");
        assert_eq!(word, "eastus");
        assert_eq!(Some(word.clone()).as_deref(), Some("eastus"));
        assert_eq!(format!("{word} {word:?}"), "eastus \"eastus\"");
        assert_eq!(
            serde_json::to_string(&word).ok().as_deref(),
            Some("\"eastus\"")
        );
    }

    #[test]
    fn the_weaker_confidence_is_the_smaller() {
        assert_eq!(
            Confidence::Certain.min(Confidence::Likely),
            Confidence::Likely
        );
        assert_eq!(
            Confidence::Likely.min(Confidence::Ambiguous),
            Confidence::Ambiguous
        );
    }
}
