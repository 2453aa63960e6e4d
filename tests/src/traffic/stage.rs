//! How a playing end and its director speak: ready, paused, go on. It knows no maker.

use std::{
    io::{self, BufRead, Write},
    sync::mpsc::{Receiver, Sender},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Truth, socket::TIMEOUT};

/// What an end tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Ready,
    Paused,
    Done(Truth),
}

/// The director's side of one end.
pub trait Stage {
    /// Says that a client may start.
    fn ready(&mut self) -> Result<()>;
    /// Says that the pause is reached and waits to be released.
    fn pause(&mut self) -> Result<()>;
}

/// A stage inside this process.
pub(super) struct ThreadStage {
    pub events: Sender<Event>,
    pub release: Receiver<()>,
}

impl Stage for ThreadStage {
    fn ready(&mut self) -> Result<()> {
        self.events
            .send(Event::Ready)
            .context("nobody waits for this end")
    }

    fn pause(&mut self) -> Result<()> {
        self.events
            .send(Event::Paused)
            .context("nobody waits for this end")?;
        self.release
            .recv_timeout(TIMEOUT)
            .context("was not released from its pause")
    }
}

/// A stage on standard input and output, one JSON event a line, for the `traffic` program.
#[derive(Debug)]
pub struct StdioStage;

impl StdioStage {
    /// Writes one event.
    pub fn tell(&self, event: &Event) -> Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, event)?;
        writeln!(out)?;
        Ok(out.flush()?)
    }
}

impl Stage for StdioStage {
    fn ready(&mut self) -> Result<()> {
        self.tell(&Event::Ready)
    }

    fn pause(&mut self) -> Result<()> {
        self.tell(&Event::Paused)?;
        match io::stdin().lock().read_line(&mut String::new())? {
            0 => bail!("standard input ended while paused"),
            _ => Ok(()),
        }
    }
}
