//! `observer doctor` says the truth, and ends with the right status, whatever it is denied.

mod common;

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use common::guarded;
use observer_tests::agent::executable;
use serde_json::Value;

struct Diagnosis {
    status: Option<i32>,
    report: Value,
}

impl Diagnosis {
    fn missing(&self) -> Vec<&str> {
        let rows = self.report["capabilities"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        rows.iter()
            .filter(|row| row["available"] == false)
            .filter_map(|row| row["name"].as_str())
            .collect()
    }
}

/// Runs `script` with the executable as `$0`.
fn diagnose(script: &str) -> Result<Diagnosis> {
    let executable = executable().context("the agent is not built")?;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(&executable)
        .output()
        .context("start a shell")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).with_context(|| {
        format!(
            "doctor said `{text}` and `{}`",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    ensure!(
        !String::from_utf8_lossy(&output.stderr).contains("panicked"),
        "doctor panicked"
    );
    Ok(Diagnosis {
        status: output.status.code(),
        report,
    })
}

const DOCTOR: &str = "\"$0\" doctor --output json";

#[test]
fn as_root_everything_needed_is_there() {
    guarded("as_root_everything_needed_is_there", || {
        let found = diagnose(DOCTOR)?;
        ensure!(
            found.status == Some(0) && found.report["can_run"] == true,
            "missing {:?}",
            found.missing()
        );
        Ok(())
    });
}

#[test]
fn three_capabilities_are_enough() {
    guarded("three_capabilities_are_enough", || {
        let caps = "-all,+bpf,+perfmon,+net_admin";
        let found = diagnose(&format!(
            "setpriv --bounding-set={caps} --inh-caps={caps} --no-new-privs {DOCTOR}"
        ))?;
        ensure!(
            found.status == Some(0),
            "status {:?}, missing {:?}",
            found.status,
            found.missing()
        );
        Ok(())
    });
}

#[test]
fn without_capabilities_each_is_named() {
    guarded("without_capabilities_each_is_named", || {
        let found = diagnose(&format!(
            "setpriv --bounding-set=-all --inh-caps=-all --no-new-privs {DOCTOR}"
        ))?;
        ensure!(found.status == Some(1), "status {:?}", found.status);
        for name in [
            "CAP_BPF",
            "CAP_PERFMON",
            "CAP_NET_ADMIN",
            "count sent packets",
        ] {
            ensure!(
                found.missing().contains(&name),
                "`{name}` is not among {:?}",
                found.missing()
            );
        }
        Ok(())
    });
}

#[test]
fn without_btf_open_flows_are_named_as_the_cost() {
    guarded("without_btf_open_flows_are_named_as_the_cost", || {
        let found = diagnose(&format!(
            "unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && {DOCTOR}' \"$0\""
        ))?;
        ensure!(
            found.status == Some(0),
            "status {:?}, missing {:?}",
            found.status,
            found.missing()
        );
        for name in ["kernel BTF", "read all flows each tick"] {
            ensure!(
                found.missing().contains(&name),
                "`{name}` is not among {:?}",
                found.missing()
            );
        }
        Ok(())
    });
}

#[test]
fn a_private_cgroup_namespace_is_no_true_root() {
    guarded("a_private_cgroup_namespace_is_no_true_root", || {
        let group = Group::make()?;
        let found = diagnose(&format!(
            "echo $$ > {}/cgroup.procs && unshare -m -C sh -c \
             'd=$(mktemp -d) && mount -t cgroup2 none $d && {DOCTOR} --cgroup $d' \"$0\"",
            group.0.display()
        ))?;
        ensure!(found.status == Some(1), "status {:?}", found.status);
        ensure!(
            found.missing().contains(&"true cgroup root"),
            "missing {:?}",
            found.missing()
        );
        Ok(())
    });
}

/// A cgroup of our own, removed when dropped.
struct Group(PathBuf);

impl Group {
    fn make() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let root = mounts
            .lines()
            .find_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words.get(2) == Some(&"cgroup2")).then(|| PathBuf::from(words[1]))
            })
            .context("no cgroup2 is mounted")?;
        let group = root.join(format!("observer-test-{}", std::process::id()));
        fs::create_dir(&group).with_context(|| format!("make `{}`", group.display()))?;
        Ok(Self(group))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
