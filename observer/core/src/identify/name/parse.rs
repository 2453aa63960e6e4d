//! Reads name files: one line a pattern, its words, and who says so. See docs/catalogue.md for the form.

use thiserror::Error;

use super::{
    NameIdentity, NameTable,
    pattern::{Capture, Label},
    text::{Row, Source},
    tree::Step,
};
use crate::model::{host_name::HostName, names::ApiFamily};

/// Lines of all files together.
const LINES_MAX: usize = 100_000;
/// Names that one line stands for, after its sets.
const NAMES_PER_LINE_MAX: usize = 64;

/// A line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("name file {file}, line {line}: {what}")]
pub struct NamesError {
    /// Which of the files, from 1.
    pub file: usize,
    /// From 1.
    pub line: usize,
    pub what: String,
}

/// What earlier lines of a file declared.
#[derive(Default)]
struct Declared<'t> {
    /// Words in `<...>` and what they stand for.
    sets: Vec<(&'t str, Vec<&'t str>)>,
}

pub fn add(table: &mut NameTable, file: usize, text: &str) -> Result<(), NamesError> {
    let mut declared = Declared::default();
    for (nth, line) in text.lines().enumerate() {
        let failed = |what: String| NamesError {
            file: file + 1,
            line: nth + 1,
            what,
        };
        if nth >= LINES_MAX {
            return Err(failed(format!("more than {LINES_MAX} lines")));
        }
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        if !line.is_empty() {
            self::line(table, file, line, &mut declared).map_err(failed)?;
        }
    }
    Ok(())
}

fn line<'t>(
    table: &mut NameTable,
    file: usize,
    line: &'t str,
    declared: &mut Declared<'t>,
) -> Result<(), String> {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match first {
        "source" => {
            table.sources.push(source(rest, file)?);
            Ok(())
        }
        "set" => {
            let mut words = rest.split_whitespace();
            let name = words.next().ok_or("`set` without a name")?;
            let words: Vec<&str> = words.collect();
            // A set in a set might stand for itself.
            if let Some(word) = words.iter().find(|word| word.contains(['<', '>'])) {
                return Err(format!("`{word}` in a set: write out what it stands for"));
            }
            declared.sets.push((name, words));
            Ok(())
        }
        "ech-public-name" => {
            table.ech_public_names.insert(host_name(rest)?);
            Ok(())
        }
        "hosting" => table.hosting.add(rest),
        "aws-suffix" | "aws-service" => table.aws.add(first, rest, |words| {
            let mut identity = NameIdentity::default();
            fields(words, &mut identity)?;
            Ok(identity)
        }),
        _ => patterns(table, file, first, rest, declared),
    }
}

/// `KEY YYYY-MM-DD verified|unverified TITLE`
fn source(rest: &str, file: usize) -> Result<Source, String> {
    let mut rest = rest;
    let mut next = |what| {
        let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = behind.trim_start();
        (!word.is_empty())
            .then_some(word)
            .ok_or(format!("`source` without {what}"))
    };
    let (key, date) = (next("a key")?, next("a date")?);
    let state = next("`verified` or `unverified`")?;
    let is_date = date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if !is_date {
        return Err(format!("`{date}` is no date; write it as `2026-11-23`"));
    }
    let verified = match state {
        "verified" => true,
        "unverified" => false,
        _ => return Err(format!("`{state}` is neither `verified` nor `unverified`")),
    };
    Ok(Source {
        key: key.to_owned(),
        date: date.to_owned(),
        verified,
        title: rest.to_owned(),
        file,
    })
}

fn patterns(
    table: &mut NameTable,
    file: usize,
    pattern: &str,
    words: &str,
    declared: &Declared<'_>,
) -> Result<(), String> {
    let mut identity = NameIdentity::default();
    let key = fields(words, &mut identity)?.ok_or("no source; end the line with `@KEY` of one")?;
    let source = table
        .sources
        .iter()
        .rposition(|source| source.key == key && source.file == file)
        .ok_or(format!("no line `source {key} ...` stands above"))?;
    for name in expanded(pattern, declared)? {
        let Source {
            title,
            date,
            verified,
            ..
        } = &table.sources[source];
        let unverified = if *verified { "" } else { ", not verified" };
        identity.evidence = Some(format!("`{name}` [{title} of {date}{unverified}]").into());
        let row = Row {
            identity: identity.clone(),
            source,
            file,
        };
        // A leading dot: the name itself, and all below it.
        let both = match name.strip_prefix('.') {
            Some(own) => vec![own.to_owned(), format!("**.{own}")],
            None => vec![name.clone()],
        };
        for pattern in both {
            let steps = steps(&pattern)?;
            table
                .tree
                .insert(&steps, row.clone())
                .map_err(|()| format!("`{pattern}` stands twice in this file"))?;
        }
    }
    Ok(())
}

