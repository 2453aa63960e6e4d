//! Words of price books and estimates.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{PathElement, PathKind};

words! {
    /// What a rate is charged for: a way between two places, or a gateway on it.
    RateKind {
        SameZone = "same_zone",
        InterZone = "inter_zone",
        /// One region of one cloud, where the zone of the far end is not known.
        SameRegion = "same_region",
        InterRegion = "inter_region",
        Internet = "internet",
        PrivateEndpoint = "private_endpoint",
        Interconnect = "interconnect",
        Peering = "peering",
        NatGateway = "nat_gateway",
        InternetGateway = "internet_gateway",
        TransitGateway = "transit_gateway",
        LoadBalancer = "load_balancer",
        Vpn = "vpn",
        Proxy = "proxy",
        Firewall = "firewall",
    }
}

impl RateKind {
    /// What is charged for the way itself; `None` where nothing is, or the way is not known.
    #[must_use]
    pub const fn of_path(path: PathKind) -> Option<Self> {
        match path {
            PathKind::SameZone => Some(Self::SameZone),
            PathKind::InterZone => Some(Self::InterZone),
            PathKind::InterRegion => Some(Self::InterRegion),
            PathKind::Internet => Some(Self::Internet),
            PathKind::PrivateEndpoint => Some(Self::PrivateEndpoint),
            PathKind::Interconnect => Some(Self::Interconnect),
            PathKind::Peering => Some(Self::Peering),
            PathKind::Proxy => Some(Self::Proxy),
            PathKind::SameHost | PathKind::Unknown => None,
        }
    }

    #[must_use]
    pub const fn of_element(element: PathElement) -> Self {
        match element {
            PathElement::NatGateway => Self::NatGateway,
            PathElement::InternetGateway => Self::InternetGateway,
            PathElement::TransitGateway => Self::TransitGateway,
            PathElement::LoadBalancer => Self::LoadBalancer,
            PathElement::PrivateEndpoint => Self::PrivateEndpoint,
            PathElement::Interconnect => Self::Interconnect,
            PathElement::Peering => Self::Peering,
            PathElement::Vpn => Self::Vpn,
            PathElement::Proxy => Self::Proxy,
            PathElement::Firewall => Self::Firewall,
        }
    }

    /// Whether a gateway of this kind is known to charge nothing by itself: what passes it is charged as the way is.
    #[must_use]
    pub const fn is_free_element(self) -> bool {
        matches!(
            self,
            Self::InternetGateway | Self::Interconnect | Self::Peering
        )
    }
}

words! {
    /// How well a price is known.
    PriceStatus {
        /// Read on the provider's own page, or in captured data of its price interface.
        Verified = "verified",
        /// A third party states it.
        SecondHand = "second_hand",
        /// From memory: no evidence was found.
        Recalled = "recalled",
        /// The operator said so: an own price, or one agreed on.
        Own = "own",
    }
}

words! {
    /// Where in its tiers an estimate takes a byte to be.
    CostAssumption {
        /// In the first tier that costs anything; free bands are used up.
        FirstTier = "first_tier",
        /// In the tier of the volume that the operator states.
        Marginal = "marginal",
        /// At the average price of that volume.
        Blended = "blended",
        /// In the tiers of the month's whole traffic, as a report knows it.
        Month = "month",
    }
}

words! {
    /// Why bytes have no price.
    UnpricedReason {
        /// The cloud or region of this host is not known.
        SourceUnknown = "source_unknown",
        /// The path of the bytes is not known.
        PathUnknown = "path_unknown",
        /// No rate of the book fits.
        NoRate = "no_rate",
        /// The way has a price, a gateway on it has none.
        ElementNoRate = "element_no_rate",
    }
}

words! {
    /// Whose bill a charge is on.
    CostSide {
        /// Of the cloud that this host stands in.
        Local = "local",
        /// Of the remote end's cloud, which is the operator's too.
        Remote = "remote",
    }
}

words! {
    /// Which bytes a rate counts.
    BilledDirection {
        Egress = "egress",
        Ingress = "ingress",
        Both = "both",
    }
}

impl CostSide {
    /// Bytes sent and received here, as that end sends and receives them: what arrives here left there.
    #[must_use]
    pub const fn of(self, [sent, received]: [u64; 2]) -> [u64; 2] {
        match self {
            Self::Local => [sent, received],
            Self::Remote => [received, sent],
        }
    }
}

impl BilledDirection {
    /// How many of the bytes that one end sends and receives are counted.
    #[must_use]
    pub const fn count(self, [sent, received]: [u64; 2]) -> u64 {
        match self {
            Self::Egress => sent,
            Self::Ingress => received,
            Self::Both => sent.saturating_add(received),
        }
    }
}
