//! Addresses drawn from the providers' own feeds, looked up in the embedded table. Takes the folder with the feeds in
//! `OBSERVER_FEEDS`, and is skipped without: the files are the providers'.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    net::{IpAddr, Ipv6Addr},
    path::Path,
};

use observer_core::identify::{
    address::{AddressTable, EMBEDDED, format, prefix::Prefix},
    feed::{self, Told, merge},
};
use serde_json::Value;

/// Addresses that are drawn, and the share that has to be right.
const DRAWN: usize = 100_000;
const AIM_PER_MILLE: usize = 970;

/// One network of a feed.
struct Row {
    prefix: Prefix,
    cloud: &'static str,
    /// `None` for what is tied to no region.
    region: Option<String>,
}

#[test]
fn drawn_addresses_are_in_the_cloud_and_region_of_their_feed() {
    let Ok(folder) = env::var("OBSERVER_FEEDS") else {
        println!("skipped: OBSERVER_FEEDS names no folder with the providers' feeds");
        return;
    };
    let rows = rows(Path::new(&folder));
    let feeds = Feeds::new(&rows);
    let table = AddressTable::embedded().expect("the embedded table is whole");
    let mut outcomes: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut state = 11_u64;
    let mut right = 0;
    for _ in 0..DRAWN {
        // Every row is as likely as any other; inside it, every address.
        let row = &rows[usize::try_from(random(&mut state)).expect("64 bits") % rows.len()];
        let address = inside(row.prefix, &mut state);
        let expected = feeds.region(row.cloud, address);
        let found = table.address_identity(address);
        let own_front = match row.cloud {
            "aws" => "cloudfront",
            "azure" => "azurefrontdoor",
            _ => "",
        };
        let (cloud, region) = (found.cloud.as_deref(), found.region.as_deref());
        let outcome = if found.front.as_deref() == Some(own_front) {
            "right: its front, behind which cloud and region are not known".to_owned()
        } else if cloud != Some(row.cloud) {
            format!("cloud is {}", cloud.unwrap_or("not known"))
        } else if region.filter(|region| *region != "global") == expected.as_deref() {
            "right".to_owned()
        } else {
            match (&expected, region) {
                (None, Some(_)) => "the feed has no region, the table one".to_owned(),
                (Some(_), None | Some("global")) => {
                    "the feed has a region, the table none".to_owned()
                }
                (_, _) => "another region".to_owned(),
            }
        };
        right += usize::from(outcome.starts_with("right"));
        *outcomes.entry((row.cloud, outcome)).or_default() += 1;
    }
    println!("{right} of {DRAWN} right");
    for ((cloud, outcome), count) in &outcomes {
        println!("{cloud:6} {count:>6} {outcome}");
    }
    assert!(right * 1_000 >= DRAWN * AIM_PER_MILLE, "{right} of {DRAWN}");
}

#[test]
fn official_feeds_are_read_whole_and_put_into_the_table() {
    let Ok(folder) = env::var("OBSERVER_FEEDS") else {
        println!("skipped: OBSERVER_FEEDS names no folder with the providers' feeds");
        return;
    };
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut feeds = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let told = Told {
            name: &name,
            owner: None,
            date: "2026-11-25",
        };
        let bytes = fs::read(&file).expect("a feed can be read");
        let feed = feed::read(&bytes, &told).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!(
            "{} {} of {}: {} rows, {} passed over",
            feed.source.name,
            feed.source.version,
            feed.source.date,
            feed.rows.len(),
            feed.passed_over
        );
        feeds.push(feed);
    }
    assert!(feeds.len() >= 10, "{} feeds", feeds.len());
    let base = format::decode(EMBEDDED).expect("the embedded table is whole");
    let (contents, merged) = merge::merge(&base, feeds.clone(), 50).expect("all are taken");
    for one in merged {
        println!(
            "{}: {} rows before, {} now",
            one.name, one.before, one.after
        );
    }
    let file = format::encode(&contents);
    let table = AddressTable::from_bytes(&file).expect("what was encoded is whole");
    println!(
        "{} bytes, {} networks, {} tag sets",
        file.len(),
        table.prefixes().len(),
        table.tag_sets()
    );
    for (prefix, claim) in feeds.iter().flat_map(|feed| &feed.rows) {
        let address = Ipv6Addr::from(prefix.bits());
        let address = address
            .to_ipv4_mapped()
            .map_or(address.into(), IpAddr::from);
        let found = table.matches(address).find(|found| found.prefix == *prefix);
        let tags = found.map(|found| table.match_tags(found).collect::<Vec<_>>());
        let is_there = tags.unwrap_or_default().iter().any(|tag| {
            tag.cloud.unwrap_or_default() == claim.cloud
                && tag.region.unwrap_or_default() == claim.region
                && tag.service.unwrap_or_default() == claim.service
        });
        assert!(is_there, "{prefix} {claim:?}");
    }
}

