//! Takes names out of texts: the same name becomes the same made-up word everywhere, so that what belongs together still
//! does. What is to be hidden is learnt from all texts first, and then looked for wherever it stands, in paths and longer
//! names too.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::values::{Found, namespaces, values};

/// Hexadecimal digits from which on a run of them is an id.
const ID_DIGITS: usize = 32;
/// Lengths of an id's groups with `-` or `_` between them, as of pods.
const ID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
/// Bytes of the longest address, `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const ADDRESS_BYTES_MAX: usize = 45;
/// A number with fewer digits is taken out behind its key and left elsewhere: figures would be gone.
const NAME_DIGITS_MIN: usize = 6;
/// Values that name nothing of the operator's.
const NO_NAMES: &[&str] = &[
    "unknown",
    "other",
    "null",
    "none",
    "true",
    "false",
    "~",
    "-",
    "observer",
    "observer.service",
];

/// What was replaced, and by what.
#[derive(Debug, Default)]
pub struct Redactor {
    words: HashMap<String, String>,
    /// Names to look for by what they begin with, the longest first.
    names: HashMap<String, Vec<String>>,
    counts: BTreeMap<&'static str, usize>,
}

impl Redactor {
    /// Hides these names of hosts, and what they begin with up to a dot, wherever they stand alone.
    pub fn hiding<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = Self::default();
        for host in hosts {
            redactor.host(host);
        }
        redactor
    }

    /// Takes in what `text` shows to be a name, for all texts that are redacted from now on.
    pub fn learn(&mut self, text: &str) {
        for Found { key, at } in values(text) {
            let value = &text[at];
            match (key, value.rsplit_once(':')) {
                ("host", _) => self.host(value),
                (_, Some((namespace, device))) if namespace.contains("/netns/") => {
                    self.name(value);
                    self.name(device.trim());
                }
                _ => {
                    self.name(value);
                }
            }
        }
        for namespace in namespaces(text) {
            self.name(namespace);
        }
    }

    /// `text` without names.
    pub fn redact(&mut self, text: &str) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut done = 0;
        for Found { at, .. } in values(text) {
            self.scan(&text[done..at.start], &mut redacted);
            done = at.end;
            redacted.push_str(&self.name(&text[at]));
        }
        self.scan(&text[done..], &mut redacted);
        redacted
    }

    fn host(&mut self, host: &str) {
        self.name(host);
        if let Some((first, _)) = host.split_once('.')
            && host.parse::<IpAddr>().is_err()
        {
            self.name(first);
        }
    }

    /// What stands for a name of the operator's; some values are none.
    fn name(&mut self, name: &str) -> String {
        if name.is_empty() || NO_NAMES.contains(&name) {
            return name.to_owned();
        }
        if !self.words.contains_key(name) && !is_short_number(name) {
            let alike = self.names.entry(head(name).to_owned()).or_default();
            let place = alike.partition_point(|other| other.len() > name.len());
            alike.insert(place, name.to_owned());
        }
        self.replacement("name", name)
    }

    fn scan(&mut self, text: &str, redacted: &mut String) {
        let mut rest = text;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let len = match self.hidden(rest, before) {
                Some((len, replacement)) => {
                    redacted.push_str(&replacement);
                    len
                }
                None => {
                    redacted.push(first);
                    first.len_utf8()
                }
            };
            let (passed, after) = rest.split_at(len);
            before = passed.chars().next_back().unwrap_or(' ');
            rest = after;
        }
    }

    /// Length and replacement of what is to be hidden at the start of `rest`.
    fn hidden(&mut self, rest: &str, before: char) -> Option<(usize, String)> {
        let is_start = !is_within(before, rest);
        if is_start && let Some(name) = self.known(rest) {
            return Some((name.len(), self.words[name].clone()));
        }
        if !before.is_ascii_hexdigit()
            && let Some((start, end)) = id(rest)
        {
            let replacement = self.replacement("id", &rest[start..end]);
            return Some((end, format!("{}{replacement}", &rest[..start])));
        }
        if is_word(before) {
            return None;
        }
        let (len, address) = address(rest)?;
        Some((len, self.address(address, &rest[..len])))
    }

    /// The longest name that `rest` begins with and that ends there.
    fn known(&self, rest: &str) -> Option<&str> {
        let alike = self.names.get(head(rest))?;
        let mut names = alike.iter().map(String::as_str);
        names.find(|name| {
            let last = name.chars().next_back().unwrap_or(' ');
            let after = rest.strip_prefix(name);
            after.is_some_and(|after| !is_within(last, after))
        })
    }

    fn address(&mut self, address: IpAddr, shown: &str) -> String {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return shown.to_owned();
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

/// Of a part of a name; `/`, `:`, `-` and `.` stand between parts.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the border between `before` and `rest` is in the midst of a word.
fn is_within(before: char, rest: &str) -> bool {
    is_word(before) && rest.starts_with(is_word)
}

fn is_short_number(name: &str) -> bool {
    name.len() < NAME_DIGITS_MIN && name.bytes().all(|digit| digit.is_ascii_digit())
}

/// The first word, or the one character that belongs to none.
fn head(text: &str) -> &str {
    let word = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let first = text.chars().next().map_or(0, char::len_utf8);
    &text[..word.max(first)]
}

/// Start and end of the id that begins in the hexadecimal digits at the start of `rest`.
fn id(rest: &str) -> Option<(usize, usize)> {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_hexdigit());
        end.unwrap_or(text.len())
    };
    let run = digits(rest);
    if run >= ID_DIGITS {
        return Some((0, run));
    }
    let start = run.checked_sub(ID_GROUPS[0])?;
    let mut end = run;
    for group in &ID_GROUPS[1..] {
        let behind = rest[end..].strip_prefix(['-', '_'])?;
        if digits(behind) < *group {
            return None;
        }
        end += 1 + group;
    }
    Some((start, end))
}

