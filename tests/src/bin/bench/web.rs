//! Requests over TLS 1.3: nginx on the far host, wrk and, for HTTP/2, h2load on the near one, over connections that are kept alive. It
//! knows no agent.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::{Process, scratch::Scratch};

use crate::ends::Ends;

const PORT: u16 = 443;
const ANSWER_BYTES: usize = 300;
const CONNECTIONS: u32 = 8;
/// Streams at the same time, of each connection of HTTP/2.
const STREAMS: u32 = 4;
const BODY_BYTES: usize = 200;
/// How long is asked.
const TIME: Duration = Duration::from_secs(6);
const TIMEOUT: Duration = Duration::from_secs(20);

/// A server with a certificate that it signed itself.
pub struct Server {
    address: String,
    _process: Process,
    directory: Scratch,
}

/// What wrk says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    pub requests: f64,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// What h2load says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streamed {
    pub requests: f64,
    pub per_second: f64,
    pub mean_us: f64,
}

impl Server {
    pub fn start(ends: &Ends) -> Result<Self> {
        let directory = Scratch::new("observer-bench-web-")?;
        let path = |name: &str| directory.path().join(name).display().to_string();
        let address = ends.net.far_address(4, PORT);
        let made = rcgen::generate_simple_self_signed([address.ip().to_string()])?;
        fs::write(path("certificate.pem"), made.cert.pem())?;
        fs::write(path("key.pem"), made.signing_key.serialize_pem())?;
        // One process, which ends with this one.
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {pid}; error_log {log};\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; keepalive_requests 1000000000;\n\
             server {{\n\
             listen {address} ssl http2; ssl_protocols TLSv1.3;\n\
             ssl_certificate {certificate}; ssl_certificate_key {key};\n\
             location / {{ return 200 {answer}; }}\n\
             }}\n\
             }}\n",
            pid = path("pid"),
            log = path("error.log"),
            certificate = path("certificate.pem"),
            key = path("key.pem"),
            answer = "a".repeat(ANSWER_BYTES),
        );
        fs::write(path("nginx.conf"), configuration)?;
        fs::write(path("body"), "b".repeat(BODY_BYTES))?;
        let mut command = Ends::far_program("nginx");
        command.args(["-c", &path("nginx.conf")]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let process = ends.net.far.spawn(command)?;
        let start = Instant::now();
        while ends.net.near.run(|| TcpStream::connect(address)).is_err() {
            if start.elapsed() > TIMEOUT {
                let said = fs::read_to_string(path("error.log")).unwrap_or_default();
                bail!("nginx does not serve after {TIMEOUT:?}: {}", said.trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            address: address.to_string(),
            _process: process,
            directory,
        })
    }

    /// As many requests as go, for [`TIME`].
    pub fn ask(&self, ends: &Ends) -> Result<Asked> {
        let mut command = ends.near_program("wrk");
        command
            .args(["-t1", &format!("-c{CONNECTIONS}"), "--latency"])
            .arg(format!("-d{}", TIME.as_secs()))
            .arg(format!("https://{}/v1/embeddings", self.address));
        let said = run(ends, command, TIME + TIMEOUT)?;
        Asked::read(&said).with_context(|| format!("wrk said `{}`", said.trim()))
    }

    /// The same with a body, as streams of HTTP/2.
    pub fn ask_streams(&self, ends: &Ends) -> Result<Streamed> {
        let body = self.directory.path().join("body").display().to_string();
        let mut command = ends.near_program("h2load");
        command
            .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-m{STREAMS}")])
            .args([&format!("--duration={}", TIME.as_secs()), "-d", &body])
            .arg(format!("https://{}/v1/embeddings", self.address));
        let said = run(ends, command, TIME + TIMEOUT)?;
        Streamed::read(&said).with_context(|| format!("h2load said `{}`", said.trim()))
    }
}

/// Runs a program of the near end; what it wrote to standard output.
pub fn run(ends: &Ends, mut command: Command, timeout: Duration) -> Result<String> {
    let text = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = ends.net.near.spawn(command)?.output(timeout)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}: {}", error.trim());
    Ok(String::from_utf8(output.stdout)?)
}

impl Asked {
    /// `None` also where requests failed.
    fn read(said: &str) -> Option<Self> {
        let after = |label: &str| {
            let mut lines = said.lines().map(str::trim);
            let rest = lines.find_map(|line| line.strip_prefix(label))?;
            rest.split_whitespace().next()
        };
        if said.contains("Socket errors:") || said.contains("Non-2xx") {
            return None;
        }
        let requests = said
            .lines()
            .find_map(|line| line.trim().split_once(" requests in "))?;
        Some(Self {
            requests: requests.0.parse().ok()?,
            per_second: after("Requests/sec:")?.parse().ok()?,
            p50_us: microseconds(after("50%")?)?,
            p99_us: microseconds(after("99%")?)?,
        })
    }
}

impl Streamed {
    /// `None` also where requests failed.
    fn read(said: &str) -> Option<Self> {
        let line = |label: &str| said.lines().find_map(|line| line.strip_prefix(label));
        let mut finished = line("finished in ")?.split(", ");
        let per_second = finished.nth(1)?.strip_suffix(" req/s")?;
        let (requests, rest) = line("requests: ")?.trim().split_once(" total, ")?;
        if !rest.contains(&format!("{requests} succeeded, 0 failed, 0 errored")) {
            return None;
        }
        let mut times = line("time for request:")?.split_whitespace();
        Some(Self {
            requests: requests.parse().ok()?,
            per_second: per_second.parse().ok()?,
            mean_us: microseconds(times.nth(2)?)?,
        })
    }
}

/// `134.00us`, `1.20ms` or `2.00s`.
fn microseconds(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let (number, unit) = units
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let said = "Running 6s test @ https://52.94.0.10:443/v1/embeddings\n  \
            1 threads and 8 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
            Latency   140.22us  110.00us   4.50ms   98.99%\n    \
            Req/Sec    55.00k     1.00k   57.00k    80.00%\n  \
            Latency Distribution\n     \
            50%  134.00us\n     75%  150.00us\n     90%  180.00us\n     99%    1.25ms\n  \
            338000 requests in 6.10s, 170.00MB read\n\
            Requests/sec:  55409.83\nTransfer/sec:     27.00MB\n";
        let asked = Asked {
            requests: 338_000.0,
            per_second: 55_409.83,
            p50_us: 134.0,
            p99_us: 1_250.0,
        };
        assert_eq!(Asked::read(said), Some(asked));
        assert_eq!(Asked::read(&said.replace("50%", "51%")), None);
        let failed = format!("{said}  Non-2xx or 3xx responses: 5\n");
        assert_eq!(Asked::read(&failed), None);
        let said = "finished in 6.00s, 24530.67 req/s, 1.96MB/s\n\
            requests: 147184 total, 147216 started, 147184 done, 147184 succeeded, 0 failed, 0 errored, 0 timeout\n\
            status codes: 147184 2xx, 0 3xx, 0 4xx, 0 5xx\n  \
            min         max         mean         sd        +/- sd\n\
            time for request:      109us      5.96ms       324us       120us    91.47%\n";
        let streamed = Streamed {
            requests: 147_184.0,
            per_second: 24_530.67,
            mean_us: 324.0,
        };
        assert_eq!(Streamed::read(said), Some(streamed));
        assert_eq!(
            Streamed::read(&said.replace("147184 succ", "147183 succ")),
            None
        );
        assert_eq!(microseconds("2.00s"), Some(2e6));
        assert_eq!(microseconds("2.00m"), None);
    }
}
