//! kubernetes-validate, from PyPI, in a Python environment of its own under `target/tools/kubernetes-validate`: it holds
//! the schemas of Kubernetes' objects, so that manifests are checked without a cluster.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{Outcome, progress::Step};
use crate::{shell, workspace};

/// Its version is that of the newest Kubernetes it knows.
const VERSION: &str = "1.37.0";

pub fn ensure() -> Result<Outcome> {
    let name = format!("{VERSION} in `target/tools/kubernetes-validate`");
    if is_there() {
        return Ok(Outcome::There(name));
    }
    bring().with_context(|| {
        format!("install kubernetes-validate {VERSION} from PyPI (needs python3 with venv)")
    })?;
    if !is_there() {
        bail!("`{}` does not run", program().display());
    }
    Ok(Outcome::Brought(name))
}

fn place() -> PathBuf {
    workspace::tools_dir().join("kubernetes-validate")
}

fn program() -> PathBuf {
    place().join("bin/kubernetes-validate")
}

fn is_there() -> bool {
    shell::capture(Command::new(program()).arg("--version"))
        .is_ok_and(|said| said.split_whitespace().any(|word| word == VERSION))
}

fn bring() -> Result<()> {
    let step = Step::start(&format!("kubernetes-validate {VERSION} from PyPI (144 MB)"));
    // An environment cannot be renamed once it is made, so an unfinished one is made anew.
    let place = place();
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("remove `{}`", place.display()))?;
    }
    step.tell("making the environment");
    shell::capture(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    step.tell("installing");
    shell::capture(
        Command::new(place.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("kubernetes-validate=={VERSION}")),
    )?;
    Ok(())
}
