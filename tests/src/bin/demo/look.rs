//! How the demo looks: units, colour, and the line that moves while it runs. It knows no figures.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// Escapes that a terminal takes; none elsewhere, or where `NO_COLOR` is set (<https://no-color.org>).
#[derive(Clone, Copy)]
pub struct Paint {
    is_on: bool,
}

impl Paint {
    pub fn of_stdout() -> Self {
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            is_on: is_wanted && std::io::stdout().is_terminal(),
        }
    }

    pub fn strong(self, text: &str) -> String {
        self.escape("1", text)
    }

    pub fn good(self, text: &str) -> String {
        self.escape("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.escape("31", text)
    }

    fn escape(self, code: &str, text: &str) -> String {
        if self.is_on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// One line on standard error that says what goes on, with finished steps above it; nothing where that is no terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn start() -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    pub fn now(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    pub fn done(&self, what: impl AsRef<str>) {
        self.bar.println(format!("  {}", what.as_ref()));
    }

    /// Runs `print` while the line is out of its way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Three digits and a decimal unit.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        // What would be rounded to 1000 is 1.00 of the next.
        if value < 999.5 {
            return if unit == "B" {
                format!("{count} B")
            } else {
                format!("{} {unit}", three_digits(value))
            };
        }
        value /= 1e3;
    }
    format!("{value:.0} PB")
}

/// Three digits.
pub fn milliseconds(time_us: u64) -> String {
    three_digits(time_us as f64 / 1e3)
}

/// All digits, in groups.
pub fn exact(count: impl Into<i128>) -> String {
    let text = count.into().to_string();
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |digits| ("-", digits));
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn three_digits(value: f64) -> String {
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_three_digits() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (40_123_456, "40.1 MB"),
            (5_000_000_000_000_000, "5 PB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (time_us, text) in [
            (45, "0.04"),
            (9_994, "9.99"),
            (9_999, "10.0"),
            (123_456, "123"),
        ] {
            assert_eq!(milliseconds(time_us), text);
        }
        for (count, text) in [
            (0_i128, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
            (-100, "-100"),
        ] {
            assert_eq!(exact(count), text);
        }
    }
}
