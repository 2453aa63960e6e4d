//! The agent's HTTP answers: `/metrics` for Prometheus, `/coverage` for `observer report coverage`, `/healthz` and `/readyz`
//! for whoever watches it. Serves what was published and asks nobody; a slow or silent client costs one of a bounded
//! number of connections for a bounded time, and of one peer there are only some. `/healthz` and `/readyz` are open to everybody: they tell no figure.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::TEXT_FORMAT;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    Shared,
    access::Verdict,
    web::{Web, WebConfig},
};

/// Connections served at once; further ones wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 32;
/// Of one peer, so that it does not take them all. A further one ends its oldest: of a peer that is silent on some (or of
/// whoever shares its address) the next request is answered all the same.
const PEER_CONNECTIONS_MAX: usize = 8;
/// An IPv6 peer is its network: it has as many addresses there as it likes.
const PEER_MASK: u128 = !0 << 64;
/// For a TLS handshake, and for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole connection, which is one request and its answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted (no file descriptor left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After which a client may try again that found the queue of passwords full.
const BUSY_PAUSE_SECONDS: &str = "1";
const PATHS: [&str; 4] = ["/metrics", "/coverage", "/healthz", "/readyz"];
const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Takes the address before anything else starts, so that a taken one is an error at once.
///
/// # Errors
/// Where the address cannot be had.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on `{address}` for metrics"))
}

/// Serves until it is dropped; all its connections end with it.
pub async fn serve(listener: TcpListener, shared: Shared, web: Web) {
    let scheme = web.current().tls.as_ref().map_or("http", |_| "https");
    match listener.local_addr() {
        Ok(address) => eprintln!("observer: serving {scheme}://{address}/metrics"),
        Err(error) => eprintln!("observer: cannot tell the address it serves on: {error}"),
    }
    let mut connections = JoinSet::new();
    let mut peers = Peers::default();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, address)) => {
                let conversation = converse(stream, shared.clone(), web.current());
                peers.take_in(address.ip(), connections.spawn(conversation));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Whose the connections are, the oldest first.
#[derive(Default)]
struct Peers(Vec<(IpAddr, AbortHandle)>);

impl Peers {
    fn take_in(&mut self, address: IpAddr, connection: AbortHandle) {
        let peer = peer(address);
        self.0.retain(|(_, connection)| !connection.is_finished());
        let of_peer = |(other, _): &&(IpAddr, AbortHandle)| *other == peer;
        if self.0.iter().filter(of_peer).count() >= PEER_CONNECTIONS_MAX
            && let Some((_, oldest)) = self.0.iter().find(of_peer)
        {
            oldest.abort();
        }
        self.0.push((peer, connection));
    }
}

/// What addresses of one client have in common.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & PEER_MASK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// One request and its answer. How a client goes away is its own business: nothing is to be done about an error.
async fn converse(stream: TcpStream, shared: Shared, web: Arc<WebConfig>) {
    let exchange = async {
        match &web.tls {
            None => exchange(stream, &shared, &web, true).await,
            Some(tls) => {
                let shaken = timeout(HEADER_TIMEOUT, tls.acceptor.accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    let (_, session) = stream.get_ref();
                    let is_known =
                        !tls.needs_client_certificate || session.peer_certificates().is_some();
                    exchange(stream, &shared, &web, is_known).await;
                }
            }
        }
    };
    let _ = timeout(CONNECTION_TIMEOUT, exchange).await;
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
    web: &WebConfig,
    is_known: bool,
) {
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(answer(&request, shared, web, is_known).await)
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// `is_known`: the client has shown a certificate, or needs none.
async fn answer(
    request: &Request<impl Body>,
    shared: &Shared,
    web: &WebConfig,
    is_known: bool,
) -> Response<String> {
    let path = request.uri().path();
    if !PATHS.contains(&path) {
        return plain(
            StatusCode::NOT_FOUND,
            "try `/metrics`, `/coverage`, `/healthz` or `/readyz`",
        );
    }
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered");
        let get = HeaderValue::from_static("GET");
        response.headers_mut().insert(ALLOW, get);
        return response;
    }
    match path {
        "/healthz" => return health(shared.stuck(Instant::now()).as_slice()),
        "/readyz" => return health(&shared.missing(Instant::now())),
        _ => {}
    }
    if !is_known {
        return plain(StatusCode::FORBIDDEN, "a client certificate is needed");
    }
    let header = request.headers().get(AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    match web.access.judge(header).await {
        Verdict::Allowed => figures(path, shared),
        Verdict::Refused => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "a token or password is needed");
            let challenge = HeaderValue::from_static(web.access.challenge());
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
        Verdict::Busy => {
            let mut response = plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many passwords are being checked; try again",
            );
            let pause = HeaderValue::from_static(BUSY_PAUSE_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, pause);
            response
        }
    }
}

fn health(reasons: &[String]) -> Response<String> {
    if reasons.is_empty() {
        plain(StatusCode::OK, "ok")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, &reasons.join("\n"))
    }
}

fn figures(path: &str, shared: &Shared) -> Response<String> {
    let body = if path == "/metrics" {
        shared.text().map(|text| Some((TEXT_FORMAT, text)))
    } else {
        let accounts = shared.coverage();
        accounts.map(|accounts| accounts.map(|json| (JSON, json)))
    };
    match body {
        Ok(Some((kind, body))) => respond(StatusCode::OK, kind, body),
        Ok(None) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing has been read yet; try again after the first tick",
        ),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

fn plain(status: StatusCode, sentence: &str) -> Response<String> {
    respond(status, PLAIN, format!("{sentence}\n"))
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
