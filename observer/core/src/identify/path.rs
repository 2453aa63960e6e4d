//! The way that a flow's bytes take, from what is known of both ends. One pure function, in this order:
//!
//! 1. The remote address is the flow's own: `same_host`.
//! 2. The remote is a proxy that was told the target: `proxy`.
//! 3. A name of a private endpoint, or a cloud's service at a private address: `private_endpoint`.
//! 4. Another private address: `unknown`; whether it lies next door or behind a line is nobody's to guess.
//! 5. The same cloud: `inter_region` where both regions are known and differ. In one region `unknown`: an address does not
//!    say in which zone it is, and what stays in the region may still cross zones.
//! 6. Any other public address: `internet`.
//!
//! Lines that only the operator knows of (interconnects, gateways) are not seen.

use std::net::IpAddr;

use super::combine::Combined;
use crate::model::{names::PathKind, record::SourcePlace};

/// The way to the remote.
#[must_use]
pub fn path_kind(
    source: &SourcePlace,
    [local, remote]: [Option<IpAddr>; 2],
    to: &Combined,
) -> PathKind {
    let identity = &to.identity;
    if remote.is_some() && local == remote {
        return PathKind::SameHost;
    }
    if to.is_proxy {
        return PathKind::Proxy;
    }
    let Some(remote) = remote else {
        return PathKind::Unknown;
    };
    let cloud = identity.cloud.as_deref();
    if is_private(remote) {
        let is_cloud =
            cloud.is_some_and(|cloud| !["private", "cluster", "internet"].contains(&cloud));
        return if to.is_private_endpoint || is_cloud {
            PathKind::PrivateEndpoint
        } else {
            PathKind::Unknown
        };
    }
    if cloud.is_none() && identity.front.is_none() {
        return PathKind::Unknown;
    }
    if cloud.is_none() || source.cloud.as_deref() != cloud {
        return PathKind::Internet;
    }
    match (source.region.as_deref(), identity.region.as_deref()) {
        (Some(from), Some(to)) if from != to && to != "global" => PathKind::InterRegion,
        (_, _) => PathKind::Unknown,
    }
}

/// Addresses that no provider routes over the internet (RFC 1918, RFC 4193, RFC 6598, RFC 3927, RFC 4291).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private()
                || address.is_link_local()
                || address.is_loopback()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::Identity;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn the_order_is_as_stated() {
        // source cloud and region, remote, its cloud, region and front, what it is: path
        for (source, remote, to, is, expected) in [
            (
                "aws us-east-1",
                "192.0.2.1",
                "aws us-east-1 -",
                "",
                PathKind::SameHost,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "private - -",
                "proxy",
                PathKind::Proxy,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "aws us-east-1 -",
                "endpoint",
                PathKind::PrivateEndpoint,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "aws us-east-1 -",
                "",
                PathKind::PrivateEndpoint,
            ),
            (
                "aws us-east-1",
                "fd00::1",
                "private - -",
                "endpoint",
                PathKind::PrivateEndpoint,
            ),
            (
                "aws us-east-1",
                "10.0.0.9",
                "private - -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "100.64.0.1",
                "private - -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "aws us-east-1 -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "aws us-west-2 -",
                "",
                PathKind::InterRegion,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "aws global -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws -",
                "198.51.100.1",
                "aws us-west-2 -",
                "",
                PathKind::Unknown,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "azure eastus -",
                "",
                PathKind::Internet,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "internet - -",
                "",
                PathKind::Internet,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "- - cloudflare",
                "",
                PathKind::Internet,
            ),
            (
                "aws us-east-1",
                "198.51.100.1",
                "- - -",
                "",
                PathKind::Unknown,
            ),
            (
                "- -",
                "198.51.100.1",
                "aws us-east-1 -",
                "",
                PathKind::Internet,
            ),
        ] {
            let word = |text: &str| (text != "-").then(|| text.to_owned());
            let mut from = source.split(' ').map(word);
            let source = SourcePlace {
                cloud: from.next().flatten(),
                region: from.next().flatten(),
                ..SourcePlace::default()
            };
            let mut fields = to.split(' ').map(|text| word(text).map(Into::into));
            let combined = Combined {
                identity: Identity {
                    cloud: fields.next().flatten(),
                    region: fields.next().flatten(),
                    front: fields.next().flatten(),
                    ..Identity::default()
                },
                is_private_endpoint: is == "endpoint",
                is_proxy: is == "proxy",
            };
            let ends = ["192.0.2.1", remote].map(|address| address.parse().ok());
            assert_eq!(
                path_kind(&source, ends, &combined),
                expected,
                "{source:?} {remote} {to}"
            );
        }
    }
}
