//! The providers' own SDKs against a local server, and what is read of each: `cargo xtask setup sdks e2e`, then
//! `cargo xtask test --group requests`. Right is what has the method, template and class that the table of requests has for what
//! the server was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use observer_core::{
    identify::{
        name::NameTable,
        route::{Request, RouteTable},
    },
    model::host_name::HostName,
};
use observer_tests::maps;
use serde_json::Value;

use super::{
    AWS_US_EAST_1, Bed, OPENAI, TIMEOUT, http2, number,
    secrets::{CANARY, none_has_it, none_says_it},
    server, text, tool, with_python,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests");
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/tools/sdks/bin/python3"
);
/// Of Debian 11 and 13.
const OPENSSL_1_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/openssl-1.1");
const GO_1_24: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/tools/go-1.24/usr/lib/go-1.24"
);
pub const NAMES: [&str; 7] = [
    OPENAI,
    "acme.openai.azure.com",
    "api.anthropic.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "bedrock-agent-runtime.us-east-1.amazonaws.com",
    "generativelanguage.googleapis.com",
    "end.example",
];
const PYTHONS: [&str; 13] = [
    "openai",
    "openai_async",
    "realtime",
    "azure",
    "anthropic",
    "boto3",
    "genai",
    "requests",
    "httpx",
    "httpx_http2",
    "openai_http2",
    "aiohttp",
    // BoringSSL.
    "curl_cffi",
];
/// What those that are no SDK ask for; a key is in the first one's query.
fn paths() -> [String; 4] {
    [
        format!("/v1/responses?key={CANARY}"),
        "/v1/embeddings".to_owned(),
        "/v1/files".to_owned(),
        "/v1/nowhere".to_owned(),
    ]
}

fn key() -> String {
    format!("Authorization: Bearer {CANARY}")
}

/// By which the test knows that all connections before have ended.
const END: &str = "/end";

/// What a client asked for, and how it was read.
#[derive(Debug, Default)]
struct Tally {
    made: u64,
    right: u64,
    wrong: Vec<String>,
}

/// Method and template, class.
type Kind = (String, String);

#[test]
fn sdks_are_typed_right() {
    with_python("sdks_are_typed_right", || {
        if !Path::new(PYTHON).exists() {
            println!(
                "skipped: sdks_are_typed_right: no `target/tools/sdks`; `cargo xtask setup sdks` brings it"
            );
            return Ok(());
        }
        let before = maps::newest();
        let mut bed = Bed::new("tick: 500ms\n")?;
        let clients = clients(&bed)?;
        let mut asked: Vec<(String, Vec<Value>)> = Vec::new();
        for (label, command) in &clients {
            // A program is read from its second run on, if it ends within a second.
            for is_counted in [false, true] {
                run(&bed, command)?;
                std::thread::sleep(Duration::from_millis(1_500));
                let ended = ended(&mut bed)?;
                if is_counted {
                    asked.push((label.clone(), ended));
                }
            }
        }
        let coded = http2::coded(CANARY)?;
        none_has_it(&maps::contents(before)?, &coded)?;
        let (metrics, said) = (bed.agent.metrics()?, bed.agent.said().join("\n"));
        let records = bed.agent.stop()?;
        none_says_it(&metrics, &said, &records)?;
        let (names, routes) = (NameTable::embedded()?, RouteTable::embedded()?);
        let mut failed = Vec::new();
        println!("| client | made | right | unknown | wrong |\n|---|---|---|---|---|");
        for (label, connections) in &asked {
            let mut tally = Tally::default();
            for connection in connections {
                compare(&mut tally, connection, &records, (&names, &routes))?;
            }
            let Tally { made, right, wrong } = &tally;
            let unknown = made.saturating_sub(right + wrong.len() as u64);
            println!(
                "| {label} | {made} | {right} | {unknown} | {} |",
                wrong.len()
            );
            if !wrong.is_empty() || right * 100 < made * 99 || *made == 0 {
                failed.push(format!("{label}: {tally:?}"));
            }
        }
        ensure!(failed.is_empty(), "{failed:#?}");
        Ok(())
    });
}

