//! What naming costs on one core: `cargo run --release -p observer-core --example identify_cost`.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a hello made here is short"
)]

use std::{hint::black_box, net::IpAddr, time::Instant};

use observer_core::{
    decode::hello::{Hello, client_hello},
    identify::{address::AddressTable, name::NameTable},
    model::{host_name::HostName, signal::AskedBy},
};

const ROUNDS: usize = 2_000_000;

/// As hosts see them: object storage, models, databases, and names that nobody knows.
const NAMES: [&str; 12] = [
    "api.openai.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "my-bucket.s3.eu-west-1.amazonaws.com",
    "acct.blob.core.windows.net",
    "me.openai.azure.com",
    "us-central1-aiplatform.googleapis.com",
    "storage.googleapis.com",
    "github.com",
    "checkout.payments.example.com",
    "d111111abcdef8.cloudfront.net",
    "registry-1.docker.io",
    "db-1.internal.example",
];

fn main() {
    let start = Instant::now();
    let names = NameTable::embedded().expect("the embedded table is whole");
    println!(
        "name table        {:>9.1} ms to load, {} patterns, {} services of AWS",
        ms(start),
        names.patterns(),
        names.aws_services()
    );
    let start = Instant::now();
    let addresses = AddressTable::embedded().expect("the embedded table is whole");
    println!(
        "address table     {:>9.1} ms to load, {} networks, {} bytes",
        ms(start),
        addresses.prefixes().len(),
        addresses.resident_bytes()
    );
    let hosts: Vec<HostName> = NAMES
        .iter()
        .map(|name| HostName::from_wire(name.as_bytes()).expect("a host name"))
        .collect();
    per_second("names", |nth| {
        black_box(names.identify(&hosts[nth % hosts.len()]));
    });
    let all: Vec<IpAddr> = addresses
        .prefixes()
        .step_by(7)
        .map(|(prefix, _)| std::net::Ipv6Addr::from(prefix.address()))
        .map(|address| address.to_ipv4_mapped().map_or(address.into(), Into::into))
        .collect();
    // Spread over the table, as no cache likes it.
    per_second("addresses", |nth| {
        black_box(addresses.lookup(all[nth.wrapping_mul(7_919) % all.len()]));
    });
    let hello = hello("api.openai.com");
    per_second("hellos", |_| {
        let read = client_hello(black_box(&hello), AskedBy::TlsHello);
        assert!(matches!(read, Hello::Whole(_)));
    });
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn per_second(what: &str, mut work: impl FnMut(usize)) {
    let start = Instant::now();
    for nth in 0..ROUNDS {
        work(nth);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what:<17} {:>9.2} million a second",
        ROUNDS as f64 / seconds / 1e6
    );
}

/// A hello with a name, two versions and key shares of 1,200 bytes.
fn hello(name: &str) -> Vec<u8> {
    let extension = |number: u16, data: &[u8]| {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        bytes
    };
    let length = name.len() as u16;
    let mut server_name = (length + 3).to_be_bytes().to_vec();
    server_name.push(0);
    server_name.extend(length.to_be_bytes());
    server_name.extend(name.as_bytes());
    let extensions = [
        extension(51, &[7; 1_200]),
        extension(43, &[4, 3, 4, 3, 3]),
        extension(0, &server_name),
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut message = (body.len() as u32).to_be_bytes().to_vec();
    message[0] = 1;
    message.extend(body);
    message
}
