//! What systemd is told: ready, reloading, stopping, and that the agent lives. Says nothing where nobody listens
//! (`NOTIFY_SOCKET`).

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager.
pub struct Service {
    /// Half of what it waits for a sign of life.
    watchdog: Option<Duration>,
    /// A sign that could not be given is told once.
    failed: bool,
}

impl Service {
    /// As the environment says.
    pub fn of_environment() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled().map(|timeout| timeout / 2),
            failed: false,
        }
    }

    /// How often [`Service::lives`] is due; `None` where nobody waits for it.
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The first tick, or a reload, is over.
    pub fn ready(&mut self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload begins. The manager takes it for the one it asked for by the time, which is read here.
    pub fn reloading(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    pub fn stopping(&mut self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    pub fn lives(&mut self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        match sd_notify::notify(states) {
            Err(error) if !self.failed => {
                self.failed = true;
                eprintln!("observer: cannot tell the service manager `{states:?}`: {error}");
            }
            Err(_) | Ok(()) => {}
        }
    }
}
