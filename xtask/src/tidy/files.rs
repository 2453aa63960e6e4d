//! The repository's text files in memory, under their paths from the root.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::rust::Rust;
use crate::shell;

/// Endings of files that people write. Recorded data and golden outputs have none of them.
const WRITTEN: [&str; 11] = [
    "rs", "toml", "md", "yml", "yaml", "json", "sh", "py", "proto", "css", "html",
];

/// Inputs that are wrong on purpose.
const MALFORMED: &str = "observer/tests/config/bad/";

pub struct Files {
    texts: BTreeMap<String, String>,
    rust: BTreeMap<String, Rust>,
}

impl Files {
    pub fn read(root: &Path) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for path in list(root)? {
            let written = Path::new(&path)
                .extension()
                .and_then(|e| e.to_str())
                .is_some_and(|e| WRITTEN.contains(&e));
            let written = written && !path.starts_with(MALFORMED);
            if written || path == ".ci/run" {
                let full = root.join(&path);
                let text = fs::read_to_string(&full)
                    .with_context(|| format!("read `{}`", full.display()))?;
                texts.insert(path, text);
            }
        }
        Self::new(texts)
    }

    fn new(texts: BTreeMap<String, String>) -> Result<Self> {
        let mut rust = BTreeMap::new();
        for (path, text) in &texts {
            if path.ends_with(".rs") {
                let parsed = Rust::read(path, text)
                    .with_context(|| format!("read `{path}` as Rust tokens"))?;
                rust.insert(path.clone(), parsed);
            }
        }
        Ok(Self { texts, rust })
    }

    /// Path and text of every file.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Path and code of every Rust file.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &Rust)> {
        self.rust.iter().map(|(path, rust)| (path.as_str(), rust))
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }
}

#[cfg(test)]
impl Files {
    /// Files that exist nowhere.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let texts = files
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect();
        Self::new(texts).expect("the test's files are Rust")
    }
}

/// What git tracks or would track; where git does not answer (no git, a tarball, another owner), every file outside
/// hidden and build folders.
fn list(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let Ok(answer) = shell::capture(&mut git) else {
        return walk(root);
    };
    Ok(answer
        .lines()
        // Deleted but not yet staged files are listed too.
        .filter(|path| root.join(path).is_file())
        .map(str::to_owned)
        .collect())
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let entries = fs::read_dir(&full).with_context(|| format!("list `{}`", full.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list `{}`", full.display()))?;
            let path = folder.join(entry.file_name());
            let kind = entry
                .file_type()
                .with_context(|| format!("look at `{}`", path.display()))?;
            let name = entry.file_name();
            if kind.is_file() {
                found.extend(path.to_str().map(str::to_owned));
            } else if kind.is_dir()
                && ![".git", "target", "node_modules"]
                    .map(Some)
                    .contains(&name.to_str())
            {
                folders.push(path);
            }
        }
    }
    Ok(found)
}
