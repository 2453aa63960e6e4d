//! What it takes to read requests before programs encrypt them: without an agent, with `plaintext: off` and with
//! `plaintext: routes`, by turns. Requests as fast as they go, processes that do nothing, processes that end at once.

use std::{fs, process::Command, time::Duration};

use anyhow::Result;
use observer_tests::{Observed, scratch::Scratch};
use serde_json::Value;

use crate::{
    Bench,
    pair::ratio,
    processes,
    report::{Row, median},
    web::{Asked, Server, Streamed},
};

pub const PART: &str = "requests";
/// Programs, and how each says that it is there.
const PROGRAMS: [(&str, &str); 5] = [
    ("nginx", "-v"),
    ("wrk", "-v"),
    ("h2load", "--version"),
    ("openssl", "version"),
    ("python3", "--version"),
];
/// Libraries are looked for once a second, beside the ticks.
const LOOKED_FOR: Duration = Duration::from_secs(2);

/// With an agent or without, and what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    None,
    Off,
    Routes,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::None, Self::Off, Self::Routes];

    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "no agent",
            Self::Off => "`plaintext: off`",
            Self::Routes => "`plaintext: routes`",
        }
    }
}

/// The agent's configuration of each mode.
pub struct Modes(Scratch);

impl Modes {
    fn write() -> Result<Self> {
        let directory = Scratch::new("observer-bench-requests-")?;
        for (name, text) in [
            ("off", "plaintext: off\n"),
            ("routes", "plaintext: routes\n"),
        ] {
            fs::write(directory.path().join(name), text)?;
        }
        Ok(Self(directory))
    }

    /// An agent that counts the near end, and has looked for libraries; none in that mode.
    pub fn looked(&self, bench: &Bench<'_>, mode: Mode) -> Result<Option<Observed>> {
        let agent = self.start(bench, mode)?;
        if agent.is_some() {
            std::thread::sleep(LOOKED_FOR);
        }
        Ok(agent)
    }

    /// As [`Modes::looked`], at once.
    pub fn start(&self, bench: &Bench<'_>, mode: Mode) -> Result<Option<Observed>> {
        let name = match mode {
            Mode::None => return Ok(None),
            Mode::Off => "off",
            Mode::Routes => "routes",
        };
        let config = self.0.path().join(name).display().to_string();
        let cgroup = bench.ends.near_cgroup().to_string_lossy();
        let arguments = ["--tick", "1", "--cgroup", &cgroup, "--config", &config];
        bench.agent(&arguments).map(Some)
    }
}

pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let is_there = |(name, asked): &(&str, &str)| Command::new(name).arg(asked).output().is_ok();
    if let Some((missing, _)) = PROGRAMS.iter().find(|program| !is_there(program)) {
        eprintln!("skipped: {PART}: no `{missing}`; `cargo xtask setup e2e` brings it");
        return Ok(Vec::new());
    }
    let modes = Modes::write()?;
    let mut rows = kept(bench, &modes)?;
    rows.extend(processes::idle(bench, &modes)?);
    rows.extend(processes::short(bench, &modes)?);
    Ok(rows)
}

/// What one turn has of each mode, in the order of [`Mode::ALL`]. Which mode comes first changes from turn to turn.
pub fn turns<T: Copy>(count: u32, measure: impl Fn(Mode) -> Result<T>) -> Result<Vec<[T; 3]>> {
    (0..count)
        .map(|turn| {
            let mut order = [0, 1, 2];
            order.rotate_left(usize::try_from(turn % 3)?);
            let mut found = [None; 3];
            for nth in order {
                found[nth] = Some(measure(Mode::ALL[nth])?);
            }
            Ok(found.map(|found| found.expect("each mode was measured")))
        })
        .collect()
}

/// The row of a figure, `with` against `without`.
pub fn against<T: Copy>(
    (what, unit): (&str, &'static str),
    [without, with]: [Mode; 2],
    turns: &[[T; 3]],
    figure: impl Fn(&T) -> f64,
) -> Row {
    let pairs: Vec<[T; 2]> = turns
        .iter()
        .map(|turn| [without, with].map(|mode| turn[mode as usize]))
        .collect();
    let what = format!("{what}, {} against {}", with.word(), without.word());
    ratio(PART, &what, unit, &pairs, figure)
}

type Figure<T> = (&'static str, &'static str, fn(&T) -> f64);

/// Requests that are kept, their latency, and how many the agent told of.
fn kept(bench: &Bench<'_>, modes: &Modes) -> Result<Vec<Row>> {
    let server = Server::start(&bench.ends)?;
    let figures: [Figure<Asked>; 3] = [
        ("requests over TLS", "1/s", |asked| asked.per_second),
        ("their latency, p50", "us", |asked| asked.p50_us),
        ("their latency, p99", "us", |asked| asked.p99_us),
    ];
    let shares = "requests in records, of those made";
    let ask = || {
        let asked = server.ask(&bench.ends)?;
        Ok((asked, asked.requests))
    };
    let mut rows = load(bench, modes, ask, &figures, shares)?;
    let figures: [Figure<Streamed>; 2] = [
        ("requests of HTTP/2 over TLS", "1/s", |asked| {
            asked.per_second
        }),
        ("their latency, mean", "us", |asked| asked.mean_us),
    ];
    let shares = "requests of HTTP/2 in records, of those made";
    let ask = || {
        let asked = server.ask_streams(&bench.ends)?;
        Ok((asked, asked.requests))
    };
    rows.extend(load(bench, modes, ask, &figures, shares)?);
    Ok(rows)
}

/// The figures of what is asked in each mode, and the share that the agent told of.
fn load<T: Copy>(
    bench: &Bench<'_>,
    modes: &Modes,
    ask: impl Fn() -> Result<(T, f64)>,
    figures: &[Figure<T>],
    shares: &str,
) -> Result<Vec<Row>> {
    // Without work of the idle class beside it, as other parts have: the load leaves no CPU time to halt in, and such work made
    // p99 with `routes` 2 ms instead of 0.4.
    let turns = turns(bench.pairs, |mode| {
        let agent = modes.looked(bench, mode)?;
        let (asked, requests) = ask()?;
        let told = agent.map(told).transpose()?.unwrap_or_default();
        Ok((asked, told / requests))
    })?;
    let mut rows = Vec::new();
    for (what, unit, figure) in figures {
        for pair in [
            [Mode::None, Mode::Off],
            [Mode::None, Mode::Routes],
            [Mode::Off, Mode::Routes],
        ] {
            rows.push(against((what, unit), pair, &turns, |(asked, _)| {
                figure(asked)
            }));
        }
    }
    let told = turns.iter().map(|turn| turn[Mode::Routes as usize].1);
    rows.push(Row::alone(PART, shares, "share", median(told)));
    Ok(rows)
}

/// Ends the agent; the requests that its records have.
fn told(agent: Observed) -> Result<f64> {
    let (records, _) = agent.stop()?;
    let mut sum = 0.0;
    for line in records.lines() {
        let record: Value = serde_json::from_str(line)?;
        sum += record["requests"].as_f64().unwrap_or_default();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn each_turn_has_each_mode_and_begins_with_another() {
        let order = RefCell::new(Vec::new());
        let turns = turns(3, |mode| {
            order.borrow_mut().push(mode);
            Ok(mode)
        });
        assert_eq!(turns.expect("nothing fails"), [Mode::ALL; 3]);
        let [none, off, routes] = Mode::ALL;
        let expected = [none, off, routes, off, routes, none, routes, none, off];
        assert_eq!(order.into_inner(), expected);
    }
}
