//! The counted part of a run: the workloads play for a fixed time, and the line that moves says how far they are.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    client::Pace,
    crew::{self, Crew},
    look::{Progress, bytes},
    places::PLACES,
    tasks::workloads,
    truth::{self, Key, Truth},
};

/// For the rounds that are under way when the time is up.
const GRACE: Duration = Duration::from_secs(30);

/// Plays every task for `time`; returns what the clients counted.
pub fn play(crew: &Crew<'_>, progress: &Progress, time: Duration) -> Result<BTreeMap<Key, Truth>> {
    let start = Instant::now();
    let pace = Pace {
        time: Some(time),
        slowness: 1,
    };
    crew::finish(crew.work(pace)?, time + GRACE, || {
        let seconds = start.elapsed().min(time).as_secs();
        progress.now(format!(
            "traffic, {seconds} of {} s: {}",
            time.as_secs(),
            so_far(crew.folder)?
        ));
        Ok(())
    })?;
    let counted = truth::read(crew.folder, &workloads())?;
    progress.done(format!("traffic: {}", so_far(crew.folder)?));
    Ok(counted)
}

/// Bytes of both directions for each place.
pub fn so_far(folder: &Path) -> Result<String> {
    let truth = truth::read(folder, &workloads())?;
    let places = PLACES.iter().map(|place| {
        let label = place.label();
        let rows = truth.iter().filter(|((_, to), _)| *to == label);
        let sum = rows
            .map(|(_, truth)| truth.bytes_sent + truth.bytes_received)
            .sum();
        format!("{} {}", place.name, bytes(sum))
    });
    Ok(places.collect::<Vec<_>>().join("  "))
}
