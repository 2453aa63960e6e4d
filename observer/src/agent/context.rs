//! What is the same in all records of this run: host, boot, versions.

use std::fs;

use anyhow::{Context as _, Result};
use observer_core::{
    identify::address::AddressTable, judge::contract::RuleSet, model::record::RecordContext,
    price::book::Book,
};

use super::reload::with_config;
use crate::{catalog::NameTables, config::Loaded};

/// As of the start; a reload changes a part of it.
///
/// # Errors
/// Where the kernel tells neither name nor boot.
pub fn of(
    loaded: &Loaded,
    (addresses, names, book): (&AddressTable, &NameTables, &Book),
) -> Result<RecordContext> {
    let host = match &loaded.config.host {
        Some(host) => host.clone(),
        None => nix::unistd::gethostname()
            .context("ask for the host name")?
            .to_string_lossy()
            .into_owned(),
    };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("read `/proc/sys/kernel/random/boot_id`")?;
    let context = RecordContext {
        host,
        boot_id: boot_id.trim().to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        catalog_version: Some(catalog_version(addresses, names)),
        price_version: Some(book.version().to_owned()),
        ..RecordContext::default()
    };
    Ok(with_config(&context, loaded))
}

/// The context with the contracts in force.
pub fn with_rules(context: &RecordContext, rules: Option<&RuleSet>) -> RecordContext {
    RecordContext {
        rules_version: rules.map(|rules| rules.version().to_owned()),
        ..context.clone()
    }
}

/// Names all three tables.
pub fn catalog_version(addresses: &AddressTable, names: &NameTables) -> String {
    let [names, routes] = names.sha256().map(|hash| &hash[..12]);
    format!("{}+{names}+{routes}", addresses.version())
}
