//! The parts of a URL that are looked at.

use crate::identify::route::Request;

/// A URL, perhaps with a method before it.
pub struct Url<'w> {
    pub method: Option<&'w str>,
    pub host: &'w str,
    /// With what follows `?`.
    path: &'w str,
}

impl<'w> Url<'w> {
    /// `None` for what is none.
    pub fn of(word: &'w str) -> Option<Self> {
        let (before, rest) = word.split_once("://")?;
        let (method, scheme) = match before.split_once(' ') {
            Some((method, scheme)) => (Some(method), scheme.trim()),
            None => (None, before),
        };
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_word(scheme) || !method.is_none_or(is_word) {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let host = match host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => host,
        };
        Some(Self { method, host, path })
    }

    pub fn request(&self) -> Option<Request<'w>> {
        let end = self.path.find(['?', '#']).unwrap_or(self.path.len());
        let path = self.path.get(..end)?;
        Some(Request {
            method: self.method?,
            path: if path.is_empty() { "/" } else { path },
            is_cut: false,
        })
    }
}
