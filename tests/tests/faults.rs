//! What other tools and the machine do to a running agent: it is noticed within a tick, mended or gone on without, and
//! counted; what passed meanwhile is in flows, or named.

mod common;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, guarded};
use nix::{
    mount::{MntFlags, umount, umount2},
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};
use observer_tests::{
    Meter, Testbed, Wire,
    agent::{Account, Agent, uplink},
    capture::View,
    links::{self, Link},
    mounts,
    topology::{self, Bridged},
    traffic::TcpTalk,
};

/// Longer than what a test does between two looks of the agent.
const TICK: Duration = Duration::from_secs(2);
const TICK_WORD: &str = "2";
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes sent and received while something is broken.
const BULK: u64 = 3_000_000;

struct Bed {
    net: Bridged,
    uplink: String,
    _bed: Testbed,
}

impl Bed {
    fn new() -> Result<Self> {
        let bed = Testbed::new("fault")?;
        let net = topology::bridged(&bed, &Wire::default())?;
        let uplink = uplink(&net.near, net.near_device);
        Ok(Self {
            net,
            uplink,
            _bed: bed,
        })
    }

    fn agent(&self, arguments: &[&str]) -> Result<Agent> {
        let arguments = [&["--tick", TICK_WORD], arguments].concat();
        Agent::start(std::slice::from_ref(&self.uplink), &arguments)
    }

    fn meter(&self) -> Result<Meter> {
        Meter::start(&self.net.near, self.net.near_device, View::Segments)
    }

    fn traffic(&self) -> Result<()> {
        let ends = self.net.far_address(4, PORT);
        TcpTalk::bulk(BULK, BULK)
            .plan()
            .run(&self.net.near, &self.net.far, ends)
            .map(drop)
    }

    /// The settled accounts after what `meter` measured; they close.
    fn closed(&self, agent: &Agent, meter: Meter) -> Result<[Account; 2]> {
        let reading = meter.finish()?;
        let counted = [
            reading.sent_network_bytes(),
            reading.received_network_bytes(),
        ];
        let accounts = agent.settled(&self.uplink, counted)?;
        for account in &accounts {
            ensure!(account.balance_bytes == 0, "{account:?}");
        }
        Ok(accounts)
    }
}

