//! The name table: whose service a host name is. Patterns over labels, kept as a tree that is walked from the last label
//! to the first; what is written out goes before what is captured, that before what stands for any label, and that
//! before what stands for any number of them. AWS's names, which are made by rule, have a rule of their own.
//! Knows no address and no feed.

mod aws;
mod hosting;
mod parse;
mod pattern;
mod text;
mod tree;

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use self::{aws::Aws, hosting::Hosting, text::Source, tree::Tree};
pub use self::{hosting::Hosted, parse::NamesError};
use super::combine::Names;
use crate::model::{host_name::HostName, identity::Word, names::ApiFamily};

/// The files that the product is built with; docs/catalogue.md says what is in them.
pub const EMBEDDED: &str = include_str!("../../data/names.txt");
/// Names of AWS's services, written by `cargo xtask catalog`.
pub const EMBEDDED_AWS: &str = include_str!("../../data/aws-services.txt");

/// What a host name alone says. `None` is "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a name"
)]
pub struct NameIdentity {
    /// Who sells the service.
    pub provider: Option<Word>,
    /// Whose model or product answers, where the name says so.
    pub vendor: Option<Word>,
    /// Cloud that the service runs in, where the name proves it: a front, or a provider of its own network, gives none.
    pub cloud: Option<Word>,
    /// Where an operator says it runs, which counts where a front hides it.
    pub hosted: Option<Hosted>,
    /// CDN or proxy that is known to stand before the host.
    pub front: Option<Word>,
    pub service: Option<Word>,
    /// The provider's own name of the region, where the name has it.
    pub region: Option<Word>,
    /// Country or continent, lower case, where the name has no region but says that much.
    pub geography: Option<Word>,
    /// The dialect, where the host speaks one.
    pub api_family: Option<ApiFamily>,
    /// The dialects, where it speaks several.
    pub api_families: Vec<ApiFamily>,
    /// Keys, accounts, resources: its api_state is `control_plane`.
    pub is_control: bool,
    /// A name of a private endpoint (PrivateLink, Private Service Connect).
    pub is_private_endpoint: bool,
    pub is_fips: bool,
    /// The pattern, its source and date, in words.
    pub evidence: Option<Word>,
    /// Seen in a source that can be named; else recalled.
    pub verified: bool,
}

/// All patterns.
#[derive(Debug)]
pub struct NameTable {
    tree: Tree,
    aws: Aws,
    hosting: Hosting,
    ech_public_names: HashSet<HostName>,
    sources: Vec<Source>,
    sha256: String,
}

impl NameTable {
    /// The table the product is built with.
    ///
    /// # Errors
    /// Never, unless the embedded files are broken.
    pub fn embedded() -> Result<Self, NamesError> {
        Self::from_texts(&[EMBEDDED_AWS, EMBEDDED])
    }

    /// The table the product is built with, below an operator's file.
    ///
    /// # Errors
    /// As [`from_texts`](Self::from_texts); the operator's is the third file.
    pub fn with_overlay(text: &str) -> Result<Self, NamesError> {
        Self::from_texts(&[EMBEDDED_AWS, EMBEDDED, text])
    }

    /// A table of these files, later ones laid over earlier ones: a pattern that stands in both is the later one's.
    ///
    /// # Errors
    /// Names the file by its place, the line, what is wrong with it and what would be right.
    pub fn from_texts(texts: &[&str]) -> Result<Self, NamesError> {
        let mut table = Self {
            tree: Tree::default(),
            aws: Aws::default(),
            hosting: Hosting::default(),
            ech_public_names: HashSet::new(),
            sources: Vec::new(),
            sha256: String::new(),
        };
        let mut hash = Sha256::new();
        for (file, text) in texts.iter().enumerate() {
            hash.update(text);
            parse::add(&mut table, file, text)?;
        }
        table.sha256 = hash
            .finalize()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok(table)
    }

    /// What is known of a name; `None` where no pattern fits.
    #[must_use]
    pub fn identify(&self, name: &HostName) -> Option<NameIdentity> {
        let found = match self.tree.find(name) {
            Some(found) => found.identity(&self.sources),
            None => self.aws.identify(name)?,
        };
        Some(NameIdentity {
            hosted: self.hosting.find(name).cloned(),
            ..found
        })
    }

    /// What patterns and AWS's services say, without what a name itself would say of its region.
    pub fn identities(&self) -> impl Iterator<Item = &NameIdentity> {
        self.tree.identities().chain(self.aws.identities())
    }

    /// SHA-256 of the files, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Number of patterns, without AWS's services.
    #[must_use]
    pub const fn patterns(&self) -> usize {
        self.tree.patterns()
    }

    /// Number of AWS's services that are known by name.
    #[must_use]
    pub fn aws_services(&self) -> usize {
        self.aws.services()
    }

    /// Date of the newest source, `YYYY-MM-DD`.
    #[must_use]
    pub fn date(&self) -> &str {
        let dates = self.sources.iter().map(|source| source.date.as_str());
        dates.max().unwrap_or_default()
    }
}

impl Names for NameTable {
    fn identify(&self, name: &HostName) -> Option<NameIdentity> {
        Self::identify(self, name)
    }

    fn is_ech_public_name(&self, name: &HostName) -> bool {
        self.ech_public_names.contains(name)
    }
}

#[cfg(test)]
mod tests;
