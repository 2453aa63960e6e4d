//! Signals, on a thread of their own: the agent's one task may be inside a tick, or inside a write that nobody reads, when
//! the second one comes. Knows nothing of what they bring about.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use tokio::sync::Notify;

/// After the second signal, for what is whole to be written and programs to be detached.
const HURRY_GRACE: Duration = Duration::from_millis(500);

/// What has been asked for.
pub struct Signals {
    asked: Arc<Asked>,
}

#[derive(Default)]
struct Asked {
    end: Notify,
    reload: Notify,
    hurry: AtomicBool,
}

/// Whether a second signal asked for the end.
#[derive(Clone, Default)]
pub struct Hurry(Arc<Asked>);

impl Hurry {
    pub fn is_asked(&self) -> bool {
        self.0.hurry.load(Ordering::Relaxed)
    }
}

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP. To be called before there are other threads: they inherit the mask.
    ///
    /// # Errors
    /// Where signals cannot be blocked, or there is no thread to be had.
    pub fn listen() -> Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None).context("block signals")?;
        let asked = Arc::<Asked>::default();
        let watched = Arc::clone(&asked);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch(&set, &watched))
            .context("start a thread for signals")?;
        Ok(Self { asked })
    }

    /// Returns when the first SIGTERM or SIGINT comes.
    pub async fn end(&self) {
        self.asked.end.notified().await;
    }

    /// Returns with each SIGHUP; those that come while one is looked after are one.
    pub async fn reload(&self) {
        self.asked.reload.notified().await;
    }

    pub fn hurry(&self) -> Hurry {
        Hurry(Arc::clone(&self.asked))
    }
}

fn watch(set: &SigSet, asked: &Asked) {
    let mut is_ending = false;
    // An error would be an invalid set, which it is not.
    while let Ok(signal) = set.wait() {
        match signal {
            Signal::SIGHUP => asked.reload.notify_one(),
            _ if is_ending => {
                asked.hurry.store(true, Ordering::Relaxed);
                thread::sleep(HURRY_GRACE);
                end_now();
            }
            _ => {
                is_ending = true;
                asked.end.notify_one();
            }
        }
    }
}

/// The agent's task did not end by itself: it waits for a reader, or for the kernel.
#[expect(
    clippy::exit,
    reason = "the operator asked twice, and the task that could return does not run"
)]
fn end_now() {
    eprintln!("observer: a second signal ended the drain: records that nobody read are lost");
    std::process::exit(1);
}
