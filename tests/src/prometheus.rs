//! A real Prometheus inside a host of the testbed, and what one asks it. It scrapes what its configuration names, on that
//! host's loopback; its data and its process go with it. It knows no metric.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{host::Host, http, process::Process};

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// Free, because the host is new.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
const PREFIX: &str = "prometheus-";

/// Where `cargo xtask setup e2e` puts Prometheus' own programs; `None` with a printed reason where `name` is not there.
#[must_use]
pub fn program(test: &str, name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tools/prometheus/usr/bin")
        .join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("SKIP: {test}: no `{name}`: run `cargo xtask setup e2e`");
    None
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    host: Host,
    process: Process,
    directory: PathBuf,
}

/// One series of an answer, with its samples as (time, value).
#[derive(Clone, Debug)]
pub struct Series {
    pub labels: serde_json::Map<String, Value>,
    pub samples: Vec<(f64, f64)>,
}

impl Series {
    /// A label's value, empty where there is none.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The last sample's value.
    #[must_use]
    pub fn last(&self) -> f64 {
        self.samples.last().map_or(f64::NAN, |(_, value)| *value)
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Value>,
}

impl Prometheus {
    /// Starts `program` inside `host` with `configuration`, its data in a new directory below `folder`; returns once it
    /// is ready.
    pub fn start(host: &Host, program: &Path, folder: &Path, configuration: &str) -> Result<Self> {
        let directory = directory(folder)?;
        let process = spawn(host, program, &directory, configuration).inspect_err(|_| {
            let _ = fs::remove_dir_all(&directory);
        })?;
        let mut prometheus = Self {
            host: host.clone(),
            process,
            directory,
        };
        prometheus.await_ready()?;
        Ok(prometheus)
    }

    fn await_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if get(&self.host, ADDRESS, "/-/ready").is_ok() {
                return Ok(());
            }
            let ended = self.process.wait(Duration::ZERO).is_ok();
            if ended || start.elapsed() > TIMEOUT {
                let said = fs::read_to_string(self.directory.join("said")).unwrap_or_default();
                bail!("Prometheus is not ready: {}", said.trim());
            }
            std::thread::sleep(POLL);
        }
    }

    /// The value of `expression` now.
    pub fn query(&self, expression: &str) -> Result<Vec<Series>> {
        let answer = self.api(&format!("query?query={}", encoded(expression)))?;
        series(&answer, expression)
    }

    /// The value of `expression` at `time`, in seconds since the epoch.
    pub fn query_at(&self, expression: &str, time: f64) -> Result<Vec<Series>> {
        let answer = self.api(&format!("query?query={}&time={time}", encoded(expression)))?;
        series(&answer, expression)
    }

    /// The curve of `expression` over the last `seconds`, one sample a second.
    pub fn curve(&self, expression: &str, seconds: u32) -> Result<Vec<Series>> {
        let end = self.now()?;
        let start = end - f64::from(seconds);
        let query = encoded(expression);
        let answer = self.api(&format!(
            "query_range?query={query}&start={start}&end={end}&step=1"
        ))?;
        series(&answer, expression)
    }

    /// Prometheus' own clock.
    pub fn now(&self) -> Result<f64> {
        let answer = self.api("query?query=time()")?;
        number(&answer["result"][1])
    }

    /// The `data` of an answer of `/api/v1/...`.
    pub fn api(&self, path: &str) -> Result<Value> {
        let body = get(&self.host, ADDRESS, &format!("/api/v1/{path}"))?;
        let answer: Answer =
            serde_json::from_str(&body).with_context(|| format!("read the answer `{body}`"))?;
        match (answer.status.as_str(), answer.data) {
            ("success", Some(data)) => Ok(data),
            (status, _) => bail!("`{path}`: {status}: {}", answer.error.unwrap_or_default()),
        }
    }

    /// Asks `expression` until `enough`, at most `timeout`.
    pub fn await_query(
        &self,
        expression: &str,
        timeout: Duration,
        enough: impl Fn(&[Series]) -> bool,
    ) -> Result<Vec<Series>> {
        let start = Instant::now();
        loop {
            let found = self.query(expression)?;
            if enough(&found) {
                return Ok(found);
            }
            ensure!(
                start.elapsed() < timeout,
                "`{expression}` does not come to what was waited for; last {found:?}"
            );
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It would go on writing while the directory goes.
        let _ = self.process.signal(nix::sys::signal::Signal::SIGKILL);
        let _ = self.process.wait(TIMEOUT);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn spawn(host: &Host, program: &Path, directory: &Path, configuration: &str) -> Result<Process> {
    let file = directory.join("prometheus.yaml");
    fs::write(&file, configuration).with_context(|| format!("write `{}`", file.display()))?;
    let said = File::create(directory.join("said"))
        .with_context(|| format!("write in `{}`", directory.display()))?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.join("data").display()
        ))
        .arg(format!("--web.listen-address={ADDRESS}"))
        .arg("--log.level=warn")
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said);
    host.spawn(command)
}

