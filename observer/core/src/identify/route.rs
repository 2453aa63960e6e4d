//! The table of requests: what the provider keeps of one, by host, method and path. The host's dialects come first, for one path
//! means different things on different hosts. What is kept of a path is the template that it fits, a model id and where that
//! may run; the path itself is dropped. Knows no body and no header.

mod compile;
mod decided;
mod model_id;
mod spec;
mod template;

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest as _, Sha256};

pub use self::{compile::RouteError, decided::Decided};
use self::{
    model_id::{ModelId, is_id},
    template::{Fit, Fitted, Path, Template},
};
use super::name::NameIdentity;
use crate::model::{
    identity::Word,
    names::{ApiFamily, ApiState, Streaming},
};

/// The file that the product is built with.
pub const EMBEDDED: &str = include_str!("../../data/routes.yaml");
/// Methods that are looked at (RFC 9110, section 9; RFC 5789); another one is none.
pub const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH",
];
/// Rows of all files together.
pub const ROWS_MAX: usize = 4_096;
/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Whose rows are looked through for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    Family(ApiFamily),
    /// Of a host that serves keys, accounts and resources alone.
    Control,
}

/// Method and path of one request, without what follows `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'r> {
    pub method: &'r str,
    pub path: &'r str,
    /// More of the path followed.
    pub is_cut: bool,
}

/// What requests of one kind are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The dialect of the row.
    pub dialect: Dialect,
    pub state: ApiState,
    /// Of [`ApiState::BodyDecides`]: what it is most likely.
    pub unseen: Option<ApiState>,
    pub streaming: Option<Streaming>,
    pub verified: bool,
    /// Why, and who says so.
    pub why: Word,
}

/// What one request is on a host of one dialect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub kind: Arc<Kind>,
    /// The template that the path fits.
    pub template: Word,
    pub model: Option<Word>,
    pub vendor: Option<Word>,
    /// What the request says of where it may be processed.
    pub residency_flags: Vec<Word>,
}

/// What one request may be: on which host it is made decides between the routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Typed {
    pub method: Word,
    /// By the dialect that a host speaks, each once.
    routes: Vec<(Dialect, Route)>,
}

impl Typed {
    /// What the request is on a host of this name; `None` where the table has nothing of it.
    #[must_use]
    pub fn on(&self, host: &NameIdentity) -> Option<&Route> {
        if host.is_control {
            return self.route(Dialect::Control);
        }
        dialects(host).find_map(|dialect| self.route(dialect))
    }

    fn route(&self, dialect: Dialect) -> Option<&Route> {
        let mut routes = self.routes.iter();
        let found = routes.find(|(own, _)| *own == dialect);
        found.map(|(_, route)| route)
    }
}

/// What requests of a dialect are as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usual {
    pub state: ApiState,
    pub why: Word,
}

/// All rows.
#[derive(Debug)]
pub struct RouteTable {
    /// By dialect, those of later files first.
    rows: BTreeMap<Dialect, Vec<Row>>,
    /// By the dialect that a host speaks, whose rows are looked through.
    hosts: BTreeMap<Dialect, Vec<Dialect>>,
    vendors: BTreeMap<String, Word>,
    residency: Vec<Word>,
    usual: BTreeMap<Dialect, Usual>,
    sha256: String,
}

/// One template with its methods.
#[derive(Debug)]
struct Row {
    /// Any where empty.
    methods: Vec<&'static str>,
    template: Template,
    kind: Arc<Kind>,
    vendor: Option<Word>,
}

/// What the rows of a host's dialects say of a request.
enum Found {
    Route(Route),
    /// The rest of the path decides, and it is not known.
    Open,
    Nothing,
}

impl RouteTable {
    /// The table the product is built with.
    ///
    /// # Errors
    /// Never, unless the embedded file is broken.
    pub fn embedded() -> Result<Self, RouteError> {
        Self::from_texts(&[("routes.yaml", EMBEDDED)])
    }

    /// The table the product is built with, below an operator's file of this name.
    ///
    /// # Errors
    /// As [`from_texts`](Self::from_texts).
    pub fn with_overlay(name: &str, text: &str) -> Result<Self, RouteError> {
        Self::from_texts(&[("routes.yaml", EMBEDDED), (name, text)])
    }

    /// A table of these files, the rows of later ones before those of earlier ones.
    ///
    /// # Errors
    /// Names file, line and column, what is wrong and what would be right.
    pub fn from_texts(texts: &[(&str, &str)]) -> Result<Self, RouteError> {
        let mut table = Self {
            rows: BTreeMap::new(),
            hosts: BTreeMap::new(),
            vendors: BTreeMap::new(),
            residency: Vec::new(),
            usual: BTreeMap::new(),
            sha256: String::new(),
        };
        let mut hash = Sha256::new();
        for (name, text) in texts {
            hash.update(text);
            compile::add(&mut table, name, text)?;
        }
        let hash = hash.finalize();
        table.sha256 = hash
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok(table)
    }

