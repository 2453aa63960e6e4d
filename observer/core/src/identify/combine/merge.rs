//! A believed name over what the address says. Which name is believed is decided before.

use super::{Combined, Named, Unread, api_state};
use crate::{
    identify::{
        name::NameIdentity,
        route::{Dialect, Typed},
    },
    model::{
        identity::{Basis, Confidence, Identity, Word},
        names::ApiState,
    },
};

/// Words of the address table for what is no cloud's.
const NO_CLOUDS: [&str; 3] = ["private", "cluster", "internet"];
/// Fronts that are a cloud's own, and answer in its data centres too.
const CLOUD_FRONTS: [(&str, &str); 2] = [("cloudfront", "aws"), ("azurefrontdoor", "azure")];

pub(super) fn over_address(named: &Named, address: &Identity) -> Combined {
    let Some(known) = &named.known else {
        return unknown_name(named, address);
    };
    let mut place = Place::of(known, address);
    let mut sure = match (named.certain && known.verified, place.agreed) {
        (true, true) => Confidence::Certain,
        (true, false) | (false, _) => Confidence::Likely,
    };
    if place.conflict.is_some() {
        sure = Confidence::Ambiguous;
    }
    let mut evidence = vec![format!("{}: {}", named.how, words(known))];
    let mut basis = named.basis;
    if let Some(hosted) = known.hosted.as_ref().filter(|_| place.hides_cloud()) {
        evidence.push(format!("that it runs in {} is stated", hosted.cloud));
        place.cloud = Some(hosted.cloud.clone());
        place.region.clone_from(&hosted.region);
        basis = Basis::Config;
        sure = sure.min(Confidence::Likely);
    }
    evidence.extend(place.conflict.clone());
    evidence.extend(address.evidence.as_deref().map(str::to_owned));
    let identity = Identity {
        server_name: Some(named.name.word()),
        provider: known.provider.clone(),
        vendor: known.vendor.clone(),
        cloud: place.cloud,
        geography: geography(place.region.as_ref(), known, address),
        region: place.region,
        service: known.service.clone(),
        api_family: known.api_family,
        api_state: api_state(known),
        front: place.front,
        basis: Some(basis),
        confidence: Some(sure),
        evidence: Some(evidence.join("; ").into()),
        ..Identity::default()
    };
    Combined {
        identity,
        is_private_endpoint: known.is_private_endpoint,
        is_proxy: false,
    }
}

/// A name that no pattern knows leaves all to the address, but is recorded.
fn unknown_name(named: &Named, address: &Identity) -> Combined {
    let mut identity = Identity {
        server_name: Some(named.name.word()),
        ..address.clone()
    };
    prepend(&mut identity, &format!("{}: in no pattern", named.how));
    Combined {
        identity,
        ..Combined::default()
    }
}

/// Puts a clause before the evidence.
pub(super) fn prepend(identity: &mut Identity, clause: &str) {
    let evidence = match identity.evidence.as_deref() {
        Some(rest) if !rest.is_empty() => format!("{clause}; {rest}"),
        Some(_) | None => clause.to_owned(),
    };
    identity.evidence = Some(evidence.into());
}

/// Lays what a request is over an identity: its state, and the vendor where the path tells.
pub(super) fn request(identity: &mut Identity, host: Option<&NameIdentity>, request: &Typed) {
    identity.method = Some(request.method.clone());
    let Some(route) = host.and_then(|host| request.on(host)) else {
        return;
    };
    let kind = &route.kind;
    identity.route = Some(route.template.clone());
    identity.model.clone_from(&route.model);
    identity.residency_flags.clone_from(&route.residency_flags);
    identity.api_state = Some(kind.state);
    if let Dialect::Family(family) = kind.dialect {
        identity.api_family = identity.api_family.or(Some(family));
    }
    identity.vendor = route.vendor.clone().or_else(|| identity.vendor.clone());
    // What an operator states stays the weaker evidence.
    if identity.basis != Some(Basis::Config) {
        identity.basis = Some(Basis::Route);
    }
    if !kind.verified {
        identity.confidence = identity.confidence.min(Some(Confidence::Likely));
    }
    let unseen = kind
        .unseen
        .map(|state| format!(", {} if the body is not seen", state.word()));
    let clause = format!(
        "request `{} {}`: {}{}: {}",
        request.method,
        route.template,
        kind.state.word(),
        unseen.unwrap_or_default(),
        kind.why
    );
    prepend(identity, &clause);
}

