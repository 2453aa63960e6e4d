//! Where dependencies come from and under which licences, by the rules in `deny.toml`: the part of cargo-deny that needs
//! no network, without the minutes it takes to build. Advisories are cargo-deny's alone.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use spdx::Expression;

use crate::workspace::{self, Package};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The parts of `deny.toml` that are read here, under cargo-deny's names.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    #[serde(default)]
    deny: Vec<Named>,
    #[serde(default)]
    skip: Vec<Named>,
}

/// `name` or `name@version`, where the version may be the leading part of one (`syn@2`).
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    reason: String,
}

pub fn check() -> Result<()> {
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
    let rules: Rules =
        toml::from_str(&text).with_context(|| format!("parse `{}`", path.display()))?;
    let packages = workspace::dependencies()?.packages;
    let findings: Vec<String> = [
        packages
            .iter()
            .filter_map(|p| license(p, &rules.licenses))
            .collect(),
        packages.iter().filter_map(source).collect(),
        packages
            .iter()
            .filter_map(|p| banned(p, &rules.bans))
            .collect(),
        duplicates(&packages, &rules.bans),
    ]
    .concat();
    if findings.is_empty() {
        return Ok(());
    }
    bail!(
        "{} against `deny.toml`:\n{}",
        findings.len(),
        findings.join("\n")
    )
}

fn license(package: &Package, rules: &Licenses) -> Option<String> {
    let Package {
        name,
        version,
        license,
        ..
    } = package;
    let Some(license) = license else {
        return Some(format!("{name} {version} states no licence"));
    };
    // Old manifests separate alternatives with a slash.
    let expression = match Expression::parse_mode(license, spdx::ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{name} {version}: licence `{license}`: {error}")),
    };
    let exception = rules.exceptions.iter().find(|e| e.name == *name);
    let allowed = expression.evaluate(|requirement| {
        let text = requirement.to_string();
        rules.allow.contains(&text) || exception.is_some_and(|e| e.allow.contains(&text))
    });
    (!allowed).then(|| format!("{name} {version}: licence `{license}` is not allowed"))
}

fn source(package: &Package) -> Option<String> {
    let Package {
        name,
        version,
        source,
        ..
    } = package;
    let source = source.as_deref()?;
    (source != CRATES_IO).then(|| format!("{name} {version} comes from `{source}`"))
}

fn banned(package: &Package, rules: &Bans) -> Option<String> {
    let ban = rules.deny.iter().find(|ban| ban.covers(package))?;
    Some(format!("{} is banned: {}", package.name, ban.reason))
}

/// A crate in two versions is code and build time twice, unless the rules name one of them.
fn duplicates(packages: &[Package], rules: &Bans) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        if !rules.skip.iter().any(|skip| skip.covers(package)) {
            versions
                .entry(&package.name)
                .or_default()
                .push(&package.version);
        }
    }
    versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name} is there as {}", versions.join(" and ")))
        .collect()
}

impl Named {
    fn covers(&self, package: &Package) -> bool {
        match self.name.split_once('@') {
            Some((name, version)) => {
                let rest = package.version.strip_prefix(version);
                name == package.name && rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
            }
            None => self.name == package.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: &str, source: &str) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            license: Some(license.into()),
            source: Some(source.into()),
            targets: Vec::new(),
        }
    }

    fn rules() -> Rules {
        toml::from_str(
            r#"
            [licenses]
            allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
            exceptions = [{ crate = "ident", allow = ["Unicode-3.0"] }]
            [bans]
            deny = [{ crate = "openssl-sys", reason = "rustls is enough" }]
            skip = [{ crate = "syn@2", reason = "macros not yet at 3" }]
            "#,
        )
        .expect("the rules parse")
    }

    #[test]
    fn licences_are_evaluated_as_expressions() {
        for (name, license, allowed) in [
            ("a", "MIT", true),
            ("a", "MIT/Apache-2.0", true),
            ("a", "GPL-3.0-only OR MIT", true),
            ("a", "GPL-3.0-only AND MIT", false),
            ("a", "Apache-2.0 WITH LLVM-exception", true),
            ("a", "Unicode-3.0", false),
            ("ident", "(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("a", "no such words", false),
        ] {
            let found = license_finding(name, license);
            assert_eq!(found.is_none(), allowed, "{name} {license}: {found:?}");
        }
    }

    fn license_finding(name: &str, text: &str) -> Option<String> {
        license(&package(name, "1.0.0", text, CRATES_IO), &rules().licenses)
    }

    #[test]
    fn only_crates_io_is_a_source() {
        assert_eq!(source(&package("a", "1.0.0", "MIT", CRATES_IO)), None);
        assert!(source(&package("a", "1.0.0", "MIT", "git+https://example.com/a")).is_some());
    }

    #[test]
    fn two_versions_are_found_unless_one_is_named() {
        let of = |name, version| package(name, version, "MIT", CRATES_IO);
        let packages = [
            of("syn", "2.0.1"),
            of("syn", "3.0.0"),
            of("a", "1.0.0"),
            of("a", "2.0.0"),
        ];
        assert_eq!(
            duplicates(&packages, &rules().bans),
            ["a is there as 1.0.0 and 2.0.0"]
        );
        let packages = [of("syn", "20.0.1"), of("syn", "3.0.0")];
        assert_eq!(
            duplicates(&packages, &rules().bans),
            ["syn is there as 20.0.1 and 3.0.0"]
        );
    }

    #[test]
    fn a_banned_crate_is_found_with_its_reason() {
        let found = banned(
            &package("openssl-sys", "0.9.0", "MIT", CRATES_IO),
            &rules().bans,
        );
        assert_eq!(
            found.as_deref(),
            Some("openssl-sys is banned: rustls is enough")
        );
    }
}
