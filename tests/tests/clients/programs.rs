//! How each client is called to ask for a name at an address. It starts none of them.

use std::{
    env,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

pub const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/tool.py");
const GO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/client.go");
const JAVA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/Client.java");
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/client.js");

/// Whom a client is to ask for, and how.
pub struct Ask<'a> {
    pub address: SocketAddr,
    pub name: &'a str,
    /// `1.2` or `1.3`
    pub version: &'a str,
    /// Where it may leave files.
    pub folder: &'a Path,
}

pub struct Client {
    pub name: &'static str,
    pub program: &'static str,
    pub versions: &'static [&'static str],
    pub command: fn(&Ask<'_>) -> Result<Vec<String>>,
    /// It ends with an error although it has asked.
    pub may_fail: bool,
}

impl Client {
    pub fn is_there(&self) -> bool {
        is_there(self.program)
    }
}

/// Says past the harness's capture that a test cannot run.
pub fn skip(test: &str, program: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "SKIP: {test}: `{program}` is not installed; `cargo xtask setup e2e` brings it"
    );
}

/// Whether a program is on the path.
pub fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The client that comes twice, the second time with the session of the first.
pub const RESUMED: &str = "resumed";

const BOTH: &[&str] = &["1.2", "1.3"];

pub const CLIENTS: &[Client] = &[
    Client {
        name: "openssl",
        program: "openssl",
        versions: BOTH,
        command: openssl,
        may_fail: false,
    },
    Client {
        name: RESUMED,
        program: "openssl",
        versions: BOTH,
        command: resumed,
        may_fail: false,
    },
    Client {
        name: "python",
        program: "python3",
        versions: BOTH,
        command: python,
        may_fail: false,
    },
    Client {
        name: "curl",
        program: "curl",
        versions: BOTH,
        command: curl,
        may_fail: false,
    },
    Client {
        name: "gnutls",
        program: "gnutls-cli",
        versions: BOTH,
        command: gnutls,
        may_fail: false,
    },
    Client {
        name: "wget",
        program: "wget",
        versions: BOTH,
        command: wget,
        may_fail: false,
    },
    Client {
        name: "nss",
        program: "tstclnt",
        versions: BOTH,
        command: nss,
        may_fail: true,
    },
    Client {
        name: "go",
        program: "go",
        versions: BOTH,
        command: go,
        may_fail: false,
    },
    Client {
        name: "node",
        program: "node",
        versions: BOTH,
        command: node,
        may_fail: false,
    },
    Client {
        name: "java",
        program: "java",
        versions: BOTH,
        command: java,
        may_fail: false,
    },
    // BoringSSL; it takes the version that it likes.
    Client {
        name: "chromium",
        program: "chromium",
        versions: &["1.3"],
        command: chromium,
        may_fail: true,
    },
];

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The shell asks for the page, so that the client has something to write.
#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn openssl(ask: &Ask<'_>) -> Result<Vec<String>> {
    let version = if ask.version == "1.2" {
        "-tls1_2"
    } else {
        "-tls1_3"
    };
    let script = format!(
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -connect {} -servername {} {version}",
        ask.address, ask.name
    );
    Ok(words(["sh", "-c", &script]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn resumed(ask: &Ask<'_>) -> Result<Vec<String>> {
    let session = ask.folder.join("session").display().to_string();
    let version = if ask.version == "1.2" {
        "-tls1_2"
    } else {
        "-tls1_3"
    };
    let client = format!(
        "openssl s_client -connect {} -servername {} {version}",
        ask.address, ask.name
    );
    // It says whether the second was resumed; with TLS 1.3 the session comes with the answer.
    let script = format!(
        "rm -f '{session}'; (printf 'GET / HTTP/1.0\r\n\r\n'; sleep 0.3) | {client} -sess_out '{session}' -ign_eof >/dev/null && \
         (printf 'GET / HTTP/1.0\r\n\r\n'; sleep 0.3) | {client} -sess_in '{session}' -ign_eof | grep -q '^Reused'"
    );
    Ok(words(["sh", "-c", &script]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn python(ask: &Ask<'_>) -> Result<Vec<String>> {
    let (host, port) = (ask.address.ip().to_string(), ask.address.port().to_string());
    Ok(words([
        "python3",
        TOOL,
        "tls",
        &host,
        &port,
        ask.name,
        ask.version,
    ]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn curl(ask: &Ask<'_>) -> Result<Vec<String>> {
    let port = ask.address.port();
    let resolve = format!("{}:{port}:{}", ask.name, ask.address.ip());
    let url = format!("https://{}:{port}/", ask.name);
    let version = format!("--tlsv{}", ask.version);
    Ok(words([
        "curl",
        "--silent",
        "--insecure",
        "--output",
        "/dev/null",
        "--resolve",
        &resolve,
        &version,
        "--tls-max",
        ask.version,
        &url,
    ]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn gnutls(ask: &Ask<'_>) -> Result<Vec<String>> {
    let script = format!(
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | gnutls-cli --insecure --sni-hostname {} --port {} --priority NORMAL:-VERS-ALL:+VERS-TLS{} {}",
        ask.name,
        ask.address.port(),
        ask.version,
        ask.address.ip()
    );
    Ok(words(["sh", "-c", &script]))
}

/// Knows no other way to an address than the hosts file, so it gets one of its own.
fn wget(ask: &Ask<'_>) -> Result<Vec<String>> {
    let hosts = ask.folder.join("hosts");
    std::fs::write(&hosts, format!("{} {}\n", ask.address.ip(), ask.name))
        .context("write `hosts`")?;
    let protocol = ask.version.replace('.', "_");
    let script = format!(
        "mount --bind '{}' /etc/hosts && exec wget --quiet --no-check-certificate --no-hsts --secure-protocol=TLSv{protocol} -O /dev/null https://{}:{}/",
        hosts.display(),
        ask.name,
        ask.address.port()
    );
    Ok(words(["unshare", "--mount", "sh", "-c", &script]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn nss(ask: &Ask<'_>) -> Result<Vec<String>> {
    let (host, port) = (ask.address.ip().to_string(), ask.address.port().to_string());
    let versions = format!("tls{0}:tls{0}", ask.version);
    Ok(words([
        "tstclnt", "-D", "-o", "-Q", "-h", &host, "-p", &port, "-a", ask.name, "-V", &versions,
    ]))
}

fn go(ask: &Ask<'_>) -> Result<Vec<String>> {
    let program: PathBuf = ask.folder.join("go-client");
    if !program.exists() {
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(GO)
            .env("GOFLAGS", "-mod=mod")
            .env("GO111MODULE", "off")
            .env("GOCACHE", ask.folder.join("go-cache"))
            .stdin(Stdio::null())
            .output()
            .context("start `go`")?;
        ensure!(
            built.status.success(),
            "go build: {}",
            String::from_utf8_lossy(&built.stderr)
        );
    }
    let program = program.to_string_lossy().into_owned();
    Ok(words([
        &program,
        &ask.address.to_string(),
        ask.name,
        ask.version,
    ]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn node(ask: &Ask<'_>) -> Result<Vec<String>> {
    let (host, port) = (ask.address.ip().to_string(), ask.address.port().to_string());
    Ok(words(["node", NODE, &host, &port, ask.name, ask.version]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn java(ask: &Ask<'_>) -> Result<Vec<String>> {
    let (host, port) = (ask.address.ip().to_string(), ask.address.port().to_string());
    Ok(words(["java", JAVA, &host, &port, ask.name, ask.version]))
}

#[expect(clippy::unnecessary_wraps, reason = "others write files first")]
fn chromium(ask: &Ask<'_>) -> Result<Vec<String>> {
    let rules = format!(
        "--host-resolver-rules=MAP {} {}",
        ask.name,
        ask.address.ip()
    );
    let profile = format!("--user-data-dir={}", ask.folder.join("chromium").display());
    let url = format!("https://{}:{}/", ask.name, ask.address.port());
    Ok(words([
        "timeout",
        "30",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--ignore-certificate-errors",
        &profile,
        &rules,
        "--dump-dom",
        &url,
    ]))
}
