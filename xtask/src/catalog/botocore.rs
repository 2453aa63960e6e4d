//! AWS's services by the labels of their host names, out of botocore's own endpoint tables and rule sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::File,
    io::Read as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use serde::Deserialize;

use super::wheel::Wheel;

const WHEELS: [Wheel; 3] = [
    Wheel {
        package: "botocore",
        version: "1.44.5",
        file: "botocore-1.44.5-py3-none-any.whl",
        sha256: "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921",
    },
    Wheel {
        package: "botocore",
        version: "1.37.0",
        file: "botocore-1.37.0-py3-none-any.whl",
        sha256: "d01661f38c0edac87424344cdf4169f3ab9bc1bf1b677c8b230d025eb66c54a3",
    },
    Wheel {
        package: "botocore",
        version: "1.34.0",
        file: "botocore-1.34.0-py3-none-any.whl",
        sha256: "6ec19f6c9f61c3df22fb3e083940ac7946a3d96128db1f370f10aea702bb157f",
    },
];
const ENDPOINTS: &str = "botocore/data/endpoints.json";
const RULES: &str = "endpoint-rule-set-1.json.gz";
/// One unpacked entry.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

#[derive(Deserialize)]
struct Endpoints {
    partitions: Vec<Partition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    dns_suffix: String,
    defaults: Defaults,
    services: BTreeMap<String, Service>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Defaults {
    hostname: Option<String>,
    #[serde(default)]
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variant {
    hostname: Option<String>,
    dns_suffix: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    defaults: Defaults,
    endpoints: BTreeMap<String, Defaults>,
}

/// The lines of the file: `aws-suffix` and `aws-service`. What a newer version has goes before what older ones have, which know
/// services that have been closed.
pub fn lines(folder: &Path) -> Result<String> {
    let mut suffixes = BTreeSet::new();
    let mut services = BTreeMap::new();
    for wheel in WHEELS {
        add(&wheel, folder, &mut suffixes, &mut services)
            .with_context(|| format!("read {} {}", wheel.package, wheel.version))?;
    }
    // Endpoints of functions have a domain of their own.
    suffixes.insert("on.aws".to_owned());
    let versions = WHEELS.map(|wheel| wheel.version).join(", ");
    let mut lines = format!(
        "# Names of AWS's services: the labels before region and suffix, and the service. Written by `cargo xtask catalog`\n\
         # from botocore {versions} (PyPI, Apache-2.0).\n"
    );
    for suffix in suffixes {
        writeln!(lines, "aws-suffix {suffix}")?;
    }
    for (labels, service) in services {
        writeln!(lines, "aws-service {labels} {service}")?;
    }
    Ok(lines)
}

fn add(
    wheel: &Wheel,
    folder: &Path,
    suffixes: &mut BTreeSet<String>,
    services: &mut BTreeMap<String, String>,
) -> Result<()> {
    let path = wheel.fetch(folder)?;
    let mut archive = zip::ZipArchive::new(File::open(&path)?)?;
    let mut text = String::new();
    archive.by_name(ENDPOINTS)?.read_to_string(&mut text)?;
    let endpoints: Endpoints =
        serde_json::from_str(&text).with_context(|| format!("read `{ENDPOINTS}`"))?;
    suffixes.extend(self::suffixes(&endpoints));
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for partition in &endpoints.partitions {
        for (key, service) in &partition.services {
            for host in hosts(partition, key, service) {
                let Some(labels) = labels(&host, suffixes) else {
                    continue;
                };
                if labels == *key {
                    found.insert(labels, word(key));
                } else {
                    // Of services that share a host the one with its name is it, else the first.
                    found.entry(labels).or_insert_with(|| word(key));
                }
            }
        }
    }
    for template in templates(&mut archive)? {
        if let Some(labels) = service_labels(&template) {
            let service = word(&labels);
            found.entry(labels).or_insert(service);
        }
    }
    for (labels, service) in found {
        services.entry(labels).or_insert(service);
    }
    Ok(())
}

fn suffixes(endpoints: &Endpoints) -> BTreeSet<String> {
    let mut suffixes = BTreeSet::new();
    for partition in &endpoints.partitions {
        suffixes.insert(partition.dns_suffix.clone());
        let variants = partition.defaults.variants.iter();
        suffixes.extend(variants.filter_map(|variant| variant.dns_suffix.clone()));
    }
    suffixes
}

/// Every host name that the tables give for a service, its region as `{region}`.
fn hosts(partition: &Partition, key: &str, service: &Service) -> Vec<String> {
    let mut hosts = Vec::new();
    let of = |defaults: &Defaults| {
        let own = defaults.hostname.iter().cloned();
        let variants = defaults.variants.iter();
        own.chain(variants.filter_map(|variant| variant.hostname.clone()))
            .collect::<Vec<String>>()
    };
    let mut templates = of(&partition.defaults);
    templates.extend(of(&service.defaults));
    for endpoint in service.endpoints.values() {
        templates.extend(of(endpoint));
    }
    for template in templates {
        hosts.push(
            template
                .replace("{service}", key)
                .replace("{dnsSuffix}", &partition.dns_suffix),
        );
    }
    hosts
}

/// The labels that name the service: without suffix, region, `dualstack` and `fips`.
fn labels(host: &str, suffixes: &BTreeSet<String>) -> Option<String> {
    let below = |suffix: &String| host.strip_suffix(suffix.as_str())?.strip_suffix('.');
    let longest = suffixes
        .iter()
        .filter_map(|suffix| Some((suffix.len(), below(suffix)?)));
    let (_, labels) = longest.max()?;
    service_labels(labels)
}

fn service_labels(labels: &str) -> Option<String> {
    let labels: Vec<&str> = labels
        .split('.')
        .filter(|label| !is_region(label) && *label != "dualstack" && *label != "fips")
        .map(|label| label.strip_suffix("-fips").unwrap_or(label))
        .map(|label| label.strip_prefix("fips-").unwrap_or(label))
        .collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    (!labels.is_empty() && labels.len() <= 3 && labels.iter().all(is_label))
        .then(|| labels.join("."))
}

fn is_region(label: &str) -> bool {
    let number = label.rsplit_once('-').map(|(_, number)| number);
    label == "{region}"
        || (label.matches('-').count() >= 2
            && number.is_some_and(|number| number.parse::<u8>().is_ok()))
}

/// A service's word: the table's key with `-` for dots, the product before its part: `runtime.sagemaker` is
/// `sagemaker-runtime`, `api.ecr` is `ecr`.
fn word(key: &str) -> String {
    let mut parts: Vec<&str> = key.strip_prefix("api.").unwrap_or(key).split('.').collect();
    parts.reverse();
    parts.join("-")
}

/// What stands before the region in the host names of the rule sets.
fn templates(archive: &mut zip::ZipArchive<File>) -> Result<BTreeSet<String>> {
    let names: Vec<String> = archive
        .file_names()
        .filter(|name| name.ends_with(RULES))
        .map(str::to_owned)
        .collect();
    let mut found = BTreeSet::new();
    for name in names {
        let mut text = String::new();
        GzDecoder::new(archive.by_name(&name)?)
            .take(UNPACKED_BYTES_MAX)
            .read_to_string(&mut text)
            .with_context(|| format!("unpack `{name}`"))?;
        for url in text.split("https://").skip(1) {
            let host: String = url.chars().take_while(|c| !"\"/".contains(*c)).collect();
            if let Some((labels, _)) = host.split_once(".{") {
                found.insert(labels.to_owned());
            }
        }
    }
    Ok(found)
}
