//! Prometheus and promtool, from Debian's package, unpacked into `target/tools/prometheus`: the tests of dashboards and
//! rules run the real ones. Nothing is installed into the machine, and no service starts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Outcome,
    apt::{self, AptRoot},
    progress::Step,
};
use crate::{shell, workspace};

const SUITE: &str = "bookworm";
/// Upstream's version in that suite; Debian's own part may move with security updates.
const VERSION: &str = "2.42.0";
/// The programs are static Go: of the package's dependencies, which are parts of its web page, none is needed.
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

pub fn ensure() -> Result<Outcome> {
    let place = place();
    let name = format!("{VERSION} in `target/tools/prometheus`");
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
    PROGRAMS.iter().all(|program| {
        let path = place.join("usr/bin").join(program);
        shell::capture(Command::new(path).arg("--version"))
            .is_ok_and(|said| is_the_version(program, &said))
    })
}

/// The first line is `promtool, version 2.42.0+ds (branch: ...`.
fn is_the_version(program: &str, said: &str) -> bool {
    said.strip_prefix(&format!("{program}, version {VERSION}"))
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}

/// Unpacks beside the final place and renames, so that an interrupted run leaves nothing half done.
fn fetch(place: &Path) -> Result<()> {
    let step = Step::start(&format!("Prometheus {VERSION} from Debian {SUITE} (20 MB)"));
    let apt = AptRoot::new(&workspace::tools_dir().join("prometheus.apt"), SUITE)?;
    step.tell("reading the package list");
    apt.update()?;
    step.tell("downloading");
    let package = apt.download("prometheus")?;
    step.tell("unpacking");
    let partial = workspace::tools_dir().join("prometheus.partial");
    for old in [partial.as_path(), place] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("remove `{}`", old.display()))?;
        }
    }
    apt::extract(&package, &partial)?;
    fs::rename(&partial, place).with_context(|| format!("rename to `{}`", place.display()))?;
    fs::remove_dir_all(&apt.dir).with_context(|| format!("remove `{}`", apt.dir.display()))
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
            assert_eq!(is_the_version("promtool", said), is_it, "{said}");
        }
    }
}
