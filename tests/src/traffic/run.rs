//! Starts both ends of a plan, each as a thread or as a process, and collects what they declare. It knows no protocol.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use super::{Ends, Event, Plan, Side, Truth, socket::TIMEOUT, stage::ThreadStage};
use crate::{host::Host, process::Process};

/// Who plays an end, and where.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    host: &'a Host,
    /// The `traffic` program and the name it takes; none is a thread of this process.
    program: Option<(&'a Path, &'a str)>,
}

impl<'a> Actor<'a> {
    /// A thread of this process.
    #[must_use]
    pub fn thread(host: &'a Host) -> Self {
        Self {
            host,
            program: None,
        }
    }

    /// A process of its own, named `comm` (at most 15 bytes), that runs `program`, the package's `traffic`.
    #[must_use]
    pub fn process(host: &'a Host, program: &'a Path, comm: &'a str) -> Self {
        Self {
            host,
            program: Some((program, comm)),
        }
    }
}

/// What both ends declared.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub client: Truth,
    pub server: Truth,
}

/// A plan under way.
#[derive(Debug)]
pub struct Running {
    client: End,
    server: End,
}

#[derive(Debug)]
enum End {
    Thread {
        thread: JoinHandle<Result<Truth>>,
        events: Receiver<Event>,
        release: Sender<()>,
    },
    Process(Process),
}

impl Plan {
    /// Plays both ends as threads and waits for them.
    pub fn run(&self, client: &Host, server: &Host, ends: impl Into<Ends>) -> Result<Outcome> {
        self.start(Actor::thread(client), Actor::thread(server), ends)?
            .finish()
    }

    /// Starts both ends. A plan with a pause stands there after [`Running::paused`] until [`Running::release`].
    pub fn start(
        &self,
        client: Actor<'_>,
        server: Actor<'_>,
        ends: impl Into<Ends>,
    ) -> Result<Running> {
        let ends = ends.into();
        let mut server = End::start(*self, Side::Server, server, ends)?;
        match server.next_event() {
            Ok(Event::Ready) => {}
            Ok(other) => bail!("the server began with {other:?}"),
            Err(cause) => {
                return Err(server
                    .finish()
                    .err()
                    .unwrap_or(cause)
                    .context("the server did not start"));
            }
        }
        Ok(Running {
            client: End::start(*self, Side::Client, client, ends)?,
            server,
        })
    }
}

impl Running {
    /// Waits until the client has reached its pause.
    pub fn paused(&mut self) -> Result<()> {
        match self.client.next_event()? {
            Event::Paused => Ok(()),
            other => bail!("the client did not pause but said {other:?}"),
        }
    }

    /// Lets the client go on.
    pub fn release(&mut self) -> Result<()> {
        match &mut self.client {
            End::Thread { release, .. } => release.send(()).context("the client is gone"),
            End::Process(process) => process.write_line("go on"),
        }
    }

    /// The client's process; none when it is a thread.
    #[must_use]
    pub fn client_pid(&self) -> Option<u32> {
        self.client.pid()
    }

    /// The server's process; none when it is a thread.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Waits for both ends.
    pub fn finish(self) -> Result<Outcome> {
        let client = self.client.finish().context("the client failed");
        let server = self.server.finish().context("the server failed");
        match (client, server) {
            (Ok(client), Ok(server)) => Ok(Outcome { client, server }),
            (Err(cause), Ok(_)) | (Ok(_), Err(cause)) => Err(cause),
            (Err(client), Err(server)) => Err(anyhow!("{client:#}; {server:#}")),
        }
    }
}

impl End {
    fn start(plan: Plan, side: Side, actor: Actor<'_>, ends: Ends) -> Result<Self> {
        match actor.program {
            Some((program, comm)) => {
                Self::start_process(plan, side, actor.host, ends, program, comm)
            }
            None => Self::start_thread(plan, side, actor.host, ends),
        }
    }

    fn start_thread(plan: Plan, side: Side, host: &Host, ends: Ends) -> Result<Self> {
        let ((events, inbox), (release, released)) = (channel(), channel());
        let mut stage = ThreadStage {
            events,
            release: released,
        };
        let name = match side {
            Side::Client => "client",
            Side::Server => "server",
        };
        let thread = host.start(name, move || match side {
            Side::Client => plan.client(ends, &mut stage),
            Side::Server => plan.server(ends, &mut stage),
        })?;
        Ok(Self::Thread {
            thread,
            events: inbox,
            release,
        })
    }

    fn start_process(
        plan: Plan,
        side: Side,
        host: &Host,
        ends: Ends,
        program: &Path,
        comm: &str,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(match side {
            Side::Client => "client",
            Side::Server => "server",
        });
        command.args([
            serde_json::to_string(&ends)?,
            serde_json::to_string(&plan)?,
            comm.to_owned(),
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self::Process(host.spawn(command)?))
    }

    fn next_event(&mut self) -> Result<Event> {
        match self {
            Self::Thread { events, .. } => events
                .recv_timeout(TIMEOUT)
                .context("nothing heard from a thread"),
            // The program ends itself after a while, so that this read ends too.
            Self::Process(process) => {
                let line = process.read_line()?;
                serde_json::from_str(&line)
                    .with_context(|| format!("the traffic program said `{line}`"))
            }
        }
    }

    fn finish(mut self) -> Result<Truth> {
        match &mut self {
            Self::Thread { .. } => {}
            Self::Process(process) => {
                let line = process.read_line()?;
                let status = process.wait(Duration::from_secs(5))?;
                return match serde_json::from_str(&line) {
                    Ok(Event::Done(truth)) => Ok(truth),
                    _ => bail!("the traffic program ended with {status} and said `{line}`"),
                };
            }
        }
        let Self::Thread {
            thread, release, ..
        } = self
        else {
            unreachable!("a process has returned above")
        };
        drop(release);
        thread.join().map_err(|_| anyhow!("the thread panicked"))?
    }

    fn pid(&self) -> Option<u32> {
        match self {
            Self::Thread { .. } => None,
            Self::Process(process) => Some(process.pid()),
        }
    }
}