/// Each client with its program and arguments.
fn clients(bed: &Bed) -> Result<Vec<(String, Vec<String>)>> {
    let script = |name: &str| format!("{FOLDER}/{name}");
    let mut clients = Vec::new();
    for name in PYTHONS {
        let command = words(&[PYTHON, &script("sdk.py"), name]);
        clients.push((format!("Python {name}"), command));
    }
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if is_there("node") {
        for name in ["https", "fetch", "http2"] {
            clients.push((
                format!("node {name}"),
                words(&["node", &script("client.js"), name]),
            ));
        }
    }
    if is_there("curl") {
        curls(bed, &mut clients)?;
    }
    // Debian's is GnuTLS's.
    if is_there("wget") {
        let trusted = format!("--ca-certificate={}", bed.path("certificate.pem").display());
        let (body, header) = (
            format!("--post-data={CANARY}"),
            format!("--header={}", key()),
        );
        let mut command = words(&["wget", "-q", "-O", "/dev/null", &body, &header, &trusted]);
        command.extend(paths().map(|path| format!("https://{OPENAI}{path}")));
        clients.push(("wget".to_owned(), command));
    }
    // Its curl is GnuTLS's too, and the answer is not what it wants.
    if is_there("git") {
        let ask =
            format!("git -c http.sslVerify=false ls-remote https://{OPENAI}/v1/files || true");
        clients.push(("git".to_owned(), words(&["sh", "-c", &ask])));
    }
    if Path::new(OPENSSL_1_1).exists() {
        clients.push(("OpenSSL 1.1".to_owned(), s_client(bed)));
    }
    if Command::new("go").arg("version").output().is_ok() {
        gos(bed, "Go", Path::new("go"), &mut clients)?;
    }
    let recent = Path::new(GO_1_24).join("bin/go");
    if recent.exists() {
        gos(bed, "Go 1.24", &recent, &mut clients)?;
    }
    Ok(clients)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Requests that `s_client` sends as they come from its standard input, on one connection.
fn s_client(bed: &Bed) -> Vec<String> {
    let (key, length) = (key(), CANARY.len());
    let requests = paths()
        .map(|path| {
            let head = format!(
                "POST {path} HTTP/1.1\\r\\nHost: {OPENAI}\\r\\n{key}\\r\\nContent-Length: {length}"
            );
            format!("printf '{head}\\r\\n\\r\\n{CANARY}'; sleep 0.5;")
        })
        .concat();
    // The machine's own configuration is for another version.
    let program = format!(
        "OPENSSL_CONF=/dev/null LD_LIBRARY_PATH={OPENSSL_1_1}/usr/lib/{ARCH}-linux-gnu \
         {OPENSSL_1_1}/usr/bin/openssl s_client -quiet -no_ign_eof -verify_return_error \
         -CAfile {} -connect {OPENAI}:443 -servername {OPENAI}",
        bed.path("certificate.pem").display()
    );
    let script = format!("{{ sleep 1; {requests} }} | {program}");
    words(&["sh", "-c", &script])
}

/// What a Go makes of the client, for debuggers and stripped, with both versions of HTTP.
fn gos(bed: &Bed, label: &str, go: &Path, clients: &mut Vec<(String, Vec<String>)>) -> Result<()> {
    for (kind, flags) in [("", ""), (", stripped", "-s -w")] {
        let label = format!("{label}{kind}");
        let program = bed.path(&label.replace([' ', ','], "-"));
        let built = Command::new(go)
            .args(["build", "-ldflags", flags, "-o"])
            .arg(&program)
            .arg(format!("{FOLDER}/client.go"))
            .env("GOFLAGS", "-mod=mod")
            .env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache"))
            .env("GO111MODULE", "off")
            .env("GOTOOLCHAIN", "local")
            .output()?;
        ensure!(
            built.status.success(),
            "{label}: {}",
            String::from_utf8_lossy(&built.stderr)
        );
        let program = program.display().to_string();
        for version in ["h1", "h2"] {
            let command = vec![program.clone(), version.to_owned()];
            clients.push((format!("{label}, {version}"), command));
        }
    }
    Ok(())
}

/// Both versions, and bodies for which a socket has no room.
fn curls(bed: &Bed, clients: &mut Vec<(String, Vec<String>)>) -> Result<()> {
    let url = |path: String| format!("https://{OPENAI}{path}");
    let [one, other, files, _] = paths().map(url);
    for version in ["--http1.1", "--http2"] {
        let mut command = words(&["curl"]);
        for (nth, url) in [&one, &other, &one].into_iter().enumerate() {
            if nth > 0 {
                command.push("--next".to_owned());
            }
            command.extend(words(&["-sS", version, "-H", &key(), "-d", CANARY]));
            command.extend(words(&["-o", "/dev/null", url]));
        }
        clients.push((format!("curl {version}"), command));
    }
    let file = bed.path("upload");
    fs::write(&file, vec![b'{'; 20 << 20])?;
    let file = format!("@{}", file.display());
    let mut command = words(&["curl"]);
    for (nth, (url, body)) in [
        (&files, file.as_str()),
        (&one, CANARY),
        (&files, &file),
        (&other, CANARY),
    ]
    .into_iter()
    .enumerate()
    {
        if nth > 0 {
            command.push("--next".to_owned());
        }
        command.extend(words(&[
            "-sS",
            "--http2",
            "--data-binary",
            body,
            "-o",
            "/dev/null",
            url,
        ]));
    }
    clients.push(("curl --http2, 20 MiB".to_owned(), command));
    Ok(())
}

/// Runs a client whose names all lead to the server.
fn run(bed: &Bed, client: &[String]) -> Result<()> {
    let hosts = bed.path("hosts");
    let lines: Vec<String> = NAMES
        .iter()
        .map(|name| format!("{AWS_US_EAST_1} {name}\n"))
        .collect();
    fs::write(&hosts, format!("127.0.0.1 localhost\n{}", lines.concat()))?;
    let certificate = bed.path("certificate.pem");
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
    ]);
    command.arg(&hosts).args(client);
    for name in [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "AWS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "CURL_CA_BUNDLE",
    ] {
        command.env(name, &certificate);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("CANARY", CANARY);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = bed.net.near.spawn(command)?.output(TIMEOUT)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{client:?}: {}", error.trim());
    if !error.trim().is_empty() {
        println!("{client:?}: {}", error.trim());
    }
    Ok(())
}

