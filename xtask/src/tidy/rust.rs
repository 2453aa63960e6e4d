//! One Rust file as tokens: which paths it names and where. Comments, strings and what compiles for tests only are
//! gone; names are not resolved.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// What the file says outside tests.
pub struct Rust {
    /// Flat, in order, without imports; a group's brackets are tokens of their own.
    pub tokens: Vec<Token>,
    /// Every path of the code, `use` trees taken apart: `use a::{b, c::d}` is `a::b` and `a::c::d`.
    pub paths: Vec<Named>,
    /// The whole file is a test: it is under a `tests` or `benches` folder, or is a module called `tests`.
    pub is_test: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// From 1.
    pub line: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub segments: Vec<String>,
    /// From 1.
    pub line: usize,
}

impl Named {
    /// Whether the path is this one or goes on from it.
    pub fn begins_with(&self, start: &[&str]) -> bool {
        self.segments.len() >= start.len()
            && self
                .segments
                .iter()
                .zip(start)
                .all(|(segment, wanted)| segment == wanted)
    }

    pub fn ends_with(&self, end: &[&str]) -> bool {
        let tail = self
            .segments
            .len()
            .checked_sub(end.len())
            .map(|n| &self.segments[n..]);
        tail.is_some_and(|tail| {
            tail.iter()
                .zip(end)
                .all(|(segment, wanted)| segment == wanted)
        })
    }
}

impl Rust {
    pub fn read(path: &str, text: &str) -> Result<Self> {
        let stream: TokenStream = text.parse().map_err(|e| anyhow!("{e}"))?;
        let mut rust = Self {
            tokens: Vec::new(),
            paths: Vec::new(),
            is_test: is_test(path),
        };
        rust.collect(&stream.into_iter().collect::<Vec<_>>());
        Ok(rust)
    }

    /// Lines on which these tokens stand one after the other.
    pub fn lines_with<'a>(&'a self, sequence: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        self.tokens
            .windows(sequence.len())
            .filter(move |window| {
                window
                    .iter()
                    .zip(sequence)
                    .all(|(token, text)| token.text == *text)
            })
            .map(|window| window[0].line)
    }

    fn collect(&mut self, trees: &[TokenTree]) {
        let mut i = 0;
        while i < trees.len() {
            if is_test_attribute(&trees[i..]) {
                i += item_length(&trees[i..]);
                continue;
            }
            if is_import(&trees[i..]) {
                let length = item_end(&trees[i..], |tree| is_punct(tree, ';'));
                self.collect_use(&[], &trees[i + 1..i + length]);
                i += length;
                continue;
            }
            if matches!(trees[i], TokenTree::Ident(_)) && !follows_colons(trees, i) {
                let (segments, _) = path(&trees[i..]);
                if segments.len() > 1 {
                    self.paths.push(Named {
                        segments,
                        line: line(&trees[i]),
                    });
                }
            }
            self.push(&trees[i]);
            i += 1;
        }
    }

    fn push(&mut self, tree: &TokenTree) {
        let line = line(tree);
        let mut token = |text: String, line| self.tokens.push(Token { text, line });
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group);
                token(open.into(), line);
                self.collect(&group.stream().into_iter().collect::<Vec<_>>());
                let end = group.span_close().start().line;
                self.tokens.push(Token {
                    text: close.into(),
                    line: end,
                });
            }
            TokenTree::Ident(ident) => token(ident.to_string(), line),
            TokenTree::Punct(punct) => token(punct.as_char().into(), line),
            TokenTree::Literal(literal) => token(literal.to_string(), line),
        }
    }

    /// `trees` is what follows `use` or a brace inside it.
    fn collect_use(&mut self, prefix: &[String], trees: &[TokenTree]) {
        for branch in trees.split(|tree| is_punct(tree, ',') || is_punct(tree, ';')) {
            let start = branch.iter().take_while(|tree| is_punct(tree, ':')).count();
            let branch = &branch[start..];
            let Some(first) = branch.first() else {
                continue;
            };
            let (segments, length) = path(branch);
            let whole = [prefix, segments.as_slice()].concat();
            match branch.get(length) {
                Some(TokenTree::Group(group)) => {
                    self.collect_use(&whole, &group.stream().into_iter().collect::<Vec<_>>());
                }
                // A glob, `as` or the end.
                _ => self.paths.push(Named {
                    segments: whole,
                    line: line(first),
                }),
            }
        }
    }
}

