//! How an agent lives and ends: reloads under traffic, signals, a reader that is slow or gone, and what systemd is told.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use common::{
    balances, guarded, no_gap_and_no_double,
    started::{Bed, Reader, Started, TIMEOUT, eventually, records},
    sum,
};
use nix::{
    sys::signal::Signal,
    time::{ClockId, clock_gettime},
};
use observer_tests::{
    Meter,
    agent::Agent,
    capture::View,
    qdisc::TokenBucket,
    traffic::{Side, TcpTalk},
};

#[test]
fn reloads_under_traffic() {
    guarded("reloads_under_traffic", || {
        let bed = Bed::new("reload")?;
        let bucket = TokenBucket {
            rate_bits_per_second: 200_000_000,
            burst_bytes: 100_000,
            limit_bytes: 1_000_000,
        };
        bed.net.middle.limit_rate(bed.net.far_port, bucket)?;
        let file = bed.folder.join("observer.yaml");
        fs::write(&file, "cluster: one\n")?;
        let path = file.to_string_lossy().into_owned();
        let agent = Agent::start(std::slice::from_ref(&bed.uplink), &["--config", &path])?;
        let meter = Meter::start(&bed.net.near, bed.net.near_device, View::Segments)?;
        let bytes = 80_000_000;
        thread::scope(|scope| -> Result<()> {
            let bulk = scope.spawn(|| bed.run(&TcpTalk::bulk(bytes, 0).plan()));
            reload_good_bad_good(&agent, &file)?;
            ensure!(
                !bulk.is_finished(),
                "the traffic ended before the last reload"
            );
            bulk.join().map_err(|_| anyhow::anyhow!("bulk panicked"))?
        })?;
        let reading = meter.finish()?;
        let counted = [
            reading.sent_network_bytes(),
            reading.received_network_bytes(),
        ];
        let accounts = agent.settled(&bed.uplink, counted)?;
        balances(&accounts)?;
        let reads_open_flows = !agent.lacks("read_flows");
        let records = agent.stop()?;
        no_gap_and_no_double(&records)?;
        ensure!(sum(&records, &bed.uplink, "payload_bytes_egress") == bytes);
        if !reads_open_flows {
            // One record, of the flow's end: earlier configurations have none.
            println!(
                "SKIP: reloads_under_traffic: this kernel refuses the iterator over sockets: no record of an open flow"
            );
            return Ok(());
        }
        let distinct = |field: &str| -> BTreeSet<String> {
            records
                .iter()
                .map(|record| record[field].to_string())
                .collect()
        };
        let clusters = distinct("cluster");
        ensure!(
            clusters.iter().eq([r#""one""#, r#""three""#, r#""two""#]),
            "clusters {clusters:?}"
        );
        let versions = distinct("config_version");
        ensure!(
            versions.len() == 3 && !versions.contains("null"),
            "versions {versions:?}"
        );
        ensure!(distinct("source_zone").contains(r#""b""#));
        Ok(())
    });
}

/// Each reload is awaited in the metrics; records with it follow with the next ticks.
fn reload_good_bad_good(agent: &Agent, file: &Path) -> Result<()> {
    let ticks = Duration::from_millis(450);
    let reload = |text: &str, said: &str, success: u8| -> Result<()> {
        let times = || {
            let lines = agent.said();
            lines.iter().filter(|line| line.contains(said)).count()
        };
        let before = times();
        fs::write(file, text)?;
        agent.signal(Signal::SIGHUP)?;
        eventually(said, || Ok((times() > before).then_some(())))?;
        let series = format!(
            "observer_reload_success{{file=\"{}\"}} {success}\n",
            file.display()
        );
        ensure!(agent.metrics()?.contains(&series), "no `{series}`");
        thread::sleep(ticks);
        Ok(())
    };
    thread::sleep(ticks);
    reload(
        "cluster: two\nsource: {zone: b}\nlimits: {udp_flows: 100}\n",
        "`cluster`, `source.zone` changed",
        1,
    )?;
    let kept = "`limits.udp_flows` in ";
    ensure!(agent.said().iter().any(|line| line.contains(kept)));
    reload(
        "cluster: bad\nticks: 1s\n",
        "line 2, column 1: unknown key `ticks`, did you mean `tick`?",
        0,
    )?;
    reload(
        "cluster: three\n",
        "`cluster`, `source.zone` changed, config_version `",
        1,
    )
}

#[test]
fn a_shorter_tick_needs_no_restart() {
    guarded("a_shorter_tick_needs_no_restart", || {
        let bed = Bed::new("tick")?;
        let (file, flows) = (
            bed.folder.join("observer.yaml"),
            bed.folder.join("flows.jsonl"),
        );
        let settings = |tick: &str| format!("tick: {tick}\nflows: {}\n", flows.display());
        fs::write(&file, settings("30m"))?;
        let path = file.to_string_lossy().into_owned();
        let mut agent = Started::new(&bed, &["--config", &path], &[])?;
        agent.said.wait_for("serving http://")?;
        bed.run(&TcpTalk::bulk(100_000, 0).plan())?;
        let written = || -> Result<u64> {
            let records = records(&fs::read_to_string(&flows)?)?;
            Ok(sum(&records, &bed.uplink, "payload_bytes_egress"))
        };
        thread::sleep(Duration::from_secs(1));
        ensure!(written()? == 0, "half an hour is not over");
        fs::write(&file, settings("200ms"))?;
        agent.signal(Signal::SIGHUP)?;
        eventually("the record of the first short tick", || {
            Ok((written()? == 100_000).then_some(()))
        })?;
        agent.signal(Signal::SIGTERM)?;
        ensure!(agent.wait()?.success());
        Ok(())
    });
}

#[test]
fn a_reload_without_a_file_is_none() {
    guarded("a_reload_without_a_file_is_none", || {
        let bed = Bed::new("none")?;
        let mut agent = Started::new(&bed, &["--tick", "0.2"], &[])?;
        agent.said.wait_for("serving http://")?;
        agent.signal(Signal::SIGHUP)?;
        agent.said.wait_for("nothing to reload")?;
        agent.signal(Signal::SIGTERM)?;
        ensure!(agent.wait()?.success());
        Ok(())
    });
}

#[test]
fn bytes_sent_right_before_the_end() {
    guarded("bytes_sent_right_before_the_end", || {
        let bed = Bed::new("end")?;
        let flows = bed.folder.join("flows.jsonl");
        let path = flows.to_string_lossy().into_owned();
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let _ = fs::remove_file(&flows);
            let mut agent = Started::new(&bed, &["--tick", "60", "--flows", &path], &[])?;
            agent.said.wait_for("serving http://")?;
            bed.run(&TcpTalk::bulk(1_000_000, 500_000).plan())?;
            agent.signal(signal)?;
            let status = agent.wait()?;
            ensure!(status.success(), "{signal}: {status}");
            let records = records(&fs::read_to_string(&flows)?)?;
            ensure!(sum(&records, &bed.uplink, "payload_bytes_egress") == 1_000_000);
            ensure!(sum(&records, &bed.uplink, "payload_bytes_ingress") == 500_000);
        }
        Ok(())
    });
}

#[test]
fn a_slow_reader_gets_everything() {
    guarded("a_slow_reader_gets_everything", || {
        let bed = Bed::new("slow")?;
        let mut agent = Started::new(&bed, &["--tick", "0.2", "--flows", "-"], &[])?;
        let reader = Reader::new(agent.stdout()?, Duration::from_millis(5));
        agent.said.wait_for("serving http://")?;
        bed.run(&TcpTalk::short(400, Side::Client).plan())?;
        agent.signal(Signal::SIGTERM)?;
        let status = agent.wait()?;
        ensure!(status.success(), "{status}");
        let records = records(&reader.finish()?)?;
        no_gap_and_no_double(&records)?;
        let payload = sum(&records, &bed.uplink, "payload_bytes_egress");
        ensure!(payload == 400 * 200, "{payload} bytes of payload");
        Ok(())
    });
}

#[test]
fn a_second_signal_ends_a_drain_that_nobody_reads() {
    guarded("a_second_signal_ends_a_drain_that_nobody_reads", || {
        let bed = Bed::new("second")?;
        let mut agent = Started::new(&bed, &["--tick", "0.2", "--flows", "-"], &[])?;
        let reader = Reader::new(agent.stdout()?, Duration::from_millis(1));
        agent.said.wait_for("serving http://")?;
        reader.stop();
        bed.run(&TcpTalk::short(400, Side::Client).plan())?;
        thread::sleep(Duration::from_millis(500));
        agent.signal(Signal::SIGTERM)?;
        thread::sleep(Duration::from_secs(1));
        ensure!(
            agent.child.try_wait()?.is_none(),
            "nothing held the drain up"
        );
        let asked = Instant::now();
        agent.signal(Signal::SIGTERM)?;
        let status = agent.wait()?;
        ensure!(status.code() == Some(1), "{status}");
        ensure!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        let records = records(&reader.finish()?)?;
        ensure!(!records.is_empty(), "nothing was in the pipe");
        agent.said.wait_for("a second signal ended the drain")?;
        Ok(())
    });
}

/// The service manager's end of the protocol.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(bed: &Bed) -> Result<Self> {
        let path = bed.folder.join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, path })
    }

    fn next(&self) -> Result<String> {
        let mut datagram = [0; 4_096];
        let length = self
            .socket
            .recv(&mut datagram)
            .context("no datagram came")?;
        Ok(String::from_utf8(datagram[..length].to_vec())?)
    }

    /// The next one that is no sign of life.
    fn news(&self) -> Result<String> {
        loop {
            let datagram = self.next()?;
            if datagram.trim() != "WATCHDOG=1" {
                return Ok(datagram);
            }
        }
    }

    /// Signs of life within `time`.
    fn signs(&self, time: Duration) -> Result<u32> {
        let (start, mut signs) = (Instant::now(), 0);
        self.socket.set_nonblocking(true)?;
        while start.elapsed() < time {
            if self
                .next()
                .is_ok_and(|datagram| datagram.trim() == "WATCHDOG=1")
            {
                signs += 1;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.socket.set_nonblocking(false)?;
        Ok(signs)
    }
}

fn monotonic_us() -> Result<i64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000)
}

