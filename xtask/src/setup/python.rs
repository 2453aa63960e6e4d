//! Checkers from PyPI, each in a Python environment of its own under `target/tools`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{Outcome, progress::Step};
use crate::{shell, workspace};

/// One environment.
#[derive(Debug)]
pub struct Checker {
    /// Folder, and the words of reports.
    pub name: &'static str,
    /// Program that says its version, and how it is asked.
    program: [&'static str; 2],
    version: &'static str,
    /// What pip installs, versions pinned.
    requirements: &'static [&'static str],
    size: &'static str,
}

/// Has the schemas of Kubernetes' objects: manifests are checked without a cluster. Its version is that of the newest
/// Kubernetes it knows.
pub const KUBERNETES: Checker = Checker {
    name: "kubernetes-validate",
    program: ["kubernetes-validate", "--version"],
    version: "1.37.0",
    requirements: &["kubernetes-validate==1.37.0"],
    size: "144 MB",
};

/// Checks FOCUS datasets; `DuckDB` reads them back.
pub const FOCUS: Checker = Checker {
    name: "focus",
    program: ["focus-toolkit", "version"],
    version: "0.14.1",
    requirements: &["focus-data-toolkit==0.14.1", "duckdb==2.0.1"],
    size: "97 MB",
};

/// Speaks HTTP/2, at both ends.
pub const HTTP2: Checker = Checker {
    name: "h2",
    program: ["pip", "freeze"],
    version: "h2==4.4.1",
    requirements: &["h2==4.4.1"],
    size: "15 MB",
};

/// What programs call the providers with.
pub const SDKS: Checker = Checker {
    name: "sdks",
    program: ["pip", "freeze"],
    version: "curl_cffi==0.17.0",
    requirements: &[
        "openai[realtime]==3.57.0",
        "anthropic==2.14.0",
        "boto3==1.44.8",
        "google-genai==3.6.1",
        "aiohttp==3.14.5",
        "requests==2.34.2",
        "httpx==0.28.1",
        "h2==4.4.1",
        "curl_cffi==0.17.0",
    ],
    size: "190 MB",
};

impl Checker {
    pub fn ensure(&self) -> Result<Outcome> {
        let Self { name, version, .. } = self;
        let there = format!("{version} in `target/tools/{name}`");
        if self.is_there() {
            return Ok(Outcome::There(there));
        }
        self.bring().with_context(|| {
            format!("install {name} {version} from PyPI (needs python3 with venv)")
        })?;
        if !self.is_there() {
            bail!("`{}` does not run", self.program().display());
        }
        Ok(Outcome::Brought(there))
    }

    fn place(&self) -> PathBuf {
        workspace::tools_dir().join(self.name)
    }

    fn program(&self) -> PathBuf {
        self.place().join("bin").join(self.program[0])
    }

    fn is_there(&self) -> bool {
        shell::capture(Command::new(self.program()).arg(self.program[1]))
            .is_ok_and(|said| said.split_whitespace().any(|word| word == self.version))
    }

    fn bring(&self) -> Result<()> {
        let Self {
            name,
            version,
            size,
            ..
        } = self;
        let step = Step::start(&format!("{name} {version} from PyPI ({size})"));
        // An environment cannot be renamed once it is made, so an unfinished one is made anew.
        let place = self.place();
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("remove `{}`", place.display()))?;
        }
        step.tell("making the environment");
        shell::capture(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        step.tell("installing");
        shell::capture(
            Command::new(place.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .args(self.requirements),
        )?;
        Ok(())
    }
}
