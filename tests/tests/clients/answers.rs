//! DNS names what does not name itself: over UDP and TCP, and by a stub on loopback.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Bed, PAUSE,
    common::PORT,
    programs::{self, skip},
    with_tool,
};

/// Longer than an answer without a time to live explains new connections.
const STALE: Duration = Duration::from_secs(12);

/// Four addresses of the far host, which has all of its network: one a case.
fn spare(far: &str) -> Result<Vec<String>> {
    let (network, _) = far.rsplit_once('.').context("an IPv4 address")?;
    let address = |nth| format!("{network}.{}", 200 + nth);
    Ok((0..4).map(address).collect())
}

/// A connection on which something has been sent, and counted.
fn greeting(bed: &Bed, address: &str) -> Result<TcpStream> {
    let to = SocketAddr::new(address.parse()?, PORT);
    let mut stream = bed.net.near.run(|| TcpStream::connect(to))?;
    stream.write_all(b"hello\n")?;
    thread::sleep(PAUSE);
    Ok(stream)
}

#[test]
fn answers_name_what_does_not_name_itself() {
    with_tool("answers_name_what_does_not_name_itself", || {
        let bed = Bed::new("answers")?;
        let far = bed.server().ip().to_string();
        let addresses = spare(&far)?;
        let mut zones = vec!["dns", &far];
        zones.extend(addresses.iter().map(String::as_str));
        let _dns = bed.serve(&zones)?;
        let _sink = bed.serve(&["sink", &PORT.to_string()])?;
        let port = PORT.to_string();
        let banner = |address: &str| bed.tool(&["banner", address, &port]);
        let resolve = |arguments: &[&str]| {
            bed.tool(&[&["resolve", &far], arguments].concat())
                .map(drop)
        };
        // A chain of eight, over TCP in pieces.
        resolve(&["chain.example", "A", "tcp"])?;
        let chain = banner(&addresses[0])?;
        // Two names of two services on one address.
        resolve(&["api.openai.com"])?;
        banner(&addresses[1])?;
        resolve(&["api.mistral.ai"])?;
        let two = banner(&addresses[1])?;
        // No time to live, and the hint of a service.
        resolve(&["api.groq.com"])?;
        let answered = Instant::now();
        let short = banner(&addresses[2])?;
        // A connection that is there before the answer is.
        let mut early = greeting(&bed, &addresses[3])?;
        resolve(&["api.anthropic.com", "HTTPS"])?;
        let hint = banner(&addresses[3])?;
        early.write_all(b"hello again\n")?;
        let before = early.local_addr()?.port().to_string();
        drop(early);
        // Its time to live and the time after it are over: whose the address is now nobody knows.
        thread::sleep((answered + STALE).saturating_duration_since(Instant::now()));
        let stale = banner(&addresses[2])?;
        let records = bed.last_records()?;
        let at = |port: &str| {
            let port: u64 = port.trim().parse()?;
            records
                .iter()
                .find(|record| record["local_port"] == port)
                .with_context(|| format!("no record of port {port}"))
        };
        for (port, name, provider) in [
            (&chain, "chain.example", "amazon"),
            (&short, "api.groq.com", "groq"),
            (&hint, "api.anthropic.com", "anthropic"),
            (&before, "api.anthropic.com", "anthropic"),
        ] {
            let record = at(port)?;
            ensure!(
                record["server_name"] == name
                    && record["provider"] == provider
                    && record["basis"] == "dns"
                    && record["confidence"] == "likely",
                "{record}"
            );
        }
        let record = at(&stale)?;
        ensure!(
            record["server_name"].is_null() && record["basis"] == "address",
            "{record}"
        );
        // Both answers came before the second connection; the first may have been recorded between them.
        let record = at(&two)?;
        let evidence = record["evidence"].as_str().unwrap_or_default();
        ensure!(
            record["confidence"] == "ambiguous"
                && record["basis"] == "address"
                && evidence.contains("api.openai.com")
                && evidence.contains("api.mistral.ai"),
            "{record}"
        );
        Ok(())
    });
}

#[test]
fn a_stub_on_loopback_is_read_for_names() {
    with_tool("a_stub_on_loopback_is_read_for_names", || {
        if !programs::is_there("dnsmasq") {
            skip("a_stub_on_loopback_is_read_for_names", "dnsmasq");
            return Ok(());
        }
        let bed = Bed::new("stub")?;
        let far = bed.server().ip().to_string();
        let addresses = spare(&far)?;
        let mut zones = vec!["dns", &far];
        zones.extend(addresses.iter().map(String::as_str));
        let _dns = bed.serve(&zones)?;
        let port = PORT.to_string();
        let _sink = bed.serve(&["sink", &port])?;
        bed.net.near.ip(&["link set lo up"])?;
        let mut stub = Command::new("dnsmasq");
        stub.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--no-daemon",
        ])
        .args([
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--pid-file=",
        ])
        .arg(format!("--server={far}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        let _stub = bed.net.near.spawn(stub)?;
        thread::sleep(PAUSE);
        bed.tool(&["resolve", "127.0.0.1", "api.groq.com"])?;
        let local_port: u64 = bed
            .tool(&["banner", &addresses[2], &port])?
            .trim()
            .parse()?;
        let records = bed.last_records()?;
        let record = records
            .iter()
            .find(|record| record["local_port"] == local_port);
        let record = record.context("no record of the connection")?;
        ensure!(
            record["server_name"] == "api.groq.com" && record["basis"] == "dns",
            "{record}"
        );
        // What passes loopback is in no record.
        let loopback = |record: &&Value| record["remote_address"] == "127.0.0.1";
        ensure!(
            !records.iter().any(|record| loopback(&record)),
            "loopback is counted"
        );
        Ok(())
    });
}
