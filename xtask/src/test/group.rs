//! What `--group` may name besides the kernel matrix and the fuzz targets: the rows of [`GROUPS`], and every test target
//! of the package `observer-tests`. A target that is too slow for every run says `test = false` in `tests/Cargo.toml`:
//! then only its name runs it.

use anyhow::{Result, bail};

use super::{fuzz, matrix};
use crate::workspace::Metadata;

const KERNEL_PACKAGE: &str = "observer-tests";

/// Name, and what cargo is told.
const GROUPS: [(&str, &[&str]); 2] = [
    ("unit", &["--workspace", "--exclude", KERNEL_PACKAGE]),
    ("kernel", &["--package", KERNEL_PACKAGE]),
];

#[derive(Debug)]
pub struct Group {
    pub cargo: Vec<String>,
}

/// No name = everything that `cargo test` runs by default.
pub fn find(name: Option<&str>, metadata: &Metadata) -> Result<Group> {
    let Some(name) = name else {
        return Ok(Group {
            cargo: vec!["--workspace".into()],
        });
    };
    let targets = targets(metadata);
    let cargo: Vec<&str> = if let Some((_, cargo)) = GROUPS.iter().find(|(n, _)| *n == name) {
        cargo.to_vec()
    } else if targets.contains(&name) {
        vec!["--package", KERNEL_PACKAGE, "--test", name]
    } else {
        let known: Vec<&str> = GROUPS
            .iter()
            .map(|(n, _)| *n)
            .chain([matrix::GROUP, fuzz::GROUP])
            .chain(targets)
            .collect();
        bail!("no test group `{name}`; there are `{}`", known.join("`, `"));
    };
    Ok(Group {
        cargo: cargo.into_iter().map(str::to_owned).collect(),
    })
}

fn targets(metadata: &Metadata) -> Vec<&str> {
    metadata
        .packages
        .iter()
        .filter(|package| package.name == KERNEL_PACKAGE)
        .flat_map(|package| &package.targets)
        .filter(|target| target.kind.iter().any(|kind| kind == "test"))
        .map(|target| target.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Package, Target};

    fn metadata() -> Metadata {
        let target = |name: &str, kind: &str| Target {
            name: name.into(),
            kind: vec![kind.into()],
        };
        Metadata {
            packages: vec![Package {
                name: KERNEL_PACKAGE.into(),
                version: "0.1.0".into(),
                license: None,
                source: None,
                targets: vec![target("observer_tests", "lib"), target("exactness", "test")],
            }],
            target_directory: "target".into(),
        }
    }

    #[test]
    fn a_test_target_is_a_group() {
        let group = find(Some("exactness"), &metadata()).expect("the target is there");
        assert_eq!(
            group.cargo,
            ["--package", KERNEL_PACKAGE, "--test", "exactness"]
        );
    }

    #[test]
    fn an_unknown_group_names_the_known_ones() {
        let error = find(Some("observer_tests"), &metadata()).expect_err("that is a library");
        let text = error.to_string();
        assert_eq!(
            text,
            "no test group `observer_tests`; there are `unit`, `kernel`, `matrix`, `fuzz`, `exactness`"
        );
    }

    #[test]
    fn no_name_is_the_whole_workspace() {
        let group = find(None, &metadata()).expect("the default needs nothing");
        assert_eq!(group.cargo, ["--workspace"]);
    }
}
