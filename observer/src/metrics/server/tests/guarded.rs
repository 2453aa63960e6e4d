//! What a guarded server answers: without and with tokens, passwords and client certificates, over TLS and without.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::*;
use crate::metrics::{
    access::QUEUE_MAX,
    web::tests::{Files, TLS},
};

fn web(files: &Files, text: &str) -> Web {
    Web::new(Some(&files.write("web.yml", text))).expect("usable")
}

async fn status(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, header: &str) -> String {
    let (head, body) = converse_over(stream, &format!("GET {path} HTTP/1.1"), header).await;
    let words: Vec<&str> = head.split(' ').collect();
    assert_eq!(
        words[1] == "200" && path == "/metrics",
        body.contains("observer_wire_bytes_total")
    );
    words[1].to_owned()
}

#[test]
fn tokens_and_passwords_are_asked_for_and_probes_need_none() {
    let files = Files::new();
    files.write("token", "secret\n");
    let hash = bcrypt::hash("sesame", 4).expect("hashed");
    let text = format!("basic_auth_users:\n  ada: {hash}\nbearer_token_file: token\n");
    let web = web(&files, &text);
    let ours = web.clone();
    with_guarded_server(web, |address, shared| async move {
        shared.publish(tests::snapshot(), tests::run_times(), FaultState::default());
        let basic = |pair: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(pair));
        let wrong = "Authorization: Bearer wrong\r\n".to_owned();
        let right = "Authorization: Bearer secret\r\n".to_owned();
        let cases = [
            ("/metrics", String::new(), "401"),
            ("/coverage", String::new(), "401"),
            ("/metrics", wrong.clone(), "401"),
            ("/metrics", right.clone(), "200"),
            ("/coverage", right.clone(), "200"),
            ("/metrics", basic("ada:sesame"), "200"),
            ("/metrics", basic("ada:wrong"), "401"),
            ("/metrics", basic("bob:sesame"), "401"),
            ("/healthz", String::new(), "200"),
            ("/readyz", String::new(), "503"),
        ];
        for (path, header, expected) in cases {
            let stream = TcpStream::connect(address).await.expect("connected");
            assert_eq!(
                status(stream, path, &header).await,
                expected,
                "{path} {header}"
            );
        }
        // Another token from now on.
        files.write("token", "changed\n");
        let path = files.write("web.yml", &text);
        ours.take(ours.read(Some(&path)).expect("usable"));
        let stream = TcpStream::connect(address).await.expect("connected");
        assert_eq!(status(stream, "/metrics", &right).await, "401");
    });
}

#[test]
fn who_finds_the_queue_of_passwords_full_is_told_at_once() {
    let files = Files::new();
    let hash = bcrypt::hash("sesame", 10).expect("hashed");
    let text = format!("basic_auth_users:\n  ada: {hash}\n");
    with_guarded_server(web(&files, &text), |address, _| async move {
        let header = format!("Authorization: Basic {}\r\n", STANDARD.encode("ada:wrong"));
        let mut asking = JoinSet::new();
        for _ in 0..=QUEUE_MAX {
            let header = header.clone();
            asking.spawn(async move {
                let stream = TcpStream::connect(address).await.expect("connected");
                status(stream, "/metrics", &header).await
            });
        }
        let first = asking.join_next().await.expect("some").expect("answered");
        assert_eq!(first, "503");
        while let Some(status) = asking.join_next().await {
            assert_eq!(status.expect("answered"), "401");
        }
    });
}

/// A client that trusts `ca.pem` and shows the certificate of `name`.
fn connector(files: &Files, name: Option<&str>) -> TlsConnector {
    let read = |path: &Path| fs::read(path).expect("read");
    let certificates = |name: &str| {
        let pem = read(&files.path(&format!("{name}.pem")));
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        all.expect("certificates")
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca") {
        roots.add(certificate).expect("a root");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match name {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = read(&files.path(&format!("{name}.key")));
            let key = PrivateKeyDer::from_pem_slice(&key).expect("a key");
            let shown = builder.with_client_auth_cert(certificates(name), key);
            shown.expect("a certificate with its key")
        }
    };
    TlsConnector::from(Arc::new(config))
}

#[test]
fn client_certificates_are_asked_for_and_probes_need_none() {
    let files = Files::new();
    files.certificates();
    let text =
        format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n");
    with_guarded_server(web(&files, &text), |address, shared| async move {
        shared.publish(tests::snapshot(), tests::run_times(), FaultState::default());
        let cases = [
            (None, "/metrics", "403"),
            (None, "/coverage", "403"),
            (None, "/healthz", "200"),
            (None, "/readyz", "503"),
            (Some("client"), "/metrics", "200"),
            (Some("client"), "/healthz", "200"),
        ];
        let connect = async |name| {
            let stream = TcpStream::connect(address).await.expect("connected");
            let host = "localhost".try_into().expect("a name");
            connector(&files, name).connect(host, stream).await
        };
        for (name, path, expected) in cases {
            let stream = connect(name).await.expect("shaken");
            assert_eq!(status(stream, path, "").await, expected, "{name:?} {path}");
        }
        // A certificate of somebody else is worse than none: no answer at all.
        let mut answer = String::new();
        if let Ok(mut stream) = connect(Some("stranger")).await {
            let _ = stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: agent\r\n\r\n")
                .await;
            let _ = stream.read_to_string(&mut answer).await;
        }
        assert_eq!(answer, "");
        // Plain text is no answer either.
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\n\r\n")
            .await
            .expect("sent");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    });
}

#[test]
fn clients_that_do_not_shake_hands_do_not_shut_others_out() {
    let files = Files::new();
    files.certificates();
    with_guarded_server(web(&files, TLS), |address, shared| async move {
        shared.publish(tests::snapshot(), tests::run_times(), FaultState::default());
        let _silent = silent(address).await;
        let started = Instant::now();
        let stream = TcpStream::connect(address).await.expect("connected");
        let host = "localhost".try_into().expect("a name");
        let shaken = connector(&files, None).connect(host, stream).await;
        assert_eq!(status(shaken.expect("shaken"), "/metrics", "").await, "200");
        assert!(started.elapsed() < HEADER_TIMEOUT + Duration::from_secs(4));
    });
}
