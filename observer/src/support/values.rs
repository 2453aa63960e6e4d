//! Where the values of keys stand that are names of the operator's own: in YAML, JSON, labels of metrics and `key=value`. No
//! parser of any of them: what is malformed passes too, and rather too much than too little is a value.

use std::ops::Range;

/// Keys whose values are names of the operator's own.
const KEYS: &[&str] = &[
    "host",
    "cluster",
    "device",
    "uplink",
    "uplinks",
    "netns",
    "file",
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

/// One value, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub key: &'static str,
    pub at: Range<usize>,
}

/// What a line may be the continuation of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    /// `key:`, then `- value` in lines of their own.
    List(&'static str),
    /// `key: |`, then lines that are further in than so many blanks.
    Text(&'static str, usize),
    /// `key: [`, no `]` yet.
    Brackets(&'static str),
}

struct Finder<'a> {
    text: &'a str,
    found: Vec<Found>,
    open: Open,
}

/// All values of all keys, in their order.
pub fn values(text: &str) -> Vec<Found> {
    let mut finder = Finder {
        text,
        found: Vec::new(),
        open: Open::Nothing,
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        finder.line(start, end);
        start += line.len();
    }
    finder.found
}

/// Names of network namespaces, by the paths of them.
pub fn namespaces(text: &str) -> impl Iterator<Item = &str> {
    text.split("/netns/").skip(1).map(|rest| {
        let end = rest.find(|c| is_delimiter(c) || matches!(c, '/' | ':'));
        &rest[..end.unwrap_or(rest.len())]
    })
}

impl Finder<'_> {
    fn line(&mut self, start: usize, end: usize) {
        let line = &self.text[start..end];
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let first = start + indent;
        let mut at = start;
        match self.open {
            Open::List(_) | Open::Text(..) if content.is_empty() => return,
            Open::List(_) if content.starts_with('#') => return,
            Open::List(key) => match content.strip_prefix("- ") {
                Some(item) => {
                    let item = end - item.trim_start().len();
                    if !is_mapping(&self.text[item..end]) {
                        self.scalar(key, item, end);
                        return;
                    }
                }
                None => self.open = Open::Nothing,
            },
            Open::Text(key, least) if indent > least => {
                self.push(key, first..end);
                return;
            }
            Open::Text(..) => self.open = Open::Nothing,
            Open::Brackets(key) => at = self.items(key, start, end),
            Open::Nothing => {}
        }
        self.words(start, at, end);
    }

    /// Looks for keys from `at` on.
    fn words(&mut self, start: usize, mut at: usize, end: usize) {
        while at < end {
            let rest = &self.text[at..end];
            let word_len = rest.find(is_delimiter).unwrap_or(rest.len());
            if word_len == 0 {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            }
            let (word, after) = rest.split_at(word_len);
            let (separator, value) = separated(after);
            let Some(key) = key_before(word, separator) else {
                at += word_len;
                continue;
            };
            let before = self.text[start..at].trim_matches([' ', '\t', '-', '#']);
            let is_block = before.is_empty() && word.ends_with(':');
            let value = if word.ends_with(':') {
                value.trim_start()
            } else {
                value
            };
            at = self.value(key, start, end - value.len(), end, is_block);
        }
    }

    /// The value at `at`; returns where it is over.
    fn value(
        &mut self,
        key: &'static str,
        start: usize,
        at: usize,
        end: usize,
        is_block: bool,
    ) -> usize {
        let value = &self.text[at..end];
        let indent = || {
            let line = &self.text[start..end];
            line.len() - line.trim_start().len()
        };
        match value.chars().next() {
            None | Some('#') if is_block => {
                self.open = Open::List(key);
                end
            }
            None | Some('{') => at,
            Some('"' | '\'') => self.quoted(key, at, end),
            Some('[') => self.items(key, at + 1, end),
            Some('|' | '>') if is_block => {
                self.open = Open::Text(key, indent());
                end
            }
            Some(_) if is_block => self.scalar(key, at, end),
            Some(_) if is_in_braces(&self.text[start..at]) => {
                let len = value.find([',', '}', ']']).unwrap_or(value.len());
                self.scalar(key, at, at + len)
            }
            Some(_) => {
                let len = value.find(is_delimiter).unwrap_or(value.len());
                self.push(key, at..at + len);
                at + len
            }
        }
    }

    /// What stands up to a comment, blanks and all, or in quotes.
    fn scalar(&mut self, key: &'static str, at: usize, end: usize) -> usize {
        let value = &self.text[at..end];
        if value.starts_with(['"', '\'']) {
            return self.quoted(key, at, end);
        }
        let len = value.find(" #").unwrap_or(value.len());
        self.push(key, at..at + value[..len].trim_end().len());
        at + len
    }

    /// At a quote. Ends behind its partner; `\` in double quotes and a second quote in single ones escape.
    fn quoted(&mut self, key: &'static str, at: usize, end: usize) -> usize {
        let bytes = &self.text.as_bytes()[..end];
        let quote = bytes[at];
        let mut close = at + 1;
        while let Some(byte) = bytes.get(close) {
            let next = bytes.get(close + 1);
            let is_escape = match quote {
                b'"' => *byte == b'\\',
                _ => *byte == quote && next == Some(&quote),
            };
            if *byte == quote && !is_escape {
                break;
            }
            close += if is_escape { 2 } else { 1 };
        }
        let close = close.min(end);
        self.push(key, at + 1..close);
        (close + 1).min(end)
    }

    /// Items of a list in brackets, up to its end or the line's.
    fn items(&mut self, key: &'static str, mut at: usize, end: usize) -> usize {
        self.open = Open::Brackets(key);
        while at < end {
            let rest = &self.text[at..end];
            match rest.chars().next() {
                Some('"' | '\'') => at = self.quoted(key, at, end),
                Some('#') => return end,
                // Its items have keys of their own.
                Some('{') => {
                    self.open = Open::Nothing;
                    return at;
                }
                Some(']') => {
                    self.open = Open::Nothing;
                    return at + 1;
                }
                Some(c) if c == ',' || c.is_whitespace() => at += c.len_utf8(),
                _ => {
                    let len = rest.find([',', ']']).unwrap_or(rest.len());
                    at = self.scalar(key, at, at + len);
                }
            }
        }
        end
    }

    fn push(&mut self, key: &'static str, at: Range<usize>) {
        if !at.is_empty() {
            self.found.push(Found { key, at });
        }
    }
}

/// Behind `{key: `; no other value without quotes may have blanks.
fn is_in_braces(before: &str) -> bool {
    let before = before.trim_end();
    let count = |brace| before.matches(brace).count();
    before.ends_with(':') && !before.ends_with("\":") && count('{') > count('}')
}

/// `key: value`, as an item of a list.
fn is_mapping(item: &str) -> bool {
    !item.starts_with(['"', '\'']) && (item.contains(": ") || item.ends_with(':'))
        || item.starts_with('{')
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
fn key_before(word: &str, separator: &str) -> Option<&'static str> {
    let named = |name: &str| KEYS.iter().copied().find(|key| *key == name);
    match word.strip_suffix(':') {
        Some(name) => named(name),
        None => named(word).filter(|_| !separator.is_empty()),
    }
}
