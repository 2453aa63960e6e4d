//! The metadata services of four clouds, as strict as the real ones: without its token or header a request is refused.
//! It knows no agent; what it is asked is kept.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::host::Host;

/// Where every one of them answers.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const POLL: Duration = Duration::from_millis(5);
/// For a request's head.
const TIMEOUT: Duration = Duration::from_secs(5);
const HEAD_LINES_MAX: usize = 64;
const TOKEN: &str = "AQAEANPbsTWJZM8-VU3kXr_0aF8CXQ2Yk5zPQ==";

/// Whose service is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Aws,
    /// As an instance whose metadata service is switched off.
    AwsOff,
    Azure,
    Gcp,
    Oci,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET /latest/...`.
    pub line: String,
    pub status: u16,
}

/// A running service; ends when dropped.
#[derive(Debug)]
pub struct Metadata {
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Metadata {
    /// Serves at port 80 of [`ADDRESS`] in `host`, which must own that address.
    pub fn start(host: &Host, cloud: Cloud) -> Result<Self> {
        let address = SocketAddr::from((ADDRESS, 80));
        let listener = host
            .run(|| TcpListener::bind(address))
            .with_context(|| format!("cannot listen on `{address}` in host `{}`", host.name()))?;
        listener.set_nonblocking(true)?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("metadata".into())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    match listener.accept() {
                        // One after the other: a client that says nothing holds it for `TIMEOUT`.
                        Ok((stream, _)) => {
                            if let Ok(one) = serve(cloud, &stream) {
                                kept.lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .push(one);
                            }
                        }
                        Err(_) => std::thread::sleep(POLL),
                    }
                }
            })?;
        Ok(Self {
            asked,
            stop,
            thread: Some(thread),
        })
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

struct Reply {
    status: u16,
    headers: &'static str,
    body: String,
}

impl Reply {
    fn of(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: "Content-Type: text/plain\r\n",
            body: body.to_owned(),
        }
    }
}

fn serve(cloud: Cloud, stream: &TcpStream) -> io::Result<Asked> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = read(stream)?;
    let reply = reply(cloud, &request);
    let Reply {
        status,
        headers,
        body,
    } = &reply;
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        405 => "Not Allowed",
        _ => "Not Found",
    };
    let length = body.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(Asked {
        line: format!("{} {}", request.method, request.path),
        status: *status,
    })
}

fn read(stream: &TcpStream) -> io::Result<Request> {
    let mut lines = BufReader::new(stream).lines().take(HEAD_LINES_MAX);
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let first = lines.next().ok_or_else(broken)??;
    let mut words = first.split(' ');
    let (method, target) = words.next().zip(words.next()).ok_or_else(broken)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
    })
}

fn reply(cloud: Cloud, request: &Request) -> Reply {
    let is_forwarded = request.header("x-forwarded-for").is_some();
    match cloud {
        Cloud::AwsOff => html(403, "403 - Forbidden"),
        Cloud::Aws if request.method == "PUT" => aws_token(request, is_forwarded),
        Cloud::Aws if request.header("x-aws-ec2-metadata-token") != Some(TOKEN) => {
            html(401, "401 - Unauthorized")
        }
        Cloud::Aws => aws(&request.path),
        Cloud::Azure => azure(request, is_forwarded),
        Cloud::Gcp => gcp(request, is_forwarded),
        Cloud::Oci if request.header("authorization") != Some("Bearer Oracle") || is_forwarded => {
            html(403, "403 - Forbidden")
        }
        Cloud::Oci => oci(&request.path),
    }
}

fn html(status: u16, title: &str) -> Reply {
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>{title}</title></head></html>"
    );
    Reply {
        headers: "Content-Type: text/html\r\n",
        ..Reply::of(status, &page)
    }
}

fn aws_token(request: &Request, is_forwarded: bool) -> Reply {
    let ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds");
    let seconds = ttl.and_then(|text| text.parse::<u32>().ok());
    match (request.path.as_str(), seconds) {
        _ if is_forwarded => html(403, "403 - Forbidden"),
        ("/latest/api/token", Some(1..=21_600)) => Reply {
            headers: "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\nContent-Type: text/plain\r\n",
            ..Reply::of(200, TOKEN)
        },
        ("/latest/api/token", _) => html(400, "400 - Bad Request"),
        _ => html(405, "405 - Not Allowed"),
    }
}

fn aws(path: &str) -> Reply {
    match path {
        "/latest/dynamic/instance-identity/document" => Reply::of(
            200,
            r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "us-east-1d",
  "billingProducts" : null,
  "instanceId" : "i-1234567890abcdef0",
  "pendingTime" : "2026-11-19T16:32:11Z",
  "privateIp" : "10.0.0.2",
  "region" : "us-east-1",
  "version" : "2017-09-30"
}"#,
        ),
        "/latest/meta-data/placement/availability-zone-id" => Reply::of(200, "use1-az1"),
        "/latest/meta-data/placement/availability-zone" => Reply::of(200, "us-east-1d"),
        _ => html(404, "404 - Not Found"),
    }
}

fn azure(request: &Request, is_forwarded: bool) -> Reply {
    let json = |status, body: &str| Reply {
        headers: "Content-Type: application/json; charset=utf-8\r\n",
        ..Reply::of(status, body)
    };
    let is_asked_for = request
        .header("metadata")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let has_version = request
        .query
        .split('&')
        .any(|part| part.starts_with("api-version=20"));
    if !is_asked_for || is_forwarded {
        json(
            400,
            r#"{ "error": "Bad request. Required metadata header not specified" }"#,
        )
    } else if !has_version {
        json(
            400,
            r#"{ "error": "Bad request. api-version was not specified in the request" }"#,
        )
    } else if request.path == "/metadata/instance/compute" {
        json(
            200,
            r#"{"azEnvironment":"AzurePublicCloud","location":"westeurope","name":"vm","osProfile":{"adminUsername":
            "admin"},"publicKeys":[],"subscriptionId":"8d10da13-8125-4ba9-a717-bf7490507b3d","tagsList":[{"name":"a",
            "value":"b"}],"vmId":"02aab8a4-74ef-476e-8182-f6d2ba4166a6","vmSize":"Standard_D2s_v5","zone":"2"}"#,
        )
    } else {
        json(404, r#"{ "error": "Not found" }"#)
    }
}

fn gcp(request: &Request, is_forwarded: bool) -> Reply {
    if request.header("metadata-flavor") != Some("Google") || is_forwarded {
        return html(403, "Error 403 (Forbidden)!!1");
    }
    let body = match request.path.as_str() {
        "/computeMetadata/v1/instance/zone" => "projects/123456789012/zones/europe-west4-a",
        "/computeMetadata/v1/project/project-id" => "my-project-7",
        "/computeMetadata/v1/instance/id" => "7421089327104983",
        _ => return html(404, "Error 404 (Not Found)!!1"),
    };
    Reply {
        headers: "Metadata-Flavor: Google\r\nServer: Metadata Server for VM\r\nContent-Type: application/text\r\n",
        ..Reply::of(200, body)
    }
}

fn oci(path: &str) -> Reply {
    let body = match path {
        "/opc/v2/instance/canonicalRegionName" => "eu-frankfurt-1",
        "/opc/v2/instance/region" => "fra",
        "/opc/v2/instance/availabilityDomain" => "pPrU:EU-FRANKFURT-1-AD-2",
        "/opc/v2/instance/tenantId" => "ocid1.tenancy.oc1..aaaaaaaaexample",
        "/opc/v2/instance/id" => "ocid1.instance.oc1.eu-frankfurt-1.bbbbbbbbexample",
        _ => return html(404, "404 - Not Found"),
    };
    Reply::of(200, body)
}
