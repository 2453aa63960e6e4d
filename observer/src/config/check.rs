//! What is in force, row by row, for `observer run --check`.

use serde::Serialize;

use super::{Layer, Loaded, Origin, Reach};

/// One key.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    pub key: &'static str,
    /// Null where the key has no value, and none by default.
    pub value: serde_json::Value,
    /// `flag`, `environment`, `file` or `default`.
    pub origin: &'static str,
    /// The flag, the variable or the file.
    pub from: Option<String>,
    /// A reload changes it.
    pub live: bool,
}

/// Every key, in the order of the manual.
pub fn rows(loaded: &Loaded) -> Vec<Row> {
    let row = |(key, origin): &(&'static str, Origin)| {
        let (origin, from) = match origin {
            Origin::Flag(flag) => ("flag", Some((*flag).to_owned())),
            Origin::Environment(name) => ("environment", Some(name.clone())),
            Origin::File(path) => ("file", Some(path.to_string_lossy().into_owned())),
            Origin::Default => ("default", None),
        };
        Row {
            key,
            value: loaded.effective.shown(key),
            origin,
            from,
            live: Layer::reach(key) == Some(Reach::Live),
        }
    };
    loaded.origins.iter().map(row).collect()
}
