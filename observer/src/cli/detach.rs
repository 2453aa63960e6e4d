//! `observer detach`: leaves nothing of ours in the kernel.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::print;
use crate::{
    agent::settings::default_uplinks,
    config::PINS,
    probe::{detach, device::UplinkSpec},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  observer detach --uplink eth0\n\nStop the agent first: a running one attaches again."
)]
pub struct Arguments {
    /// Directory that maps and links are pinned in.
    #[arg(long, value_name = "DIRECTORY", default_value = PINS)]
    pins: PathBuf,
    /// Device whose filters are removed (`eth0`, or `/run/netns/blue:eth0`); the default uplinks when none is given.
    #[arg(long = "uplink", value_name = "[NAMESPACE:]DEVICE")]
    uplinks: Vec<UplinkSpec>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let uplinks = if arguments.uplinks.is_empty() {
        default_uplinks()?
    } else {
        arguments.uplinks.clone()
    };
    let removed = detach::detach(&arguments.pins, &uplinks)?;
    let mut text = String::new();
    for pin in &removed.pins {
        writeln!(text, "removed pin {}", pin.display())?;
    }
    for filter in &removed.filters {
        writeln!(text, "removed filter {filter}")?;
    }
    if text.is_empty() {
        text.push_str("nothing of observer was in the kernel\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
