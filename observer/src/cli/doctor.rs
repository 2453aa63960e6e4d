//! `observer doctor`: prints the survey of kernel and privileges. Exit status 1 where the whole host cannot be counted.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Output, print};
use crate::{
    config::PINS,
    probe::capability::{Capability, can_run, survey},
};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  observer doctor --output json")]
pub struct Arguments {
    /// Directory of the unified cgroup hierarchy; found in `/proc/self/mounts` when not given.
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,
    /// Directory that maps and links would be pinned in.
    #[arg(long, value_name = "DIRECTORY", default_value = PINS)]
    pins: PathBuf,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Diagnosis<'a> {
    kernel: String,
    can_run: bool,
    capabilities: &'a [Capability],
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let capabilities = survey(arguments.cgroup.as_deref(), &arguments.pins);
    let diagnosis = Diagnosis {
        kernel: kernel(),
        can_run: can_run(&capabilities),
        capabilities: &capabilities,
    };
    match arguments.output {
        Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&diagnosis)?))?,
        Output::Table => print(&table(&diagnosis)?)?,
    }
    Ok(if diagnosis.can_run {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| {
            format!(
                "{} {}",
                name.release().to_string_lossy(),
                name.machine().to_string_lossy()
            )
        },
    )
}

fn table(diagnosis: &Diagnosis<'_>) -> Result<String> {
    let mut text = format!("kernel {}\n\n", diagnosis.kernel);
    let width = diagnosis
        .capabilities
        .iter()
        .map(|row| row.name.len())
        .max()
        .unwrap_or(0);
    for row in diagnosis.capabilities {
        let mark = match (row.available, row.required) {
            (true, _) => "ok     ",
            (false, true) => "MISSING",
            (false, false) => "missing",
        };
        writeln!(text, "{mark}  {:width$}  {}", row.name, row.detail)?;
        if !row.available {
            writeln!(
                text,
                "{:9}{:width$}  costs: {}",
                "",
                "",
                row.costs.join(", ")
            )?;
        }
    }
    let missing = diagnosis
        .capabilities
        .iter()
        .filter(|row| !row.available)
        .count();
    writeln!(
        text,
        "\n{}",
        match (diagnosis.can_run, missing) {
            (true, 0) => "observer can count everything here".to_owned(),
            (true, missing) => format!("observer can run here, with {missing} thing(s) missing"),
            (false, _) => "observer cannot count this host: see MISSING above".to_owned(),
        }
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_is_missing_and_what_it_costs() {
        let row = |name, available, required| Capability {
            name,
            available,
            required,
            detail: "because".to_owned(),
            costs: vec!["pid", "comm"],
        };
        let capabilities = [row("a", true, true), row("bee", false, false)];
        let diagnosis = Diagnosis {
            kernel: "6.1".to_owned(),
            can_run: true,
            capabilities: &capabilities,
        };
        let text = table(&diagnosis).expect("formats");
        assert!(text.contains("ok       a    because\n"), "{text}");
        assert!(text.contains("missing  bee  because\n"), "{text}");
        assert!(
            text.contains("costs: pid, comm\n") && text.contains("with 1 thing(s) missing"),
            "{text}"
        );
    }
}
