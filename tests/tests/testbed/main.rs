//! The testbed proves itself: captures equal counters, makers declare the truth, nothing is left behind. Needs root.

mod cleanup;
mod closing;
mod exact;
mod headers;
mod losses;
mod makers;

use anyhow::{Result, ensure};
use observer_tests::{
    Meter, Reading,
    capture::{Limits, View},
    topology::Bridged,
    traffic::{Ends, Outcome, Plan},
};

/// Plays `plan` over a bridged arrangement, near as client, and measures at the near device (bundles expanded), and at
/// the middle's port to the far host (segments). Both must agree with their device and with each other.
fn measured(
    net: &Bridged,
    plan: Plan,
    ends: impl Into<Ends>,
) -> Result<(Outcome, Reading, Reading)> {
    let ends = ends.into();
    between(net, || plan.run(&net.near, &net.far, ends))
}

/// As [`measured`] with near as the server.
fn measured_as_server(
    net: &Bridged,
    plan: Plan,
    ends: Ends,
) -> Result<(Outcome, Reading, Reading)> {
    between(net, || plan.run(&net.far, &net.near, ends))
}

fn between(
    net: &Bridged,
    play: impl FnOnce() -> Result<Outcome>,
) -> Result<(Outcome, Reading, Reading)> {
    let points = [
        (&net.near, net.near_device, View::Bundles),
        (&net.middle, net.far_port, View::Segments),
    ];
    let meters = Meter::start_together(points, Limits::default())?;
    let outcome = play()?;
    let [near, wire] = Meter::finish_together(meters)?;
    near.check_exact()?;
    wire.check_exact()?;
    for (direction, ours, theirs) in [
        ("sent", near.record.sent, wire.record.sent),
        ("received", near.record.received, wire.record.received),
    ] {
        let near = (ours.wire_bytes, ours.segments, ours.non_ip_bytes);
        let wire = (theirs.wire_bytes, theirs.segments, theirs.non_ip_bytes);
        ensure!(
            near == wire,
            "{direction}: near expands to {ours:?}, the wire has {theirs:?}"
        );
    }
    Ok((outcome, near, wire))
}
