//! Places as price books name them: patterns over regions, clouds and countries, alone or in groups. Knows no rate.

use thiserror::Error;

use crate::model::identity::Word;

/// A set of places, as one rate names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    patterns: Vec<Pattern>,
    how: Naming,
}

/// How narrowly a set is named; the narrower one wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Naming {
    /// Anywhere.
    #[default]
    Any,
    /// By a group's name.
    Group,
    /// Place by place.
    Listed,
}

/// One place, or the many that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Region {
        cloud: Word,
        region: Glob,
    },
    /// ISO 3166, lower case.
    Country(Word),
}

/// A word, or all that begin with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    start: Word,
    is_open: bool,
}

/// One place, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'p> {
    pub cloud: Option<&'p str>,
    pub region: Option<&'p str>,
    pub country: Option<&'p str>,
}

/// Why a word names no place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaceError {
    #[error("no group is called `@{0}`")]
    Group(String),
    #[error("`{0}` is no place; write `CLOUD/REGION`, `CLOUD/*`, `country/CC` or `@GROUP`")]
    Form(String),
    #[error("`{0}` and other places stand together; a group stands alone")]
    Mixed(String),
}

impl<'p> Place<'p> {
    /// Reads `CLOUD/REGION`, `country/CC` or `CLOUD`, as people name one place.
    #[must_use]
    pub fn parse(text: &'p str) -> Self {
        match text.split_once('/') {
            Some(("country", country)) => Self {
                cloud: Some("internet"),
                region: None,
                country: Some(country),
            },
            Some((cloud, region)) => Self {
                cloud: Some(cloud),
                region: Some(region),
                country: None,
            },
            None => Self {
                cloud: Some(text),
                ..Self::default()
            },
        }
    }
}

impl Glob {
    /// `word` or `start*`; `None` where a `*` stands elsewhere or nothing is left.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (start, is_open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let usable = !start.contains('*') && (is_open || !start.is_empty());
        usable.then(|| Self {
            start: start.into(),
            is_open,
        })
    }

    #[must_use]
    pub fn fits(&self, word: &str) -> bool {
        match self.is_open {
            true => word.starts_with(&*self.start),
            false => self.start == *word,
        }
    }

    /// Whether any word fits both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self.is_open, other.is_open) {
            (true, true) => {
                self.start.starts_with(&*other.start) || other.start.starts_with(&*self.start)
            }
            (true, false) => self.fits(&other.start),
            (false, _) => other.fits(&self.start),
        }
    }
}

impl Places {
    /// Reads a list of places; a region without a cloud is one of `cloud`.
    ///
    /// # Errors
    /// Where a word names no place, or a group is not there.
    pub fn parse<'g>(
        words: &[String],
        cloud: &str,
        group: impl Fn(&str) -> Option<&'g [String]>,
    ) -> Result<Self, PlaceError> {
        let pattern = |word: &String| {
            Pattern::parse(word, cloud).ok_or_else(|| PlaceError::Form(word.clone()))
        };
        if let [word] = words
            && let Some(name) = word.strip_prefix('@')
        {
            let members = group(name).ok_or_else(|| PlaceError::Group(name.to_owned()))?;
            return Ok(Self {
                patterns: members.iter().map(pattern).collect::<Result<_, _>>()?,
                how: Naming::Group,
            });
        }
        if let Some(word) = words.iter().find(|word| word.starts_with('@')) {
            return Err(PlaceError::Mixed(word.clone()));
        }
        let how = if words.is_empty() {
            Naming::Any
        } else {
            Naming::Listed
        };
        let patterns = words.iter().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { patterns, how })
    }

    #[must_use]
    pub const fn how(&self) -> Naming {
        self.how
    }

    /// Whether the place is one of these. What is not known of it fits nothing but `anywhere`.
    #[must_use]
    pub fn has(&self, place: &Place<'_>) -> bool {
        self.how == Naming::Any || self.patterns.iter().any(|pattern| pattern.fits(place))
    }

    /// Whether a place may be in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        if self.how == Naming::Any || other.how == Naming::Any {
            return true;
        }
        let meets = |one: &Pattern| other.patterns.iter().any(|other| one.meets(other));
        self.patterns.iter().any(meets)
    }
}

