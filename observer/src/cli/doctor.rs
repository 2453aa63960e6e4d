//! `observer doctor`: prints the survey of kernel and privileges, and where the host stands. Exit status 1 where the whole host cannot be counted.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::{Output, print};
use crate::{
    config::PINS,
    place::{self, Dmi, Endpoints, Field, Found, Overrides, dmi::Directories},
    probe::capability::{Capability, can_run, survey},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  observer doctor --output json\n  observer doctor --ask-metadata"
)]
pub struct Arguments {
    /// Directory of the unified cgroup hierarchy; found in `/proc/self/mounts` when not given.
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,
    /// Directory that maps and links would be pinned in.
    #[arg(long, value_name = "DIRECTORY", default_value = PINS)]
    pins: PathBuf,
    /// Ask the cloud's metadata service too, where the firmware names a cloud that has one.
    #[arg(long)]
    ask_metadata: bool,
    /// The firmware's tables, of another machine.
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    dmi: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Diagnosis<'a> {
    kernel: String,
    can_run: bool,
    capabilities: &'a [Capability],
    /// In the order of the record.
    source: Vec<Row>,
}

/// One field of where the host stands: either a value and its basis, or the reason why there is none.
#[derive(Serialize)]
struct Row {
    field: &'static str,
    value: Option<String>,
    basis: Option<&'static str>,
    missing: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let capabilities = survey(arguments.cgroup.as_deref(), &arguments.pins);
    let diagnosis = Diagnosis {
        kernel: kernel(),
        can_run: can_run(&capabilities),
        capabilities: &capabilities,
        source: rows(&source(arguments)?),
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

fn source(arguments: &Arguments) -> Result<Found> {
    let firmware = arguments.dmi.as_deref();
    let dmi = Dmi::read(&firmware.map_or_else(Directories::default, Directories::within));
    if !arguments.ask_metadata {
        return Ok(place::known(&Overrides::default(), &dmi));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let (overrides, endpoints) = (Overrides::default(), Endpoints::default());
    Ok(runtime.block_on(place::find(&overrides, &dmi, &endpoints)))
}

fn rows(found: &Found) -> Vec<Row> {
    let row = |field: Field| {
        let (value, basis, missing) = match found.fact(field) {
            Ok((value, basis)) => (Some(value.clone()), Some(basis.word()), None),
            Err(missing) => (None, None, Some(missing.to_string())),
        };
        Row {
            field: field.word(),
            value,
            basis,
            missing,
        }
    };
    Field::ALL.map(row).into()
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
    text.push_str("\nsource place\n");
    for row in &diagnosis.source {
        let Row {
            field,
            value,
            basis,
            missing,
        } = row;
        match (value, basis) {
            (Some(value), Some(basis)) => writeln!(text, "{field:8}  {value}  by {basis}")?,
            _ => {
                let reason = missing.as_deref().unwrap_or_default();
                writeln!(text, "{field:8}  unknown: {reason}")?;
            }
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
            source: rows(&place::known(
                &Overrides::default(),
                &Dmi {
                    sys_vendor: "Hetzner".to_owned(),
                    ..Dmi::default()
                },
            )),
        };
        let text = table(&diagnosis).expect("formats");
        assert!(text.contains("ok       a    because\n"), "{text}");
        assert!(text.contains("missing  bee  because\n"), "{text}");
        assert!(
            text.contains("costs: pid, comm\n") && text.contains("with 1 thing(s) missing"),
            "{text}"
        );
        assert!(
            text.contains("cloud     hetzner  by dmi\n")
                && text.contains("zone      unknown: this version cannot ask"),
            "{text}"
        );
    }
}
