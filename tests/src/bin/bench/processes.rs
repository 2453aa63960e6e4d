//! What looking for libraries costs where there are many processes: such as do nothing, and such as end at once. It knows no
//! request.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::Process;

use crate::{
    Bench,
    agent_cost::cpu_ns,
    awake::Awake,
    report::Row,
    requests::{Mode, Modes, PART, against, turns},
    web,
};

const IDLE: usize = 300;
/// Has OpenSSL mapped, says so, and waits.
const IDLER: &str = "import ssl, time; print('up', flush=True); time.sleep(86400)";
/// At its start the agent looks at every process.
const START: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_mins(1);
const SHORT: u32 = 1_000;
const SHORT_TIMEOUT: Duration = Duration::from_mins(2);

/// CPU time of the agent beside processes that have OpenSSL mapped and do nothing: up to the end of [`START`], and in the
/// [`WINDOW`] after it.
pub fn idle(bench: &Bench<'_>, modes: &Modes) -> Result<Vec<Row>> {
    let mut idlers = (0..IDLE)
        .map(|_| idler(bench))
        .collect::<Result<Vec<_>>>()?;
    for idler in &mut idlers {
        ensure!(idler.read_line()? == "up", "an idle process did not start");
    }
    let [off, routes] = [Mode::Off, Mode::Routes].map(|mode| spent(bench, modes, mode));
    let (off, routes) = (off?, routes?);
    let row = |nth: usize, when: String| Row {
        without: Some(off[nth]),
        result: routes[nth] - off[nth],
        ..Row::alone(
            PART,
            format!(
                "cpu time of the agent beside {IDLE} idle processes, {when}, {} less {}",
                Mode::Routes.word(),
                Mode::Off.word()
            ),
            "ms",
            routes[nth],
        )
    };
    Ok(vec![
        row(0, format!("its start and {} s", START.as_secs())),
        row(1, format!("the {} s after", WINDOW.as_secs())),
    ])
}

fn idler(bench: &Bench<'_>) -> Result<Process> {
    let mut command = Command::new("python3");
    command
        .args(["-c", IDLER])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    bench.agent_host.spawn(command)
}

fn spent(bench: &Bench<'_>, modes: &Modes, mode: Mode) -> Result<[f64; 2]> {
    let agent = modes.start(bench, mode)?.context("a mode with an agent")?;
    std::thread::sleep(START);
    let start = cpu_ns(agent.pid())?;
    std::thread::sleep(WINDOW);
    let end = cpu_ns(agent.pid())?;
    agent.stop()?;
    Ok([start, end - start].map(|ns| ns as f64 / 1e6))
}

/// How long it takes to run a program that maps OpenSSL very often, one after the other.
pub fn short(bench: &Bench<'_>, modes: &Modes) -> Result<Vec<Row>> {
    let _awake = Awake::start(&bench.agent_host)?;
    let script =
        format!("i=0; while [ $i -lt {SHORT} ]; do openssl version; i=$((i + 1)); done >/dev/null");
    let turns = turns(bench.pairs.max(3), |mode| {
        let agent = modes.looked(bench, mode)?;
        let mut command = bench.ends.near_program("sh");
        command.args(["-c", &script]);
        let start = Instant::now();
        web::run(&bench.ends, command, SHORT_TIMEOUT)?;
        let time = start.elapsed();
        if let Some(agent) = agent {
            agent.stop()?;
        }
        Ok(time.as_secs_f64() * 1e3)
    })?;
    let what = format!("{SHORT} runs of `openssl version`");
    let pairs = [[Mode::None, Mode::Off], [Mode::None, Mode::Routes]];
    let row = |pair| against((what.as_str(), "ms"), pair, &turns, |time| *time);
    Ok(pairs.map(row).to_vec())
}
