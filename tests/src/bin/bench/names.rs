//! What it takes to hear the names of new connections: each says a TLS hello. Captures on against captures off, the agent
//! against none, and the same where the host tracks connections, so that the kernel is asked about each.

use std::fs;

use anyhow::Result;
use observer_tests::{Host, scratch::Scratch};

use crate::{
    Bench,
    load::{Done, Load},
    pair::{TIME, ratio, turns, with_agent},
    report::Row,
};

const WHAT: &str = "new connections that say a hello";
/// A host tracks connections while a rule asks for their state.
const TRACKING: &str = "OUTPUT -m conntrack --ctstate NEW -j ACCEPT";

pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let directory = Scratch::new("observer-bench-names-")?;
    let deaf = directory.path().join("deaf.yaml");
    fs::write(&deaf, "captures: false\n")?;
    let cgroup = bench.ends.near_cgroup().to_string_lossy().into_owned();
    let hearing = ["--tick", "1", "--cgroup", &cgroup];
    let config = deaf.to_string_lossy().into_owned();
    let deaf = [&hearing[..], &["--config", &config]].concat();
    let row = |how: &str, pairs: &[[Done; 2]]| {
        ratio("names", &format!("{WHAT}, {how}"), "1/s", pairs, |done| {
            done.per_second
        })
    };
    let with = |arguments: &[&str]| with_agent(bench, Load::Hellos, arguments);
    let alone = || Load::Hellos.run(&bench.ends, TIME);
    let captures = turns(bench, || with(&deaf), || with(&hearing))?;
    let agent = turns(bench, alone, || with(&hearing))?;
    let tracked = {
        let _tracking = Tracking::start(&bench.ends.net.near)?;
        turns(bench, alone, || with(&hearing))?
    };
    Ok(vec![
        row("captures on against off", &captures),
        row("the agent against none", &agent),
        row("the same on a host that tracks connections", &tracked),
    ])
}

/// A host with that rule, until this is dropped.
struct Tracking<'a>(&'a Host);

impl<'a> Tracking<'a> {
    fn start(host: &'a Host) -> Result<Self> {
        host.iptables(&format!("-A {TRACKING}"))?;
        Ok(Self(host))
    }
}

impl Drop for Tracking<'_> {
    fn drop(&mut self) {
        let _ = self.0.iptables(&format!("-D {TRACKING}"));
    }
}
