//! Packages of other Debian suites, unpacked under `target/tools` and not installed: versions that this machine's own suite
//! does not have.

use std::{
    env::consts::ARCH,
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

/// A program of another suite.
#[derive(Debug)]
pub struct Unpacked {
    /// Folder, and the words of reports.
    pub name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    program: &'static str,
    /// What it says of itself begins so.
    version: &'static str,
    size: &'static str,
}

/// What Debian 11, Ubuntu 20.04 and RHEL 8 have.
pub const OPENSSL_1_1: Unpacked = Unpacked {
    name: "openssl-1.1",
    suite: "bullseye",
    packages: &["libssl1.1", "openssl"],
    program: "usr/bin/openssl",
    version: "OpenSSL 1.1.1",
    size: "2 MB",
};

/// Newer than this suite's by five releases.
pub const GO_1_24: Unpacked = Unpacked {
    name: "go-1.24",
    suite: "trixie",
    packages: &["golang-1.24-src", "golang-1.24-go"],
    program: "usr/lib/go-1.24/bin/go",
    version: "go version go1.24",
    size: "50 MB",
};

impl Unpacked {
    pub fn ensure(&self) -> Result<Outcome> {
        let place = workspace::tools_dir().join(self.name);
        let there = format!("of Debian {} in `target/tools/{}`", self.suite, self.name);
        if self.is_there(&place) {
            return Ok(Outcome::There(there));
        }
        let what = format!("{} from Debian {} ({})", self.name, self.suite, self.size);
        unpack(&what, self.suite, self.packages, &place)
            .with_context(|| format!("fetch {} from Debian {}", self.name, self.suite))?;
        if !self.is_there(&place) {
            bail!("`{}` does not run", place.join(self.program).display());
        }
        Ok(Outcome::Brought(there))
    }

    fn is_there(&self, place: &Path) -> bool {
        let libraries = place.join(format!("usr/lib/{ARCH}-linux-gnu"));
        let mut command = Command::new(place.join(self.program));
        command.arg("version").env("LD_LIBRARY_PATH", libraries);
        shell::capture(&mut command).is_ok_and(|said| said.starts_with(self.version))
    }
}

/// Unpacks beside the final place and renames, so that an interrupted run leaves nothing half done.
pub fn unpack(what: &str, suite: &str, packages: &[&str], place: &Path) -> Result<()> {
    let step = Step::start(what);
    let apt = AptRoot::new(&beside(place, "apt"), suite)?;
    step.tell("reading the package list");
    apt.update()?;
    let partial = beside(place, "partial");
    for old in [partial.as_path(), place] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("remove `{}`", old.display()))?;
        }
    }
    for name in packages {
        step.tell(&format!("downloading {name}"));
        let package = apt.download(name)?;
        step.tell(&format!("unpacking {name}"));
        apt::extract(&package, &partial)?;
        // The folder of downloads has one at a time.
        fs::remove_file(&package).with_context(|| format!("remove `{}`", package.display()))?;
    }
    fs::rename(&partial, place).with_context(|| format!("rename to `{}`", place.display()))?;
    fs::remove_dir_all(&apt.dir).with_context(|| format!("remove `{}`", apt.dir.display()))
}

/// `place.WORD`; a folder's own dot, as in a version, stays.
fn beside(place: &Path, word: &str) -> PathBuf {
    let mut beside = place.as_os_str().to_owned();
    beside.push(format!(".{word}"));
    PathBuf::from(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_stays_in_the_name_of_what_is_beside_it() {
        let place = Path::new("target/tools/go-1.24");
        let expected = Path::new("target/tools/go-1.24.partial");
        assert_eq!(beside(place, "partial"), expected);
    }
}