/// Waits until the metrics have `line`, from `since` on; how long that took.
fn noticed(agent: &Agent, line: &str, since: Instant) -> Result<Duration> {
    loop {
        let metrics = agent.metrics()?;
        if metrics.lines().any(|found| found == line) {
            return Ok(since.elapsed());
        }
        ensure!(
            since.elapsed() < PATIENCE,
            "no `{line}` after {PATIENCE:?}; there is {:?}",
            metrics
                .lines()
                .filter(|line| line.contains("observer_faults") || line.contains("degraded"))
                .collect::<Vec<_>>()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn fault(fault: &str, outcome: &str, count: u32) -> String {
    format!("observer_faults_total{{fault=\"{fault}\",outcome=\"{outcome}\"}} {count}")
}

fn degraded(fault: &str, value: u32) -> String {
    format!("observer_degraded{{fault=\"{fault}\"}} {value}")
}

/// A kind of link, its attach type, the fault it gives, and which direction's flows miss it. Without the uplink's programs
/// the sockets' hooks go on counting.
const TAKEN_AWAY: [(&str, u32, &str, Option<usize>); 5] = [
    ("cgroup", 1, "hook_detached", Some(0)),
    ("cgroup", 0, "hook_detached", Some(1)),
    ("tcx", 47, "uplink_detached", None),
    ("tcx", 46, "uplink_detached", None),
    ("cgroup", 3, "hook_detached", None),
];

#[test]
fn a_program_taken_away_by_another_tool() {
    guarded("a_program_taken_away_by_another_tool", || {
        for (kind, attach_type, name, direction) in TAKEN_AWAY {
            let bed = Bed::new()?;
            let agent = bed.agent(&[])?;
            let held = links::links(agent.pid())?;
            let wanted = |link: &&Link| link.kind == kind && link.attach_type == Some(attach_type);
            let Some(link) = held.iter().find(wanted) else {
                // Kernels before 6.6 have no such link, and a filter cannot be told from another's here.
                println!("SKIP: the agent has no {kind} link of type {attach_type}");
                continue;
            };
            let meter = bed.meter()?;
            bed.traffic()?;
            // Right after a tick, so that all of the traffic passes before the next one.
            next_tick(&bed, &agent)?;
            let since = Instant::now();
            links::detach(link)?;
            bed.traffic()?;
            ensure!(
                since.elapsed() < TICK,
                "the traffic took longer than a tick"
            );
            let took = noticed(&agent, &fault(name, "repaired", 1), since)?;
            next_tick(&bed, &agent)?;
            bed.traffic()?;
            let accounts = bed.closed(&agent, meter)?;
            println!("{kind} {attach_type}: noticed after {took:?}; {accounts:?}");
            ensure!(
                took <= TICK + Duration::from_millis(500),
                "noticed after {took:?}"
            );
            for (index, account) in accounts.iter().enumerate() {
                let missed = account.remainder("not_attached");
                let expected = Some(index) == direction;
                ensure!((missed > 0) == expected, "{missed}: {account:?}");
                ensure!(
                    !expected || missed >= i128::from(BULK),
                    "only {missed} bytes are named: {account:?}"
                );
            }
            agent.stop()?;
        }
        Ok(())
    });
}

/// Waits for the agent's next tick, which is when the accounts have what is sent here.
fn next_tick(bed: &Bed, agent: &Agent) -> Result<()> {
    let before = agent.coverage()?;
    bed.net.near.run(|| -> Result<()> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(b"tick", bed.net.far_address(4, PORT + 1))?;
        Ok(())
    })?;
    let start = Instant::now();
    while agent.coverage()? == before {
        ensure!(start.elapsed() < PATIENCE, "no tick for {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn an_uplink_that_is_gone() {
    guarded("an_uplink_that_is_gone", || {
        let bed = Bed::new()?;
        let agent = bed.agent(&[])?;
        bed.traffic()?;
        let since = Instant::now();
        bed.net
            .near
            .ip(&[&format!("link del {}", bed.net.near_device)])?;
        let took = noticed(&agent, &degraded("uplink_detached", 1), since)?;
        println!("gone noticed after {took:?}");
        // It goes on, and writes what it has.
        two_more_ticks(&agent)?;
        let records = agent.stop()?;
        let sent: u64 = records
            .iter()
            .filter(|record| record["device"] == bed.uplink)
            .filter_map(|record| record["payload_bytes_egress"].as_u64())
            .sum();
        ensure!(sent == BULK, "{sent} bytes in records");
        Ok(())
    });
}

/// Two more ticks without an end.
fn two_more_ticks(agent: &Agent) -> Result<()> {
    thread::sleep(2 * TICK);
    agent.metrics().map(drop)
}

/// Runs `test` with mounts of its own, which the agent that it starts shares, and a directory for them.
fn with_own_mounts(test: impl FnOnce(&Path) -> Result<()> + Send + 'static) -> Result<()> {
    mounts::with_own(|| {
        let directory = std::env::temp_dir().join(format!("observer-fault-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let done = test(&directory);
        let _ = fs::remove_dir_all(&directory);
        done
    })
}

#[test]
fn the_cgroup_root_mounted_elsewhere_and_nowhere() {
    guarded("the_cgroup_root_mounted_elsewhere_and_nowhere", || {
        with_own_mounts(|directory| {
            let root = directory.join("unified");
            mounts::mount_at(&root, "cgroup2")?;
            let bed = Bed::new()?;
            let agent = bed.agent(&["--cgroup", &root.to_string_lossy()])?;
            let meter = bed.meter()?;
            let since = Instant::now();
            umount(&root)?;
            bed.traffic()?;
            let elsewhere = noticed(&agent, &fault("cgroup_moved", "repaired", 1), since)?;
            let since = Instant::now();
            for path in mounts::of_kind("cgroup2")? {
                umount2(&path, MntFlags::MNT_DETACH)
                    .with_context(|| format!("unmount `{}`", path.display()))?;
            }
            bed.traffic()?;
            let nowhere = noticed(&agent, &degraded("cgroup_moved", 1), since)?;
            mounts::mount_at(&root, "cgroup2")?;
            noticed(&agent, &degraded("cgroup_moved", 0), Instant::now())?;
            let accounts = bed.closed(&agent, meter)?;
            umount(&root)?;
            println!("elsewhere noticed after {elsewhere:?}, nowhere after {nowhere:?}");
            for account in &accounts {
                ensure!(account.remainder("not_attached") == 0, "{account:?}");
            }
            agent.stop().map(drop)
        })
    });
}

#[test]
fn the_filesystem_of_the_pins_gone_and_back() {
    guarded("the_filesystem_of_the_pins_gone_and_back", || {
        with_own_mounts(|directory| {
            let bpf = directory.join("bpf");
            mounts::mount_at(&bpf, "bpf")?;
            let bed = Bed::new()?;
            let pins = bpf.join("observer").to_string_lossy().into_owned();
            let arguments = ["--tick", TICK_WORD, "--pin", &pins];
            let start =
                || Agent::start_in(directory, std::slice::from_ref(&bed.uplink), &arguments);
            let agent = start()?;
            let meter = bed.meter()?;
            let since = Instant::now();
            umount2(&bpf, MntFlags::MNT_DETACH)?;
            bed.traffic()?;
            let gone = noticed(&agent, &fault("pins_gone", "degraded", 1), since)?;
            mounts::mount_at(&bpf, "bpf")?;
            let back = noticed(&agent, &fault("pins_gone", "repaired", 1), Instant::now())?;
            println!("gone noticed after {gone:?}, mended after {back:?}");
            // The new pins are good: a killed agent's successor continues them.
            agent.kill()?;
            bed.traffic()?;
            let agent = start()?;
            let accounts = bed.closed(&agent, meter)?;
            for account in &accounts {
                ensure!(account.remainder("not_attached") == 0, "{account:?}");
                ensure!(
                    account.attributed_bytes >= i128::from(2 * BULK),
                    "{account:?}"
                );
            }
            agent.stop()?;
            umount2(&bpf, MntFlags::MNT_DETACH)?;
            Ok(())
        })
    });
}

/// Only a machine of the run's own may have its clock set.
#[test]
fn the_clock_set_forward_and_back() {
    if std::env::var_os("OBSERVER_TESTS_OWN_MACHINE").is_none() {
        println!("SKIP: sets the clock: in guests only (`cargo xtask test --group matrix`)");
        return;
    }
    guarded("the_clock_set_forward_and_back", || {
        let bed = Bed::new()?;
        let agent = bed.agent(&[])?;
        let meter = bed.meter()?;
        for (count, seconds) in [(1, 3_600), (2, -7_200)] {
            bed.traffic()?;
            let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
            let since = Instant::now();
            let set = TimeSpec::new(now.tv_sec() + seconds, now.tv_nsec());
            clock_settime(ClockId::CLOCK_REALTIME, set)?;
            bed.traffic()?;
            let took = noticed(&agent, &fault("clock_step", "repaired", count), since)?;
            println!("step of {seconds} s noticed after {took:?}");
        }
        let accounts = bed.closed(&agent, meter)?;
        for account in &accounts {
            ensure!(account.remainder("not_attached") == 0, "{account:?}");
        }
        for record in agent.stop()? {
            let time = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            ensure!(time("interval_start") <= time("interval_end"), "{record}");
        }
        Ok(())
    });
}
