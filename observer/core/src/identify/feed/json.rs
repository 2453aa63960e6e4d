//! Feeds in JSON. Which one it is follows from the names at its top; fields that are not needed are passed over, since
//! feeds grow.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, Visitor},
};

use super::{
    Feed, FeedError, Scope, Told, date_of, source,
    words::{self, word},
};
use crate::identify::address::{collect::Claim, contents::TagKind, prefix::Prefix};

#[expect(
    clippy::zero_sized_map_values,
    reason = "there is no set of the names of an object"
)]
pub(super) fn read(text: &str, told: &Told<'_>) -> Result<Feed, FeedError> {
    let names: BTreeMap<String, IgnoredAny> = parse("JSON", text)?;
    let has = |all: &[&str]| all.iter().all(|name| names.contains_key(*name));
    if has(&["syncToken", "createDate", "prefixes"]) {
        Ok(aws(parse("AWS ip-ranges", text)?, told))
    } else if has(&["changeNumber", "values"]) {
        Ok(azure(parse("Azure service tags", text)?, told))
    } else if has(&["syncToken", "creationTime", "prefixes"]) {
        google(parse("Google ranges", text)?, told)
    } else if has(&["last_updated_timestamp", "regions"]) {
        Ok(oci(parse("OCI ranges", text)?, told))
    } else if has(&["addresses", "ipv6_addresses"]) {
        Ok(fastly(parse("Fastly list", text)?, told))
    } else if has(&["result", "success"]) {
        Ok(cloudflare(parse("Cloudflare API", text)?, told))
    } else if has(&["web", "api", "git"]) {
        Ok(github(parse("GitHub meta", text)?, told))
    } else {
        Err(FeedError::Unknown)
    }
}

fn parse<T: DeserializeOwned>(format: &'static str, text: &str) -> Result<T, FeedError> {
    serde_json::from_str(text).map_err(|error| FeedError::Json {
        format,
        what: error.to_string(),
    })
}