/// The connections that have ended since the last call.
fn ended(bed: &mut Bed) -> Result<Vec<Value>> {
    let mut command = tool();
    command.args([
        "talk",
        &server(AWS_US_EAST_1),
        "end.example",
        &format!("GET {END}"),
    ]);
    let output = bed.net.near.spawn(command)?.output(TIMEOUT)?;
    ensure!(output.status.success(), "the last request");
    let mut all = Vec::new();
    loop {
        let noted = bed.noted()?;
        if noted["requests"][0]["target"] == END {
            return Ok(all);
        }
        all.push(noted);
    }
}

/// A connection's own: of several that had its port one after the other, the one that sent what the server has of it, or the most
/// like it.
fn records_of<'r>(connection: &Value, records: &'r [Value]) -> Vec<&'r Value> {
    let has_port = |record: &&&Value| record["local_port"] == connection["port"];
    let all: Vec<&Value> = records.iter().filter(|record| has_port(&record)).collect();
    let flow = |record: &Value| text(record, "flow_id").to_owned();
    let flows: BTreeSet<String> = all.iter().map(|record| flow(record)).collect();
    let taken = number(connection, "taken");
    // The last alert of a connection that the client has closed may not have been taken any more.
    let missing = |id: &&String| {
        let of_it = all.iter().filter(|record| flow(record) == **id);
        let sent = of_it.map(|record| number(record, "payload_bytes_egress_since_start"));
        sent.max().unwrap_or_default().abs_diff(taken)
    };
    let own = flows.iter().min_by_key(missing);
    all.into_iter()
        .filter(|record| Some(&flow(record)) == own)
        .collect()
}

fn compare(
    tally: &mut Tally,
    connection: &Value,
    records: &[Value],
    (names, routes): (&NameTable, &RouteTable),
) -> Result<()> {
    let own = records_of(connection, records);
    let asked = connection["requests"].as_array().context("no requests")?;
    let name = own.iter().find_map(|record| record["server_name"].as_str());
    let name = name.with_context(|| format!("without a name: {connection}: {own:?}"))?;
    let host = HostName::from_wire(name.as_bytes())?;
    let host = names.identify(&host).unwrap_or_default();
    let mut expected: BTreeMap<Kind, u64> = BTreeMap::new();
    for request in asked {
        let target = text(request, "target");
        let method = text(request, "method");
        let request = Request {
            method,
            path: target.split('?').next().unwrap_or_default(),
            is_cut: false,
        };
        let typed = routes.typed(&request).context("a method")?;
        let route = typed.on(&host);
        let template = route.map_or("-", |route| route.template.as_str());
        let state = route.map_or("unknown", |route| route.kind.state.word());
        *expected
            .entry((format!("{method} {template}"), state.to_owned()))
            .or_default() += 1;
    }
    let mut found: BTreeMap<Kind, u64> = BTreeMap::new();
    for record in own.iter().filter(|record| !record["method"].is_null()) {
        let key = format!("{} {}", text(record, "method"), text(record, "route"));
        let key = (key, text(record, "api_state").to_owned());
        *found.entry(key).or_default() += number(record, "requests");
    }
    for (kind, count) in &expected {
        tally.made += count;
        tally.right += found.get(kind).map_or(0, |found| *found.min(count));
    }
    for (kind, count) in &found {
        let more = count.saturating_sub(expected.get(kind).copied().unwrap_or_default());
        tally
            .wrong
            .extend((0..more).map(|_| format!("{name}: {kind:?} instead of {expected:?}")));
    }
    Ok(())
}

impl Bed {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