/// Length and meaning of the address that `rest` begins with.
fn address(rest: &str) -> Option<(usize, IpAddr)> {
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.');
    let most = end.unwrap_or(rest.len()).min(ADDRESS_BYTES_MAX);
    (2..=most).rev().find_map(|len| {
        let (shown, after) = rest.split_at(len);
        let address = shown.parse().ok();
        address
            .filter(|_| !after.starts_with(is_word))
            .map(|address| (len, address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of one archive, before and after; `ID` is one of 64 digits, `POD` one of five groups.
    const CASES: &[(&str, &str)] = &[
        // Learnt further down.
        ("late: customer's, far-9", "late: name-2's, name-5"),
        ("a plain line\n", "a plain line\n"),
        ("listen: 127.0.0.1:9464", "listen: 127.0.0.1:9464"),
        ("12:30:00 and ::, 5.15.0-91", "12:30:00 and ::, 5.15.0-91"),
        (
            "from 10.0.0.7 to 2001:db8::1",
            "from address-1 to address-2",
        ),
        (
            "again 10.0.0.7:443, net 10.0.0.7/8",
            "again address-1:443, net address-1/8",
        ),
        ("[2001:db8::1]:443", "[address-2]:443"),
        (
            "10.0.0.7: http://10.0.0.7/, ::ffff:10.0.0.7.",
            "address-1: http://address-1/, address-1.",
        ),
        ("mount /run/netns/customer rw", "mount /run/netns/name-2 rw"),
        ("at ID", "at id-1"),
        ("/docker-ID.scope, xID", "/docker-id-1.scope, xid-1"),
        ("/podPOD/cri:POD", "/podid-2/cri:id-2"),
        (
            "x{workload=\"cart\",cloud=\"aws\",host=\"far-9.example\"} 5",
            "x{workload=\"name-3\",cloud=\"aws\",host=\"name-4\"} 5",
        ),
        (
            "x{workload=\"unknown\",namespace=\"\"} 1",
            "x{workload=\"unknown\",namespace=\"\"} 1",
        ),
        (
            "x{workload=\"a\\\"b\",cloud=\"gcp\"} 1",
            "x{workload=\"name-6\",cloud=\"gcp\"} 1",
        ),
        ("x{instance=\"5\"} 1.5", "x{instance=\"name-7\"} 1.5"),
        (
            "\"device\": \"/run/netns/customer: eth7\", \"direction\": \"egress\"",
            "\"device\": \"name-8\", \"direction\": \"egress\"",
        ),
        ("host: node-1.example", "host: name-10"),
        ("host:", "host:"),
        (
            "the machine node-1 and cart, node-11",
            "the machine name-1 and name-3, node-11",
        ),
        (
            "node-1.example.net /etc/node-1.yaml:3 ab-node-1-x",
            "name-10.net /etc/name-1.yaml:3 ab-name-1-x",
        ),
        (
            "uplinks:\n  # ours\n  - /run/netns/blue:eth8 # first\n\n  - 'eth9'\ntick: 5s",
            "uplinks:\n  # ours\n  - name-11 # first\n\n  - 'name-13'\ntick: 5s",
        ),
        (
            "uplinks: [eth1, \"eth2\"] # both\ncluster: my prod # ours\n",
            "uplinks: [name-15, \"name-16\"] # both\ncluster: name-17 # ours\n",
        ),
        (
            "{\"uplinks\": [\n  \"eth3\"\n], \"netns\": \"/run/netns/red\", \"pid\": 7}",
            "{\"uplinks\": [\n  \"name-18\"\n], \"netns\": \"name-19\", \"pid\": 7}",
        ),
        (
            "{workload: big job, pod: p1}, file=/etc/far.yaml x",
            "{workload: name-21, pod: name-22}, file=name-23 x",
        ),
        (
            "host: >-\n  far 8\nuplinks: [{device: eth4, index: 1}]",
            "host: >-\n  name-24\nuplinks: [{device: name-25, index: 1}]",
        ),
        (
            "systemd_unit=\"observer.service\"",
            "systemd_unit=\"observer.service\"",
        ),
        (
            "# cluster: old one\npod: 'it''s' # old one\n",
            "# cluster: name-26\npod: 'name-27' # name-26\n",
        ),
    ];

    #[test]
    fn names_are_taken_out_and_words_are_left() {
        let cases = CASES.iter().map(|(text, expected)| {
            let text = text.replace("ID", &"0123456789abcdef".repeat(4));
            let text = text.replace("POD", "0a1b2c3d-1111-2222-3333-0123456789ab");
            (text, *expected)
        });
        let cases: Vec<_> = cases.collect();
        let mut redactor = Redactor::hiding(["node-1", ""]);
        for (text, _) in &cases {
            redactor.learn(text);
        }
        for (text, expected) in cases {
            assert_eq!(redactor.redact(&text), expected, "{text}");
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
            "host=\"\\",
            "host=\"\\\u{e9}",
            "host: '\u{e9}''",
            "host: [",
            "host: [\u{e9}, '",
            "uplinks:\n-\u{e9}\n- \n- \"",
            "host: |\n\u{e9}",
            "\u{e9}/netns/",
            "::\u{e9} \u{e9}:: 0123456\u{e9} 01234567-\u{e9}",
        ] {
            for text in [format!("{text} secret"), format!("{text}\nsecret")] {
                let mut redactor = Redactor::hiding(["secret"]);
                redactor.learn(&text);
                let redacted = redactor.redact(&text);
                assert!(!redacted.contains("secret"), "{redacted}");
            }
        }
    }
}
