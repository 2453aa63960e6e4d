//! The output of an earlier agent, of any bytes: every line is taken or counted as refused, and what was taken can be
//! gone on from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_core::{attribute::Tails, model::counters::Counters};

/// That of the seeds.
const BOOT_ID: &str = "0f5a3c52-7d0e-4f6e-9a55-7a4b2f2a7a11";

fuzz_target!(|data: &[u8]| {
    let whole = data
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let lines = || data.split_inclusive(|byte| *byte == b'\n');
    for credited_bytes in [0, data.len() as u64 / 2, u64::MAX] {
        let mut tails = Tails::fold(lines(), BOOT_ID, credited_bytes);
        assert_eq!(tails.whole_bytes, whole as u64);
        let count = data.iter().filter(|byte| **byte == b'\n').count();
        assert!(tails.lines_refused <= count as u64);
        for (_, tail) in tails.iter() {
            let _ = tail.baseline(&Counters::default());
        }
        let flows: Vec<_> = tails.iter().map(|(id, _)| *id).collect();
        tails.drop_ended();
        for id in flows {
            tails.take(&id);
        }
        assert_eq!(tails.iter().count(), 0);
    }
});
