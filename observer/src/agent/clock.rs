//! The only place of the agent that reads clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use observer_core::model::time::Moment;

/// Time that all threads of this process have had of a CPU.
pub fn cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0, |time| {
        u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Now, on both clocks.
pub fn now() -> Moment {
    let read = |clock| clock_gettime(clock).map_or((0, 0), |time| (time.tv_sec(), time.tv_nsec()));
    let (seconds, nanoseconds) = read(ClockId::CLOCK_MONOTONIC);
    let (unix_seconds, unix_nanoseconds) = read(ClockId::CLOCK_REALTIME);
    Moment {
        unix_ns: unix_seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(unix_nanoseconds),
        monotonic_ns: u64::try_from(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds),
        )
        .unwrap_or(0),
    }
}

/// Milliseconds since boot, cut to 32 bits: two agents on the same maps never start in the same one.
pub fn generation(started: Moment) -> u32 {
    let [a, b, c, d, ..] = (started.monotonic_ns / 1_000_000).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What the start took, and the kernel's address table of it, as a JSON line for the benchmark.
pub fn print_start(began: Moment, address_table_time: Duration) {
    let start_ns = now().monotonic_ns.saturating_sub(began.monotonic_ns);
    let address_table_ns = address_table_time.as_nanos();
    eprintln!("{{\"start_ns\":{start_ns},\"address_table_ns\":{address_table_ns}}}");
}
