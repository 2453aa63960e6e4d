//! From a file to rows: every name in it is known, every template can be read, what decides is said.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Dialect, FILE_BYTES_MAX, Kind, METHODS, ROWS_MAX, RouteTable, Row, Usual,
    spec::{RouteFile, RouteRow},
    template::Template,
};
use crate::model::{
    identity::Word,
    names::{ApiFamily, ApiState},
    nearest::hint,
    placed::{self, FileError, Placed},
};

/// What is wrong with a file, and where.
pub type RouteError = FileError;

/// The dialect of hosts without one.
const CONTROL: &str = "control";

/// Adds a file's rows before those that are there.
pub(super) fn add(table: &mut RouteTable, name: &str, text: &str) -> Result<(), RouteError> {
    let file: RouteFile = placed::read(name, text, FILE_BYTES_MAX)?;
    let reader = Reader { name, file: &file };
    for (word, vendor) in &file.vendors {
        table.vendors.insert(word.clone(), vendor.as_str().into());
    }
    for place in &file.residency {
        if !table.residency.iter().any(|known| **known == **place) {
            table.residency.push(place.as_str().into());
        }
    }
    let mut rows: BTreeMap<Dialect, Vec<Row>> = BTreeMap::new();
    for row in &file.routes {
        let (dialect, made) = reader.rows(row)?;
        rows.entry(dialect).or_default().extend(made);
    }
    for (dialect, mut made) in rows {
        let known = table.rows.entry(dialect).or_default();
        made.append(known);
        *known = made;
        // Looked through for hosts that speak it.
        table.hosts.entry(dialect).or_insert_with(|| vec![dialect]);
    }
    for (host, dialects) in &file.hosts {
        let host = reader.named(host, None)?;
        let dialects = dialects
            .iter()
            .map(|word| reader.named(&word.value, Some(word)))
            .collect::<Result<Vec<_>, _>>()?;
        table.hosts.insert(host, dialects);
    }
    for (host, row) in &file.inferred {
        let host = reader.named(host, None)?;
        let usual = Usual {
            state: row.state,
            why: row.why.as_str().into(),
        };
        table.usual.insert(host, usual);
    }
    if table.templates() > ROWS_MAX {
        return Err(RouteError {
            file: name.to_owned(),
            place: None,
            what: format!("more than {ROWS_MAX} templates in all files"),
        });
    }
    Ok(())
}

struct Reader<'r> {
    name: &'r str,
    file: &'r RouteFile,
}

impl Reader<'_> {
    fn error(&self, at: Option<&Placed<String>>, what: String) -> RouteError {
        RouteError {
            file: self.name.to_owned(),
            place: at.map(|at| (at.line, at.column)),
            what,
        }
    }

    fn named(&self, word: &str, at: Option<&Placed<String>>) -> Result<Dialect, RouteError> {
        if word == CONTROL {
            return Ok(Dialect::Control);
        }
        let known = ApiFamily::WORDS.iter().copied().chain([CONTROL]);
        ApiFamily::from_word(word)
            .map(Dialect::Family)
            .ok_or_else(|| {
                let hint = hint(word, known);
                self.error(at, format!("there is no dialect `{word}`: {hint}"))
            })
    }

    fn rows(&self, row: &RouteRow) -> Result<(Dialect, Vec<Row>), RouteError> {
        let dialect = self.named(&row.family.value, Some(&row.family))?;
        let kind = Arc::new(self.kind(dialect, row)?);
        let vendor = row.vendor.as_deref().map(Word::from);
        let root = [Placed {
            value: String::new(),
            ..row.family.clone()
        }];
        let bases = self.file.bases.get(&row.family.value);
        let bases = bases.map_or(root.as_slice(), Vec::as_slice);
        let mut rows = Vec::new();
        for request in &row.requests {
            let wrong = |what: String| self.error(Some(request), what);
            let (methods, path) = request.value.split_once(' ').ok_or_else(|| {
                wrong(format!(
                    "`{}`: a request is `METHOD /path`, with any method as `*`",
                    request.value
                ))
            })?;
            let methods = methods_of(methods).map_err(wrong)?;
            for base in bases {
                let template = format!("{}{path}", base.value);
                rows.push(Row {
                    methods: methods.clone(),
                    template: Template::parse(&template, &self.file.sets).map_err(wrong)?,
                    kind: Arc::clone(&kind),
                    vendor: vendor.clone(),
                });
            }
        }
        if rows.is_empty() {
            let what = "`requests` is empty: name one".to_owned();
            return Err(self.error(Some(&row.family), what));
        }
        Ok((dialect, rows))
    }

    fn kind(&self, dialect: Dialect, row: &RouteRow) -> Result<Kind, RouteError> {
        let wrong = |what: &str| self.error(Some(&row.family), what.to_owned());
        match (row.state, row.unseen) {
            (
                ApiState::BodyDecides,
                Some(ApiState::Stateless | ApiState::Stateful | ApiState::AsyncJob),
            ) => {}
            (ApiState::BodyDecides, _) => {
                return Err(wrong(
                    "of what its body decides a row says as `unseen` what it is where the body is not seen: `stateless`, `stateful` or `async_job`",
                ));
            }
            (ApiState::Mixed | ApiState::Unknown, _) => {
                return Err(wrong("`state`: a request is neither `mixed` nor `unknown`"));
            }
            (_, Some(_)) => {
                return Err(wrong("`unseen` is for rows whose state is `body_decides`"));
            }
            (_, None) => {}
        }
        if row.unseen.is_some() && row.why.is_none() {
            return Err(wrong("`why`: say what in the body decides"));
        }
        let (source, verified) = match &row.source {
            None => (format!("`{}`", self.file.version), true),
            Some(key) => {
                let Some(source) = self.file.sources.get(&key.value) else {
                    let hint = hint(&key.value, self.file.sources.keys().map(String::as_str));
                    let what = format!("there is no source `{}`: {hint}", key.value);
                    return Err(self.error(Some(key), what));
                };
                (
                    format!("{} of {}", source.text, source.date),
                    source.verified,
                )
            }
        };
        let why = row
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!("{why} "));
        Ok(Kind {
            dialect,
            state: row.state,
            unseen: row.unseen,
            streaming: row.streaming,
            verified,
            why: format!("{why}[{source}]").into(),
        })
    }
}

fn methods_of(text: &str) -> Result<Vec<&'static str>, String> {
    if text == "*" {
        return Ok(Vec::new());
    }
    text.split('|')
        .map(|word| {
            let known = METHODS.into_iter().find(|method| *method == word);
            known.ok_or_else(|| {
                format!("`{word}` is no method: {}", hint(word, METHODS.into_iter()))
            })
        })
        .collect()
}