/// A network in JSON; an error of it has its line.
struct Network(Prefix);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Network;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a network such as `192.0.2.0/24`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Network, E> {
                text.parse().map(Network).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aws {
    sync_token: String,
    create_date: String,
    prefixes: Vec<AwsRow>,
    #[serde(rename = "ipv6_prefixes", default)]
    v6: Vec<AwsRow>,
}

#[derive(Deserialize)]
struct AwsRow {
    #[serde(alias = "ip_prefix", alias = "ipv6_prefix")]
    network: Network,
    region: String,
    service: String,
    #[serde(default)]
    network_border_group: String,
}

fn aws(feed: Aws, told: &Told<'_>) -> Feed {
    let row = |row: AwsRow| {
        let mut claim = words::aws(&row.region, &row.service);
        let group = word(&row.network_border_group);
        // A local or wavelength zone, which is no part of the region's own network.
        if claim.network.is_empty() && !group.is_empty() && group != claim.region {
            claim.network = group;
        }
        (row.network.0, claim)
    };
    let date = date_of(&feed.create_date).unwrap_or(told.date);
    Feed {
        source: source("AWS ip-ranges", feed.sync_token, date),
        scope: Scope {
            cloud: "aws".into(),
            ..Scope::default()
        },
        rows: feed.prefixes.into_iter().chain(feed.v6).map(row).collect(),
        zones: Vec::new(),
        passed_over: 0,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Azure {
    change_number: u64,
    #[serde(default)]
    cloud: String,
    values: Vec<AzureTag>,
}

#[derive(Deserialize)]
struct AzureTag {
    name: String,
    properties: AzureProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AzureProperties {
    #[serde(default)]
    region: String,
    address_prefixes: Vec<Network>,
}

fn azure(feed: Azure, told: &Told<'_>) -> Feed {
    let mut rows = Vec::new();
    for AzureTag { name, properties } in feed.values {
        let region = Some(properties.region.as_str()).filter(|region| !region.is_empty());
        // A stamp or an abbreviation that is new: the feed's own word for the region is right.
        let claim = words::azure(region, &name).unwrap_or_else(|_| {
            let service = name.split_once('.').map_or(name.as_str(), |(tag, _)| tag);
            words::azure_tag(word(service), word(&properties.region))
        });
        let networks = properties.address_prefixes.into_iter();
        rows.extend(networks.map(|network| (network.0, claim.clone())));
    }
    let name = match feed.cloud.as_str() {
        "" | "Public" => "Azure service tags".to_owned(),
        other => format!("Azure service tags, {other}"),
    };
    let scope = match feed.cloud.as_str() {
        "" | "Public" => "azure".to_owned(),
        // Clouds of their own, which the embedded table does not have.
        _ => String::new(),
    };
    Feed {
        source: source(&name, feed.change_number.to_string(), told.date),
        scope: Scope {
            cloud: scope,
            ..Scope::default()
        },
        rows,
        zones: Vec::new(),
        passed_over: 0,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Google {
    sync_token: String,
    creation_time: String,
    prefixes: Vec<GoogleRow>,
}

#[derive(Deserialize)]
struct GoogleRow {
    #[serde(alias = "ipv4Prefix", alias = "ipv6Prefix")]
    network: Network,
    scope: Option<String>,
}

/// `cloud.json`, whose rows have scopes, or `goog.json`, whose rows have none.
fn google(feed: Google, told: &Told<'_>) -> Result<Feed, FeedError> {
    let scoped = feed.prefixes.iter().filter(|row| row.scope.is_some());
    let is_cloud = match scoped.count() {
        0 => false,
        count if count == feed.prefixes.len() => true,
        _ => {
            return Err(FeedError::Json {
                format: "Google ranges",
                what: "some rows have a `scope` and others none; `cloud.json` has it in all, `goog.json` in none"
                    .into(),
            });
        }
    };
    let (name, network) = if is_cloud {
        ("Google cloud.json", "google-cloud")
    } else {
        ("Google goog.json", "google")
    };
    let row = |row: GoogleRow| {
        let claim = row.scope.as_deref().map(words::google_cloud);
        (row.network.0, claim.unwrap_or_else(words::google))
    };
    let date = date_of(&feed.creation_time).unwrap_or(told.date);
    Ok(Feed {
        source: source(name, feed.sync_token, date),
        scope: Scope {
            cloud: "gcp".into(),
            network: network.into(),
            ..Scope::default()
        },
        rows: feed.prefixes.into_iter().map(row).collect(),
        zones: Vec::new(),
        passed_over: 0,
    })
}

#[derive(Deserialize)]
struct Oci {
    last_updated_timestamp: String,
    regions: Vec<OciRegion>,
}

#[derive(Deserialize)]
struct OciRegion {
    region: String,
    cidrs: Vec<OciRow>,
}

#[derive(Deserialize)]
struct OciRow {
    cidr: Network,
    #[serde(default)]
    tags: Vec<String>,
}

fn oci(feed: Oci, told: &Told<'_>) -> Feed {
    let mut rows = Vec::new();
    for OciRegion { region, cidrs } in feed.regions {
        rows.extend(cidrs.into_iter().map(|row| {
            let claim = words::oci(&region, &row.tags.join(",")).unwrap_or_else(|_| Claim {
                network: word(&row.tags.join("-")),
                cloud: "oci".into(),
                region: word(&region),
                ..Claim::new(0, TagKind::Network)
            });
            (row.cidr.0, claim)
        }));
    }
    let date = date_of(&feed.last_updated_timestamp).unwrap_or(told.date);
    Feed {
        source: source(
            "OCI public_ip_ranges",
            feed.last_updated_timestamp.clone(),
            date,
        ),
        scope: Scope {
            cloud: "oci".into(),
            ..Scope::default()
        },
        rows,
        zones: Vec::new(),
        passed_over: 0,
    }
}

#[derive(Deserialize)]
struct Fastly {
    addresses: Vec<Network>,
    ipv6_addresses: Vec<Network>,
}

fn fastly(feed: Fastly, told: &Told<'_>) -> Feed {
    let networks = feed.addresses.into_iter().chain(feed.ipv6_addresses);
    of_front(
        "Fastly public-ip-list",
        "fastly",
        String::new(),
        networks,
        told,
    )
}

#[derive(Deserialize)]
struct Cloudflare {
    result: CloudflareResult,
}

#[derive(Deserialize)]
struct CloudflareResult {
    #[serde(default)]
    etag: String,
    ipv4_cidrs: Vec<Network>,
    ipv6_cidrs: Vec<Network>,
}

fn cloudflare(feed: Cloudflare, told: &Told<'_>) -> Feed {
    let result = feed.result;
    let networks = result.ipv4_cidrs.into_iter().chain(result.ipv6_cidrs);
    of_front(
        "Cloudflare addresses",
        "cloudflare",
        result.etag,
        networks,
        told,
    )
}

fn of_front(
    name: &str,
    front: &str,
    version: String,
    networks: impl Iterator<Item = Network>,
    told: &Told<'_>,
) -> Feed {
    let claim = words::front(front);
    Feed {
        source: source(name, version, told.date),
        scope: Scope {
            front: front.into(),
            ..Scope::default()
        },
        rows: networks.map(|network| (network.0, claim.clone())).collect(),
        zones: Vec::new(),
        passed_over: 0,
    }
}

/// Parts of GitHub's list that clients talk to. The others are addresses from which GitHub calls, in clouds of others.
const GITHUB_PARTS: [&str; 6] = ["web", "api", "git", "packages", "pages", "importer"];

#[derive(Deserialize)]
struct Github {
    #[serde(flatten)]
    parts: BTreeMap<String, GithubPart>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GithubPart {
    Networks(Vec<String>),
    Other(IgnoredAny),
}

fn github(feed: Github, told: &Told<'_>) -> Feed {
    let mut rows = Vec::new();
    let mut passed_over = 0;
    for (part, value) in feed.parts {
        let GithubPart::Networks(networks) = value else {
            continue;
        };
        let claim = Claim {
            provider: "github".into(),
            service: format!("github-{part}"),
            ..Claim::new(0, TagKind::Service)
        };
        for network in networks {
            match network.parse::<Prefix>() {
                Ok(prefix) if GITHUB_PARTS.contains(&part.as_str()) => {
                    rows.push((prefix, claim.clone()));
                }
                // Lists of other things: keys, host names.
                Ok(_) => passed_over += 1,
                Err(_) => {}
            }
        }
    }
    Feed {
        source: source("GitHub meta", String::new(), told.date),
        scope: Scope::default(),
        rows,
        zones: Vec::new(),
        passed_over,
    }
}
