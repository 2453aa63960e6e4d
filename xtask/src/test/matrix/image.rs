//! A guest's user land: one archive with a shell, the programs under test, the tools that they start, and the kernel's
//! modules. It knows no emulator.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::kernel::Files;
use crate::shell;

/// What is tested, with the C library inside.
pub struct Programs {
    pub agent: PathBuf,
    /// By name.
    pub tests: Vec<(&'static str, PathBuf)>,
}

/// Tools of the host that busybox has a lesser one of, or none.
const TOOLS: [&str; 3] = ["/usr/bin/ip", "/usr/sbin/tc", "/usr/sbin/ethtool"];

const BUSYBOX: &str = "/usr/bin/busybox";

/// What the guest says last, with the exit status of the last test program that failed, else 0.
pub const END: &str = "matrix: the tests ended with status ";

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
# The real `ip` before busybox's.
export PATH=/usr/bin:/bin HOME=/ OBSERVER_BIN=/usr/bin/observer EXACTNESS_SCALE=small OBSERVER_TESTS_REQUIRE_KERNEL=1
export OBSERVER_TESTS_OWN_MACHINE=1
export RUST_BACKTRACE=0
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mkdir -p /dev/net /run/netns
while read -r module; do insmod "$module"; done </modules/order
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
observer doctor
"#;

/// Makes the archive; its path is returned.
pub fn make(kernel: &Files, programs: &Programs, filters: &[String]) -> Result<PathBuf> {
    let root = kernel.dir.join("image");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove `{}`", root.display()))?;
    }
    for folder in [
        "bin", "usr/bin", "proc", "sys", "dev", "tmp", "run", "modules",
    ] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("make `{}`", folder.display()))?;
    }
    copy(Path::new(BUSYBOX), &root.join("bin/busybox"))?;
    strip(&programs.agent, &root.join("usr/bin/observer"))?;
    for (name, program) in &programs.tests {
        strip(program, &root.join("usr/bin").join(name))?;
    }
    for tool in TOOLS.map(Path::new) {
        copy(tool, &inside(&root, Path::new("/usr/bin"), tool))?;
        for library in libraries(tool)? {
            let place = root.join(library.strip_prefix("/").unwrap_or(&library));
            copy(&library, &place)?;
        }
    }
    let mut order = String::new();
    for module in &kernel.modules {
        let place = inside(&root, Path::new("/modules"), module);
        copy(module, &place)?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        order.extend(["/modules/", &name, "\n"]);
    }
    write(&root.join("modules/order"), &order)?;
    let names = programs.tests.iter().map(|(name, _)| *name);
    write(&root.join("init"), &init(names, filters))?;
    pack(&root, &kernel.dir.join("image.cpio"))
}

fn init<'a>(tests: impl Iterator<Item = &'a str>, filters: &[String]) -> String {
    let quoted: Vec<String> = filters
        .iter()
        .map(|filter| format!("'{}'", filter.replace('\'', r"'\''")))
        .collect();
    let filters = quoted.join(" ");
    let mut script = format!("{INIT}status=0\n");
    for test in tests {
        script.extend([test, " --test-threads=1 --nocapture ", &filters]);
        script.push_str(" 2>&1 || status=$?\n");
    }
    script.extend(["echo \"", END, "$status\"\npoweroff -f\n"]);
    script
}

fn inside(root: &Path, folder: &Path, file: &Path) -> PathBuf {
    root.join(folder.strip_prefix("/").unwrap_or(folder))
        .join(file.file_name().unwrap_or_default())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy `{}` to `{}`", from.display(), to.display()))
}

/// Debug information would fill the guest's memory.
fn strip(from: &Path, to: &Path) -> Result<()> {
    let mut strip = Command::new("strip");
    shell::capture(strip.arg("-o").arg(to).arg(from)).map(drop)
}

/// The shared libraries of a program and the loader, by absolute path.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = shell::capture(Command::new("ldd").arg(program))?;
    Ok(said
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let write = || -> io::Result<()> {
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("write `{}`", path.display()))
}

fn pack(root: &Path, archive: &Path) -> Result<PathBuf> {
    let script = "find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet >\"$0\"";
    shell::capture(
        Command::new("sh")
            .args(["-c", script])
            .arg(archive)
            .current_dir(root),
    )?;
    Ok(archive.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_reach_the_test_program_as_they_were_typed() {
        let text = init(
            ["first", "second"].into_iter(),
            &["udp".into(), "it's".into()],
        );
        for test in ["first", "second"] {
            let run =
                format!(r"{test} --test-threads=1 --nocapture 'udp' 'it'\''s' 2>&1 || status=$?");
            assert!(text.contains(&run), "{text}");
        }
    }
}
