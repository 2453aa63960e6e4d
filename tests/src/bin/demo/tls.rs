//! TLS of the run: a certificate authority that lives as long as the run's process, what it issues for the servers, and
//! both ends' settings. Its key is never written down; the servers' keys are, in the run's own directory.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::ResolvesServerCertUsingSni,
    sign::CertifiedKey,
};

const AUTHORITY: &str = "authority.der";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Makes the authority and, in `folder`, its certificate and a certificate with key for each of `names`.
pub fn issue(folder: &Path, names: &[&str]) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new()).context("describe the authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "authority of one demo run");
    let key = KeyPair::generate().context("make the authority's key")?;
    let authority = params.self_signed(&key).context("sign the authority")?;
    write(folder, AUTHORITY, authority.der())?;
    let issuer = Issuer::new(params, key);
    for name in names {
        let key = KeyPair::generate().with_context(|| format!("make a key for `{name}`"))?;
        let certificate = CertificateParams::new(vec![(*name).to_owned()])
            .and_then(|params| params.signed_by(&key, &issuer))
            .with_context(|| format!("issue a certificate for `{name}`"))?;
        write(folder, &format!("{name}.der"), certificate.der())?;
        write(folder, &format!("{name}.key"), &key.serialize_der())?;
    }
    Ok(())
}

/// A server that answers under each of `names`, with what [`issue`] wrote.
pub fn server(folder: &Path, names: &[&str]) -> Result<Arc<ServerConfig>> {
    let provider = provider();
    let mut known = ResolvesServerCertUsingSni::new();
    for name in names {
        let chain = vec![CertificateDer::from(read(folder, &format!("{name}.der"))?)];
        let key = PrivatePkcs8KeyDer::from(read(folder, &format!("{name}.key"))?);
        let key = provider
            .key_provider
            .load_private_key(key.into())
            .with_context(|| format!("load the key of `{name}`"))?;
        known
            .add(name, CertifiedKey::new(chain, key))
            .with_context(|| format!("use the certificate of `{name}`"))?;
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("settle the server's TLS versions")?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(known));
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

/// A client that trusts the run's authority and nobody else.
pub fn client(folder: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(read(folder, AUTHORITY)?))
        .context("trust the run's authority")?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .context("settle the client's TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
}