fn is_test(path: &str) -> bool {
    let folders = ["tests/tests/", "/tests/", "/benches/", "/fuzz/"];
    path.ends_with("/tests.rs") || folders.iter().any(|folder| path.contains(folder))
}

/// The identifiers of `a::b::c` at the beginning and how many trees they and their colons are; a trailing `::` counts.
fn path(trees: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut i = 0;
    while let Some(TokenTree::Ident(ident)) = trees.get(i) {
        segments.push(ident.to_string());
        i += 1;
        if !is_colons(&trees[i..]) {
            break;
        }
        i += 2;
    }
    (segments, i)
}

fn is_colons(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(first), second, ..] = trees else {
        return false;
    };
    first.as_char() == ':' && first.spacing() == Spacing::Joint && is_punct(second, ':')
}

/// Whether the identifier at `i` goes on a path that began before it.
fn follows_colons(trees: &[TokenTree], i: usize) -> bool {
    i >= 3 && is_colons(&trees[i - 2..]) && matches!(trees[i - 3], TokenTree::Ident(_))
}

fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// `#[cfg(test)]`, `#[cfg(all(test, ...))]`, `#[test]`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(group), ..] = trees else {
        return false;
    };
    if !is_punct(hash, '#') || group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text = group.stream().to_string().replace(' ', "");
    text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// `use`, but not the `use<'a>` of a return type.
fn is_import(trees: &[TokenTree]) -> bool {
    let [TokenTree::Ident(first), second, ..] = trees else {
        return false;
    };
    first == "use" && !is_punct(second, '<')
}

/// Trees of the item that begins here with an attribute: to its body or its semicolon.
fn item_length(trees: &[TokenTree]) -> usize {
    item_end(trees, |tree| {
        let body = matches!(tree, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        body || is_punct(tree, ';')
    })
}

/// How many trees there are up to and with the first one that is the last.
fn item_end(trees: &[TokenTree], is_last: impl Fn(&TokenTree) -> bool) -> usize {
    trees
        .iter()
        .position(is_last)
        .map_or(trees.len(), |last| last + 1)
}

fn brackets(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let rust = Rust::read("observer/src/x.rs", text).expect("the text is Rust");
        rust.paths
            .iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let text = "use a::{b, c::{self, d as e}, f::*};\nuse ::g::h;";
        let wanted = ["a::b", "a::c::self", "a::c::d", "a::f", "g::h"];
        let found = paths(text);
        for path in wanted {
            assert!(found.iter().any(|f| f == path), "`{path}` in {found:?}");
        }
    }

    #[test]
    fn paths_are_found_in_code_types_and_macros() {
        let text = "fn f(x: a::B) -> c::D { e!(g::h(x), i::J); k::l::<m::N>() }";
        assert_eq!(
            paths(text),
            ["a::B", "c::D", "g::h", "i::J", "k::l", "m::N"]
        );
    }

    #[test]
    fn comments_strings_and_tests_say_nothing() {
        let text = "//! a::b\n/* c::d */ fn f() { \"e::f\"; }\n\
                    #[cfg(test)]\n#[expect(x)]\nmod tests { use g::h; }\n\
                    #[cfg(test)] use i::j;\nuse k::l;";
        assert_eq!(paths(text), ["k::l"]);
    }

    #[test]
    fn sequences_are_found_with_their_lines() {
        let text = "fn f() {\n    a\n        .unwrap();\n    b.unwrap_or(1);\n}";
        let rust = Rust::read("observer/src/x.rs", text).expect("the text is Rust");
        assert_eq!(
            rust.lines_with(&[".", "unwrap", "(", ")"])
                .collect::<Vec<_>>(),
            [3]
        );
    }

    #[test]
    fn ends_and_beginnings_are_compared_by_segment() {
        let path = Named {
            segments: ["std", "time", "Instant", "now"].map(Into::into).into(),
            line: 1,
        };
        assert!(path.begins_with(&["std", "time"]));
        assert!(path.ends_with(&["Instant", "now"]));
        assert!(!path.ends_with(&["a", "std", "time", "Instant", "now"]));
        assert!(!path.begins_with(&["st"]));
    }
}