#[test]
fn what_systemd_is_told() {
    guarded("what_systemd_is_told", || {
        let bed = Bed::new("notify")?;
        let manager = Manager::new(&bed)?;
        let file = bed.folder.join("observer.yaml");
        fs::write(&file, "cluster: one\n")?;
        let (socket, path) = (manager.path.to_string_lossy(), file.to_string_lossy());
        let environment = [("NOTIFY_SOCKET", &*socket), ("WATCHDOG_USEC", "400000")];
        let arguments = ["--tick", "0.2", "--config", &path];
        let mut agent = Started::new(&bed, &arguments, &environment)?;

        let ready = manager.news()?;
        ensure!(
            ready.starts_with("READY=1\nSTATUS=counting, config_version "),
            "{ready}"
        );
        // Half of 400 ms apart: five a second, give or take a busy machine.
        let signs = manager.signs(Duration::from_secs(2))?;
        ensure!((5..=11).contains(&signs), "{signs} signs of life in 2 s");

        for (text, said) in [
            ("cluster: two\n", "reloaded"),
            ("cluster: 'a b'\n", "reload failed"),
        ] {
            fs::write(&file, text)?;
            let before = monotonic_us()?;
            agent.signal(Signal::SIGHUP)?;
            let reloading = manager.news()?;
            let time: i64 = reloading
                .trim()
                .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
                .with_context(|| format!("`{reloading}`"))?
                .parse()?;
            ensure!(
                (before..=monotonic_us()?).contains(&time),
                "{before} {time}"
            );
            let ready = manager.news()?;
            ensure!(ready.starts_with("READY=1\nSTATUS="), "{ready}");
            agent.said.wait_for(said)?;
        }

        agent.signal(Signal::SIGTERM)?;
        let stopping = manager.news()?;
        ensure!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
        ensure!(agent.wait()?.success());
        Ok(())
    });
}

#[test]
fn no_sign_of_life_from_a_tick_that_hangs() {
    guarded("no_sign_of_life_from_a_tick_that_hangs", || {
        let bed = Bed::new("hangs")?;
        let manager = Manager::new(&bed)?;
        let socket = manager.path.to_string_lossy();
        let environment = [("NOTIFY_SOCKET", &*socket), ("WATCHDOG_USEC", "400000")];
        let arguments = ["--tick", "0.2", "--flows", "-"];
        let mut agent = Started::new(&bed, &arguments, &environment)?;
        let reader = Reader::new(agent.stdout()?, Duration::from_millis(1));
        manager.news()?;
        ensure!(manager.signs(Duration::from_secs(1))? > 0);
        reader.stop();
        // More records than the pipe takes, and nobody reads.
        bed.run(&TcpTalk::short(400, Side::Client).plan())?;
        thread::sleep(Duration::from_secs(1));
        manager.signs(Duration::from_millis(100))?;
        let signs = manager.signs(Duration::from_secs(1))?;
        ensure!(signs == 0, "{signs} signs of life from a tick that hangs");
        drop(agent);
        Ok(())
    });
}
