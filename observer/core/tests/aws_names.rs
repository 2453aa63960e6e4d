//! AWS's host names of another botocore version than the one that the table was made from. Takes its `endpoints.json` in
//! `OBSERVER_BOTOCORE_ENDPOINTS`, and is skipped without.

use std::{collections::BTreeMap, env, fs};

use observer_core::{identify::name::NameTable, model::host_name::HostName};
use serde_json::Value;

/// Names that are drawn.
const DRAWN: usize = 2_000;

#[test]
fn names_of_another_version_are_right() {
    let Ok(path) = env::var("OBSERVER_BOTOCORE_ENDPOINTS") else {
        println!("skipped: OBSERVER_BOTOCORE_ENDPOINTS names no endpoints.json of botocore");
        return;
    };
    let text = fs::read_to_string(&path).expect("the file can be read");
    let endpoints: Value = serde_json::from_str(&text).expect("the file is JSON");
    let hosts = hosts(&endpoints);
    let table = NameTable::embedded().expect("the embedded table is whole");
    let mut wrong = Vec::new();
    let mut state = 7_u64;
    let all: Vec<_> = hosts.iter().collect();
    for _ in 0..DRAWN {
        // A linear congruential generator (Knuth): the same names each time.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (host, expected) = all[(state >> 33) as usize % all.len()];
        let name = HostName::from_wire(host.as_bytes()).expect("a host name");
        let found = table.identify(&name).unwrap_or_default();
        let service = found.service.as_deref().unwrap_or("-").to_owned();
        let is_right = found.cloud.as_deref() == Some("aws")
            && found.provider.as_deref() == Some("amazon")
            && expected.services.contains(&service)
            && found.region.as_deref() == expected.region.as_deref()
            && found.is_fips == expected.fips;
        if !is_right {
            wrong.push(format!(
                "{host}: {expected:?}, found {service} {:?} fips {}",
                found.region, found.is_fips
            ));
        }
    }
    println!(
        "{} of {DRAWN} names right, of {} hosts",
        DRAWN - wrong.len(),
        all.len()
    );
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Debug, Default)]
struct Expected {
    services: Vec<String>,
    region: Option<String>,
    fips: bool,
}

/// Every host of the file, with the services that have it.
fn hosts(endpoints: &Value) -> BTreeMap<String, Expected> {
    let mut hosts: BTreeMap<String, Expected> = BTreeMap::new();
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    for partition in endpoints["partitions"].as_array().expect("partitions") {
        let regions = partition["regions"].as_object().expect("regions");
        let suffix = text(partition, "dnsSuffix").expect("a suffix");
        let template = text(&partition["defaults"], "hostname").expect("a template");
        for (key, service) in partition["services"].as_object().expect("services") {
            let own = text(&service["defaults"], "hostname").unwrap_or_else(|| template.clone());
            for (region, endpoint) in service["endpoints"].as_object().expect("endpoints") {
                // `fips-us-east-1` and the like are no regions: without a host name they stand for none.
                let is_region = regions.contains_key(region);
                let stated = text(endpoint, "hostname").or_else(|| is_region.then(|| own.clone()));
                let mut forms: Vec<String> = stated.into_iter().collect();
                for variant in endpoint["variants"].as_array().into_iter().flatten() {
                    forms.extend(text(variant, "hostname"));
                }
                for form in forms {
                    let host = form
                        .replace("{service}", key)
                        .replace("{region}", region)
                        .replace("{dnsSuffix}", &suffix);
                    if host.starts_with("ramus-gov-") {
                        // A dot is missing in the file's template; AWS has no such host.
                        continue;
                    }
                    let expected = hosts.entry(host.clone()).or_default();
                    expected.services.push(word(key));
                    if key == "bedrock" {
                        // The file has the hosts of both services under one key.
                        expected.services.push("bedrock-runtime".to_owned());
                    }
                    expected.fips = host.split('.').any(|label| {
                        label == "fips" || label.ends_with("-fips") || label.starts_with("fips-")
                    });
                    // What the name itself says; a pseudo-region of the file is none.
                    let said = regions.keys().filter(|region| {
                        host.split('.').any(|label| {
                            label == region.as_str() || label.ends_with(&format!("-{region}"))
                        })
                    });
                    expected.region = said.max_by_key(|region| region.len()).cloned();
                }
            }
        }
    }
    hosts
}

/// As the table's maker names services (docs/catalogue.md).
fn word(key: &str) -> String {
    let mut parts: Vec<&str> = key.strip_prefix("api.").unwrap_or(key).split('.').collect();
    parts.reverse();
    parts.join("-")
}
