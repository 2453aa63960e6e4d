//! Reading outcomes out of what test programs print: libtest's `test result:` line, a harness of our own's
//! `N passed, N failed, N skipped` line, and `SKIP: NAME: REASON`.

use crate::tally::Tally;

/// What one `cargo test` reported so far.
#[derive(Default)]
pub struct Outcomes {
    tally: Tally,
    /// Every skip as `NAME: REASON`.
    skips: Vec<String>,
    /// `SKIP:` lines since the last result line: tests that libtest counts as passed.
    pending: u64,
}

impl Outcomes {
    /// Takes the next line.
    pub fn read(&mut self, line: &str) {
        if let Some(skip) = line.strip_prefix("SKIP: ") {
            self.skips.push(skip.trim_end().to_owned());
            self.pending += 1;
        } else if let Some((name, reason)) = ignored(line) {
            self.skips.push(format!("{name}: {reason}"));
        } else if let Some(result) = libtest(line) {
            // A test that could not run is never a test that passed.
            let hidden = self.pending.min(result.passed);
            self.tally += Tally {
                passed: result.passed - hidden,
                failed: result.failed,
                skipped: result.skipped + hidden,
            };
            self.pending = 0;
        } else if let Some(result) = Tally::parse(line) {
            self.tally += result;
            self.pending = 0;
        }
    }

    /// The sum. A run that failed without a failed test (it did not compile, or a test program died before its result
    /// line) counts as one failure.
    pub fn end(&self, success: bool) -> Tally {
        let mut tally = self.tally;
        if !success && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }

    pub fn skips(&self) -> &[String] {
        &self.skips
    }
}

/// `test NAME ... ignored[, REASON]`
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (name, state) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some((name, state.strip_prefix(", ").unwrap_or("ignored")))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn libtest(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut tally = Tally::default();
    for part in counts.split("; ") {
        match part.split_once(' ') {
            Some((n, "passed")) => tally.passed = n.parse().ok()?,
            Some((n, "failed")) => tally.failed = n.parse().ok()?,
            Some((n, "ignored")) => tally.skipped = n.parse().ok()?,
            _ => {}
        }
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(text: &str) -> Outcomes {
        let mut outcomes = Outcomes::default();
        text.lines().for_each(|line| outcomes.read(line));
        outcomes
    }

    const LIBTEST: &str = "\
running 4 tests
test a ... ok
test b ... ok
test c ... ok
test d ... ignored, needs a guest

successes:

---- b stdout ----
SKIP: b: not root

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s
";

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let outcomes = outcomes(LIBTEST);
        assert_eq!(
            outcomes.end(true),
            Tally {
                passed: 2,
                failed: 0,
                skipped: 2
            }
        );
        assert_eq!(outcomes.skips(), ["d: needs a guest", "b: not root"]);
    }

    #[test]
    fn a_harness_of_our_own_counts_its_skips_itself() {
        let outcomes = outcomes("SKIP: x: no cgroup2\n5 passed, 1 failed, 1 skipped\n");
        assert_eq!(
            outcomes.end(false),
            Tally {
                passed: 5,
                failed: 1,
                skipped: 1
            }
        );
        assert_eq!(outcomes.skips(), ["x: no cgroup2"]);
    }

    #[test]
    fn several_programs_add_up_and_do_not_share_skips() {
        let text = format!("{LIBTEST}SKIP: x: y\n1 passed, 0 failed, 1 skipped\n{LIBTEST}");
        assert_eq!(
            outcomes(&text).end(true),
            Tally {
                passed: 5,
                failed: 0,
                skipped: 5
            }
        );
    }

    #[test]
    fn a_failed_run_without_a_failed_test_is_a_failure() {
        assert_eq!(
            outcomes("").end(false),
            Tally {
                passed: 0,
                failed: 1,
                skipped: 0
            }
        );
        let text = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            outcomes(text).end(false),
            Tally {
                passed: 1,
                failed: 2,
                skipped: 0
            }
        );
    }
}
