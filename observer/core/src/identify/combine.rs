//! From all that is known of one flow to one identity: what the client asked for, what DNS answered, whose address it is.
//! One pure function; the order of trust (docs/identity.md) is:
//!
//! 1. The name that the client itself said (`server_name`): of service, provider and API it knows best. What a proxy was
//!    told is such a name too.
//! 2. The one name that DNS gave for the address in the flow's network namespace (`dns`); of several names that lead to
//!    different services none is taken.
//! 3. The address (`address`). The cloud is that of the address, whatever the name says: a name can be said to anyone.
//!    Only where the address says nothing of the cloud (it is private, or in no table) the name's is taken.
//!
//! Where name and address contradict each other both stand in the evidence and the confidence is `ambiguous`.

mod merge;

use super::{
    name::NameIdentity,
    route::{RouteTable, Typed},
};
use crate::model::{
    host_name::HostName,
    identity::{Basis, Confidence, Identity, Word},
    names::{ApiFamily, ApiState, BlindReason},
    signal::{Asked, AskedBy, Ech},
};

/// All that is known of where one flow goes.
#[derive(Clone, Copy, Debug)]
pub struct Signals<'s> {
    /// What the address table says of the remote, or of the address that it is translated to.
    pub address: &'s Identity,
    /// What the client said, once it has been read.
    pub asked: Option<&'s Asked>,
    /// Names for which DNS gave the remote's address in this namespace.
    pub resolved: &'s [Resolved],
    /// Why the client's words are not known, where they could have been.
    pub blind: Option<BlindReason>,
    pub request: Said<'s>,
}

/// What is known of the request that is under way.
#[derive(Clone, Copy, Debug)]
pub enum Said<'s> {
    /// None was seen.
    Nothing,
    /// None was seen, of a connection that is encrypted.
    Unread(Unread<'s>),
    /// Of a method that the table does not know.
    Unknown,
    One(&'s Typed),
    /// Of several kinds.
    Mixed,
}

/// By what may be said what requests are that nobody read.
#[derive(Clone, Copy, Debug)]
pub struct Unread<'s> {
    pub routes: &'s RouteTable,
    /// What is so as a rule may be said.
    pub infers: bool,
    /// What the client sends between answers is too short for requests of HTTP/1: both sides speak when they like.
    pub is_framed: bool,
}

/// A name that an address was the answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub name: HostName,
    /// Names that it is an alias of, in order.
    pub aliases: Vec<HostName>,
}

/// What host names say by themselves.
pub trait Names {
    /// What is known of a name; `None` where no pattern fits.
    fn identify(&self, name: &HostName) -> Option<NameIdentity>;

    /// Whether keys for Encrypted Client Hello are published under this name: a hello that has the extension and this name
    /// keeps the true one secret.
    fn is_ech_public_name(&self, name: &HostName) -> bool;
}

/// An identity, and what it lets us say of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    pub identity: Identity,
    /// The name is one of a private endpoint.
    pub is_private_endpoint: bool,
    /// The remote is a proxy that was told the name.
    pub is_proxy: bool,
}

/// The identity that all signals together give.
pub fn combine(signals: &Signals<'_>, names: &impl Names) -> Combined {
    let named = named(signals, names);
    let mut combined = match &named {
        Some(name) => merge::over_address(name, signals.address),
        None => Combined {
            identity: signals.address.clone(),
            ..Combined::default()
        },
    };
    let identity = &mut combined.identity;
    match signals.request {
        Said::Nothing | Said::Unknown | Said::Unread(_) => {}
        Said::Mixed => identity.api_state = Some(ApiState::Mixed),
        Said::One(request) => {
            let host = named.as_ref().and_then(|named| named.known.as_ref());
            merge::request(identity, host, request);
        }
    }
    if identity.server_name.is_none() {
        identity.blind_reason = blind_reason(signals, names);
        if let Some(several) = several(signals, names) {
            identity.confidence = Some(Confidence::Ambiguous);
            merge::prepend(identity, &several);
        }
    } else if hides_names(signals, identity) {
        identity.blind_reason = Some(BlindReason::EncryptedDns);
    }
    if let Said::Unread(unread) = &signals.request
        && let Some(host) = named.as_ref().and_then(|named| named.known.as_ref())
        && unread.routes.has(host)
    {
        let identity = &mut combined.identity;
        identity.blind_reason = identity
            .blind_reason
            .or(Some(BlindReason::NoPlaintextProbe));
        if unread.infers {
            merge::usual(identity, host, unread);
        }
    }
    combined.is_proxy = signals
        .asked
        .is_some_and(|asked| matches!(asked.by, AskedBy::Connect | AskedBy::Socks));
    combined
}

/// The name that is believed, and by what.
struct Named {
    name: HostName,
    basis: Basis,
    /// `None` where no pattern fits.
    known: Option<NameIdentity>,
    /// How the name is known, in words.
    how: String,
    /// The name itself is beyond doubt.
    certain: bool,
}

fn named(signals: &Signals<'_>, names: &impl Names) -> Option<Named> {
    asked(signals, names).or_else(|| resolved(signals.resolved, names))
}

