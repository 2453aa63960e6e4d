//! The name table: whose service a host name is, by patterns over its labels. Knows no address and no feed.

use crate::model::identity::Word;

/// What a host name alone says. `None` is "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameIdentity {
    /// Who sells the service.
    pub provider: Option<Word>,
    /// Whose model or product answers, where the name says so.
    pub vendor: Option<Word>,
    /// Cloud that the service runs in, where the name proves it: a front, or a provider of its own network, gives none.
    pub cloud: Option<Word>,
    /// CDN or proxy that is known to stand before the host.
    pub front: Option<Word>,
    pub service: Option<Word>,
    /// The provider's own name of the region, where the name has it.
    pub region: Option<Word>,
    /// Country or continent, lower case, where the name has no region but says that much.
    pub geography: Option<Word>,
    /// The dialect, where the host speaks one.
    pub api_family: Option<Word>,
    /// The dialects, where it speaks several.
    pub api_families: Vec<Word>,
    /// Keys, accounts, resources: its api_state is `control_plane`.
    pub is_control: bool,
    /// A name of a private endpoint (PrivateLink, Private Service Connect).
    pub is_private_endpoint: bool,
    pub is_fips: bool,
    /// The pattern, its source and date, in words.
    pub evidence: Option<Word>,
    /// Seen in a source that can be named; else recalled.
    pub verified: bool,
}
