//! Takes names out of texts: the same name becomes the same made-up word everywhere, so that what belongs together still
//! does. Knows no format; it goes by words, and by the keys that stand before them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// Keys whose values are names of the operator's own.
const KEYS: &[&str] = &[
    "host",
    "cluster",
    "device",
    "namespace",
    "workload",
    "pod",
    "container_id",
    "systemd_unit",
    "account",
    "instance",
    "source_account",
    "source_instance",
];
/// Hexadecimal digits from which on a word is an id.
const ID_DIGITS: usize = 32;

/// What was replaced, and by what.
#[derive(Debug, Default)]
pub struct Redactor {
    words: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Redactor {
    /// Hides these words wherever they stand alone.
    pub fn hiding<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = Self::default();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            redactor.replacement("name", name);
        }
        redactor
    }

    /// `text` without names.
    pub fn redact(&mut self, text: &str) -> String {
        let mut redacted = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            self.line(line, &mut redacted);
        }
        redacted
    }

    fn line(&mut self, line: &str, redacted: &mut String) {
        // The key that what comes next is the value of.
        let mut key = None;
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            if let (Some(_), '"' | '\'') = (key, first) {
                let inner = &rest[1..];
                let end = inner.find(first).unwrap_or(inner.len());
                redacted.push(first);
                redacted.push_str(&self.value(&inner[..end]));
                rest = &inner[end..];
                key = None;
                // The closing quote, if there is one.
                if let Some(after) = rest.strip_prefix(first) {
                    redacted.push(first);
                    rest = after;
                }
                continue;
            }
            if is_delimiter(first) {
                redacted.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let end = rest.find(is_delimiter).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if key.take().is_some() {
                redacted.push_str(&self.value(word));
            } else {
                redacted.push_str(&self.word(word));
            }
            let (separator, value) = separated(after);
            key = key_before(word, separator, value);
            if key.is_some() {
                redacted.push_str(separator);
                rest = value;
            } else {
                rest = after;
            }
        }
    }

    /// A value of one of the keys: whatever it is.
    fn value(&mut self, value: &str) -> String {
        if value.is_empty() || matches!(value, "unknown" | "other" | "null" | "none") {
            return value.to_owned();
        }
        self.replacement("name", value)
    }

    fn word(&mut self, word: &str) -> String {
        if let Some(replacement) = self.words.get(word) {
            return replacement.clone();
        }
        let (address, rest) = match word.split_once('/') {
            Some((address, length)) if address.parse::<IpAddr>().is_ok() => {
                (address, format!("/{length}"))
            }
            _ => (word, String::new()),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            return self.address(address) + &rest;
        }
        if let Ok(socket) = word.parse::<SocketAddr>() {
            return format!("{}:{}", self.address(socket.ip()), socket.port());
        }
        if word.len() >= ID_DIGITS && word.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return self.replacement("id", word);
        }
        word.to_owned()
    }

    fn address(&mut self, address: IpAddr) -> String {
        if address.is_loopback() || address.is_unspecified() {
            return address.to_string();
        }
        self.replacement("address", &address.to_string())
    }

    fn replacement(&mut self, kind: &'static str, name: &str) -> String {
        if let Some(replacement) = self.words.get(name) {
            return replacement.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let replacement = format!("{kind}-{count}");
        self.words.insert(name.to_owned(), replacement.clone());
        replacement
    }
}

/// A word ends here. Colons belong to addresses, slashes to paths.
fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || "\"'`,;={}()[]<>|".contains(c)
}

/// What stands between a key and its value (`="`'s first, `": `), and what comes behind it; nothing where there is no such
/// thing.
fn separated(after: &str) -> (&str, &str) {
    let behind = after.trim_start_matches(['"', '\'']).trim_start();
    match behind.strip_prefix(['=', ':']) {
        Some(value) => after.split_at(after.len() - value.trim_start().len()),
        None => ("", after),
    }
}

/// The key that `word` is: `key="value"`, `"key": "value"`, `key: value`.
fn key_before(word: &str, separator: &str, value: &str) -> Option<&'static str> {
    let named = |name: &str| KEYS.iter().copied().find(|key| *key == name);
    let key = match word.strip_suffix(':') {
        Some(name) => named(name),
        None => named(word).filter(|_| !separator.is_empty()),
    };
    key.filter(|_| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_out_and_words_are_left() {
        let id = "0123456789abcdef".repeat(4);
        let cases = [
            ("a plain line\n".to_owned(), "a plain line\n"),
            (
                "listen: 127.0.0.1:9464".to_owned(),
                "listen: 127.0.0.1:9464",
            ),
            (
                "from 10.0.0.7 to 2001:db8::1".to_owned(),
                "from address-1 to address-2",
            ),
            (
                "again 10.0.0.7:443, net 10.0.0.7/8".to_owned(),
                "again address-1:443, net address-1/8",
            ),
            ("[2001:db8::1]:443".to_owned(), "[address-2]:443"),
            (format!("at {id}"), "at id-1"),
            (
                "x{workload=\"cart\",cloud=\"aws\"} 1".to_owned(),
                "x{workload=\"name-2\",cloud=\"aws\"} 1",
            ),
            (
                "x{workload=\"unknown\",namespace=\"\"} 1".to_owned(),
                "x{workload=\"unknown\",namespace=\"\"} 1",
            ),
            (
                "\"device\": \"/run/netns/blue: eth0\", \"direction\": \"egress\"".to_owned(),
                "\"device\": \"name-3\", \"direction\": \"egress\"",
            ),
            ("host: node-7.example".to_owned(), "host: name-4"),
            ("host:".to_owned(), "host:"),
            (
                "the machine node-1 and cart".to_owned(),
                "the machine name-1 and name-2",
            ),
            ("12:30:00 and ::".to_owned(), "12:30:00 and ::"),
        ];
        let mut redactor = Redactor::hiding(["node-1", ""]);
        for (text, expected) in cases {
            assert_eq!(redactor.redact(&text), expected);
        }
    }

    #[test]
    fn any_text_passes_and_hides_what_is_hidden() {
        for text in [
            "host=\"",
            "host='a",
            "\u{e9}host: \u{e9}\"",
            "=\"\"host",
            "host=\"a\"b\"c",
        ] {
            let mut redactor = Redactor::hiding(["secret"]);
            let redacted = redactor.redact(&format!("{text} secret"));
            assert!(!redacted.contains("secret"), "{redacted}");
        }
    }
}
