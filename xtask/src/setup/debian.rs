//! Debian packages: which are missing, and installing them. The only part of setup that changes the machine, so each
//! step is announced before it runs.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, IsTerminal as _},
    os::unix::fs::MetadataExt as _,
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::Outcome;
use crate::shell;

/// What may be done to get root's rights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// Use them if this process has them; never ask.
    IfAlready,
    /// Ask `sudo`.
    Ask,
}

pub fn ensure(packages: &[&str], root: Root) -> Result<Outcome> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(Outcome::There(packages.join(", ")));
    }
    install(&missing, root)
        .with_context(|| format!("install the Debian packages `{}`", missing.join(" ")))?;
    Ok(Outcome::Brought(missing.join(", ")))
}

/// Asks dpkg, which needs neither root nor the network.
fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .with_context(|| {
            format!(
                "ask dpkg-query (not a Debian? install by hand: {})",
                packages.join(", ")
            )
        })?;
    // A failed exit status only says that some package is not known; the answer has the others.
    let installed = installed(&String::from_utf8_lossy(&output.stdout));
    Ok(packages
        .iter()
        .copied()
        .filter(|p| !installed.contains(*p))
        .collect())
}

fn installed(answer: &str) -> BTreeSet<String> {
    answer
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .map(str::to_owned)
        .collect()
}

fn install(packages: &[&str], root: Root) -> Result<()> {
    let mut install = vec!["apt-get", "install", "-y", "-q", "--no-install-recommends"];
    install.extend(packages);
    let steps = [vec!["apt-get", "update", "-q"], install];
    let prefix = prefix(root)
        .with_context(|| format!("as root, run: apt-get install {}", packages.join(" ")))?;
    for step in steps {
        let words: Vec<&str> = prefix.iter().chain(&step).copied().collect();
        println!("setup: running as root: {}", step.join(" "));
        // Through `env`, since sudo drops the caller's environment.
        shell::run(Command::new(words[0]).args(&words[1..]))?;
    }
    Ok(())
}

fn prefix(root: Root) -> Result<&'static [&'static str]> {
    let uid = fs::metadata("/proc/self")
        .context("look at `/proc/self`")?
        .uid();
    match root {
        _ if uid == 0 => Ok(&["env", "DEBIAN_FRONTEND=noninteractive"]),
        Root::IfAlready => bail!("this needs root"),
        Root::Ask if io::stdin().is_terminal() => {
            Ok(&["sudo", "env", "DEBIAN_FRONTEND=noninteractive"])
        }
        // Nobody is there to type a password.
        Root::Ask => Ok(&["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_packages_with_configuration_left_are_not_installed() {
        let answer = "iproute2 installed\nethtool config-files\nkmod not-installed\n";
        assert_eq!(installed(answer), BTreeSet::from(["iproute2".to_owned()]));
    }
}
