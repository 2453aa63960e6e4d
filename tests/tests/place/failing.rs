//! Services that do not answer, or refuse: nothing waits for them, and the log says it once.

use std::time::{Duration, Instant};

use anyhow::ensure;
use observer_tests::{
    Testbed,
    metadata::{Cloud, Metadata},
};

use crate::{
    common::{PORT, guarded},
    scene::{Firmware, NITRO, POLL, TIMEOUT, agent, bed, recorded, talk, wait_for},
};

/// Nothing answers at all, and later something does.
#[test]
fn an_unreachable_service_delays_nothing_and_is_asked_again() {
    guarded(
        "an_unreachable_service_delays_nothing_and_is_asked_again",
        || {
            let hosts = Testbed::new("late")?;
            let net = bed(&hosts)?;
            // Packets to the address are taken and lost.
            net.far.ip(&[
                "route del local 169.254.169.254/32 dev lo",
                "route add blackhole 169.254.169.254/32",
            ])?;
            let firmware = Firmware::of(NITRO)?;
            let start = Instant::now();
            let agent = agent(&net, &firmware, &[])?;
            wait_for(&agent, ["aws", "", "", "", ""])?;
            // Asking fails after 2 s; the agent counts and serves before that.
            let said = agent.said()?;
            ensure!(!said.contains("source place"), "it said: {said}");
            talk(&net, PORT)?;
            let reason = "source place: cloud `aws` by dmi, account/region/zone/instance unknown \
                      (`http://169.254.169.254:80/latest/api/token`: nothing accepts the connection in time";
            let mut attempts = 0;
            while attempts == 0 {
                ensure!(start.elapsed() < TIMEOUT, "it said: {}", agent.said()?);
                attempts = agent.said()?.matches(reason).count();
                std::thread::sleep(POLL);
            }
            // Past the second attempt, which fails alike and is no news.
            std::thread::sleep(Duration::from_secs(8));
            ensure!(
                agent.said()?.matches("source place").count() == 1,
                "it said: {}",
                agent.said()?
            );
            net.far.ip(&[
                "route del blackhole 169.254.169.254/32",
                "route add local 169.254.169.254/32 dev lo",
            ])?;
            let _service = Metadata::start(&net.far, Cloud::Aws)?;
            let whole = [
                "aws",
                "123456789012",
                "us-east-1",
                "use1-az1",
                "i-1234567890abcdef0",
            ];
            wait_for(&agent, whole)?;
            talk(&net, PORT + 1)?;
            std::thread::sleep(Duration::from_secs(1));
            let (records, said) = agent.stop()?;
            recorded(&records, PORT, ["aws", "", "", "", ""])?;
            recorded(&records, PORT + 1, whole)?;
            ensure!(said.matches("source place").count() == 2, "it said: {said}");
            Ok(())
        },
    );
}

#[test]
fn a_service_that_is_switched_off_says_why() {
    guarded("a_service_that_is_switched_off_says_why", || {
        let hosts = Testbed::new("off")?;
        let net = bed(&hosts)?;
        let _service = Metadata::start(&net.far, Cloud::AwsOff)?;
        let tag = [NITRO, &[("board_asset_tag", "i-0abcdef1234567890")]].concat();
        let firmware = Firmware::of(&tag)?;
        let agent = agent(&net, &firmware, &[])?;
        let start = Instant::now();
        while !agent
            .said()?
            .contains("the answer is `403 Forbidden`; the service is switched off")
        {
            ensure!(start.elapsed() < TIMEOUT, "it said: {}", agent.said()?);
            std::thread::sleep(POLL);
        }
        talk(&net, PORT)?;
        std::thread::sleep(Duration::from_secs(1));
        let (records, _) = agent.stop()?;
        // The board's tag has the instance; nobody had to be asked for it.
        recorded(&records, PORT, ["aws", "", "", "", "i-0abcdef1234567890"])
    });
}
