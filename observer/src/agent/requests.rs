//! Requests that programs encrypt: looks for the files that do, beside the ticks, and has them attached to.

use std::{
    future::pending,
    mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use observer_core::{decode::Note, model::kernel::Losses};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Agent, clock};
use crate::{
    config::Config,
    libraries::{HEARD_MAX, Libraries, Looked},
    probe::Told,
};

/// Time between two looks at processes.
pub const LOOK: Duration = Duration::from_secs(1);

/// What looks, or is looked at.
pub struct Plaintext {
    state: State,
    /// Executables of processes that were told of, for the next look.
    heard: Vec<(u32, PathBuf)>,
    losses: Losses,
    /// Something could not be attached to, and that was said.
    has_failed: bool,
}

enum State {
    Idle(Box<Libraries>),
    /// On a thread of its own: a file may be long.
    Looking(JoinHandle<(Box<Libraries>, Looked)>),
    /// The look came to no end.
    Lost,
}

impl Plaintext {
    pub fn new() -> Self {
        Self {
            state: State::Idle(Box::new(Libraries::new())),
            heard: Vec::new(),
            losses: Losses::default(),
            has_failed: false,
        }
    }

    /// Takes in what was told of a process: it may be gone before anybody looks.
    pub fn hear(&mut self, note: &Note) {
        if let Note::Process {
            pid,
            executable: Some(path),
            ..
        } = note
            && self.heard.len() < HEARD_MAX
        {
            self.heard.push((*pid, Path::new(path).to_owned()));
        }
    }

    /// What was lost here.
    pub fn losses(&self) -> Losses {
        self.losses.clone()
    }

    /// Waits for a look that is under way; for ever where there is none.
    pub async fn looked(&mut self) -> Looked {
        let State::Looking(looking) = &mut self.state else {
            return pending().await;
        };
        let Ok((libraries, looked)) = looking.await else {
            self.state = State::Lost;
            return Looked::default();
        };
        self.losses = libraries.losses();
        self.state = State::Idle(libraries);
        looked
    }
}

impl Agent {
    /// Types requests, where they are looked for, and says what they are as a rule, where that is wanted.
    pub(super) fn typing(mut self, config: &Config) -> Self {
        let names = self.tables.names.get_mut();
        names.infer(config.inference);
        if config.captures && config.plaintext {
            let routes = names.begin_typing(self.probe.line_keys());
            self.tell_routes(&routes);
        }
        self
    }

    /// Tells the kernel half which requests it is to know by itself. One that it does not know is handed over.
    pub(super) fn tell_routes(&mut self, routes: &[Told]) {
        if let Err(error) = self.probe.replace_routes(routes) {
            eprintln!("observer: goes on with requests' paths handed over: {error:#}");
        }
    }

    /// Begins a look at processes that are new, or due again.
    pub(super) fn look_for_plaintext(&mut self) {
        if !self.probe.reads_plaintext() {
            return;
        }
        self.read_notes();
        self.probe.sweep_plaintext(clock::now().monotonic_ns);
        let plaintext = &mut self.plaintext;
        match mem::replace(&mut plaintext.state, State::Lost) {
            State::Idle(mut libraries) => {
                let heard = mem::take(&mut plaintext.heard);
                plaintext.state = State::Looking(spawn_blocking(move || {
                    let looked = libraries.look(&heard, Instant::now());
                    (libraries, looked)
                }));
            }
            busy => plaintext.state = busy,
        }
    }

    /// Attaches to what a look has found.
    pub(super) fn attach_to(&mut self, looked: Looked) {
        for id in looked.gone {
            self.probe.detach_file(id);
        }
        for found in looked.found {
            let Err(error) = self.probe.attach_file(&found) else {
                continue;
            };
            let plaintext = &mut self.plaintext;
            if let State::Idle(libraries) = &mut plaintext.state {
                libraries.refuse(found.id);
            }
            if !plaintext.has_failed {
                let path = found.path.display();
                eprintln!("observer: goes on without the requests of `{path}`: {error:#}");
            }
            plaintext.has_failed = true;
        }
    }
}
