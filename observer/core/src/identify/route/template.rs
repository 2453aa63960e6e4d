//! Path templates: `/v1/files/**`, `/model/{model}/converse`, `/<google-version>/models/{model}:<verb>`. Knows no host and no
//! method, and keeps nothing of a path but what is named for keeping.

use std::{borrow::Cow, collections::BTreeMap, fmt};

/// Segments of one template.
const SEGMENTS_MAX: usize = 16;
/// Segments of a path that are looked at; one with more is cut off there.
const PATH_SEGMENTS_MAX: usize = 64;

/// A path as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// As it was written.
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Literal text, or one of several.
    Words(Vec<String>),
    /// Some text, with literal text, or one of several, before and behind.
    Capture {
        name: String,
        before: Vec<String>,
        behind: Vec<String>,
    },
    /// Any number of segments.
    Rest,
}

/// A path taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'p> {
    /// `None` where it is none.
    parts: Option<Vec<&'p str>>,
    /// More of it followed.
    is_cut: bool,
}

impl<'p> Path<'p> {
    pub fn new(path: &'p str, is_cut: bool) -> Self {
        let Some(rest) = path.strip_prefix('/') else {
            return Self {
                parts: None,
                is_cut,
            };
        };
        let mut parts: Vec<&str> = rest.split('/').take(PATH_SEGMENTS_MAX + 1).collect();
        let is_cut = is_cut || parts.len() > PATH_SEGMENTS_MAX;
        // Where a path was cut off its last segment may go on; `/sessions/` is `/sessions`.
        if is_cut || (parts.len() > 1 && parts.last() == Some(&"")) {
            parts.pop();
        }
        Self {
            parts: Some(parts),
            is_cut,
        }
    }
}

/// A path that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitted<'p> {
    /// The template, with the word of each set that stood there.
    pub text: String,
    pub captures: Vec<(String, Cow<'p, str>)>,
}

/// How a path that was cut off compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit<'p> {
    /// Whatever follows.
    Fits(Fitted<'p>),
    /// Some continuations fit, others do not.
    Open,
    No,
}

impl Template {
    /// Reads a template; `sets` are the words that `<NAME>` stands for.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str, sets: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| format!("`{text}`: a path begins with `/`"))?;
        let segments = rest
            .split('/')
            .map(|part| Segment::parse(part, sets))
            .collect::<Result<Vec<_>, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(format!("`{text}`: more than {SEGMENTS_MAX} segments"));
        }
        let rests = segments.iter().filter(|one| matches!(one, Segment::Rest));
        if rests.count() > 2 {
            return Err(format!("`{text}`: `**` stands in it more than twice"));
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// The path, if it fits.
    pub fn fit<'p>(&self, path: &Path<'p>) -> Fit<'p> {
        let Some(parts) = &path.parts else {
            return Fit::No;
        };
        let mut fitted = Fitted::default();
        let outcome = walk(&self.segments, parts, path.is_cut, &mut fitted);
        match outcome {
            Walk::Fits => {
                if fitted.text.is_empty() {
                    fitted.text.push('/');
                }
                Fit::Fits(fitted)
            }
            Walk::Open => Fit::Open,
            Walk::No => Fit::No,
        }
    }
}

/// What paths that fit a template may begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Whole segments of literal text, each with its slash.
    pub text: String,
    /// More may follow behind another slash.
    pub goes_on: bool,
}

impl Template {
    /// Literal text up to each segment that is all literal, and to none, up to the first one that is not.
    pub fn beginnings(&self) -> Vec<Beginning> {
        let mut all = vec![Beginning {
            text: String::new(),
            goes_on: true,
        }];
        let mut last = 0;
        for (nth, segment) in self.segments.iter().enumerate() {
            let Segment::Words(words) = segment else {
                break;
            };
            let goes_on = nth + 1 < self.segments.len();
            let before = last..all.len();
            last = all.len();
            for at in before {
                let text = all[at].text.clone();
                all.extend(words.iter().map(|word| Beginning {
                    text: format!("{text}/{word}"),
                    goes_on,
                }));
            }
        }
        all
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(text: &str, sets: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        if text == "**" {
            return Ok(Self::Rest);
        }
        if let Some((before, rest)) = text.split_once('{') {
            let (name, behind) = rest
                .split_once('}')
                .ok_or_else(|| format!("`{text}`: `{{` is not closed"))?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
                return Err(format!(
                    "`{text}`: what stands in braces is a name of small letters"
                ));
            }
            if behind.contains(['{', '}']) {
                return Err(format!("`{text}`: a segment has one name at most"));
            }
            return Ok(Self::Capture {
                name: name.to_owned(),
                before: words(before, sets)?,
                behind: words(behind, sets)?,
            });
        }
        words(text, sets).map(Self::Words)
    }