/// A linear congruential generator (Knuth): the same addresses each time.
fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 32
}

fn inside(prefix: Prefix, state: &mut u64) -> IpAddr {
    let host_bits = 128 - u32::from(prefix.prefix_length());
    let mut host = 0_u128;
    for _ in 0..4 {
        host = host << 32 | u128::from(random(state) & 0xffff_ffff);
    }
    let mask = 1_u128
        .checked_shl(host_bits)
        .map_or(u128::MAX, |one| one - 1);
    let address = Ipv6Addr::from(prefix.bits() | (host & mask));
    address.to_ipv4_mapped().map_or(address.into(), Into::into)
}

/// Networks by cloud, length and bits, with the regions that the feed has for them.
struct Feeds<'r>(HashMap<(&'static str, u8, u128), Vec<&'r Row>>);

impl<'r> Feeds<'r> {
    fn new(rows: &'r [Row]) -> Self {
        let mut networks: HashMap<_, Vec<&Row>> = HashMap::new();
        for row in rows {
            let key = (row.cloud, row.prefix.prefix_length(), row.prefix.bits());
            networks.entry(key).or_default().push(row);
        }
        Self(networks)
    }

    /// By the stated precedence: the longest network that names a region.
    fn region(&self, cloud: &'static str, address: IpAddr) -> Option<String> {
        let bits = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        (0..=128_u8).rev().find_map(|length| {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let rows = self.0.get(&(cloud, length, bits & mask))?;
            let regions: Vec<&String> = rows.iter().filter_map(|row| row.region.as_ref()).collect();
            regions.first().map(|region| (*region).clone())
        })
    }
}

fn rows(folder: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for path in files {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let take: fn(&Value, &mut Vec<Row>) = match name.split('-').next() {
            Some("aws") => aws,
            Some("azure") => azure,
            Some("gcp") => gcp,
            Some("oracle") => oracle,
            _ => continue,
        };
        let text = fs::read_to_string(&path).expect("the feed can be read");
        take(
            &serde_json::from_str(&text).expect("the feed is JSON"),
            &mut rows,
        );
    }
    rows
}

fn push(rows: &mut Vec<Row>, cloud: &'static str, network: &Value, region: Option<&str>) {
    let network = network.as_str().expect("a network");
    let prefix = network.parse().expect(network);
    let region = region.map(str::to_lowercase);
    let region = region.filter(|region| !region.is_empty() && region != "global");
    rows.push(Row {
        prefix,
        cloud,
        region,
    });
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn aws(feed: &Value, rows: &mut Vec<Row>) {
    for (prefixes, key) in [("prefixes", "ip_prefix"), ("ipv6_prefixes", "ipv6_prefix")] {
        for row in list(&feed[prefixes]) {
            push(rows, "aws", &row[key], row["region"].as_str());
        }
    }
}

/// Names that the tags abbreviate (docs/catalogue.md).
const AZURE: [(&str, &str); 12] = [
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

fn azure(feed: &Value, rows: &mut Vec<Row>) {
    for tag in list(&feed["values"]) {
        let region = tag["properties"]["region"].as_str().map(|region| {
            let long = AZURE.iter().find(|(short, _)| *short == region);
            long.map_or(region, |(_, long)| long)
        });
        for network in list(&tag["properties"]["addressPrefixes"]) {
            push(rows, "azure", network, region);
        }
    }
}

fn gcp(feed: &Value, rows: &mut Vec<Row>) {
    for row in list(&feed["prefixes"]) {
        let network = match &row["ipv4Prefix"] {
            Value::Null => &row["ipv6Prefix"],
            network => network,
        };
        push(rows, "gcp", network, row["scope"].as_str());
    }
}

fn oracle(feed: &Value, rows: &mut Vec<Row>) {
    for region in list(&feed["regions"]) {
        for row in list(&region["cidrs"]) {
            push(rows, "oci", &row["cidr"], region["region"].as_str());
        }
    }
}
