//! The source of Rust's core library, of exactly the compiler's version: the kernel programs' target has no ready-made
//! one. Taken from the toolchain if it carries it, else from Debian through an apt root of our own, so that neither
//! the machine's package sources nor its toolchain change.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{Outcome, apt::AptRoot, progress::Step};
use crate::{shell, workspace};

const SUITE: &str = "trixie-backports";

pub fn ensure() -> Result<Outcome> {
    let version = compiler_version()?;
    if toolchain_has_it()? {
        return Ok(Outcome::There(format!("{version} in the toolchain")));
    }
    let name = format!("{version} in `target/rust-src`");
    if library(&version).join("Cargo.lock").is_file() {
        return Ok(Outcome::There(name));
    }
    let package = fetch(&version).with_context(|| {
        format!(
            "fetch the source of Rust's core library {version} from Debian \
             (or, where rustup is used: `rustup component add rust-src`)"
        )
    })?;
    Ok(Outcome::Brought(format!("{name}, from Debian's {package}")))
}

/// What `__CARGO_TESTS_ONLY_SRC_ROOT` must say to build `core`; `None` = nothing, the toolchain has the source.
pub fn library_override() -> Result<Option<PathBuf>> {
    Ok(if toolchain_has_it()? {
        None
    } else {
        Some(library(&compiler_version()?))
    })
}

fn library(version: &str) -> PathBuf {
    workspace::rust_src_dir().join(version).join("library")
}

/// The folder alone proves nothing: it is there with other components too.
fn toolchain_has_it() -> Result<bool> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    Ok(Path::new(sysroot.trim())
        .join("lib/rustlib/src/rust/library/Cargo.lock")
        .is_file())
}

fn compiler_version() -> Result<String> {
    rustc(&["-vV"])?
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .map(str::to_owned)
        .context("`rustc -vV` names no release")
}

fn rustc(arguments: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    shell::capture(Command::new(rustc).args(arguments))
}

/// Returns the package's version.
fn fetch(version: &str) -> Result<String> {
    let step = Step::start(&format!("rust-src {version} from Debian {SUITE} (45 MB)"));
    let apt = AptRoot::new(&workspace::rust_src_dir().join("apt"), SUITE)?;
    step.tell("reading the package list");
    apt.update()?;
    let table = shell::capture(apt.command("apt-cache").args(["madison", "rust-src"]))?;
    let package = newest(&table, version).ok_or_else(|| {
        anyhow!(
            "{SUITE} has no rust-src {version}; it has {}",
            versions(&table).join(", ")
        )
    })?;
    step.tell("downloading");
    let file = apt.download(&format!("rust-src={package}"))?;
    step.tell("unpacking the library");
    unpack(&file, version)?;
    fs::remove_dir_all(&apt.dir).with_context(|| format!("remove `{}`", apt.dir.display()))?;
    Ok(package.to_owned())
}

/// The newest packaging of this upstream version; apt lists newest first.
fn newest<'a>(table: &'a str, upstream: &str) -> Option<&'a str> {
    versions(table)
        .into_iter()
        .find(|version| version.split(['+', '-', '~']).next() == Some(upstream))
}

/// Second column of `apt-cache madison`.
fn versions(table: &str) -> Vec<&str> {
    table
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .collect()
}

/// Unpacks beside the final place and renames, so that an interrupted run leaves nothing half done.
fn unpack(package: &Path, version: &str) -> Result<()> {
    let partial = workspace::rust_src_dir().join(format!("{version}.partial"));
    let place = workspace::rust_src_dir().join(version);
    for old in [&partial, &place] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("remove `{}`", old.display()))?;
        }
    }
    fs::create_dir_all(&partial).with_context(|| format!("make `{}`", partial.display()))?;
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("start `dpkg-deb`")?;
    let archive = dpkg.stdout.take().context("dpkg-deb has no output")?;
    // The library alone is 68 MB of the package's 332 MB.
    let tar = Command::new("tar")
        .args([
            "--extract",
            "--no-same-owner",
            "--strip-components=4",
            "--directory",
        ])
        .arg(&partial)
        .arg(format!("./usr/src/rustc-{version}/library"))
        .stdin(archive)
        .status()
        .context("start `tar`")?;
    let dpkg = dpkg.wait().context("wait for `dpkg-deb`")?;
    if !tar.success() || !dpkg.success() {
        bail!(
            "unpack `{}`: tar: {tar}, dpkg-deb: {dpkg}",
            package.display()
        );
    }
    fs::rename(&partial, &place).with_context(|| format!("rename to `{}`", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  rust-src | 1.96.1+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages
  rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages
  rust-src | 1.95.0+dfsg1-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages
";

    #[test]
    fn the_newest_packaging_of_the_compilers_version_is_taken() {
        assert_eq!(newest(TABLE, "1.95.0"), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(newest(TABLE, "1.96.1"), Some("1.96.1+dfsg1-2~bpo13+1"));
    }

    #[test]
    fn another_version_is_not_close_enough() {
        assert_eq!(newest(TABLE, "1.95"), None);
        assert_eq!(newest(TABLE, "1.95.0-nightly"), None);
        assert_eq!(newest("", "1.95.0"), None);
    }
}