fn asked(signals: &Signals<'_>, names: &impl Names) -> Option<Named> {
    let asked = signals.asked?;
    let name = asked.server_name.as_ref()?;
    if is_encrypted(asked, signals.resolved, names) {
        return None;
    }
    let by = match asked.by {
        AskedBy::TlsHello => "TLS server name",
        AskedBy::QuicHello => "QUIC server name",
        AskedBy::Host => "HTTP host",
        AskedBy::Connect => "HTTP CONNECT target",
        AskedBy::Socks => "SOCKS5 target",
        AskedBy::Given => "name",
    };
    let grease = match asked.ech {
        Ech::Absent => "",
        Ech::Outer => " (with an ECH extension: grease, or under a key of that name)",
    };
    Some(Named {
        name: name.clone(),
        basis: Basis::ServerName,
        known: names.identify(name),
        how: format!("{by} `{name}`{grease}"),
        certain: asked.ech == Ech::Absent,
    })
}

/// The extension, with a name that keys are published under: the true name is inside.
fn is_encrypted(asked: &Asked, resolved: &[Resolved], names: &impl Names) -> bool {
    let Some(outer) = asked.server_name.as_ref() else {
        return false;
    };
    // A client that asked DNS for this very name talks to that server: its extension is grease, or under its own key.
    let is_asked_for = resolved.iter().any(|found| found.name == *outer);
    asked.ech == Ech::Outer && !is_asked_for && names.is_ech_public_name(outer)
}

/// The one name that DNS gave, or one of several that all lead to the same service.
fn resolved(resolved: &[Resolved], names: &impl Names) -> Option<Named> {
    let (first, others) = resolved.split_first()?;
    let (known, alias) = resolved_identity(first, names);
    let same = |other: &Resolved| {
        let (other, _) = resolved_identity(other, names);
        matches!((&known, &other), (Some(one), Some(other)) if one.is_same_service(other))
    };
    if !others.iter().all(same) {
        return None;
    }
    let name = &first.name;
    let alias = alias.map_or_else(String::new, |alias| format!(", an alias of `{alias}`"));
    let more = match others.len() {
        0 => String::new(),
        more => format!(" and {more} more names of the same service"),
    };
    Some(Named {
        name: name.clone(),
        basis: Basis::Dns,
        known,
        how: format!("DNS answer for `{name}`{alias}{more}"),
        certain: false,
    })
}

/// What a name says, or else the nearest to the address of the names that it is an alias of.
fn resolved_identity<'r>(
    resolved: &'r Resolved,
    names: &impl Names,
) -> (Option<NameIdentity>, Option<&'r HostName>) {
    if let Some(known) = names.identify(&resolved.name) {
        return (Some(known), None);
    }
    let alias = |alias: &'r HostName| Some((names.identify(alias)?, alias));
    match resolved.aliases.iter().rev().find_map(alias) {
        Some((known, alias)) => (Some(known), Some(alias)),
        None => (None, None),
    }
}

/// Candidates named in the evidence.
const CANDIDATES_MAX: usize = 8;

/// The names between which nothing decides, in words.
fn several(signals: &Signals<'_>, names: &impl Names) -> Option<String> {
    if signals.resolved.len() < 2 || resolved(signals.resolved, names).is_some() {
        return None;
    }
    let shown: Vec<String> = signals
        .resolved
        .iter()
        .take(CANDIDATES_MAX)
        .map(|found| format!("`{}`", found.name))
        .collect();
    let more = match signals.resolved.len().saturating_sub(CANDIDATES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "DNS gave this address for {}{more}",
        shown.join(", ")
    ))
}

/// A client that talks to a resolver in secret: its flow is named, and what it asks names other flows that are not.
fn hides_names(signals: &Signals<'_>, identity: &Identity) -> bool {
    identity.api_family == Some(ApiFamily::Dns)
        && signals.asked.is_some_and(|asked| match asked.by {
            AskedBy::TlsHello | AskedBy::QuicHello | AskedBy::Connect | AskedBy::Socks => true,
            AskedBy::Host | AskedBy::Given => false,
        })
}

fn blind_reason(signals: &Signals<'_>, names: &impl Names) -> Option<BlindReason> {
    match signals.asked {
        Some(asked) if is_encrypted(asked, signals.resolved, names) => Some(BlindReason::Ech),
        // Nothing is hidden where the target is an address.
        Some(asked) if matches!(asked.by, AskedBy::Connect | AskedBy::Socks) => None,
        Some(_) => Some(BlindReason::NoServerName),
        None => signals.blind,
    }
}

/// API state that a name alone decides.
fn api_state(known: &NameIdentity) -> Option<ApiState> {
    known.is_control.then_some(ApiState::ControlPlane)
}

impl NameIdentity {
    /// Whether nothing that an identity says differs.
    #[must_use]
    pub fn is_same_service(&self, other: &Self) -> bool {
        let words = |name: &Self| {
            [
                &name.provider,
                &name.vendor,
                &name.cloud,
                &name.front,
                &name.service,
                &name.region,
                &name.geography,
            ]
            .map(Option::<Word>::clone)
        };
        words(self) == words(other)
            && self.api_family == other.api_family
            && self.api_families == other.api_families
            && self.is_control == other.is_control
            && self.is_private_endpoint == other.is_private_endpoint
    }
}

#[cfg(test)]
mod tests;
