//! Prints what the kernel programs tell a developer (aya-log). Compiled in debug builds alone; knows nothing of what is
//! told.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// The ring of messages.
pub struct Messages(EbpfLogger<StandardError>);

impl Messages {
    pub fn open(ebpf: &mut Ebpf) -> Result<Self> {
        let logger = EbpfLogger::init_with_logger(ebpf, StandardError)
            .context("open the ring of the programs' messages")?;
        Ok(Self(logger))
    }

    pub fn print(&mut self) {
        self.0.flush();
    }
}

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("observer: kernel: {}", record.args());
    }

    fn flush(&self) {}
}
