//! One file over HTTP, asked for only where it has changed, or one that is sent. Uses the system's trust and its proxy settings; follows redirects,
//! and none from HTTPS to plain HTTP.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use jiff::{fmt::rfc2822, tz::TimeZone};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::crypto::ring;
use ureq::{
    Agent,
    http::{HeaderMap, StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

/// For one file, from the look-up of its host to its last byte.
const TIMEOUT: Duration = Duration::from_mins(2);

/// For what is sent and not waited for.
const QUICK_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server said of the version that it gave (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// A file that has changed.
pub struct Fetched {
    pub bytes: Vec<u8>,
    pub version: Version,
    /// When the server says that this version was made, or else given (`Date`): `YYYY-MM-DD`, UTC.
    pub day: Option<String>,
}

pub struct Client(Agent);

impl Client {
    pub fn new() -> Self {
        Self::with_timeout(TIMEOUT)
    }

    fn with_timeout(timeout: Duration) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .user_agent(concat!("observer/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self(config.into())
    }

    /// One that gives up soon: nobody waits for what it sends.
    pub fn quick() -> Self {
        Self::with_timeout(QUICK_TIMEOUT)
    }

    /// Sends JSON, with a bearer token where there is one.
    ///
    /// # Errors
    /// Where the server does not answer, or not with a status of success.
    pub fn post_json(&self, url: &str, token: Option<&str>, body: &[u8]) -> Result<()> {
        let shown = shown(url);
        let mut request = self
            .0
            .post(url)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = request
            .send(body)
            .with_context(|| format!("send to `{shown}`"))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => bail!("send to `{shown}`: the server answers {status}"),
        }
    }

    /// At most `limit` bytes; `None` where the server says that nothing has changed since `known`.
    ///
    /// # Errors
    /// Where it does not answer, or with something else. Messages leave out the query, which may have a key in it.
    pub fn fetch(&self, url: &str, limit: usize, known: &Version) -> Result<Option<Fetched>> {
        let shown = shown(url);
        let mut request = self.0.get(url);
        for (name, value) in [
            (header::IF_NONE_MATCH, &known.etag),
            (header::IF_MODIFIED_SINCE, &known.last_modified),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut answer = request.call().with_context(|| format!("fetch `{shown}`"))?;
        match answer.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            StatusCode::OK => {}
            status => bail!("fetch `{shown}`: the server answers {status}"),
        }
        let version = Version {
            etag: text(answer.headers(), &header::ETAG),
            last_modified: text(answer.headers(), &header::LAST_MODIFIED),
        };
        let given = text(answer.headers(), &header::DATE);
        let date = version.last_modified.clone().or(given);
        let date = date.and_then(|text| rfc2822::parse(&text).ok());
        let day = date.map(|time| {
            time.with_time_zone(TimeZone::UTC)
                .strftime("%Y-%m-%d")
                .to_string()
        });
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(limit as u64 + 1)
            .read_to_vec()
            .with_context(|| format!("fetch `{shown}`"))?;
        Ok(Some(Fetched {
            bytes,
            version,
            day,
        }))
    }
}

#[must_use]
pub fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// An address without its query.
#[must_use]
pub fn shown(url: &str) -> &str {
    url.split_once('?').map_or(url, |(address, _)| address)
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}