    /// What the segment is written as, where it fits.
    fn fit<'p>(&self, part: &'p str) -> Option<(String, Option<(&str, &'p str)>)> {
        match self {
            Self::Words(words) => words
                .iter()
                .find(|word| *word == part)
                .map(|word| (word.clone(), None)),
            Self::Capture {
                name,
                before,
                behind,
            } => {
                let inner = |before: &String| {
                    let rest = part.strip_prefix(before.as_str())?;
                    let ends = |word: &&String| {
                        let found = rest.strip_suffix(word.as_str());
                        found.is_some_and(|found| !found.is_empty())
                    };
                    let word = behind.iter().find(ends)?;
                    let found = rest.strip_suffix(word.as_str())?;
                    Some((format!("{before}{{{name}}}{word}"), found))
                };
                let (text, found) = before.iter().find_map(inner)?;
                Some((text, Some((name, found))))
            }
            Self::Rest => None,
        }
    }
}

/// A literal, or literal text with one `<NAME>` in it.
fn words(text: &str, sets: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, String> {
    let Some((before, rest)) = text.split_once('<') else {
        return Ok(vec![literal(text)?.to_owned()]);
    };
    let (name, behind) = rest
        .split_once('>')
        .ok_or_else(|| format!("`{text}`: `<` is not closed"))?;
    let set = sets
        .get(name)
        .ok_or_else(|| format!("`{text}`: there is no set `{name}`"))?;
    let (before, behind) = (literal(before)?, literal(behind)?);
    Ok(set
        .iter()
        .map(|word| format!("{before}{word}{behind}"))
        .collect())
}

fn literal(text: &str) -> Result<&str, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@$+".contains(&byte);
    if !text.bytes().all(is_plain) {
        return Err(format!(
            "`{text}`: a path has letters, digits and `-._~:@$+`; `{{NAME}}`, `<SET>` and `**` stand for more"
        ));
    }
    Ok(text)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    Fits,
    Open,
    No,
}

/// Each `**` is tried from none on; with two of them and bounded paths that ends soon.
fn walk<'p>(
    segments: &[Segment],
    parts: &[&'p str],
    is_cut: bool,
    fitted: &mut Fitted<'p>,
) -> Walk {
    let Some((first, later)) = segments.split_first() else {
        return match (parts.is_empty(), is_cut) {
            (true, false) => Walk::Fits,
            // What was cut off is at least a segment.
            (true, true) | (false, _) => Walk::No,
        };
    };
    if matches!(first, Segment::Rest) {
        return rest(later, parts, is_cut, fitted);
    }
    let Some((part, parts)) = parts.split_first() else {
        return if is_cut { Walk::Open } else { Walk::No };
    };
    let Some((text, capture)) = first.fit(part) else {
        return Walk::No;
    };
    let (text_before, captures_before) = (fitted.text.len(), fitted.captures.len());
    fitted.text.push('/');
    fitted.text.push_str(&text);
    if let Some((name, found)) = capture {
        fitted.captures.push((name.to_owned(), decoded(found)));
    }
    let outcome = walk(later, parts, is_cut, fitted);
    if outcome != Walk::Fits {
        fitted.text.truncate(text_before);
        fitted.captures.truncate(captures_before);
    }
    outcome
}

/// What stands for any number of segments, and what follows it.
fn rest<'p>(later: &[Segment], parts: &[&'p str], is_cut: bool, fitted: &mut Fitted<'p>) -> Walk {
    let before = fitted.text.len();
    fitted.text.push_str("/**");
    if later.is_empty() {
        return Walk::Fits;
    }
    let mut outcome = if is_cut { Walk::Open } else { Walk::No };
    for taken in 0..=parts.len() {
        match walk(later, &parts[taken..], is_cut, fitted) {
            Walk::Fits => return Walk::Fits,
            Walk::Open => outcome = Walk::Open,
            Walk::No => {}
        }
    }
    fitted.text.truncate(before);
    outcome
}

