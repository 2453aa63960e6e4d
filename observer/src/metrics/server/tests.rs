//! Answers over real sockets on loopback.

use observer_core::aggregate::BalanceReport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use tokio::net::TcpSocket;

use super::*;
use crate::metrics::{BuildInfo, FaultState, Readiness, collector::tests};

mod guarded;

/// Runs `test` against a server on loopback.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(SocketAddr, Shared) -> F) {
    with_guarded_server(Web::default(), test);
}

/// As [`with_server`], with a web config.
fn with_guarded_server<F: Future<Output = ()>>(
    web: Web,
    test: impl FnOnce(SocketAddr, Shared) -> F,
) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = bind(loopback).await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            let shared = Shared::new(BuildInfo::default()).expect("declared");
            let mut server = JoinSet::new();
            server.spawn(serve(listener, shared.clone(), web));
            test(address, shared).await;
        });
}

/// Head and body of the answer to one request.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let stream = TcpStream::connect(address).await.expect("connected");
    converse_over(stream, &format!("{request} HTTP/1.1"), "").await
}

/// The same over any stream, with further headers.
async fn converse_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    headers: &str,
) -> (String, String) {
    let request = format!("{request}\r\nHost: agent\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let reading = timeout(Duration::from_secs(10), stream.read_to_string(&mut answer));
    reading.await.expect("answered in time").expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn probes_are_told_what_is_missing() {
    with_server(|address, shared| async move {
        let readiness = |is_true_root| Readiness {
            tick: Duration::from_millis(100),
            is_true_root,
            has_catalogue: true,
        };
        let (_, body) = ask(address, "GET /readyz").await;
        assert_eq!(body.lines().count(), 2, "{body}");
        shared.started(readiness(false));
        shared.ticked(Instant::now());
        let (_, body) = ask(address, "GET /readyz").await;
        assert!(
            body.starts_with("attached below the true cgroup root"),
            "{body}"
        );
        shared.started(readiness(true));
        shared.ticked(Instant::now());
        for path in ["/readyz", "/healthz"] {
            let (head, body) = ask(address, &format!("GET {path}")).await;
            assert!(
                head.starts_with("http/1.1 200 ") && body == "ok\n",
                "{head}"
            );
        }
        sleep(Duration::from_millis(350)).await;
        for path in ["/readyz", "/healthz"] {
            let (head, body) = ask(address, &format!("GET {path}")).await;
            assert!(head.starts_with("http/1.1 503 "), "{head}");
            assert!(body.starts_with("the last tick was 0."), "{body}");
        }
    });
}

#[test]
fn paths_and_methods_have_their_answers() {
    with_server(|address, shared| async move {
        let (head, _) = ask(address, "GET /coverage").await;
        assert!(head.starts_with("http/1.1 503 "), "{head}");
        shared.publish(tests::snapshot(), tests::run_times(), FaultState::default());
        let cases = [
            (
                "GET /metrics",
                "200",
                "content-type: text/plain; version=0.0.4",
            ),
            (
                "GET /metrics?a=b",
                "200",
                "content-type: text/plain; version=0.0.4",
            ),
            ("GET /coverage", "200", "content-type: application/json"),
            ("POST /metrics", "405", "allow: get"),
            ("HEAD /coverage", "405", "allow: get"),
            ("GET /", "404", ""),
            ("GET /healthz", "200", ""),
            ("GET /readyz", "503", ""),
            ("POST /healthz", "405", "allow: get"),
        ];
        for (request, status, header) in cases {
            let (head, _) = ask(address, request).await;
            assert!(
                head.starts_with(&format!("http/1.1 {status} ")),
                "{request}: {head}"
            );
            assert!(head.contains(header), "{request}: {head}");
        }
    });
}

#[test]
fn bodies_are_what_was_published() {
    with_server(|address, shared| async move {
        shared.publish(tests::snapshot(), tests::run_times(), FaultState::default());
        let (_, json) = ask(address, "GET /coverage").await;
        let balances: Vec<BalanceReport> = serde_json::from_str(&json).expect("accounts");
        assert_eq!(balances, tests::snapshot().balances);
        let (_, text) = ask(address, "GET /metrics").await;
        assert!(
            text.contains("observer_events_lost_total{place=\"udp_table\"} 4\n"),
            "{text}"
        );
    });
}

/// Clients that say nothing, of as many peers as it takes for all connections.
async fn silent(address: SocketAddr) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for nth in 0..CONNECTIONS_MAX {
        let peer = u8::try_from(nth / PEER_CONNECTIONS_MAX).expect("few peers");
        silent.push(connect_from([127, 0, 1, peer], address).await);
    }
    silent
}

async fn connect_from(peer: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((peer, 0))).expect("bound");
    socket.connect(address).await.expect("connected")
}

#[test]
fn one_silent_peer_keeps_no_probe_waiting() {
    with_server(|address, _| async move {
        let mut silent = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            silent.push(connect_from([127, 0, 1, 1], address).await);
        }
        let started = Instant::now();
        for peer in [1, 2] {
            let stream = connect_from([127, 0, 1, peer], address).await;
            let (head, _) = converse_over(stream, "GET /healthz HTTP/1.1", "").await;
            assert!(head.starts_with("http/1.1 200 "), "{peer}: {head}");
        }
        assert!(started.elapsed() < HEADER_TIMEOUT / 2, "{started:?}");
    });
}

#[test]
fn a_network_of_version_6_is_one_peer() {
    let peer = |text: &str| peer(text.parse().expect("an address"));
    assert_eq!(peer("2001:db8::1"), peer("2001:db8::2:0:0:3"));
    assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
}

#[test]
fn silent_clients_do_not_shut_others_out() {
    with_server(|address, _| async move {
        let _silent = silent(address).await;
        let started = Instant::now();
        let (head, _) = ask(address, "GET /metrics").await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let waited = started.elapsed();
        // It had to wait until the silent ones were thrown out, so the limit holds too.
        assert!(
            waited + Duration::from_secs(1) >= HEADER_TIMEOUT,
            "{waited:?}"
        );
        assert!(
            waited < HEADER_TIMEOUT + Duration::from_secs(4),
            "{waited:?}"
        );
    });
}
