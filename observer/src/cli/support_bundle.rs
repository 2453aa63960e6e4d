//! `observer support-bundle`: writes one archive of what a maintainer needs, names taken out.

use std::{
    fs::OpenOptions,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::UNIX_EPOCH,
};

use anyhow::{Context as _, Result};
use clap::Args;

use super::{print, report::get};
use crate::{
    config::PINS,
    support::{Part, Redactor, Sources, gather},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  observer support-bundle --config /etc/observer/observer.yaml bundle.tar"
)]
pub struct Arguments {
    /// The archive to write; one that is there is not overwritten.
    #[arg(value_name = "FILE", default_value = "observer-support.tar")]
    file: PathBuf,
    /// Where the agent serves (`observer run --listen`).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    agent: SocketAddr,
    /// Configuration file of the agent.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory that maps and links are pinned in.
    #[arg(long, value_name = "DIRECTORY", default_value = PINS)]
    pins: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut parts = gather(&Sources {
        agent: arguments.agent,
        config: arguments.config.as_deref(),
        pins: &arguments.pins,
        ask: get,
    });
    let host = nix::unistd::gethostname().unwrap_or_default();
    let mut redactor = Redactor::hiding([&*host.to_string_lossy()]);
    // A name may be seen to be one in a later part only.
    for part in &parts {
        redactor.learn(&part.text);
    }
    for part in &mut parts {
        part.text = redactor.redact(&part.text);
    }
    write(&arguments.file, &parts)?;
    print(&format!(
        "wrote `{}`: {} texts, names taken out; look through it before you send it (`tar xf`)\n",
        arguments.file.display(),
        parts.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, parts: &[Part]) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("make `{}`", path.display()))?;
    // The archive's own time is that of what is in it.
    let made = file.metadata().and_then(|metadata| metadata.modified());
    let made = made
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut archive = tar::Builder::new(file);
    for part in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(made.map_or(0, |since| since.as_secs()));
        let name = Path::new("observer-support").join(part.name);
        archive
            .append_data(&mut header, name, part.text.as_bytes())
            .with_context(|| format!("write `{}`", path.display()))?;
    }
    archive
        .finish()
        .with_context(|| format!("write `{}`", path.display()))
}
