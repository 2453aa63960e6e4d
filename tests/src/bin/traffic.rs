//! A traffic maker as a process of its own, with a pid and a name: `traffic client|server ENDS PLAN COMM`, ends and
//! plan as JSON. Tells its events, one JSON value a line, and ends itself when nobody stops it.

use anyhow::{Context, Result, bail};
use observer_tests::traffic::{Event, Plan, StdioStage};

/// No plan takes longer.
const LIFETIME_SECONDS: u32 = 120;

fn main() -> Result<()> {
    // SAFETY: a plain system call; SIGALRM's default action ends the process.
    unsafe { libc::alarm(LIFETIME_SECONDS) };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [side, ends, plan, comm] = arguments.as_slice() else {
        bail!("usage: traffic client|server ENDS PLAN COMM");
    };
    // Before the first socket: its maker's name is what ownership tests look for.
    nix::sys::prctl::set_name(&std::ffi::CString::new(comm.as_str())?)
        .context("cannot set the name")?;
    let ends = serde_json::from_str(ends).with_context(|| format!("ends `{ends}`"))?;
    let plan: Plan = serde_json::from_str(plan).with_context(|| format!("plan `{plan}`"))?;
    let truth = match side.as_str() {
        "client" => plan.client(ends, &mut StdioStage)?,
        "server" => plan.server(ends, &mut StdioStage)?,
        other => bail!("side `{other}` is neither `client` nor `server`"),
    };
    StdioStage.tell(&Event::Done(truth))
}
