//! Showing that something long goes on: a spinner on a terminal, one line at the start elsewhere.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// A step under way; disappears from the terminal when dropped.
pub struct Step {
    bar: Option<ProgressBar>,
}

impl Step {
    pub fn start(what: &str) -> Self {
        if !io::stderr().is_terminal() {
            eprintln!("setup: {what}");
            return Self { bar: None };
        }
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner()
            .with_style(style)
            .with_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar: Some(bar) }
    }

    /// What it does right now; shown on a terminal only.
    pub fn tell(&self, now: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(now.to_owned());
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
