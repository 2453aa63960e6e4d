//! The names of what is asked: where a host stands has five fields. Knows no cloud.

/// One field of where this host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Cloud,
    Account,
    Region,
    Zone,
    Instance,
}

impl Field {
    /// In the order of the record.
    pub const ALL: [Self; 5] = [
        Self::Cloud,
        Self::Account,
        Self::Region,
        Self::Zone,
        Self::Instance,
    ];

    /// The word that people read; the record's field is `source_` and it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Account => "account",
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Instance => "instance",
        }
    }
}
