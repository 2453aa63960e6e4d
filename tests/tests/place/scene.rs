//! What the tests of the place have in common: two hosts, firmware as files, an agent, and what it must say.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::{
    Observed, Testbed, Wire,
    agent::executable,
    capture::{Capture, View},
    topology::{self, Direct},
    traffic::{Side, TcpTalk},
};
use serde_json::Value;

pub const TIMEOUT: Duration = Duration::from_secs(20);
pub const POLL: Duration = Duration::from_millis(50);

pub const NITRO: &[(&str, &str)] = &[("sys_vendor", "Amazon EC2"), ("board_vendor", "Amazon EC2")];
pub const AZURE: &[(&str, &str)] = &[
    ("sys_vendor", "Microsoft Corporation"),
    ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
];
pub const GCP: &[(&str, &str)] = &[
    ("sys_vendor", "Google"),
    ("product_name", "Google Compute Engine"),
];
pub const OCI: &[(&str, &str)] = &[
    ("sys_vendor", "QEMU"),
    ("chassis_asset_tag", "OracleCloud.com"),
];
pub const QEMU: &[(&str, &str)] = &[
    ("sys_vendor", "QEMU"),
    ("product_name", "Standard PC (Q35 + ICH9, 2009)"),
];

/// Two hosts; the far one owns the services' address, the near one has a route to it and no other way off.
pub fn bed(bed: &Testbed) -> Result<Direct> {
    let mut wire = Wire::default();
    wire.far_prefixes.push("169.254.169.254/32".parse()?);
    topology::direct(bed, &wire)
}

/// A directory as the kernel shows the firmware's tables; gone when dropped.
pub struct Firmware(PathBuf);

impl Firmware {
    pub fn of(strings: &[(&str, &str)]) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "observer-test-dmi-{}-{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).with_context(|| format!("make `{}`", directory.display()))?;
        let firmware = Self(directory);
        for (file, value) in strings {
            fs::write(firmware.0.join(file), format!("{value}\n"))?;
        }
        Ok(firmware)
    }

    pub fn path(&self) -> Result<&str> {
        self.0.to_str().context("the path is text")
    }
}

impl Drop for Firmware {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn agent(net: &Direct, firmware: &Firmware, arguments: &[&str]) -> Result<Observed> {
    let executable = executable().context("the agent is not built")?;
    let device = net.near_device;
    let fixed = [
        "--uplink", device, "--tick", "0.2", "--host", "near", "--dmi",
    ];
    let all = [&fixed[..], &[firmware.path()?], arguments].concat();
    Observed::start(&net.near, &executable, &all)
}

/// What the agent must say: cloud, account, region, zone, instance; empty for not known.
pub type Place = [&'static str; 5];

pub fn metric([cloud, account, region, zone, _]: Place) -> String {
    let [cloud, account, region, zone] = [cloud, account, region, zone]
        .map(|value| if value.is_empty() { "unknown" } else { value });
    format!(
        "observer_source_info{{source_cloud=\"{cloud}\",source_account=\"{account}\",source_region=\"{region}\",source_zone=\"{zone}\"}} 1"
    )
}

pub fn wait_for(agent: &Observed, place: Place) -> Result<()> {
    let (start, line) = (Instant::now(), metric(place));
    loop {
        let text = agent.metrics()?;
        if text.lines().any(|found| found == line) {
            return Ok(());
        }
        let found = text
            .lines()
            .find(|line| line.starts_with("observer_source_info"));
        ensure!(
            start.elapsed() < TIMEOUT,
            "not `{line}` but `{}`; the agent said: {}",
            found.unwrap_or("nothing"),
            agent.said()?
        );
        std::thread::sleep(POLL);
    }
}

/// Traffic of the near host, so that there are records.
pub fn talk(net: &Direct, port: u16) -> Result<()> {
    let plan = TcpTalk::short(3, Side::Client).plan();
    plan.run(&net.near, &net.far, net.far_address(4, port))?;
    Ok(())
}

/// Every record of that port names `place`, and there is one. Only the near host's flows are looked at: the agent sees
/// those of other namespaces of this machine too, and they pass no uplink of its own.
pub fn recorded(records: &str, port: u16, place: Place) -> Result<()> {
    let fields = [
        "source_cloud",
        "source_account",
        "source_region",
        "source_zone",
        "source_instance",
    ];
    let mut count = 0;
    for line in records.lines() {
        let record: Value =
            serde_json::from_str(line).with_context(|| format!("record `{line}`"))?;
        if record["remote_port"] != port || record["device"] != "eth0" {
            continue;
        }
        count += 1;
        for (field, value) in fields.iter().zip(place) {
            let found = &record[*field];
            let right = match value {
                "" => found.is_null(),
                value => found == value,
            };
            ensure!(right, "`{field}` is {found}, not `{value}`");
        }
    }
    ensure!(count > 0, "no record of port {port}");
    Ok(())
}

/// What the near host sends in IPv4 while `work` runs, seen by the far host.
pub fn sent_during<T>(net: &Direct, work: impl FnOnce() -> Result<T>) -> Result<(usize, T)> {
    let capture = Capture::start(&net.far, net.far_device, View::Segments)?;
    let done = work()?;
    let record = capture.stop()?;
    ensure!(record.packets_dropped == 0, "the capture is not whole");
    let packets = record.packets.iter();
    let sent = packets
        .filter(|packet| packet.ip_version == 4 && packet.source == net.near_address(4, 0).ip());
    Ok((sent.count(), done))
}

/// Starts an agent, waits for what it must say, and ends it.
pub fn brief(
    net: &Direct,
    strings: &[(&str, &str)],
    arguments: &[&str],
    place: Place,
) -> Result<String> {
    let firmware = Firmware::of(strings)?;
    let agent = agent(net, &firmware, arguments)?;
    wait_for(&agent, place)?;
    std::thread::sleep(Duration::from_secs(1));
    Ok(agent.stop()?.1)
}
