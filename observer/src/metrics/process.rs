//! What the agent itself costs, as the kernel counts it in `/proc/self`, under the names every exporter uses. The crate's
//! own collector is not used: it brings a second version of `rustix` and knows CPU time in whole seconds only.

use std::fs;

use anyhow::Result;
use nix::unistd::{SysconfVar, sysconf};
use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    collector::{descs, single},
    declare::{
        OF_PROCESS, PROCESS_CPU_SECONDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY_BYTES,
        PROCESS_START_TIME_SECONDS, PROCESS_THREADS, PROCESS_VIRTUAL_MEMORY_BYTES,
    },
};

/// Reads `/proc` when it is asked; a figure that cannot be read is absent.
pub struct ProcessCollector {
    descs: Vec<Desc>,
    units: Units,
    /// Second since the Unix epoch in which the kernel started.
    boot_seconds: Option<u64>,
}

impl ProcessCollector {
    /// # Errors
    /// Where a declared name is none that Prometheus takes.
    pub fn new() -> Result<Self> {
        Ok(Self {
            descs: descs(OF_PROCESS)?,
            units: Units {
                ticks_per_second: system(SysconfVar::CLK_TCK).unwrap_or(100),
                page_bytes: system(SysconfVar::PAGE_SIZE).unwrap_or(4096),
            },
            boot_seconds: fs::read_to_string("/proc/stat")
                .ok()
                .and_then(|stat| boot_seconds(&stat)),
        })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut families = Vec::new();
        let mut add = |metric, value| families.push(single(metric, value));
        let usage = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|stat| usage(&stat, self.units));
        if let Some(usage) = usage {
            add(PROCESS_CPU_SECONDS, usage.cpu_seconds);
            add(
                PROCESS_RESIDENT_MEMORY_BYTES,
                usage.resident_memory_bytes as f64,
            );
            add(
                PROCESS_VIRTUAL_MEMORY_BYTES,
                usage.virtual_memory_bytes as f64,
            );
            add(PROCESS_THREADS, usage.threads as f64);
            if let Some(boot_seconds) = self.boot_seconds {
                let start = boot_seconds as f64 + usage.started_after_boot_seconds;
                add(PROCESS_START_TIME_SECONDS, start);
            }
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // The folder is open itself while it is read.
            add(PROCESS_OPEN_FDS, files.count().saturating_sub(1) as f64);
        }
        families
    }
}

/// What `/proc` counts in.
#[derive(Clone, Copy, Debug)]
struct Units {
    ticks_per_second: u64,
    page_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    threads: u64,
    started_after_boot_seconds: f64,
    virtual_memory_bytes: u64,
    resident_memory_bytes: u64,
}

/// The figures of one `/proc/PID/stat` (proc_pid_stat(5)). The name in parentheses may itself hold blanks and
/// parentheses, so fields are counted from the last one on.
fn usage(stat: &str, units: Units) -> Option<Usage> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first of them is field 3 of the manual.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let seconds = |ticks: u64| ticks as f64 / units.ticks_per_second as f64;
    Some(Usage {
        cpu_seconds: seconds(field(14)?.saturating_add(field(15)?)),
        threads: field(20)?,
        started_after_boot_seconds: seconds(field(22)?),
        virtual_memory_bytes: field(23)?,
        resident_memory_bytes: field(24)?.saturating_mul(units.page_bytes),
    })
}

fn boot_seconds(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn system(variable: SysconfVar) -> Option<u64> {
    let value = sysconf(variable).ok().flatten()?;
    u64::try_from(value).ok().filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units {
        ticks_per_second: 100,
        page_bytes: 4096,
    };

    #[test]
    fn a_name_with_blanks_and_parentheses_shifts_no_field() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 3 0 4200 9000000 512 18446744073709551615";
        let expected = Usage {
            cpu_seconds: 1.75,
            threads: 3,
            started_after_boot_seconds: 42.0,
            virtual_memory_bytes: 9_000_000,
            resident_memory_bytes: 512 * 4096,
        };
        assert_eq!(usage(stat, UNITS), Some(expected));
        assert_eq!(usage("7 (cut) S 1 7", UNITS), None);
        assert_eq!(usage("", UNITS), None);
    }

    #[test]
    fn the_boot_time_is_read_from_its_line() {
        assert_eq!(
            boot_seconds("cpu 1 2\nbtime 1790000000\nprocs 4\n"),
            Some(1_790_000_000)
        );
        assert_eq!(boot_seconds("cpu 1 2\n"), None);
    }
}
