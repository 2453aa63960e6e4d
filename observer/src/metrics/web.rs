//! The web config file, by the conventions of Prometheus' exporters: TLS, users and a token for what the agent serves.
//! Read as a whole and strictly; a file that cannot be used changes nothing.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
        version::{TLS12, TLS13},
    },
};

use super::access::Access;

/// The web config and each file that it names.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who may connect and how. The default is plain and open.
#[derive(Debug, Default)]
pub struct WebConfig {
    pub tls: Option<Tls>,
    pub access: Arc<Access>,
}

/// TLS of the server.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// Whoever reads has to show a certificate. It is checked by the handshake already if it is shown; whether it has to
    /// be is asked by path, because probes have none.
    pub needs_client_certificate: bool,
}

/// The web config in use; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Web {
    current: Arc<Mutex<Arc<WebConfig>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of settings")]
struct WebFile {
    tls_server_config: Option<TlsFile>,
    basic_auth_users: Option<BTreeMap<String, String>>,
    bearer_token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of settings")]
struct TlsFile {
    cert_file: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    client_auth_type: ClientAuth,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    min_version: Version,
    #[serde(default = "newest")]
    max_version: Version,
}

/// The exporters' other two ask for a certificate and check nothing of it; they are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Version {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

const fn newest() -> Version {
    Version::Tls13
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("needs_client_certificate", &self.needs_client_certificate)
            .finish_non_exhaustive()
    }
}

impl WebConfig {
    /// Reads a web config and the files it names; their paths are relative to its directory.
    ///
    /// # Errors
    /// Where a file cannot be read or used; the message names file, line or key.
    pub fn load(path: &Path) -> Result<Self> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let read_all = || {
            let text = read(path)?;
            let text = str::from_utf8(&text).context("it is not UTF-8")?;
            Self::parse(text, directory)
        };
        read_all().with_context(|| format!("web config `{}`", path.display()))
    }

    fn parse(text: &str, directory: &Path) -> Result<Self> {
        // An empty file is an empty config; the parser takes it for none.
        let file: Option<WebFile> = serde_norway::from_str(text)?;
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let tls = file
            .tls_server_config
            .map(|tls| tls.load(directory).context("`tls_server_config`"))
            .transpose()?;
        let token = match &file.bearer_token_file {
            Some(path) => Some(token(&directory.join(path)).context("`bearer_token_file`")?),
            None => None,
        };
        let access = Access::new(file.basic_auth_users.unwrap_or_default(), token.as_deref())?;
        Ok(Self {
            tls,
            access: Arc::new(access),
        })
    }

    /// Refuses to serve in plain text and to everybody on an address that others can reach, unless the operator says so.
    ///
    /// # Errors
    /// Where it is so.
    pub fn check_address(&self, address: SocketAddr, may_be_plain: bool) -> Result<()> {
        let is_guarded = self.tls.is_some() || !self.access.is_open();
        ensure!(
            is_guarded || may_be_plain || address.ip().to_canonical().is_loopback(),
            "will not serve on `{address}` without TLS or authentication: give `--web-config FILE`, or `--listen-plain` \
             if everybody who reaches it may read"
        );
        Ok(())
    }
}

impl Web {
    /// The config at `path`; plain and open where there is none.
    ///
    /// # Errors
    /// As of [`WebConfig::load`].
    pub fn new(path: Option<&Path>) -> Result<Self> {
        let current = path.map(WebConfig::load).transpose()?.unwrap_or_default();
        Ok(Self {
            current: Arc::new(Mutex::new(Arc::new(current))),
        })
    }

    pub fn current(&self) -> Arc<WebConfig> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again, and takes nothing yet.
    ///
    /// # Errors
    /// As of [`WebConfig::load`], and where TLS, client certificates or authentication would be switched off.
    pub fn read(&self, path: Option<&Path>) -> Result<WebConfig> {
        let new = path.map(WebConfig::load).transpose()?.unwrap_or_default();
        let old = self.current();
        let needs_certificate = |config: &WebConfig| {
            let tls = config.tls.as_ref();
            tls.is_some_and(|tls| tls.needs_client_certificate)
        };
        ensure!(
            new.tls.is_some() == old.tls.is_some()
                && (needs_certificate(&new) || !needs_certificate(&old))
                && (!new.access.is_open() || old.access.is_open()),
            "web config `{}`: what switches TLS, or client certificates or authentication off, takes a restart",
            path.unwrap_or(Path::new("")).display()
        );
        Ok(new)
    }

    /// Takes what was read for connections from now on.
    pub fn take(&self, new: WebConfig) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

impl TlsFile {
    fn load(&self, directory: &Path) -> Result<Tls> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions()?)?;
        let builder = match self.roots(directory)? {
            Some(roots) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .context("`client_ca_file`")?,
            ),
            None => builder.with_no_client_auth(),
        };
        let certificates = certificates(&directory.join(&self.cert_file)).context("`cert_file`")?;
        let key = key(&directory.join(&self.key_file)).context("`key_file`")?;
        let config = builder
            .with_single_cert(certificates, key)
            .with_context(|| {
                let (certificate, key) = (self.cert_file.display(), self.key_file.display());
                format!("certificate `{certificate}` with key `{key}`")
            })?;
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            needs_client_certificate: self.client_auth_type
                == ClientAuth::RequireAndVerifyClientCert,
        })
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>> {
        match (self.min_version, self.max_version) {
            (Version::Tls12, Version::Tls13) => Ok(vec![&TLS13, &TLS12]),
            (Version::Tls12, Version::Tls12) => Ok(vec![&TLS12]),
            (Version::Tls13, Version::Tls13) => Ok(vec![&TLS13]),
            (Version::Tls13, Version::Tls12) => {
                bail!("`min_version` is `TLS13` and `max_version` is `TLS12`")
            }
        }
    }

    /// Whose client certificates are good; `None` where none is asked for.
    fn roots(&self, directory: &Path) -> Result<Option<RootCertStore>> {
        match (self.client_auth_type, &self.client_ca_file) {
            (ClientAuth::NoClientCert, None) => Ok(None),
            (ClientAuth::NoClientCert, Some(_)) => bail!(
                "`client_ca_file` is given and `client_auth_type` is not; give `RequireAndVerifyClientCert`"
            ),
            (
                ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert,
                None,
            ) => bail!("`client_auth_type` needs a `client_ca_file`"),
            (
                ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert,
                Some(path),
            ) => {
                let mut roots = RootCertStore::empty();
                for certificate in
                    certificates(&directory.join(path)).context("`client_ca_file`")?
                {
                    roots.add(certificate).context("`client_ca_file`")?;
                }
                Ok(Some(roots))
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.with_context(|| format!("read `{}` as PEM", path.display()))?;
    ensure!(
        !certificates.is_empty(),
        "no certificate in `{}`",
        path.display()
    );
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text)
        .with_context(|| format!("read `{}` as a private key in PEM", path.display()))
}

fn token(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("`{}` is not UTF-8", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("open `{}`", path.display()))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("read `{}`", path.display()))?;
    ensure!(
        bytes.len() as u64 <= FILE_BYTES_MAX,
        "`{}` is longer than {FILE_BYTES_MAX} bytes",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
pub mod tests;
