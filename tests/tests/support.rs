//! The archive for a maintainer: everything is in it, and no name of this host.

mod common;

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use observer_tests::{
    Testbed, Wire,
    agent::{Agent, executable, uplink},
    topology,
    traffic::TcpTalk,
};

const PARTS: [&str; 9] = [
    "README.txt",
    "version.json",
    "doctor.json",
    "programs.json",
    "mounts.txt",
    "limits.txt",
    "config.yaml",
    "metrics.txt",
    "coverage.json",
];

#[test]
fn a_support_bundle_is_whole_and_names_nobody() {
    guarded("a_support_bundle_is_whole_and_names_nobody", || {
        let bed = Testbed::new("support")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let uplink = uplink(&net.near, net.near_device);
        let agent = Agent::start(std::slice::from_ref(&uplink), &["--cluster", "blue-whale"])?;
        TcpTalk::bulk(10_000, 10_000)
            .plan()
            .run(&net.near, &net.far, net.far_address(4, PORT))?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        let directory =
            std::env::temp_dir().join(format!("observer-bundle-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let done = bundle(&agent, &directory, &uplink);
        fs::remove_dir_all(&directory)?;
        done?;
        agent.stop().map(drop)
    });
}

fn bundle(agent: &Agent, directory: &std::path::Path, uplink: &str) -> Result<()> {
    let (file, config) = (directory.join("bundle.tar"), directory.join("config.yaml"));
    fs::write(&config, "cluster: blue-whale\nlisten: 192.0.2.77:9464\n")?;
    let mut command = Command::new(executable().context("an executable")?);
    command
        .arg("support-bundle")
        .args(["--agent", &agent.address().to_string()])
        .arg("--config")
        .args([&config, &file]);
    let made = command.output()?;
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let again = command.output()?;
    ensure!(!again.status.success(), "an archive was overwritten");

    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg(&file)
        .arg("-C")
        .arg(directory)
        .status()?;
    ensure!(unpacked.success(), "tar does not read it");
    let inside = directory.join("observer-support");
    for part in PARTS {
        let text = fs::read_to_string(inside.join(part)).with_context(|| part.to_owned())?;
        ensure!(!text.starts_with("not there"), "{part}: {text}");
        let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
        for name in [uplink, "blue-whale", "192.0.2.77"] {
            ensure!(!text.contains(name), "`{name}` is in {part}");
        }
        let host = host.trim();
        let alone = |word: &str| word == host;
        ensure!(
            !text.split_whitespace().any(alone),
            "the host's name is in {part}"
        );
    }
    let metrics = fs::read_to_string(inside.join("metrics.txt"))?;
    ensure!(metrics.contains("observer_wire_bytes_total"), "{metrics}");
    let programs = fs::read_to_string(inside.join("programs.json"))?;
    ensure!(programs.contains("count_egress"), "{programs}");
    Ok(())
}
