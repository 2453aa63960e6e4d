//! Contracts on disk, and the words that their rules may use. What they say is the business of `observer-core`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use observer_core::{
    identify::address::AddressTable,
    judge::{
        compile::{CONTRACTS_MAX, ContractError, ContractText, FILE_BYTES_MAX},
        contract::{Contract, RuleSet},
        expression::Vocabulary,
    },
    model::{identity::Word, time::UnixUs},
};

use crate::{catalog::NameTables, files};

/// Contracts, or everything that is wrong with them.
pub type Checked = Result<RuleSet, Vec<ContractError>>;

/// The contracts of these files; of a folder all its files that end in `.yaml` or `.yml`.
///
/// # Errors
/// Where a file cannot be read. What is wrong in what they say is inside.
pub fn check(paths: &[PathBuf], vocabulary: &Vocabulary) -> Result<Checked> {
    let texts = files_of(paths)?.into_iter().map(|path| {
        let bytes = files::read(&path, FILE_BYTES_MAX as u64)?;
        let text = String::from_utf8(bytes);
        let text = text.with_context(|| format!("read `{}`: it is not UTF-8", path.display()))?;
        Ok((path.display().to_string(), text))
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let texts = texts.iter().map(|(name, text)| ContractText { name, text });
    Ok(RuleSet::of(&texts.collect::<Vec<_>>(), vocabulary))
}

/// The same, for who can go on with whole contracts alone.
///
/// # Errors
/// Where a file cannot be read, or anything in one is wrong.
pub fn rules(paths: &[PathBuf], vocabulary: &Vocabulary) -> Result<RuleSet> {
    check(paths, vocabulary)?.map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", errors.join("; ")).context("take the contracts")
    })
}

/// The contracts that a configuration names, with the words of its catalogue; `None` where it names none.
///
/// # Errors
/// As [`rules`].
pub fn named(
    paths: &[PathBuf],
    addresses: &AddressTable,
    names: &NameTables,
) -> Result<Option<RuleSet>> {
    match paths {
        [] => Ok(None),
        paths => rules(paths, &vocabulary(addresses, names)).map(Some),
    }
}

/// Files, and those of folders in the order of their names.
///
/// # Errors
/// Where one is not there, or a folder has none or too many.
pub fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let entries = fs::read_dir(path).with_context(|| format!("read `{}`", path.display()))?;
        for entry in entries {
            let file = entry
                .with_context(|| format!("read `{}`", path.display()))?
                .path();
            // What a mounted ConfigMap keeps beside its files begins with a dot.
            let is_hidden = file
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && is_yaml(&file) {
                files.push(file);
            }
            if files.len() > CONTRACTS_MAX {
                bail!(
                    "read `{}`: more than {CONTRACTS_MAX} contracts",
                    path.display()
                );
            }
        }
        if files.len() == before {
            bail!("read `{}`: no file in it ends in `.yaml`", path.display());
        }
        files.get_mut(before..).unwrap_or_default().sort();
    }
    Ok(files)
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml"))
}

/// What has ended, has not begun, or is about to end.
pub fn dates(contract: &Contract, now: UnixUs) -> Vec<String> {
    let now_us = now.0;
    let mut notes = Vec::new();
    if contract.span.from.0 > now_us {
        notes.push("it has not begun".to_owned());
    }
    if contract.span.until.is_some_and(|until| until.0 <= now_us) {
        notes.push("it has ended: it judges flows of its time alone".to_owned());
    }
    for row in &contract.file.exemptions {
        let mut exemptions = contract.rules.iter().flat_map(|rule| &rule.exemptions);
        let exemption = exemptions.find(|own| *own.ticket == *row.ticket.value);
        let Some(until) = exemption.and_then(|own| own.span.until) else {
            continue;
        };
        let left_us = until.0.saturating_sub(now_us);
        let days = left_us / (24 * 3_600 * 1_000_000);
        if left_us <= 0 {
            notes.push(format!("exemption {} has lapsed", row.ticket.value));
        } else if days < i64::from(row.warn_days) {
            notes.push(format!(
                "exemption {} lapses in {days} days",
                row.ticket.value
            ));
        }
    }
    notes
}

/// The words that records can have in fields whose words come from tables.
pub fn vocabulary(addresses: &AddressTable, told: &NameTables) -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    let special = ["internet", "private", "cluster"].map(str::to_owned);
    vocabulary.extend("cloud", special);
    for claim in addresses.claims() {
        let words = [
            ("cloud", claim.cloud),
            ("source_cloud", claim.cloud),
            ("provider", claim.provider),
            ("region", claim.region),
            ("source_region", claim.region),
            ("service", claim.service),
            ("front", claim.front),
        ];
        for (field, word) in words {
            vocabulary.extend(field, word.map(str::to_owned));
        }
    }
    for identity in told.names.identities() {
        let words = [
            ("cloud", &identity.cloud),
            ("provider", &identity.provider),
            ("vendor", &identity.vendor),
            ("region", &identity.region),
            ("service", &identity.service),
            ("front", &identity.front),
        ];
        for (field, word) in words {
            vocabulary.extend(field, word.as_ref().map(ToString::to_string));
        }
    }
    let words = |word: &Word| word.to_string();
    vocabulary.extend("vendor", told.routes.vendors().map(words));
    vocabulary.extend("residency_flags", told.routes.residency().iter().map(words));
    vocabulary
}
