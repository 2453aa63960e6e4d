//! How a rule reads a field: null is a doubt and never a value, an ambiguous identity is in doubt as a whole, and where a
//! record says that there is none of something, that is a value.

use std::net::IpAddr;

use crate::model::{
    fact::{Fact, Facts, FieldId},
    names::{ApiState, PathKind, UNKNOWN},
};

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'f> {
    Known(Fact<'f>),
    Doubt(Doubt),
}

/// Why a field says nothing that a rule can rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    NotSeen,
    /// The evidence of the identity contradicts itself.
    Ambiguous,
    /// The value is a word for not knowing which: `body_decides`, `mixed`; of a known provider's cloud, `private`.
    Word(&'static str),
    /// Nobody saw it: it is what is so as a rule.
    Inferred,
    /// The address is a proxy's, and says nothing of what is behind it.
    Proxied,
}

impl Doubt {
    /// For people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotSeen => "not known",
            Self::Ambiguous => "ambiguous",
            Self::Word(word) => word,
            Self::Inferred => "inferred",
            Self::Proxied => "behind a proxy",
        }
    }
}

/// Where readings come from.
pub trait Source {
    fn read(&self, field: FieldId) -> Reading<'_>;
}

/// A flow, as its fields are.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a, F>(pub &'a F);

pub const SERVER_NAME: FieldId = FieldId::constant("server_name");
pub const PROVIDER: FieldId = FieldId::constant("provider");
pub const VENDOR: FieldId = FieldId::constant("vendor");
pub const CLOUD: FieldId = FieldId::constant("cloud");
pub const REGION: FieldId = FieldId::constant("region");
pub const GEOGRAPHY: FieldId = FieldId::constant("geography");
pub const SERVICE: FieldId = FieldId::constant("service");
pub const API_FAMILY: FieldId = FieldId::constant("api_family");
pub const API_STATE: FieldId = FieldId::constant("api_state");
pub const ROUTE: FieldId = FieldId::constant("route");
pub const MODEL: FieldId = FieldId::constant("model");
pub const FRONT: FieldId = FieldId::constant("front");
pub const PATH_KIND: FieldId = FieldId::constant("path_kind");
pub const REMOTE_ADDRESS: FieldId = FieldId::constant("remote_address");
pub const PATH_ELEMENTS: FieldId = FieldId::constant("path_elements");
pub const RESIDENCY_FLAGS: FieldId = FieldId::constant("residency_flags");
pub const BLIND_REASON: FieldId = FieldId::constant("blind_reason");
pub const BASIS: FieldId = FieldId::constant("basis");
pub const CONFIDENCE: FieldId = FieldId::constant("confidence");
pub const INITIATOR: FieldId = FieldId::constant("initiator");
pub const INTERVAL_START: FieldId = FieldId::constant("interval_start");
pub const INTERVAL_END: FieldId = FieldId::constant("interval_end");
pub const WIRE_BYTES_EGRESS: FieldId = FieldId::constant("wire_bytes_egress");
pub const WIRE_BYTES_INGRESS: FieldId = FieldId::constant("wire_bytes_ingress");
pub const NAMESPACE: FieldId = FieldId::constant("namespace");
pub const WORKLOAD: FieldId = FieldId::constant("workload");

/// Fields that decide how others are read, besides the way to a proxy (see [`Way`]).
pub const DECIDING: [FieldId; 6] = [CONFIDENCE, BASIS, CLOUD, PROVIDER, PATH_KIND, ROUTE];
/// Words that an address has for being nobody's in particular.
const NETWORKS: [&str; 2] = ["private", "cluster"];

/// Words that say that nothing is known, or not which.
pub fn names_a_doubt(word: &str) -> bool {
    doubt(word).is_some() || NETWORKS.contains(&word)
}

/// Whose address the remote one is, as far as that decides what it says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    Direct,
    /// Through a proxy at a private address: what is known of the cloud is by the service's name.
    PrivateProxy,
    /// Through a proxy of which the address is known, and not that of the service.
    Proxy,
}

impl Way {
    pub fn of(flow: &impl Facts) -> Self {
        if flow.fact(PATH_KIND) != Fact::Text(PathKind::Proxy.word()) {
            return Self::Direct;
        }
        match flow.fact(REMOTE_ADDRESS) {
            Fact::Address(address) if is_private(address.to_canonical()) => Self::PrivateProxy,
            _ => Self::Proxy,
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

/// A cloud that is only a kind of network, of a service that somebody known sells: it is reached through something, and stands
/// elsewhere.
fn behind(flow: &impl Facts) -> Option<Doubt> {
    let Fact::Text(cloud) = flow.fact(CLOUD) else {
        return None;
    };
    let network = NETWORKS.into_iter().find(|network| *network == cloud)?;
    (flow.fact(PROVIDER) != Fact::Unknown).then_some(Doubt::Word(network))
}

fn doubt(word: &str) -> Option<Doubt> {
    const STATES: [&str; 2] = [ApiState::BodyDecides.word(), ApiState::Mixed.word()];
    if word == UNKNOWN {
        return Some(Doubt::NotSeen);
    }
    let state = STATES.into_iter().find(|state| *state == word);
    state.map(Doubt::Word)
}

/// Whether a field is one of those that an ambiguous identity leaves in doubt.
pub const fn is_identity(field: FieldId) -> bool {
    matches!(
        field,
        PROVIDER
            | VENDOR
            | CLOUD
            | REGION
            | GEOGRAPHY
            | SERVICE
            | API_FAMILY
            | API_STATE
            | ROUTE
            | MODEL
            | FRONT
    )
}

impl<F: Facts> Source for Flow<'_, F> {
    fn read(&self, field: FieldId) -> Reading<'_> {
        let Self(flow) = self;
        if is_identity(field) && flow.fact(CONFIDENCE) == Fact::Text("ambiguous") {
            return Reading::Doubt(Doubt::Ambiguous);
        }
        if field == API_STATE && flow.fact(BASIS) == Fact::Text("inferred") {
            return Reading::Doubt(Doubt::Inferred);
        }
        if matches!(field, CLOUD | REGION | GEOGRAPHY) && Way::of(*flow) == Way::Proxy {
            return Reading::Doubt(Doubt::Proxied);
        }
        if field == CLOUD
            && let Some(doubt) = behind(*flow)
        {
            return Reading::Doubt(doubt);
        }
        match flow.fact(field) {
            Fact::Unknown => none(*flow, field),
            fact => of_word(field, fact),
        }
    }
}

/// A value, unless it is a word for not knowing.
pub fn of_word(field: FieldId, fact: Fact<'_>) -> Reading<'_> {
    match (field, fact) {
        (API_STATE | PATH_KIND | INITIATOR, Fact::Text(word)) => {
            doubt(word).map_or(Reading::Known(fact), Reading::Doubt)
        }
        _ => Reading::Known(fact),
    }
}

/// A null that says that there is none: of a front where the cloud is seen, of declared elements and of the reason for seeing
/// no name always, of residency flags where the route is seen.
fn none(flow: &impl Facts, field: FieldId) -> Reading<'_> {
    let is_seen = |field| flow.fact(field) != Fact::Unknown;
    match field {
        FRONT if is_seen(CLOUD) => Reading::Known(Fact::Text("")),
        BLIND_REASON => Reading::Known(Fact::Text("")),
        PATH_ELEMENTS => Reading::Known(Fact::List(&[])),
        RESIDENCY_FLAGS if is_seen(ROUTE) => Reading::Known(Fact::List(&[])),
        _ => Reading::Doubt(Doubt::NotSeen),
    }
}
