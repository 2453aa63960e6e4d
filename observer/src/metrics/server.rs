//! The agent's HTTP answers: `/metrics` for Prometheus, `/coverage` for `observer report coverage`. Serves what was
//! published and asks nobody; a slow or silent client costs one of a bounded number of connections for a bounded time.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::TEXT_FORMAT;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::Shared;

/// Connections served at once; further ones wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 32;
/// For a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole connection, which is one request and its answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted (no file descriptor left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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
pub async fn serve(listener: TcpListener, shared: Shared) {
    match listener.local_addr() {
        Ok(address) => eprintln!("observer: serving http://{address}/metrics"),
        Err(error) => eprintln!("observer: cannot tell the address it serves on: {error}"),
    }
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, shared.clone()));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One request and its answer. How a client goes away is its own business: nothing is to be done about an error.
async fn converse(stream: TcpStream, shared: Shared) {
    let service = service_fn(|request: Request<_>| {
        let response = answer(request.method(), request.uri().path(), &shared);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

fn answer(method: &Method, path: &str, shared: &Shared) -> Response<String> {
    let body = match (path, method) {
        ("/metrics" | "/coverage", method) if method != Method::GET => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered");
            let get = hyper::header::HeaderValue::from_static("GET");
            response.headers_mut().insert(ALLOW, get);
            return response;
        }
        ("/metrics", _) => shared.text().map(|text| Some((TEXT_FORMAT, text))),
        ("/coverage", _) => shared
            .coverage()
            .map(|accounts| accounts.map(|json| (JSON, json))),
        _ => return plain(StatusCode::NOT_FOUND, "try `/metrics` or `/coverage`"),
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
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
