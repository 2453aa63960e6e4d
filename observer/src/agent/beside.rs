//! What goes on beside the ticks: the server of metrics, the search for the host's place, and the clock that ticks.

use std::time::Duration;

use anyhow::Result;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::settings::{Settings, overrides};
use crate::{
    config::Config,
    metrics::{self, Web},
    place::{self, Dmi, Endpoints, Found, Overrides},
};

pub async fn listen(config: &Config, web: &Web) -> Result<Option<TcpListener>> {
    let Some(address) = config.listen else {
        return Ok(None);
    };
    web.current().check_address(address, config.listen_plain)?;
    metrics::server::bind(address).await.map(Some)
}

/// Where the host stands: what is known without asking at once, the rest when it is answered. What the operator says is
/// taken from the sender; each value sent makes it ask again.
pub fn find_place(
    settings: &Settings,
    servers: &mut JoinSet<()>,
) -> (watch::Sender<Overrides>, watch::Receiver<Found>) {
    let firmware = Dmi::read(&settings.firmware);
    let said = overrides(&settings.loaded.config.source);
    let (told, found) = watch::channel(place::known(&said, &firmware));
    let (saying, said) = watch::channel(said);
    servers.spawn(async move {
        place::watch(said, &firmware, &Endpoints::default(), &told).await;
    });
    (saying, found)
}

/// 136 years.
pub const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Ticks, the first of them in one `period`.
pub fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
