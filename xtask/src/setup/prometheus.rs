//! Prometheus, promtool and Alertmanager, from Debian's packages, unpacked into `target/tools/prometheus`: the tests of
//! dashboards, rules and alerts run the real ones. Nothing is installed into the machine, and no service starts.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{Outcome, unpacked::unpack};
use crate::{shell, workspace};

const SUITE: &str = "bookworm";
/// Upstream's version in that suite; Debian's own part may move with security updates.
const VERSION: &str = "2.42.0";
/// Packages, and of each its programs with the name that they give themselves and their version. All are static Go: of the
/// packages' dependencies, which are parts of web pages, none is needed.
const PACKAGES: [(&str, &[Program]); 2] = [
    (
        "prometheus",
        &[
            Program("prometheus", "prometheus", VERSION),
            Program("promtool", "promtool", VERSION),
        ],
    ),
    (
        "prometheus-alertmanager",
        &[Program("prometheus-alertmanager", "alertmanager", "0.25.0")],
    ),
];

/// File, own name, version.
struct Program(&'static str, &'static str, &'static str);

pub fn ensure() -> Result<Outcome> {
    let place = place();
    let name = format!("{VERSION}, with Alertmanager, in `target/tools/prometheus`");
    if is_there(&place) {
        return Ok(Outcome::There(name));
    }
    fetch(&place).with_context(|| format!("fetch Prometheus {VERSION} from Debian"))?;
    if !is_there(&place) {
        bail!("the programs in `{}` do not run", place.display());
    }
    Ok(Outcome::Brought(name))
}

fn place() -> PathBuf {
    workspace::tools_dir().join("prometheus")
}

fn is_there(place: &Path) -> bool {
    let mut programs = PACKAGES.iter().flat_map(|(_, programs)| *programs);
    programs.all(|program| {
        let path = place.join("usr/bin").join(program.0);
        shell::capture(Command::new(path).arg("--version"))
            .is_ok_and(|said| program.is_the_version(&said))
    })
}

impl Program {
    /// The first line is `promtool, version 2.42.0+ds (branch: ...`.
    fn is_the_version(&self, said: &str) -> bool {
        let Self(_, name, version) = self;
        said.strip_prefix(&format!("{name}, version {version}"))
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
    }
}

fn fetch(place: &Path) -> Result<()> {
    let what = format!("Prometheus {VERSION} and Alertmanager from Debian {SUITE} (28 MB)");
    unpack(&what, SUITE, &PACKAGES.map(|(name, _)| name), place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_whole_version() {
        for (said, is_it) in [
            ("promtool, version 2.42.0+ds (branch: debian/sid)", true),
            ("promtool, version 2.42.0 (branch: HEAD)", true),
            ("promtool, version 2.42.01 (branch: HEAD)", false),
            ("promtool, version 2.53.0+ds (branch: debian/sid)", false),
            ("prometheus, version 2.42.0+ds (branch: x)", false),
            ("", false),
        ] {
            let promtool = Program("promtool", "promtool", VERSION);
            assert_eq!(promtool.is_the_version(said), is_it, "{said}");
        }
    }
}
