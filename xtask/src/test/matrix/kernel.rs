//! The kernels of the matrix: which there are, fetching them from Debian and finding in them what a guest needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    setup::{self, AptRoot, Step},
    shell, workspace,
};

/// One kernel: the one that a Debian suite gives to virtual machines.
pub struct Kernel {
    /// Upstream's version, as `--filter` names it.
    pub name: &'static str,
    suite: &'static str,
}

/// Oldest first. 5.10 is the lowest kernel that the agent supports.
pub const KERNELS: [Kernel; 2] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
    },
];

const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// What the testbed and the agent ask of a kernel that Debian builds as modules.
const MODULES: [&str; 6] = ["veth", "tun", "bridge", "sch_ingress", "cls_bpf", "sch_tbf"];

/// A fetched kernel.
pub struct Files {
    /// What boots.
    pub image: PathBuf,
    /// Modules in the order of loading.
    pub modules: Vec<PathBuf>,
    /// Where this kernel's own files may be written.
    pub dir: PathBuf,
}

/// Fetches the kernel where it is not there yet.
pub fn ensure(kernel: &Kernel) -> Result<Files> {
    let dir = workspace::matrix_dir().join(kernel.name);
    let root = dir.join("root");
    if !root.is_dir() {
        fetch(kernel, &dir)
            .with_context(|| format!("fetch a kernel {} from Debian", kernel.name))?;
    }
    let release = release(&root)?;
    Ok(Files {
        image: root.join(format!("boot/vmlinuz-{release}")),
        modules: modules(&root, &release)?,
        dir,
    })
}

/// Unpacks beside the final place and renames, so that an interrupted run leaves nothing half done.
fn fetch(kernel: &Kernel, dir: &Path) -> Result<()> {
    let step = Step::start(&format!(
        "kernel {} from Debian {}",
        kernel.name, kernel.suite
    ));
    let apt = AptRoot::new(&dir.join("apt"), kernel.suite)?;
    step.tell("reading the package list");
    apt.update()?;
    let said = shell::capture(apt.command("apt-cache").args(["depends", META_PACKAGE]))?;
    let package = dependency(&said)
        .with_context(|| format!("`{META_PACKAGE}` of {} names no image", kernel.suite))?;
    step.tell("downloading");
    let package = apt.download(package)?;
    step.tell("unpacking");
    let partial = dir.join("root.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove `{}`", partial.display()))?;
    }
    setup::extract(&package, &partial)?;
    shell::capture(
        Command::new("depmod")
            .arg("--basedir")
            .arg(&partial)
            .arg(release(&partial)?),
    )?;
    fs::rename(&partial, dir.join("root"))
        .with_context(|| format!("rename `{}`", partial.display()))?;
    fs::remove_dir_all(&apt.dir).with_context(|| format!("remove `{}`", apt.dir.display()))
}

/// The image's package out of `apt-cache depends`.
fn dependency(said: &str) -> Option<&str> {
    said.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
}

/// The kernel's own name for itself, e.g. `5.10.0-32-cloud-amd64`.
fn release(root: &Path) -> Result<String> {
    let folder = root.join("lib/modules");
    let entry = fs::read_dir(&folder)
        .with_context(|| format!("list `{}`", folder.display()))?
        .next()
        .with_context(|| format!("no modules in `{}`", folder.display()))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

/// Each module behind those it needs; what is built in is left out.
fn modules(root: &Path, release: &str) -> Result<Vec<PathBuf>> {
    let said = shell::capture(
        Command::new("modprobe")
            .arg("--dirname")
            .arg(root)
            .args(["--set-version", release, "--show-depends", "--all"])
            .args(MODULES),
    )?;
    let mut modules = Vec::new();
    for path in said.lines().filter_map(|line| line.strip_prefix("insmod ")) {
        let path = PathBuf::from(path.split_whitespace().next().unwrap_or_default());
        if !modules.contains(&path) {
            modules.push(path);
        }
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_what_the_meta_package_depends_on() {
        let said = "linux-image-cloud-amd64\n  Depends: linux-image-5.10.0-32-cloud-amd64\n";
        assert_eq!(dependency(said), Some("linux-image-5.10.0-32-cloud-amd64"));
        assert_eq!(dependency("linux-image-cloud-amd64\n"), None);
    }
}