/// Percent-encoding (RFC 3986, section 2.1) taken off; as it is where that is no text.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (*byte, pair) {
            plain.push(u8::try_from(high << 4 | low).unwrap_or(b'?'));
            at += 3;
        } else {
            plain.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets() -> BTreeMap<String, Vec<String>> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        BTreeMap::from([
            ("v".to_owned(), words(&["v1", "v1beta"])),
            ("verb".to_owned(), words(&["predict", "rawPredict"])),
        ])
    }

    fn fitted(template: &str, path: &str, is_cut: bool) -> String {
        let template = Template::parse(template, &sets()).expect(template);
        match template.fit(&Path::new(path, is_cut)) {
            Fit::Fits(fitted) => {
                let captures = fitted.captures.iter();
                captures.fold(fitted.text, |text, (name, found)| {
                    format!("{text} {name}={found}")
                })
            }
            Fit::Open => "open".to_owned(),
            Fit::No => "-".to_owned(),
        }
    }

    #[test]
    fn paths_fit_templates() {
        for (template, path, expected) in [
            ("/", "/", "/"),
            ("/", "/a", "-"),
            ("/v1/files", "/v1/files", "/v1/files"),
            ("/v1/files", "/v1/files/", "/v1/files"),
            ("/v1/files", "/v1/filesx", "-"),
            ("/v1/files", "/V1/files", "-"),
            ("/v1/files", "v1/files", "-"),
            ("/v1/files/**", "/v1/files", "/v1/files/**"),
            ("/v1/files/**", "/v1/files/a/b", "/v1/files/**"),
            ("/v1/files/**", "/v1/filesx", "-"),
            ("/v1/files/{file}/**", "/v1/files", "-"),
            ("/v1/files/{file}/**", "/v1/files/", "-"),
            ("/v1/files/{file}/**", "/v1/files//x", "-"),
            (
                "/v1/files/{file}/**",
                "/v1/files/f",
                "/v1/files/{file}/** file=f",
            ),
            (
                "/model/{model}/converse",
                "/model/a.b-v1%3A0/converse",
                "/model/{model}/converse model=a.b-v1:0",
            ),
            (
                "/model/{model}/converse",
                "/model/arn%3Aaws%3Abedrock%2Fx/converse",
                "/model/{model}/converse model=arn:aws:bedrock/x",
            ),
            (
                "/model/{model}/converse",
                "/model/%ff%/converse",
                "/model/{model}/converse model=%ff%",
            ),
            ("/<v>/models", "/v1beta/models", "/v1beta/models"),
            ("/<v>/models", "/v2/models", "-"),
            (
                "/<v>/**/{m}:<verb>",
                "/v1/projects/p/models/x:rawPredict",
                "/v1/**/{m}:rawPredict m=x",
            ),
            (
                "/<v>/**/{m}:<verb>",
                "/v1/x:predict",
                "/v1/**/{m}:predict m=x",
            ),
            ("/<v>/**/{m}:<verb>", "/v1/:predict", "-"),
            ("/<v>/**/{m}:<verb>", "/v1/x:explain", "-"),
            ("/a/**/b/**", "/a/x/b/b/y", "/a/**/b/**"),
            ("/a/**/b", "/a/b", "/a/**/b"),
            ("/a/**/b", "/a/b/c", "-"),
            (
                "/x/agent_{kind}/**",
                "/x/agent_a/b",
                "/x/agent_{kind}/** kind=a",
            ),
            ("/x/agent_{kind}", "/x/agent_", "-"),
        ] {
            assert_eq!(fitted(template, path, false), expected, "{template} {path}");
        }
    }

    #[test]
    fn a_path_that_was_cut_off_fits_where_every_continuation_does() {
        for (template, path, expected) in [
            ("/v1/files/**", "/v1/files/abc", "/v1/files/**"),
            ("/v1/files/**", "/v1/fil", "open"),
            ("/v1/files", "/v1/files", "open"),
            ("/v1/files", "/v1/files/x", "-"),
            ("/v1/{a}/c", "/v1/x/c", "open"),
            ("/v1/{a}/c", "/v1/x/d/", "-"),
            ("/v1/**/c", "/v1/x/y", "open"),
            ("/v2/**", "/v1/x/y", "-"),
        ] {
            assert_eq!(fitted(template, path, true), expected, "{template} {path}");
        }
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, expected) in [
            ("v1", "begins with `/`"),
            ("/a{b", "not closed"),
            ("/{}", "small letters"),
            ("/{A}", "small letters"),
            ("/{a}{b}", "one name at most"),
            ("/<none>", "no set `none`"),
            ("/<v", "not closed"),
            ("/a?b", "letters, digits"),
            ("/a b", "letters, digits"),
            ("/**/a/**/b/**", "more than twice"),
            (
                "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
                "more than 16 segments",
            ),
        ] {
            let error = Template::parse(text, &sets()).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_of_slashes_ends_soon() {
        let template = Template::parse("/a/**/b/**/c", &BTreeMap::new());
        let template = template.expect("a template");
        let path = format!("/a{}", "/b".repeat(50_000));
        assert_eq!(template.fit(&Path::new(&path, false)), Fit::Open);
    }
}
