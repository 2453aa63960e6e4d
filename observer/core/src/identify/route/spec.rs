//! A table of requests as its YAML has it, each text with the place that it stands at. Says nothing of whether it makes sense.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{
    names::{ApiState, Streaming},
    placed::Placed,
};

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// What this file is called in versions and messages.
    pub version: String,
    /// Where rows were read, by a short name.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceRow>,
    /// Under what a dialect's paths lie.
    #[serde(default)]
    pub bases: BTreeMap<String, Vec<Placed<String>>>,
    /// By the dialect that a host speaks, those whose rows are looked through.
    #[serde(default)]
    pub hosts: BTreeMap<String, Vec<Placed<String>>>,
    /// Words that `<NAME>` stands for.
    #[serde(default)]
    pub sets: BTreeMap<String, Vec<String>>,
    /// Whose models they are, by the word that model ids have for it.
    #[serde(default)]
    pub vendors: BTreeMap<String, String>,
    /// First parts of model ids, and locations, that say where a request may be processed.
    #[serde(default)]
    pub residency: Vec<String>,
    /// What requests of a dialect are as a rule, where none is read.
    #[serde(default)]
    pub inferred: BTreeMap<String, InferredRow>,
    pub routes: Vec<RouteRow>,
}

/// Where rows were read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRow {
    /// `YYYY-MM-DD`.
    pub date: String,
    pub text: String,
    /// Seen in a source that can be named; else recalled.
    #[serde(default = "yes")]
    pub verified: bool,
}

/// What is so as a rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferredRow {
    pub state: ApiState,
    pub why: String,
}

const fn yes() -> bool {
    true
}

/// Requests that are of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRow {
    /// The dialect.
    pub family: Placed<String>,
    /// `METHOD TEMPLATE`, with several methods as `GET|POST`, any as `*`.
    pub requests: Vec<Placed<String>>,
    pub state: ApiState,
    /// What it is most likely where the body, which decides, is not seen.
    #[serde(default)]
    pub unseen: Option<ApiState>,
    #[serde(default)]
    pub streaming: Option<Streaming>,
    /// Whose product answers, whatever the model.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Of `body_decides`: what in it decides.
    #[serde(default)]
    pub why: Option<String>,
    /// A key of `sources`.
    #[serde(default)]
    pub source: Option<Placed<String>>,
}
