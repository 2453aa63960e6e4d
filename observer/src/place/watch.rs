//! Asks at the start, and again while it fails, with growing pauses and an end; then only when told to. Never by the
//! tick.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use super::{Dmi, Endpoints, Found, Overrides, find};

/// Before the second attempt; doubled before each further one.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// Attempts after a start or a reload, 35 minutes of pauses; then the next reload begins anew.
const ATTEMPTS_MAX: u32 = 13;

/// Tells `told` what is found whenever it differs from what was told before. Each value sent to `overrides`, also an
/// equal one, makes it ask again. Never returns: whoever runs it drops it.
pub async fn watch(
    mut overrides: watch::Receiver<Overrides>,
    dmi: &Dmi,
    endpoints: &Endpoints,
    told: &watch::Sender<Found>,
) {
    loop {
        let said = overrides.borrow_and_update().clone();
        tokio::select! {
            () = told_again(&mut overrides) => continue,
            () = settle(&said, dmi, endpoints, told) => {}
        }
        told_again(&mut overrides).await;
    }
}

/// Where nobody is left to tell, that is never.
async fn told_again(overrides: &mut watch::Receiver<Overrides>) {
    if overrides.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn settle(said: &Overrides, dmi: &Dmi, endpoints: &Endpoints, told: &watch::Sender<Found>) {
    let mut pause = PAUSE_MIN;
    for attempt in 1..=ATTEMPTS_MAX {
        let asked = find(said, dmi, endpoints).await;
        let has_failed = asked.has_failed();
        told.send_if_modified(|known| {
            let found = asked.or_earlier(known);
            let differs = *known != found;
            *known = found;
            differs
        });
        if !has_failed || attempt == ATTEMPTS_MAX {
            return;
        }
        sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

#[cfg(test)]
mod tests;
