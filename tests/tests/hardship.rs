//! Exactness where something goes wrong: loss, full tables, no memory, agents killed. What cannot be in a flow is named.

mod common;

use std::{path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use common::{PORT, balances, guarded, no_gap_and_no_double, sum};
use nix::{mount::umount, sys::signal::Signal};
use observer_tests::{
    Host, Meter, Testbed, Wire,
    agent::{Account, Agent, detach, uplink},
    capture::View,
    mounts,
    offload::Offload,
    qdisc::TokenBucket,
    topology::{self, Bridged},
    traffic::{Actor, Pause, Plan, Side, TcpTalk, UdpTalk},
};

struct Bed {
    net: Bridged,
    uplink: String,
    _bed: Testbed,
}

fn bed(wire: &Wire) -> Result<Bed> {
    let bed = Testbed::new("hard")?;
    let net = topology::bridged(&bed, wire)?;
    let uplink = uplink(&net.near, net.near_device);
    Ok(Bed {
        net,
        uplink,
        _bed: bed,
    })
}

impl Bed {
    fn agent(&self, arguments: &[&str]) -> Result<Agent> {
        Agent::start(std::slice::from_ref(&self.uplink), arguments)
    }

    fn meter(&self) -> Result<Meter> {
        Meter::start(&self.net.near, self.net.near_device, View::Segments)
    }

    fn run(&self, plan: &Plan) -> Result<()> {
        plan.run(&self.net.near, &self.net.far, self.net.far_address(4, PORT))
            .map(drop)
    }

    /// The settled accounts after what `meter` measured.
    fn accounts(&self, agent: &Agent, meter: Meter) -> Result<[Account; 2]> {
        let reading = meter.finish()?;
        let counted = [
            reading.sent_network_bytes(),
            reading.received_network_bytes(),
        ];
        agent.settled(&self.uplink, counted)
    }
}

fn closes(accounts: &[Account; 2]) -> Result<()> {
    for account in accounts {
        ensure!(
            account.balance_bytes == 0,
            "the account does not close: {account:?}"
        );
    }
    Ok(())
}

#[test]
fn sockets_older_than_the_agent() {
    guarded("sockets_older_than_the_agent", || {
        let bed = bed(&Wire::default())?;
        let talk = TcpTalk {
            pause: Some(Pause::Connected),
            ..TcpTalk::bulk(3_000_000, 3_000_000)
        };
        let (near, far) = (&bed.net.near, &bed.net.far);
        let mut talk = talk.plan().start(
            Actor::thread(near),
            Actor::thread(far),
            bed.net.far_address(4, PORT),
        )?;
        talk.paused()?;
        let datagrams = UdpTalk {
            pause: true,
            replies: true,
            ..UdpTalk::datagrams(200, 700)
        };
        let mut datagrams = datagrams.plan().start(
            Actor::thread(near),
            Actor::thread(far),
            bed.net.far_address(4, PORT + 1),
        )?;
        datagrams.paused()?;
        let agent = bed.agent(&[])?;
        let meter = bed.meter()?;
        talk.release()?;
        datagrams.release()?;
        talk.finish()?;
        datagrams.finish()?;
        let accounts = bed.accounts(&agent, meter)?;
        balances(&accounts)?;
        let records = agent.stop()?;
        ensure!(sum(&records, &bed.uplink, "payload_bytes_egress") == 3_000_000 + 200 * 700);
        ensure!(sum(&records, &bed.uplink, "payload_bytes_ingress") == 3_000_000 + 200 * 700);
        let known = records
            .iter()
            .any(|record| record["device"] == bed.uplink && record["initiator"] != "unknown");
        ensure!(
            !known,
            "nobody can know who opened a socket that was there before"
        );
        Ok(())
    });
}

#[test]
fn loss_one_hop_away() {
    guarded("loss_one_hop_away", || {
        let bed = bed(&Wire::default())?;
        let bucket = TokenBucket {
            rate_bits_per_second: 200_000_000,
            burst_bytes: 10_000,
            limit_bytes: 30_000,
        };
        bed.net.middle.limit_rate(bed.net.far_port, bucket)?;
        let agent = bed.agent(&[])?;
        let link = Meter::start(&bed.net.middle, bed.net.near_port, View::Bundles)?;
        let meter = bed.meter()?;
        bed.run(&TcpTalk::bulk(10_000_000, 0).plan())?;
        let accounts = bed.accounts(&agent, meter)?;
        let mut link = link.finish()?.record;
        balances(&accounts)?;
        let records = agent.stop()?;
        let dropped = bed
            .net
            .middle
            .queue_counters(bed.net.far_port)?
            .dropped_packets;
        ensure!(dropped > 0, "nothing was lost");
        // On the near port what comes in is what the near host sent.
        std::mem::swap(&mut link.sent, &mut link.received);
        let on_wire = [&link.sent, &link.received].map(|sums| sums.wire_bytes + sums.non_ip_bytes);
        let sent = sum(&records, &bed.uplink, "wire_bytes_egress");
        ensure!(
            sent + u64::try_from(accounts[0].remainders())? == on_wire[0],
            "flows have {sent} wire bytes, captured were {}",
            on_wire[0]
        );
        ensure!(sum(&records, &bed.uplink, "payload_bytes_egress") == 10_000_000);
        ensure!(
            sum(&records, &bed.uplink, "retransmitted_wire_bytes") > 0,
            "no retransmission was seen"
        );
        Ok(())
    });
}

#[test]
fn loss_in_the_uplink_s_own_queue() {
    guarded("loss_in_the_uplink_s_own_queue", || {
        let bed = bed(&Wire {
            near_offload: Offload::DEFAULT,
            ..Wire::default()
        })?;
        // A burst above the largest bundle: the queue cuts none.
        let bucket = TokenBucket {
            // Below what an emulated guest sends.
            rate_bits_per_second: 20_000_000,
            burst_bytes: 100_000,
            limit_bytes: 30_000,
        };
        bed.net.near.limit_rate(bed.net.near_device, bucket)?;
        let agent = bed.agent(&[])?;
        let meter = bed.meter()?;
        bed.run(&UdpTalk::datagrams(3_000, 1_200).plan()).ok();
        let accounts = bed.accounts(&agent, meter)?;
        closes(&accounts)?;
        let dropped = bed
            .net
            .near
            .queue_counters(bed.net.near_device)?
            .dropped_packets;
        ensure!(dropped > 0, "the queue dropped nothing");
        let expected = -i128::from(dropped) * (1_200 + 28);
        let named = accounts[0].remainder("dropped_after_hook");
        ensure!(
            named == expected,
            "`dropped_after_hook` is {named}, the queue dropped {dropped} datagrams"
        );
        Ok(())
    });
}

#[test]
fn no_option_memory() {
    guarded("no_option_memory", || {
        let bed = bed(&Wire::default())?;
        let Some(option_memory) = OptionMemory::of(&bed.net.near)? else {
            println!("SKIP: no_option_memory: `optmem_max` is not the namespace's own here (6.9)");
            return Ok(());
        };
        let agent = bed.agent(&[])?;
        let meter = bed.meter()?;
        option_memory
            .set("64")
            .context("take the option memory away")?;
        bed.run(&TcpTalk::bulk(500_000, 500_000).plan())?;
        let accounts = bed.accounts(&agent, meter)?;
        drop(option_memory);
        closes(&accounts)?;
        for account in &accounts {
            ensure!(
                account.remainder("storage_failed") > 500_000,
                "`storage_failed` is not named: {account:?}"
            );
            ensure!(
                account.attributed_bytes == 0,
                "a flow without storage: {account:?}"
            );
        }
        Ok(())
    });
}

/// The limit of option memory, as it was again when dropped. Before 6.9 it is the whole machine's: it is touched only
/// where the machine is this run's own (a guest of the matrix).
struct OptionMemory {
    host: Option<Host>,
    before: String,
}

impl OptionMemory {
    const PATH: &str = "/proc/sys/net/core/optmem_max";

    fn of(near: &Host) -> Result<Option<Self>> {
        if let Ok(before) = near.run(|| std::fs::read_to_string(Self::PATH)) {
            let host = Some(near.clone());
            return Ok(Some(Self { host, before }));
        }
        if std::env::var_os("OBSERVER_TESTS_OWN_MACHINE").is_none() {
            return Ok(None);
        }
        let before = std::fs::read_to_string(Self::PATH)?;
        Ok(Some(Self { host: None, before }))
    }

    fn set(&self, value: &str) -> Result<()> {
        match &self.host {
            Some(host) => host.sysctl("net/core/optmem_max", value),
            None => Ok(std::fs::write(Self::PATH, value)?),
        }
    }
}

impl Drop for OptionMemory {
    fn drop(&mut self) {
        let _ = self.set(self.before.trim());
    }
}

#[test]
fn full_table_of_udp_remotes() {
    guarded("full_table_of_udp_remotes", || {
        let bed = bed(&Wire::default())?;
        let agent = bed.agent(&["--udp-flows-max", "100"])?;
        let meter = bed.meter()?;
        bed.run(&UdpTalk::fan_out(500, 200).plan())?;
        let accounts = bed.accounts(&agent, meter)?;
        closes(&accounts)?;
        let named = accounts[0].remainder("table_full");
        ensure!(named == (500 - 101) * 228, "`table_full` is {named}");
        Ok(())
    });
}

#[test]
fn full_rings() {
    guarded("full_rings", || {
        let bed = bed(&Wire::default())?;
        let agent = bed.agent(&["--events-bytes", "4096", "--reads-bytes", "4096"])?;
        let meter = bed.meter()?;
        // An agent that is woken in time loses nothing even of a ring of one page.
        agent.signal(Signal::SIGSTOP)?;
        let ran = bed.run(&TcpTalk::short(1_000, Side::Client).plan());
        agent.signal(Signal::SIGCONT)?;
        ran?;
        let accounts = bed.accounts(&agent, meter)?;
        closes(&accounts)?;
        ensure!(
            accounts[0].remainder("late") > 0,
            "no end of a flow was lost: {:?}",
            accounts[0]
        );
        let records = agent.stop()?;
        let recorded = i128::from(sum(&records, &bed.uplink, "device_bytes_egress"));
        ensure!(
            recorded == accounts[0].attributed_bytes,
            "{recorded} bytes in records, {:?}",
            accounts[0]
        );
        Ok(())
    });
}

/// Agents of one after the other on pinned maps, in a mount namespace with a bpf filesystem of its own.
#[test]
fn killed_and_restarted() {
    guarded("killed_and_restarted", || {
        let restarts: u32 = std::env::var("RESTARTS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(5);
        mounts::with_own(move || kill_again_and_again(restarts))
    });
}

fn kill_again_and_again(restarts: u32) -> Result<()> {
    let directory = std::env::temp_dir().join(format!("observer-restart-{}", std::process::id()));
    let pins = directory.join("bpf");
    mounts::mount_at(&pins, "bpf")?;
    let done = restart_under_traffic(restarts, &directory, &pins.join("observer"));
    let _ = umount(&pins);
    let _ = std::fs::remove_dir_all(&directory);
    done
}

fn restart_under_traffic(restarts: u32, directory: &Path, pins: &Path) -> Result<()> {
    let bed = bed(&Wire::default())?;
    let bucket = TokenBucket {
        rate_bits_per_second: 400_000_000,
        burst_bytes: 100_000,
        limit_bytes: 1_000_000,
    };
    bed.net.middle.limit_rate(bed.net.far_port, bucket)?;
    let pins = pins.to_string_lossy().into_owned();
    let arguments = ["--pin", pins.as_str()];
    let start = || Agent::start_in(directory, std::slice::from_ref(&bed.uplink), &arguments);
    let mut agent = start()?;
    let meter = bed.meter()?;
    let address = bed.net.far_address(4, PORT);
    let short = bed.net.far_address(4, PORT + 1);
    let agent = thread::scope(|scope| -> Result<Agent> {
        let bulk = scope.spawn(|| {
            TcpTalk::bulk(u64::from(restarts) * 20_000_000, 0)
                .plan()
                .run(&bed.net.near, &bed.net.far, address)
        });
        let connections = scope.spawn(|| {
            TcpTalk::short(restarts * 100, Side::Client).plan().run(
                &bed.net.near,
                &bed.net.far,
                short,
            )
        });
        for _ in 0..restarts {
            thread::sleep(Duration::from_millis(150));
            agent.kill()?;
            agent = start()?;
        }
        bulk.join()
            .map_err(|_| anyhow::anyhow!("bulk panicked"))??;
        connections
            .join()
            .map_err(|_| anyhow::anyhow!("connections panicked"))??;
        Ok(agent)
    })?;
    let accounts = bed.accounts(&agent, meter)?;
    balances(&accounts)?;
    let records = agent.stop()?;
    detach(&pins, &bed.uplink)?;
    no_gap_and_no_double(&records)?;
    let payload = sum(&records, &bed.uplink, "payload_bytes_egress");
    let expected = u64::from(restarts) * (20_000_000 + 100 * 200);
    ensure!(
        payload == expected,
        "records have {payload} bytes of payload, {expected} were sent"
    );
    Ok(())
}

#[test]
fn a_further_uplink_has_programs_of_its_own() {
    guarded("a_further_uplink_has_programs_of_its_own", || {
        let bed = bed(&Wire::default())?;
        let loopback = uplink(&bed.net.near, "lo");
        let agent = Agent::start(&[loopback, bed.uplink.clone()], &[])?;
        let meter = bed.meter()?;
        bed.run(&UdpTalk::two_threads(100, 32).plan())?;
        closes(&bed.accounts(&agent, meter)?)?;
        agent.stop().map(drop)
    });
}

#[test]
fn three_million_sends_of_two_threads() {
    guarded("three_million_sends_of_two_threads", || {
        let bed = bed(&Wire::default())?;
        let agent = bed.agent(&[])?;
        let before = bed.net.near.counters(bed.net.near_device)?;
        let rounds = std::env::var("SENDS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(50_000);
        bed.run(&UdpTalk::two_threads(rounds, 32).plan())?;
        let quiet = Duration::from_millis(100);
        let after = observer_tests::quiesce(
            &bed.net.near,
            bed.net.near_device,
            quiet,
            Duration::from_secs(20),
        )?;
        let moved = after - before;
        let account = agent.settled(
            &bed.uplink,
            [moved.tx_network_bytes(14), moved.rx_network_bytes(14)],
        );
        let accounts = account?;
        closes(&accounts)?;
        let records = agent.stop()?;
        let packets = sum(&records, &bed.uplink, "packets_egress");
        ensure!(
            packets == 2 * u64::from(rounds),
            "{packets} packets in records, {} were sent",
            2 * u64::from(rounds)
        );
        Ok(())
    });
}
