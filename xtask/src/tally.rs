//! Counting outcomes. The text form is the last line of `test`, `lint` and `ci`.

use std::{fmt, ops::AddAssign, process::ExitCode};

/// How many tests or checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    /// One check that passed or failed.
    pub fn of(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    /// Success only where nothing failed.
    pub fn exit_code(self) -> ExitCode {
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Reads what [`fmt::Display`] writes; anything else is `None`.
    pub fn parse(line: &str) -> Option<Self> {
        let mut tally = Self::default();
        let mut parts = line.trim().split(", ");
        for (field, word) in [
            (&mut tally.passed, " passed"),
            (&mut tally.failed, " failed"),
            (&mut tally.skipped, " skipped"),
        ] {
            *field = parts.next()?.strip_suffix(word)?.parse().ok()?;
        }
        parts.next().is_none().then_some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let tally = Tally {
            passed: 12,
            failed: 0,
            skipped: 3,
        };
        assert_eq!(Tally::parse(&tally.to_string()), Some(tally));
    }

    #[test]
    fn other_lines_are_no_tally() {
        for line in [
            "",
            "12 passed",
            "12 passed, 0 failed",
            "x passed, 0 failed, 0 skipped",
            "12 passed, 0 failed, 3 skipped, 1 more",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            assert_eq!(Tally::parse(line), None, "{line}");
        }
    }
}
