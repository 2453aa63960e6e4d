//! Web config files, and what becomes of those that cannot be used. Certificates are made by each test.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

/// A folder that goes with the test.
pub struct Files(PathBuf);

impl Files {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let nth = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("observer-web-{}-{nth}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// `ca.pem`, and `NAME.pem` with `NAME.key` that it signed, by name; `stranger` is of another one.
    pub fn certificates(&self) {
        let ca = |name: &str| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            let pem = params.self_signed(&key).expect("signed").pem();
            (pem, Issuer::new(params, key))
        };
        let (pem, ours) = ca("ours");
        let (_, other) = ca("other");
        self.write("ca.pem", &pem);
        for (name, issuer) in [("server", &ours), ("client", &ours), ("stranger", &other)] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, issuer).expect("signed");
            self.write(&format!("{name}.pem"), &certificate.pem());
            self.write(&format!("{name}.key"), &key.serialize_pem());
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

#[test]
fn what_cannot_be_used_is_named() {
    let files = Files::new();
    files.certificates();
    files.write("empty", "\n");
    files.write("no.pem", "nothing\n");
    let cases = [
        (
            "tls_config: {}",
            "unknown field `tls_config`, expected one of `tls_server_config`, `basic_auth_users`, `bearer_token_file`",
        ),
        (
            &*format!("{TLS}  cipher_suites: []\n"),
            "unknown field `cipher_suites`",
        ),
        (
            &format!("{TLS}  min_version: TLS10\n"),
            "unknown variant `TLS10`, expected `TLS12` or `TLS13`",
        ),
        (
            &format!("{TLS}  min_version: TLS13\n  max_version: TLS12\n"),
            "`max_version` is `TLS12`",
        ),
        (
            &format!("{TLS}  client_auth_type: RequestClientCert\n"),
            "unknown variant `RequestClientCert`",
        ),
        (
            &format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n"),
            "needs a `client_ca_file`",
        ),
        (
            &format!("{TLS}  client_ca_file: ca.pem\n"),
            "`client_auth_type` is not",
        ),
        (
            &TLS.replace("server.key", "client.key"),
            "certificate `server.pem` with key `client.key`",
        ),
        (&TLS.replace("server.pem", "no.pem"), "no certificate in"),
        (&TLS.replace("server.key", "missing"), "`key_file`: open"),
        (
            "tls_server_config: {cert_file: a}",
            "missing field `key_file`",
        ),
        (
            "basic_auth_users: {ada: secret}",
            "the hash of user `ada` is none of bcrypt's",
        ),
        ("bearer_token_file: empty", "the token is empty"),
        ("basic_auth_users: {", "line 2"),
        ("[]", "expected a map of settings"),
    ];
    for (text, part) in cases {
        let path = files.write("web.yml", &format!("{text}\n"));
        let error = format!("{:#}", WebConfig::load(&path).expect_err(text));
        assert!(error.starts_with("web config `"), "{error}");
        assert!(error.contains(part), "`{text}`: {error}");
        assert!(
            !error.contains('\n') && !error.contains("secret"),
            "{error}"
        );
    }
}

#[test]
fn plain_and_open_is_for_loopback_alone() {
    let files = Files::new();
    files.write("token", "secret\n");
    let load = |text: &str| WebConfig::load(&files.write("web.yml", text)).expect("usable");
    let open = load("");
    let guarded = load("bearer_token_file: token\n");
    let cases = [
        ("127.0.0.1:1", &open, false, true),
        ("[::1]:1", &open, false, true),
        ("[::ffff:127.0.0.1]:1", &open, false, true),
        ("0.0.0.0:1", &open, false, false),
        ("192.0.2.1:1", &open, false, false),
        ("[::]:1", &open, false, false),
        ("0.0.0.0:1", &open, true, true),
        ("0.0.0.0:1", &guarded, false, true),
    ];
    for (address, config, may_be_plain, allowed) in cases {
        let address = address.parse().expect("an address");
        let checked = config.check_address(address, may_be_plain);
        assert_eq!(
            checked.is_ok(),
            allowed,
            "{address} {may_be_plain}: {checked:?}"
        );
    }
}

#[test]
fn a_reload_takes_new_files_and_keeps_the_old_where_they_are_bad() {
    let files = Files::new();
    files.certificates();
    files.write("token", "one\n");
    let with_token = format!("{TLS}bearer_token_file: token\n");
    let path = files.write("web.yml", &with_token);
    let web = Web::new(Some(&path)).expect("usable");
    let first = web.current();
    files.write("token", "two\n");
    web.take(web.read(Some(&path)).expect("usable"));
    assert!(!Arc::ptr_eq(&first, &web.current()));
    let second = web.current();
    for bad in ["", TLS, "bearer_token_file: token\n", "unknown: 1\n"] {
        files.write("web.yml", bad);
        web.read(Some(&path)).expect_err(bad);
        assert!(Arc::ptr_eq(&second, &web.current()), "{bad}");
    }
    web.read(None)
        .expect_err("without a file there is no guard");
}

#[test]
fn a_reload_does_not_stop_asking_for_client_certificates() {
    let files = Files::new();
    files.certificates();
    let asking =
        |kind: &str| format!("{TLS}  client_auth_type: {kind}\n  client_ca_file: ca.pem\n");
    let required = asking("RequireAndVerifyClientCert");
    let path = files.write("web.yml", &required);
    let web = Web::new(Some(&path)).expect("usable");
    for weaker in [TLS, &asking("VerifyClientCertIfGiven")] {
        files.write("web.yml", weaker);
        let error = format!("{:#}", web.read(Some(&path)).expect_err(weaker));
        assert!(error.contains("client certificates"), "{error}");
    }
    files.write("web.yml", &required);
    web.read(Some(&path)).expect("as before");
    files.write("web.yml", TLS);
    let web = Web::new(Some(&path)).expect("usable");
    files.write("web.yml", &required);
    web.read(Some(&path)).expect("more than before");
}
