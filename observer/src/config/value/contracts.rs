//! What the operator says of contracts: where violations are told.

use super::{Value, cited};

/// The address of a server, to which paths are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(pub String);

/// Longer ones are no addresses.
const BYTES_MAX: usize = 1_024;

impl Value for Server {
    const WANTED: &'static str = "a URL such as `http://alertmanager:9093`";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not {}", cited(text), Self::WANTED);
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let host = rest
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_default();
        let is_plain =
            |letter: char| letter.is_ascii_graphic() && !"\"<>\\^`{|}?#".contains(letter);
        if host.is_empty() || text.len() > BYTES_MAX || !text.chars().all(is_plain) {
            return Err(wrong());
        }
        if host.contains('@') {
            return Err("a URL with a name and a password in it is seen by everybody; put a token into `contracts.alertmanager_token_file`".to_owned());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_without_secrets() {
        for (text, expected) in [
            ("http://alertmanager:9093", Some("http://alertmanager:9093")),
            (
                "https://alerts.example/prefix/",
                Some("https://alerts.example/prefix"),
            ),
            ("http://[::1]:9093", Some("http://[::1]:9093")),
            ("alertmanager:9093", None),
            ("ftp://alertmanager", None),
            ("http://", None),
            ("http:///api", None),
            ("http://me:secret@alerts", None),
            ("http://alerts/?token=x", None),
            ("http://alerts/ x", None),
            ("", None),
        ] {
            let found = Server::parse(text);
            assert_eq!(
                found.as_ref().ok().map(|server| &*server.0),
                expected,
                "{text}"
            );
        }
        let message = Server::parse("http://me:secret@alerts").expect_err("a secret");
        assert!(!message.contains("secret@"), "{message}");
    }
}
