//! The providers' words in the product's: one rule a provider, used for the official feeds and for the package that the
//! embedded table is built from, so that both give the same claims. docs/catalogue.md states the rules.

use thiserror::Error;

use crate::identify::address::{collect::Claim, contents::TagKind};

/// A feed says something that no rule fits.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UnknownWord {
    #[error("the suffix `{suffix}` is not known as region `{region}`")]
    AzureSuffix { region: String, suffix: String },
    #[error("region `{region}` of the service tag `{tag}` without a regional suffix")]
    AzureRegion { region: String, tag: String },
    #[error("no rule for the tags `{0}`")]
    OciTags(String),
}

/// Services in which a customer's own program answers: who sells what is there cannot be told from the address.
const TENANTS: [&str; 5] = [
    "api-gateway",
    "globalaccelerator",
    "apimanagement",
    "appservice",
    "azurespringcloud",
];

/// A row of AWS's `ip-ranges.json`.
#[must_use]
pub fn aws(region: &str, service: &str) -> Claim {
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

/// A service tag of Azure, in capitals or not.
///
/// # Errors
/// Where the tag's suffix and its region are not known as one.
pub fn azure(region: Option<&str>, tag: &str) -> Result<Claim, UnknownWord> {
    let (service, region) = match (tag.split_once('.'), region) {
        (Some((service, suffix)), Some(region)) => {
            (word(service), azure_region(region, &word(suffix))?)
        }
        (_, None) => (word(tag), String::new()),
        (None, Some(region)) => {
            return Err(UnknownWord::AzureRegion {
                region: region.into(),
                tag: tag.into(),
            });
        }
    };
    Ok(azure_tag(service, region))
}

/// A service tag without its suffix, in the product's words.
pub(super) fn azure_tag(service: String, region: String) -> Claim {
    let claim = |kind| Claim {
        cloud: "azure".into(),
        region,
        ..Claim::new(0, kind)
    };
    match service.as_str() {
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
    }
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

/// The full name of a region that a tag names with this suffix.
pub(super) fn azure_region(region: &str, suffix: &str) -> Result<String, UnknownWord> {
    let short = AZURE_REGIONS.iter().find(|(short, _)| *short == region);
    let long = short.map_or(region, |(_, long)| long);
    // A tag's suffix is the region's short or long name, or that of a staging stamp in it.
    if suffix == region || suffix == long || suffix.strip_suffix("stage") == Some(region) {
        Ok(long.into())
    } else {
        Err(UnknownWord::AzureSuffix {
            region: region.into(),
            suffix: suffix.into(),
        })
    }
}

/// A row of Google's `cloud.json`: customers' machines.
#[must_use]
pub fn google_cloud(region: &str) -> Claim {
    Claim {
        cloud: "gcp".into(),
        region: word(region),
        network: "google-cloud".into(),
        ..Claim::new(0, TagKind::Network)
    }
}

/// A row of Google's `goog.json`: Google's own network, its APIs among it; where `cloud.json` has a longer one, that counts.
#[must_use]
pub fn google() -> Claim {
    Claim {
        cloud: "gcp".into(),
        provider: "google".into(),
        network: "google".into(),
        ..Claim::new(0, TagKind::Network)
    }
}

/// A row of OCI's `public_ip_ranges.json`, its tags joined by commas.
///
/// # Errors
/// Where the tags are others than those known.
pub fn oci(region: &str, tags: &str) -> Result<Claim, UnknownWord> {
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
        "OSN,OBJECT_STORAGE" | "OBJECT_STORAGE,OSN" => {
            sold("oracle", "object-storage", claim("osn", TagKind::Service))
        }
        _ => return Err(UnknownWord::OciTags(tags.into())),
    })
}

/// A cloud whose feed tells places alone: an ISO 3166-2 subdivision or 3166-1 country, not one of its regions.
#[must_use]
pub fn placed(cloud: &str, place: &str) -> Claim {
    Claim {
        cloud: cloud.into(),
        geography: word(place),
        ..Claim::new(0, TagKind::Network)
    }
}

/// A network that answers for others.
#[must_use]
pub fn front(name: &str) -> Claim {
    Claim {
        front: name.into(),
        ..Claim::new(0, TagKind::Service)
    }
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
pub(super) fn word(text: &str) -> String {
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
