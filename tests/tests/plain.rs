//! Requests that nobody encrypts are typed on every kernel that the agent runs on, with bytes that are exactly theirs. Needs
//! neither Python nor a library: it runs in the guests of the matrix too.

mod common;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::guarded;
use ipnet::IpNet;
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, uplink},
    topology,
};

const ADDRESS: &str = "3.210.0.10:80";
const HOST: &str = "api.openai.com";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
/// Request, bytes of its body, and what it is. The first and the second are known by the kernel half, the third by the agent.
const KINDS: [(&str, usize, &str); 4] = [
    ("POST /v1/embeddings", 300, "POST /v1/embeddings"),
    ("GET /v1/files", 0, "GET /v1/files/**"),
    (
        "GET /v1/responses/resp_1",
        0,
        "GET /v1/responses/{response}/**",
    ),
    ("POST /v1/nowhere", 9, "POST -"),
];
const ROUNDS: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(30);

fn request(line: &str, body: usize) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {body}\r\n\r\n");
    [head.as_bytes(), &vec![b'b'; body]].concat()
}

#[test]
fn plain_requests_are_typed_with_exact_bytes() {
    guarded("plain_requests_are_typed_with_exact_bytes", || {
        let bed = Testbed::new("plain")?;
        let mut wire = Wire::default();
        wire.far_prefixes.push("3.210.0.0/16".parse::<IpNet>()?);
        let net = topology::bridged(&bed, &wire)?;
        let agent = Agent::start(&[uplink(&net.near, net.near_device)], &["--tick", "0.5"])?;
        let address: SocketAddr = ADDRESS.parse()?;
        let listener = net.far.run(|| TcpListener::bind(address))?;
        let client = net.near.run(|| TcpStream::connect(address))?;
        let (server, _) = listener.accept()?;
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(TIMEOUT))?;
        }
        thread::scope(|scope| {
            let server = scope.spawn(|| serve(server));
            let talked = net.near.run(|| talk(client));
            talked.and(server.join().expect("no panic"))
        })?;
        let records = agent.stop()?;
        let mut found: BTreeMap<String, [u64; 3]> = BTreeMap::new();
        for record in records.iter().filter(|record| record["remote_port"] == 80) {
            let text = |field: &str| record[field].as_str().unwrap_or("-").to_owned();
            let number = |field: &str| record[field].as_u64().unwrap_or_default();
            let sum = found
                .entry(format!("{} {}", text("method"), text("route")))
                .or_default();
            sum[0] += number("payload_bytes_egress");
            sum[1] += number("payload_bytes_ingress");
            sum[2] += number("requests");
        }
        found.retain(|_, sum| *sum != [0; 3]);
        let expected: BTreeMap<String, [u64; 3]> = KINDS
            .iter()
            .map(|(line, body, route)| {
                let sent = request(line, *body).len() * ROUNDS;
                let sums = [sent, ANSWER.len() * ROUNDS, ROUNDS].map(|sum| sum as u64);
                ((*route).to_owned(), sums)
            })
            .collect();
        ensure!(found == expected, "{found:?} instead of {expected:?}");
        println!("{found:?}");
        Ok(())
    });
}

fn talk(mut stream: TcpStream) -> Result<()> {
    for _ in 0..ROUNDS {
        for (line, body, _) in KINDS {
            stream.write_all(&request(line, body))?;
            let mut answer = [0; ANSWER.len()];
            stream.read_exact(&mut answer)?;
        }
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<()> {
    for _ in 0..ROUNDS {
        for (line, body, _) in KINDS {
            let mut asked = vec![0; request(line, body).len()];
            stream.read_exact(&mut asked).context("a request")?;
            stream.write_all(ANSWER)?;
        }
    }
    Ok(())
}