impl Pattern {
    fn parse(word: &str, cloud: &str) -> Option<Self> {
        match word.split_once('/') {
            Some(("country", country)) => {
                let is_code =
                    country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_lowercase());
                is_code.then(|| Self::Country(country.into()))
            }
            Some(("", _)) => None,
            Some((cloud, region)) => Some(Self::Region {
                cloud: cloud.into(),
                region: Glob::parse(region)?,
            }),
            None => Some(Self::Region {
                cloud: cloud.into(),
                region: Glob::parse(word)?,
            }),
        }
    }

    fn fits(&self, place: &Place<'_>) -> bool {
        match self {
            Self::Region { cloud, region } => {
                let all = region.is_open && region.start.is_empty();
                place.cloud == Some(cloud)
                    && (all || place.region.is_some_and(|name| region.fits(name)))
            }
            Self::Country(country) => place.country == Some(country),
        }
    }

    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Region { cloud, region },
                Self::Region {
                    cloud: other_cloud,
                    region: other,
                },
            ) => cloud == other_cloud && region.meets(other),
            (Self::Country(one), Self::Country(other)) => one == other,
            // A region lies in some country; a book names a place in one way.
            (Self::Region { .. }, Self::Country(_)) | (Self::Country(_), Self::Region { .. }) => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(words: &[&str]) -> Result<Places, PlaceError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let asia = ["gcp/asia-*".to_owned(), "country/jp".to_owned()];
        Places::parse(&words, "aws", |name| (name == "asia").then_some(&asia[..]))
    }

    #[test]
    fn places_are_known_as_far_as_they_are_named() {
        for (words, cloud, region, country, expected) in [
            (&["us-*"][..], "aws", "us-east-1", "", true),
            (&["us-*"], "gcp", "us-east1", "", false),
            (&["aws/*"], "aws", "", "", true),
            (&["us-*"], "aws", "", "", false),
            (&["country/jp"], "internet", "", "jp", true),
            (&["@asia"], "gcp", "asia-east1", "", true),
            (&["@asia"], "gcp", "us-east1", "", false),
            (&[], "internet", "", "", true),
        ] {
            let known = |word: &'static str| Some(word).filter(|word| !word.is_empty());
            let place = Place {
                cloud: known(cloud),
                region: known(region),
                country: known(country),
            };
            let places = places(words).expect("places");
            assert_eq!(places.has(&place), expected, "{words:?} {place:?}");
        }
    }

    #[test]
    fn what_may_have_a_place_in_common_is_told() {
        for (one, other, expected) in [
            (&["us-*"][..], &["us-east-1"][..], true),
            (&["us-*"], &["eu-*", "u*"], true),
            (&["us-east-1"], &["us-east-2"], false),
            (&["gcp/us-east-1"], &["us-east-1"], false),
            (&["@asia"], &["country/jp"], true),
            (&["@asia"], &["country/cn"], false),
            (&[], &["country/cn"], true),
        ] {
            let (one, other) = (places(one).expect("places"), places(other).expect("places"));
            assert_eq!((one.meets(&other), other.meets(&one)), (expected, expected));
        }
    }

    #[test]
    fn what_is_no_place_is_told_with_what_is() {
        for (words, expected) in [
            (&["@nowhere"][..], "no group is called `@nowhere`"),
            (&["a*b"], "`a*b` is no place; write"),
            (&["country/CN"], "`country/CN` is no place"),
            (&["/x"], "`/x` is no place"),
            (&["us-east-1", "@asia"], "a group stands alone"),
        ] {
            let error = places(words).expect_err("no places").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
