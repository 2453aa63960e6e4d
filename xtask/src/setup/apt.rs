//! An apt of our own in one folder, for packages of other Debian suites: the machine's sources, lists and packages are
//! neither read nor changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::shell;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An apt whose sources, lists, cache and state are all in one folder of ours; works without root.
pub struct AptRoot {
    pub dir: PathBuf,
}

impl AptRoot {
    /// Makes the folder `dir` and what apt wants in it; the suite's list is read by `apt-get update`.
    pub fn new(dir: &Path, suite: &str) -> Result<Self> {
        let text = dir
            .to_str()
            .with_context(|| format!("apt cannot take the path `{}`", dir.display()))?;
        for folder in [
            "state/lists/partial",
            "cache/archives/partial",
            "empty",
            "download",
        ] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("make `{}`", folder.display()))?;
        }
        for (file, content) in [
            ("state/status", String::new()),
            (
                "sources.list",
                format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n"),
            ),
            ("apt.conf", configuration(text)),
        ] {
            let file = dir.join(file);
            fs::write(&file, content).with_context(|| format!("write `{}`", file.display()))?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    /// `apt-get` or `apt-cache`, whose downloads go to the folder `download`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C")
            .current_dir(self.dir.join("download"));
        command
    }

    /// Reads the suite's list of packages.
    pub fn update(&self) -> Result<()> {
        shell::capture(self.command("apt-get").args(["update", "-q"])).map(drop)
    }

    /// Downloads `package`, a name or `NAME=VERSION`; returns its file.
    pub fn download(&self, package: &str) -> Result<PathBuf> {
        shell::capture(self.command("apt-get").args(["download", "-q", package]))?;
        self.downloaded()
    }

    /// The one package that was downloaded.
    fn downloaded(&self) -> Result<PathBuf> {
        let dir = self.dir.join("download");
        fs::read_dir(&dir)
            .with_context(|| format!("list `{}`", dir.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .find(|path| path.extension().is_some_and(|e| e == "deb"))
            .with_context(|| format!("apt-get left no package in `{}`", dir.display()))
    }
}

/// All files of `package`, below `place`.
pub fn extract(package: &Path, place: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("--extract").arg(package).arg(place);
    shell::capture(&mut command).map(drop)
}

fn configuration(dir: &str) -> String {
    // `parts` and `sourceparts` name an empty folder: nothing of the machine's configuration is read.
    format!(
        "Dir::State \"{dir}/state\";\n\
         Dir::State::lists \"{dir}/state/lists\";\n\
         Dir::State::status \"{dir}/state/status\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
         Dir::Etc::sourceparts \"{dir}/empty\";\n\
         Dir::Etc::parts \"{dir}/empty\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n"
    )
}
