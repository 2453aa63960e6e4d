//! What is known of where this host stands: each field with its basis, or with the reason why it is not known. Pure.

use std::fmt;

use observer_core::model::record::SourcePlace;

use super::field::Field;

/// How a field is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The operator said so.
    Config,
    /// The firmware's tables.
    Dmi,
    /// The cloud's own service.
    Metadata,
}

impl Basis {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Dmi => "dmi",
            Self::Metadata => "metadata",
        }
    }
}

/// Why a field is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Neither the operator nor the firmware names a cloud.
    NoCloud,
    /// By the operator.
    SwitchedOff,
    NotAsked,
    /// The cloud's service is none that this version can ask.
    NoService(String),
    /// The service says that there is no such thing: a machine in no zone.
    HasNone,
    /// Asked without success.
    Failed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCloud => write!(f, "the firmware's tables name no cloud"),
            Self::SwitchedOff => write!(f, "asking the metadata service is switched off"),
            Self::NotAsked => write!(f, "the metadata service was not asked"),
            Self::NoService(cloud) => {
                write!(
                    f,
                    "this version cannot ask the metadata service of `{cloud}`"
                )
            }
            Self::HasNone => write!(f, "the metadata service has none"),
            Self::Failed(cause) => write!(f, "{cause}"),
        }
    }
}

/// One field: its value and basis, or the reason.
pub type Fact = Result<(String, Basis), Missing>;

/// Everything that is known at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    facts: [Fact; Field::ALL.len()],
}

impl Found {
    /// Nothing known, for one reason.
    pub fn nothing(missing: &Missing) -> Self {
        Self {
            facts: Field::ALL.map(|_| Err(missing.clone())),
        }
    }

    pub const fn fact(&self, field: Field) -> &Fact {
        &self.facts[field as usize]
    }

    pub fn set(&mut self, field: Field, fact: Fact) {
        self.facts[field as usize] = fact;
    }

    pub fn value(&self, field: Field) -> Option<&str> {
        self.fact(field)
            .as_ref()
            .ok()
            .map(|(value, _)| value.as_str())
    }

    /// What records say.
    pub fn place(&self) -> SourcePlace {
        let value = |field| self.value(field).map(str::to_owned);
        SourcePlace {
            cloud: value(Field::Cloud),
            account: value(Field::Account),
            region: value(Field::Region),
            zone: value(Field::Zone),
            instance: value(Field::Instance),
        }
    }

    /// Fields that nobody has said anything of yet.
    pub fn unasked(&self) -> Vec<Field> {
        let open = |field: &Field| self.fact(*field) == &Err(Missing::NotAsked);
        Field::ALL.into_iter().filter(open).collect()
    }

    /// Whether asking again may bring more.
    pub fn has_failed(&self) -> bool {
        let failed = |fact: &Fact| matches!(fact, Err(Missing::Failed(_)));
        self.facts.iter().any(failed)
    }

    /// What the service said earlier stands where it cannot be asked now: an instance does not move while it runs.
    #[must_use]
    pub fn or_earlier(mut self, earlier: &Self) -> Self {
        if self.value(Field::Cloud) != earlier.value(Field::Cloud) {
            return self;
        }
        for (fact, earlier) in self.facts.iter_mut().zip(&earlier.facts) {
            if matches!(
                (&*fact, earlier),
                (Err(Missing::Failed(_)), Ok((_, Basis::Metadata)))
            ) {
                fact.clone_from(earlier);
            }
        }
        self
    }
}

/// One line: what is known by which basis, then each reason once with its fields.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<(&Missing, Vec<&str>)> = Vec::new();
        let mut parts = Vec::new();
        for (field, fact) in Field::ALL.iter().zip(&self.facts) {
            let word = field.word();
            match fact {
                Ok((value, basis)) => parts.push(format!("{word} `{value}` by {}", basis.word())),
                Err(missing) => match reasons.iter_mut().find(|(reason, _)| *reason == missing) {
                    Some((_, words)) => words.push(word),
                    None => reasons.push((missing, vec![word])),
                },
            }
        }
        let reasons = reasons.into_iter();
        parts.extend(
            reasons.map(|(reason, words)| format!("{} unknown ({reason})", words.join("/"))),
        );
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(found: &mut Found, field: Field, value: &str, basis: Basis) {
        found.set(field, Ok((value.to_owned(), basis)));
    }

    #[test]
    fn the_line_gives_each_reason_once() {
        let mut found = Found::nothing(&Missing::Failed(
            "`http://x/`: no answer in time".to_owned(),
        ));
        set(&mut found, Field::Cloud, "aws", Basis::Dmi);
        found.set(Field::Zone, Err(Missing::HasNone));
        assert_eq!(
            found.to_string(),
            "cloud `aws` by dmi, account/region/instance unknown (`http://x/`: no answer in time), \
             zone unknown (the metadata service has none)"
        );
        assert!(found.has_failed());
        assert_eq!(found.place().cloud.as_deref(), Some("aws"));
        assert_eq!(found.place().zone, None);
    }

    #[test]
    fn what_was_known_stands_where_asking_fails_in_the_same_cloud() {
        let failed = || Missing::Failed("x".to_owned());
        let mut earlier = Found::nothing(&Missing::HasNone);
        set(&mut earlier, Field::Cloud, "gcp", Basis::Dmi);
        set(&mut earlier, Field::Region, "europe-west4", Basis::Metadata);
        set(&mut earlier, Field::Account, "by-hand", Basis::Config);
        let mut now = Found::nothing(&failed());
        set(&mut now, Field::Cloud, "gcp", Basis::Dmi);
        let merged = now.clone().or_earlier(&earlier);
        assert_eq!(merged.value(Field::Region), Some("europe-west4"));
        // What the operator no longer says is gone.
        assert_eq!(merged.fact(Field::Account), &Err(failed()));
        set(&mut now, Field::Cloud, "aws", Basis::Config);
        assert_eq!(now.clone().or_earlier(&earlier), now);
    }
}
