//! Containers made by runc, under the cgroup paths that each runtime gives it, in the hybrid layout and the unified one.
//! Needs `runc` (`cargo xtask setup containers`); says so where it is not there.

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use observer_tests::{
    Host, Testbed, Wire,
    agent::{Agent, uplink},
    mounts, topology,
};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_owner");
const TIMEOUT: Duration = Duration::from_secs(20);

/// Runtime and driver, and the path that it gives; `ID` is the container's.
const PATHS: [(&str, &str); 7] = [
    ("docker, cgroupfs", "docker/ID"),
    ("docker, systemd", "system.slice/docker-ID.scope"),
    (
        "containerd, cgroupfs",
        "kubepods/burstable/pod3f5c1f0e-8a1b-4f6e-9d55-7a4b2f2a7a11/ID",
    ),
    (
        "containerd, systemd",
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f5c1f0e_8a1b_4f6e_9d55_7a4b2f2a7a11.slice/cri-containerd-ID.scope",
    ),
    (
        "CRI-O, systemd",
        "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod3f5c1f0e_8a1b_4f6e_9d55_7a4b2f2a7a11.slice/crio-ID.scope",
    ),
    ("podman, systemd", "machine.slice/libpod-ID.scope"),
    ("podman, cgroupfs", "libpod_parent/libpod-ID"),
];

#[test]
fn containers_in_the_layout_of_this_machine() {
    guarded("containers_in_the_layout_of_this_machine", || {
        if has_runc() { all() } else { Ok(()) }
    });
}

/// As a machine with the unified hierarchy alone looks, for the agent and for runc.
#[test]
fn containers_in_the_unified_layout() {
    guarded("containers_in_the_unified_layout", || {
        if !has_runc() {
            return Ok(());
        }
        mounts::with_own(|| {
            let root = Path::new("/sys/fs/cgroup");
            if statfs(root)?.filesystem_type() != CGROUP2_SUPER_MAGIC {
                mounts::mount_at(root, "cgroup2")?;
            }
            all()
        })
    });
}

fn has_runc() -> bool {
    let there = Command::new("runc").arg("--version").output().is_ok();
    if !there {
        println!("SKIP: no `runc`: `cargo xtask setup containers` brings it");
    }
    there
}

fn all() -> Result<()> {
    let bed = Testbed::new("boxes")?;
    let net = topology::bridged(&bed, &Wire::default())?;
    let uplink = uplink(&net.near, net.near_device);
    let agent = Agent::start(std::slice::from_ref(&uplink), &["--tick", "1"])?;
    let parent = format!("observer-test-boxes-{}", std::process::id());
    let directory = std::env::temp_dir().join(&parent);
    let mut declared = Vec::new();
    let done = PATHS
        .iter()
        .enumerate()
        .try_for_each(|(index, (name, path))| {
            let id = format!("{:064x}", 0xc0ff_ee00_u64 + index as u64);
            let bundle = directory.join(index.to_string());
            let server = net.far_address(4, PORT + u16::try_from(index)?);
            let cgroup = format!("/{parent}/{}", path.replace("ID", &id));
            let owner = contained(&net.near, &net.far, &bundle, &id, &cgroup, server);
            declared.push((*name, id, owner.with_context(|| (*name).to_owned())?));
            anyhow::Ok(())
        });
    let _ = fs::remove_dir_all(&directory);
    remove_cgroups(&parent);
    done?;
    let records = agent.stop()?;
    for (name, id, owner) in declared {
        let own: Vec<&Value> = records
            .iter()
            .filter(|record| record["device"] == uplink && record["local_port"] == owner["port"])
            .collect();
        ensure!(!own.is_empty(), "{name}: no record");
        for record in own {
            let right = record["container_id"] == id
                && record["workload_kind"] == "container"
                && record["workload"] == id[..12]
                && ["uid", "comm", "executable"]
                    .into_iter()
                    .all(|field| record[field] == owner[field]);
            ensure!(right, "{name}: {record}, declared {owner}");
        }
        println!("{name}: right");
    }
    Ok(())
}

/// Runs one container that calls `server` once; what it declared.
fn contained(
    near: &Host,
    far: &Host,
    bundle: &Path,
    id: &str,
    cgroup: &str,
    server: SocketAddr,
) -> Result<Value> {
    let root = bundle.join("rootfs");
    for below in ["bin", "proc", "usr"] {
        fs::create_dir_all(root.join(below))?;
    }
    for library in ["lib", "lib64"] {
        symlink(format!("usr/{library}"), root.join(library))?;
    }
    fs::copy(PROGRAM, root.join("bin/owner")).context("copy the program")?;
    let config = config(near, cgroup, server);
    fs::write(bundle.join("config.json"), config.to_string())?;

    let listener = far.run(|| TcpListener::bind(server)).context("listen")?;
    let answering = far.start("far-server", move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.read_to_end(&mut Vec::new())?;
        Ok(stream.write_all(&[b'a'; 1_000])?)
    })?;
    let output = Command::new("runc")
        .arg("--root")
        .arg(bundle.join("state"))
        .args(["run", "--bundle"])
        .arg(bundle)
        .arg(id)
        .stdin(Stdio::null())
        .output()
        .context("start runc")?;
    if !output.status.success() {
        // The server waits for somebody.
        far.run(|| {
            TcpStream::connect_timeout(&server, TIMEOUT)
                .and_then(|stream| stream.shutdown(Shutdown::Both))
        })?;
    }
    let answered = answering
        .join()
        .map_err(|_| anyhow::anyhow!("the far server panicked"))?;
    ensure!(
        output.status.success(),
        "runc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    answered?;
    serde_json::from_slice(&output.stdout).context("read what the container declared")
}

fn config(near: &Host, cgroup: &str, server: SocketAddr) -> Value {
    let capabilities = ["CAP_SETUID"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/owner", "call", server.to_string(), "boxed", "1234", "-"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "network", "path": near.namespace().path()},
            ],
        },
    })
}

/// Removes the run's own directory from every hierarchy.
fn remove_cgroups(parent: &str) {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    let roots = mounts.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words
            .get(2)?
            .starts_with("cgroup")
            .then(|| PathBuf::from(words[1]))
    });
    for root in roots {
        remove_below(&root.join(parent));
    }
}

fn remove_below(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    let _ = fs::remove_dir(directory);
}
