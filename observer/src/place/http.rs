//! One request over plain HTTP to an address of this machine's own link, and its bounded answer. Follows no redirect,
//! honours no proxy, resolves no name. Knows no cloud.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use hyper::{
    Method, Request, StatusCode,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// Bytes of an answer's body that are read; the largest expected one (Azure's) has a few thousand.
const BODY_BYTES_MAX: usize = 65_536;
/// Bytes of an answer's head; hyper's own least value.
const HEAD_BYTES_MAX: usize = 8_192;
/// AWS's metadata service over IPv6: the only address of one that is not link-local.
pub const AWS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Time that asking may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one request, from the connection to the last byte of its answer.
    pub request: Duration,
    /// For everything that is asked in one go.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(2),
            total: Duration::from_secs(6),
        }
    }
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Method,
    /// Path and query.
    pub path: &'static str,
    pub header: (HeaderName, HeaderValue),
}

/// An answer of status 200.
#[derive(Debug)]
pub struct Answer {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Not link-local: nothing was sent.
    NotLocal,
    /// No connection came about.
    Unreachable(io::Error),
    /// Nothing came within the time for one request; `connected` says whether a connection had come about.
    Late {
        connected: bool,
    },
    /// Any other status than 200; also a redirect.
    Status(StatusCode),
    TooLong,
    /// The connection broke, or what came is no HTTP.
    Http(hyper::Error),
    /// AWS gave something that cannot be a token.
    NoToken,
    /// Without the header that GCP's service adds to each answer: something else answers there.
    NotGoogle,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocal => write!(f, "the address is not link-local"),
            Self::Unreachable(cause) => write!(f, "cannot connect: {}", lower(&cause.to_string())),
            Self::Late { connected: false } => write!(f, "nothing accepts the connection in time"),
            Self::Late { connected: true } => write!(f, "no answer in time"),
            Self::Status(status) => write!(f, "the answer is `{status}`"),
            Self::TooLong => write!(f, "the answer has more than {BODY_BYTES_MAX} bytes"),
            Self::NoToken => write!(f, "the answer is no token"),
            Self::NotGoogle => write!(f, "the answer has no header `Metadata-Flavor: Google`"),
            Self::Http(cause) => write!(f, "the answer is broken: {}", lower(&cause.to_string())),
        }
    }
}

/// `Connection refused (os error 111)` as a part of a sentence.
fn lower(text: &str) -> String {
    text.chars()
        .enumerate()
        .map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c })
        .collect()
}

/// Asks one question; over at `limits.request` from now, or at `deadline`, whichever is first.
///
/// # Errors
/// Where there is no answer of status 200, with the reason.
pub async fn ask(
    address: SocketAddr,
    question: &Question,
    limits: &Limits,
    deadline: Instant,
) -> Result<Answer, Failure> {
    if !is_local(address.ip()) {
        return Err(Failure::NotLocal);
    }
    let end = deadline.min(Instant::now() + limits.request);
    let stream = match timeout_at(end, TcpStream::connect(address)).await {
        Ok(stream) => stream.map_err(Failure::Unreachable)?,
        Err(_) => return Err(Failure::Late { connected: false }),
    };
    match timeout_at(end, converse(stream, address, question)).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::Late { connected: true }),
    }
}

/// Loopback is where tests have their services.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address == AWS_V6 || address.is_loopback(),
    }
}

async fn converse(
    stream: TcpStream,
    address: SocketAddr,
    question: &Question,
) -> Result<Answer, Failure> {
    let host = match address {
        SocketAddr::V4(address) if address.port() == 80 => address.ip().to_string(),
        SocketAddr::V6(address) if address.port() == 80 => format!("[{}]", address.ip()),
        other => other.to_string(),
    };
    let (name, value) = question.header.clone();
    // An empty body that says so: some services refuse a PUT without a length.
    let request = Request::builder()
        .method(question.method.clone())
        .uri(question.path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("observer/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .header(name, value)
        .body(String::new())
        .expect("every path is a constant that is one, and an address makes a host");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Http)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(Failure::Http)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let (head, body) = response.into_parts();
        let headers = head.headers;
        body_of(body).await.map(|body| Answer { headers, body })
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What it had read is with the answer; its own error is the answer's too.
        _ = &mut connection => answer.await,
    }
}

async fn body_of(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(Failure::Http)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