    /// What a request may be; `None` where the method is none.
    #[must_use]
    pub fn typed(&self, request: &Request<'_>) -> Option<Typed> {
        self.typed_or_open(request).map(|(typed, _)| typed)
    }

    /// The same, and whether the rest of a path that was cut off decides on some host.
    fn typed_or_open(&self, request: &Request<'_>) -> Option<(Typed, bool)> {
        let method = METHODS
            .into_iter()
            .find(|method| *method == request.method)?;
        let path = Path::new(of_target(request.path), request.is_cut);
        let (mut routes, mut is_open) = (Vec::new(), false);
        for (host, dialects) in &self.hosts {
            match self.find(dialects, method, &path) {
                Found::Route(route) => routes.push((*host, route)),
                Found::Open => is_open = true,
                Found::Nothing => {}
            }
        }
        let method = method.into();
        Some((Typed { method, routes }, is_open))
    }

    /// The first row that fits, of the dialects in their order.
    fn find(&self, dialects: &[Dialect], method: &str, path: &Path<'_>) -> Found {
        let rows = dialects.iter().filter_map(|own| self.rows.get(own));
        for row in rows.flatten() {
            if !row.methods.is_empty() && !row.methods.contains(&method) {
                continue;
            }
            match row.template.fit(path) {
                Fit::Fits(fitted) => return Found::Route(self.route(row, &fitted)),
                Fit::Open => return Found::Open,
                Fit::No => {}
            }
        }
        Found::Nothing
    }

    fn route(&self, row: &Row, fitted: &Fitted<'_>) -> Route {
        let capture = |wanted: &str| {
            let mut captures = fitted.captures.iter();
            captures
                .find(|(name, _)| name == wanted)
                .map(|(_, found)| found.as_ref())
        };
        let id = capture("model")
            .map(|text| ModelId::read(text, &self.vendors, &self.residency))
            .unwrap_or_default();
        let deployment = capture("deployment").filter(|text| is_id(text));
        let publisher = capture("publisher").and_then(|text| self.vendors.get(text));
        let place = capture("location").and_then(|text| {
            let mut places = self.residency.iter();
            places.find(|place| ***place == *text)
        });
        Route {
            kind: Arc::clone(&row.kind),
            template: fitted.text.as_str().into(),
            model: id.model.or_else(|| deployment.map(Word::from)),
            vendor: row
                .vendor
                .clone()
                .or(id.vendor)
                .or_else(|| publisher.cloned()),
            residency_flags: id.residency.into_iter().chain(place.cloned()).collect(),
        }
    }

    /// Whether the table has requests of a host of this name, and which it would be is not known by the name.
    #[must_use]
    pub fn has(&self, host: &NameIdentity) -> bool {
        !host.is_control && dialects(host).any(|dialect| self.hosts.contains_key(&dialect))
    }

    /// What requests of such a host are as a rule; `None` where there is none.
    #[must_use]
    pub fn usual(&self, host: &NameIdentity) -> Option<&Usual> {
        dialects(host).find_map(|dialect| self.usual.get(&dialect))
    }

    /// Whether such a host has sessions in which both sides speak when they like.
    #[must_use]
    pub fn has_realtime(&self, host: &NameIdentity) -> bool {
        let looked_through = dialects(host).filter_map(|dialect| self.hosts.get(&dialect));
        let rows = looked_through
            .flatten()
            .filter_map(|own| self.rows.get(own));
        rows.flatten()
            .any(|row| row.kind.state == ApiState::Realtime)
    }

    /// SHA-256 of the files, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Number of templates.
    #[must_use]
    pub fn templates(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }

    /// Every vendor that a request may tell.
    pub fn vendors(&self) -> impl Iterator<Item = &Word> {
        let rows = self.rows.values().flatten();
        self.vendors
            .values()
            .chain(rows.filter_map(|row| row.vendor.as_ref()))
    }

    /// Every word that a request may have for where it is processed.
    #[must_use]
    pub fn residency(&self) -> &[Word] {
        &self.residency
    }

    /// Every row's methods and template with what they are, dialect by dialect, each as it is looked through.
    pub fn rows(&self) -> impl Iterator<Item = (String, &Kind)> {
        let rows = self.rows.values().flatten();
        rows.map(|row| {
            let methods = match row.methods.as_slice() {
                [] => "*".to_owned(),
                methods => methods.join("|"),
            };
            (format!("{methods} {}", row.template), &*row.kind)
        })
    }
}

/// Those that a host speaks, the likelier ones first.
fn dialects(host: &NameIdentity) -> impl Iterator<Item = Dialect> {
    let families = host.api_family.iter().chain(&host.api_families);
    families.map(|family| Dialect::Family(*family))
}

/// A client that talks to a proxy writes the whole URL (RFC 9112, section 3.2.2).
fn of_target(target: &str) -> &str {
    let Some((scheme, rest)) = target.split_once("://") else {
        return target;
    };
    if scheme.contains('/') {
        return target;
    }
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

#[cfg(test)]
mod tests;
