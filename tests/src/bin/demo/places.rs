//! The places of the demo and the services that stand there, each with an address that the shipped table has under that
//! cloud and region. It makes nothing and asks nobody but the table.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use observer_core::{
    identify::address::{AddressTable, prefix::Prefix},
    model::identity::Identity,
};

/// A cloud's region, or a front before a cloud that cannot be seen.
pub struct Place {
    /// The host's name.
    pub name: &'static str,
    pub cloud: Option<&'static str>,
    pub region: Option<&'static str>,
    pub front: Option<&'static str>,
}

pub const PLACES: [Place; 4] = [
    Place {
        name: "aws",
        cloud: Some("aws"),
        region: Some("us-east-1"),
        front: None,
    },
    Place {
        name: "azure",
        cloud: Some("azure"),
        region: Some("eastus"),
        front: None,
    },
    Place {
        name: "gcp",
        cloud: Some("gcp"),
        region: Some("us-central1"),
        front: None,
    },
    Place {
        name: "cloudflare",
        cloud: None,
        region: None,
        front: Some("cloudflare"),
    },
];

/// A service by the name that clients ask for.
pub struct Service {
    pub server_name: &'static str,
    /// Index into [`PLACES`].
    pub place: usize,
    /// The table's word for the service, where it has addresses of its own.
    table_service: Option<&'static str>,
    /// From the end of a request to the first byte of the answer: there is no distance between hosts of one machine, so
    /// the server takes its time instead.
    pub think_ms: u64,
    /// Between two chunks of a streamed answer.
    pub chunk_pause_ms: u64,
}

pub const BEDROCK: usize = 0;
pub const S3: usize = 1;
pub const AZURE_OPENAI: usize = 2;
pub const BLOB: usize = 3;
pub const VERTEX: usize = 4;
pub const OPENAI: usize = 5;

pub const SERVICES: [Service; 6] = [
    Service {
        server_name: "bedrock-runtime.us-east-1.amazonaws.com",
        place: 0,
        table_service: None,
        think_ms: 90,
        chunk_pause_ms: 15,
    },
    Service {
        server_name: "acme-backup.s3.us-east-1.amazonaws.com",
        place: 0,
        table_service: Some("s3"),
        think_ms: 20,
        chunk_pause_ms: 0,
    },
    Service {
        server_name: "acme-chat.openai.azure.com",
        place: 1,
        table_service: None,
        think_ms: 140,
        chunk_pause_ms: 20,
    },
    Service {
        server_name: "acmebilling.blob.core.windows.net",
        place: 1,
        table_service: Some("storage"),
        think_ms: 15,
        chunk_pause_ms: 0,
    },
    Service {
        server_name: "us-central1-aiplatform.googleapis.com",
        place: 2,
        table_service: None,
        think_ms: 35,
        chunk_pause_ms: 0,
    },
    Service {
        server_name: "api.openai.com",
        place: 3,
        table_service: None,
        think_ms: 180,
        chunk_pause_ms: 50,
    },
];

impl Place {
    /// As tables show it; what records say of it is put together the same way.
    pub fn label(&self) -> String {
        label(self.cloud, self.region, self.front)
    }

    fn is(&self, identity: &Identity) -> bool {
        identity.cloud.as_deref() == self.cloud
            && identity.region.as_deref() == self.region
            && identity.front.as_deref() == self.front
    }
}

/// Cloud and region; a front stands for itself.
pub fn label(cloud: Option<&str>, region: Option<&str>, front: Option<&str>) -> String {
    match (front, cloud, region) {
        (Some(front), ..) => format!("{front} (front)"),
        (None, cloud, Some(region)) => format!("{} {region}", cloud.unwrap_or("unknown")),
        (None, cloud, None) => cloud.unwrap_or("unknown").to_owned(),
    }
}

/// An address for each service, all different: of the service's own networks where the table has them in this place,
/// else of any network of the place.
pub fn addresses(table: &AddressTable) -> Result<Vec<Ipv4Addr>> {
    let mut taken = Vec::new();
    for service in &SERVICES {
        let found = service
            .table_service
            .and_then(|word| pick(table, &PLACES[service.place], Some(word), &taken))
            .or_else(|| pick(table, &PLACES[service.place], None, &taken));
        taken.push(found.with_context(|| {
            format!(
                "the address table of {} has no IPv4 network in `{}`: `cargo xtask catalog` builds a newer one",
                table.date(),
                PLACES[service.place].label()
            )
        })?);
    }
    Ok(taken)
}

fn pick(
    table: &AddressTable,
    place: &Place,
    service: Option<&str>,
    taken: &[Ipv4Addr],
) -> Option<Ipv4Addr> {
    table.prefixes().find_map(|(prefix, set)| {
        let identity = table.identity(set);
        let address = address_in(prefix).filter(|address| !taken.contains(address))?;
        // A longer network may say otherwise of this one address.
        let own = || table.address_identity(address.into());
        let is_it = place.is(&identity)
            && identity.service.as_deref() == service
            && place.is(&own())
            && own().service.as_deref() == service;
        is_it.then_some(address)
    })
}

/// Network + 10 of an IPv4 network that has so many.
fn address_in(prefix: Prefix) -> Option<Ipv4Addr> {
    let length = prefix.prefix_length().checked_sub(96)?;
    let mapped = std::net::Ipv6Addr::from(prefix.address()).to_ipv4_mapped()?;
    (length <= 24).then(|| Ipv4Addr::from(u32::from(mapped) + 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_has_an_address_for_each_service() {
        let table = AddressTable::embedded().expect("the embedded table");
        let found = addresses(&table).expect("an address each");
        for (address, service) in found.iter().zip(&SERVICES) {
            let identity = table.address_identity((*address).into());
            let place = &PLACES[service.place];
            assert!(place.is(&identity), "{address} is not in {}", place.label());
            assert_eq!(found.iter().filter(|other| *other == address).count(), 1);
        }
    }

    #[test]
    fn a_place_the_table_does_not_know_has_no_address() {
        let table = AddressTable::embedded().expect("the embedded table");
        let nowhere = Place {
            region: Some("moon-1"),
            ..PLACES[0]
        };
        assert_eq!(pick(&table, &nowhere, None, &[]), None);
    }

    #[test]
    fn labels_are_the_same_for_places_and_records() {
        for (cloud, region, front, expected) in [
            (Some("aws"), Some("us-east-1"), None, "aws us-east-1"),
            (None, None, Some("cloudflare"), "cloudflare (front)"),
            (Some("internet"), None, None, "internet"),
            (None, None, None, "unknown"),
        ] {
            assert_eq!(label(cloud, region, front), expected);
        }
    }
}