/// Says what requests of a host are as a rule, of which none was read.
pub(super) fn usual(identity: &mut Identity, host: &NameIdentity, unread: &Unread<'_>) {
    let (state, why) = if unread.is_framed && unread.routes.has_realtime(host) {
        let why =
            "between answers the client sends less than a request of HTTP/1 with credentials has";
        (ApiState::Realtime, why)
    } else if let Some(usual) = unread.routes.usual(host) {
        (usual.state, usual.why.as_str())
    } else {
        return;
    };
    identity.api_state = Some(state);
    identity.basis = Some(Basis::Inferred);
    identity.confidence = identity.confidence.min(Some(Confidence::Likely));
    let clause = format!("no request was read; as a rule {}: {why}", state.word());
    prepend(identity, &clause);
}

fn words(known: &NameIdentity) -> &str {
    known
        .evidence
        .as_deref()
        .unwrap_or("a pattern without a source")
}

/// Where the remote stands, by name and address.
struct Place {
    cloud: Option<Word>,
    region: Option<Word>,
    front: Option<Word>,
    /// The address says of the cloud or the front what the name says.
    agreed: bool,
    conflict: Option<String>,
}

impl Place {
    fn of(known: &NameIdentity, address: &Identity) -> Self {
        let silent = address
            .cloud
            .as_deref()
            .is_none_or(|cloud| NO_CLOUDS.contains(&cloud))
            && address.front.is_none();
        if silent {
            return Self::by_name(known, address);
        }
        let by_address = Self {
            cloud: address.cloud.clone(),
            region: address.region.clone(),
            front: address.front.clone(),
            agreed: false,
            conflict: None,
        };
        match (&known.cloud, &known.front) {
            (Some(cloud), _) if address.cloud.as_ref() == Some(cloud) => {
                Self::in_one_cloud(known, address)
            }
            (Some(cloud), front) if is_own_front(address.front.as_deref(), cloud) => Self {
                cloud: Some(cloud.clone()),
                region: known.region.clone(),
                agreed: front.is_none() || *front == address.front,
                ..by_address
            },
            (_, Some(front)) if address.front.as_ref() == Some(front) => Self {
                agreed: true,
                ..by_address
            },
            (None, None) => Self {
                // The region of a service that may stand anywhere is where the address is.
                region: known.region.clone().or(by_address.region.clone()),
                ..by_address
            },
            (None, Some(_)) if !known.verified => by_address,
            (Some(_), _) | (None, Some(_)) => Self {
                conflict: Some(contradiction(known, address)),
                ..by_address
            },
        }
    }

    /// The service answers at a front, and nothing says what stands behind it.
    fn hides_cloud(&self) -> bool {
        self.cloud.is_none() && self.front.is_some() && self.conflict.is_none()
    }

    /// The address says nothing of a cloud: it is private, or no table has it.
    fn by_name(known: &NameIdentity, address: &Identity) -> Self {
        // Where there is no address at all, none speaks against a front.
        let is_private = matches!(address.cloud.as_deref(), Some("private" | "cluster"));
        let cloud = known.cloud.clone();
        Self {
            region: known.region.clone(),
            // A front does not answer at a private address.
            front: known.front.clone().filter(|_| !is_private),
            cloud: match (&cloud, &known.front) {
                (Some(_), _) => cloud,
                (None, Some(_)) if !is_private => None,
                (None, _) => address.cloud.clone(),
            },
            agreed: false,
            conflict: None,
        }
    }

    fn in_one_cloud(known: &NameIdentity, address: &Identity) -> Self {
        let place = Self {
            cloud: address.cloud.clone(),
            region: None,
            front: address.front.clone(),
            agreed: true,
            conflict: None,
        };
        let stated = address.region.as_ref().filter(|region| *region != "global");
        match (&known.region, stated) {
            (Some(named), Some(stated)) if named != stated => Self {
                conflict: Some(format!("the name says {named}, the address {stated}")),
                ..place
            },
            (named, stated) => Self {
                region: named
                    .clone()
                    .or_else(|| stated.cloned())
                    .or_else(|| address.region.clone()),
                ..place
            },
        }
    }
}

fn is_own_front(front: Option<&str>, cloud: &str) -> bool {
    front.is_some_and(|front| CLOUD_FRONTS.contains(&(front, cloud)))
}

fn contradiction(known: &NameIdentity, address: &Identity) -> String {
    let named = known.cloud.as_ref().or(known.front.as_ref());
    let stated = address.front.as_ref().or(address.cloud.as_ref());
    let word = |word: Option<&Word>| word.map_or("unknown", Word::as_str).to_owned();
    format!(
        "the name says {}, the address {}: a proxy or a relay",
        word(named),
        word(stated)
    )
}

/// Only where no region is known.
fn geography(region: Option<&Word>, known: &NameIdentity, address: &Identity) -> Option<Word> {
    match region {
        Some(_) => None,
        None => known.geography.clone().or_else(|| {
            address
                .geography
                .clone()
                .filter(|_| address.front.is_none())
        }),
    }
}