/// The pattern with each `<set>` in it replaced by each of its words.
fn expanded(pattern: &str, declared: &Declared<'_>) -> Result<Vec<String>, String> {
    let mut names = vec![pattern.to_owned()];
    while let Some((before, rest)) = names.first().and_then(|name| name.split_once('<')) {
        let _ = before;
        let (set, _) = rest.split_once('>').ok_or("`<` without `>`")?;
        let set = set.to_owned();
        let words = declared.sets.iter().find(|(name, _)| *name == set);
        let (_, words) = words.ok_or(format!("no line `set {set} ...` stands above"))?;
        let marked = format!("<{set}>");
        names = names
            .iter()
            .flat_map(|name| words.iter().map(|word| name.replacen(&marked, word, 1)))
            .take(NAMES_PER_LINE_MAX + 1)
            .collect();
        if names.len() > NAMES_PER_LINE_MAX {
            return Err(format!("stands for more than {NAMES_PER_LINE_MAX} names"));
        }
        if names.is_empty() {
            return Err(format!("the set `{set}` is empty"));
        }
    }
    Ok(names)
}

fn steps(pattern: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for label in pattern.split('.') {
        steps.push(match label {
            "**" if steps.is_empty() => Step::Some,
            "**" => return Err("`**` stands at the front alone".to_owned()),
            "*" => Step::One,
            _ => match label.split_once('{') {
                Some((before, rest)) => {
                    let (word, behind) = rest.split_once('}').ok_or("`{` without `}`")?;
                    let capture = Capture::from_word(word).ok_or(format!(
                        "`{{{word}}}` is none of {{region}}, {{google-region}}, {{google-region-project}}, {{azure-region}}, {{ibm-region}}, {{geography}}, {{name}}"
                    ))?;
                    if [before, behind].iter().any(|part| part.contains(['{', '}'])) {
                        return Err(format!("`{label}` captures twice"));
                    }
                    Step::Part(Label {
                        before: before.into(),
                        capture,
                        behind: behind.into(),
                    })
                }
                None => Step::Literal(host_name(label)?.as_str().into()),
            },
        });
    }
    match steps.last() {
        // A pattern must say at least whose names it means.
        Some(Step::Literal(_)) if steps.len() > 1 => Ok(steps),
        Some(_) | None => Err(format!("`{pattern}` does not end in a domain")),
    }
}

fn host_name(text: &str) -> Result<HostName, String> {
    HostName::from_wire(text.as_bytes())
        .map_err(|error| format!("`{text}` is no host name: {error}"))
}

/// Words of a line: `key=value`, a mark, `@source`. Returns the source's key.
fn fields<'w>(words: &'w str, identity: &mut NameIdentity) -> Result<Option<&'w str>, String> {
    let mut source = None;
    for word in words.split_whitespace() {
        if let Some(key) = word.strip_prefix('@') {
            source = Some(key);
            continue;
        }
        match word {
            "control" => identity.is_control = true,
            "private" => identity.is_private_endpoint = true,
            "fips" => identity.is_fips = true,
            _ => field(word, identity)?,
        }
    }
    Ok(source)
}

fn field(word: &str, identity: &mut NameIdentity) -> Result<(), String> {
    let (key, value) = word
        .split_once('=')
        .filter(|(_, value)| !value.is_empty())
        .ok_or(format!(
            "`{word}` is neither `key=value` nor `control`, `private` or `fips`"
        ))?;
    match key {
        "provider" => identity.provider = Some(value.into()),
        "vendor" => identity.vendor = Some(value.into()),
        "cloud" => identity.cloud = Some(value.into()),
        "front" => identity.front = Some(value.into()),
        "service" => identity.service = Some(value.into()),
        "region" => identity.region = Some(value.into()),
        "geography" => identity.geography = Some(value.into()),
        "family" => {
            let family = |word: &str| {
                ApiFamily::from_word(word).ok_or(format!(
                    "`{word}` is no API family; `observer catalog show --words` lists them"
                ))
            };
            let families: Vec<ApiFamily> =
                value.split('|').map(family).collect::<Result<_, _>>()?;
            match families[..] {
                [one] => identity.api_family = Some(one),
                _ => identity.api_families = families,
            }
        }
        _ => {
            return Err(format!(
                "`{key}` is none of provider, vendor, cloud, front, service, region, geography, family"
            ));
        }
    }
    Ok(())
}