/// The body of what `address` answers to GET `path`, asked inside `host`; anything but 200 is an error.
fn get(host: &Host, address: SocketAddr, path: &str) -> Result<String> {
    let answer = host.run(|| http::get(address, path))?;
    // Prometheus' errors are in its JSON.
    ensure!(
        answer.status == 200 || answer.body.starts_with("{\"status\":\"error\""),
        "`{path}`: {answer:?}"
    );
    Ok(answer.body)
}

fn series(answer: &Value, expression: &str) -> Result<Vec<Series>> {
    let kind = answer["resultType"].as_str().unwrap_or_default();
    let rows = answer["result"].as_array().context("no result")?;
    if kind == "scalar" {
        return Ok(vec![Series {
            labels: serde_json::Map::new(),
            samples: vec![sample(&answer["result"])?],
        }]);
    }
    rows.iter()
        .map(|row| {
            let labels = row["metric"].as_object().cloned().unwrap_or_default();
            let samples = match kind {
                "vector" => vec![sample(&row["value"])?],
                "matrix" => row["values"]
                    .as_array()
                    .context("no values")?
                    .iter()
                    .map(sample)
                    .collect::<Result<_>>()?,
                other => bail!("`{expression}` gives `{other}`"),
            };
            Ok(Series { labels, samples })
        })
        .collect()
}

fn sample(pair: &Value) -> Result<(f64, f64)> {
    Ok((pair[0].as_f64().context("no time")?, number(&pair[1])?))
}

fn number(text: &Value) -> Result<f64> {
    let text = text.as_str().context("no number")?;
    // Rust reads `+Inf` and `NaN` as Prometheus writes them.
    text.parse().with_context(|| format!("number `{text}`"))
}

/// For a query string (RFC 3986): all but unreserved characters.
#[must_use]
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `folder/prometheus-<pid>-<n>`; those of dead runs are removed.
fn directory(folder: &Path) -> Result<PathBuf> {
    static COUNTER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let counter = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = folder.join(format!("{PREFIX}{}-{counter}", std::process::id()));
    fs::create_dir(&path).with_context(|| format!("make `{}`", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_series() {
        let vector = serde_json::json!({"resultType": "vector", "result": [
            {"metric": {"cloud": "aws"}, "value": [1.5, "+Inf"]},
        ]});
        let found = series(&vector, "x").expect("a vector");
        assert_eq!(found[0].label("cloud"), "aws");
        assert_eq!(found[0].label("region"), "");
        assert_eq!(found[0].samples, [(1.5, f64::INFINITY)]);
        let matrix = serde_json::json!({"resultType": "matrix", "result": [
            {"metric": {}, "values": [[1, "2"], [2, "3"]]},
        ]});
        let found = series(&matrix, "x").expect("a matrix");
        assert_eq!(found[0].samples, [(1.0, 2.0), (2.0, 3.0)]);
        let text = serde_json::json!({"resultType": "string", "result": [1, "x"]});
        assert!(series(&text, "x").is_err());
    }

    #[test]
    fn queries_are_encoded_by_byte() {
        assert_eq!(
            encoded("a{b=~\"ü\"}[5m] + 1"),
            "a%7Bb%3D~%22%C3%BC%22%7D%5B5m%5D%20%2B%201"
        );
    }
}
